// One node of a stream's tree, as a card.

import { age } from './ages.js';
import { attr, keyed, lead, link, make, set, show } from './dom.js';
import { bitrate, count, duration, layers, whole } from './format.js';

const ROLES = { origin: 'Origin', relay: 'Relay', edge: 'Edge' };

/** Whether and how the stream comes here: `open`, `opening`, `lost`, or `apart` without a pipe. */
export function state(node) {
  if (node.condition === 'lost' || node.condition === 'stopped') return 'lost';
  if (!node.pipe) return node.role === 'origin' ? 'open' : 'apart';
  return node.pipe.open ? 'open' : 'opening';
}

/** A new card. */
export function create() {
  const name = link('', {}, { class: 'who' });
  const mark = make('i', { class: 'mark' });
  const badge = make('em', { class: 'badge' });
  const role = make('span');
  const viewers = make('b');
  const numbers = make('span');
  const bars = make('span', { class: 'layers' });
  const quality = make('span', { class: 'quiet' });
  const by = make('span');
  const since = make('span');
  const item = make('li', { class: 'stop' },
    make('p', { class: 'title' }, mark, name, badge),
    make('p', { class: 'quiet role' }, role),
    make('p', {}, viewers, numbers),
    make('p', { class: 'got' }, bars, quality),
    make('p', { class: 'by' }, by, since));
  item.parts = { name, mark, badge, role, viewers, numbers, bars, quality, by, since };
  return item;
}

/** Shows a node; `from` is the name of its parent, none at the origin. */
export function update(item, node, from) {
  const { parts } = item;
  const how = state(node);
  attr(item, 'data-tree-node', node.node);
  attr(item, 'data-role', node.role);
  attr(item, 'data-condition', node.condition);
  attr(item, 'data-viewers', node.viewers);
  attr(item, 'data-state', how);
  set(parts.name, node.node);
  attr(parts.name, 'title', node.node);
  lead(parts.name, { node: node.node });
  attr(parts.mark, 'data-condition', node.condition);
  const word = node.condition !== 'serving' ? node.condition : how === 'opening' ? 'opening' : how === 'apart' ? 'waiting' : '';
  set(parts.badge, word);
  attr(parts.badge, 'data-condition', node.condition);
  set(parts.role, `${ROLES[node.role] ?? node.role} · ${node.region}${node.hops ? ` · ${count(node.hops, 'hop')}` : ''}`);
  set(parts.viewers, count(node.viewers, 'viewer'));
  // The line tells the bitrate that comes here; the origin has none.
  set(parts.numbers, node.role === 'origin' ? ` · ${bitrate(node.bitrate)} in` : node.lost ? ` · ${whole(node.lost)} lost` : '');
  attr(parts.numbers, 'title', node.lost ? 'Packets lost on the way here so far' : null);
  quality(parts, node.quality);
  show(parts.by.parentElement, Boolean(node.pipe));
  set(parts.by, node.pipe ? `from ${from ?? 'unknown'}: ${line(node).join(', ')}, ` : '');
  age(parts.since, node.pipe?.since, 'up');
}

/** What a pipe's line says: its bitrate or state, and how it was set up. */
export function line({ pipe, condition }) {
  if (condition === 'lost' || condition === 'stopped') return [condition];
  if (!pipe.open) return ['opening', `attempt ${pipe.attempt}`];
  const setup = pipe.setupUs === null || pipe.setupUs === undefined ? '' : `set up in ${duration(pipe.setupUs)}`;
  return [bitrate(pipe.bitrate), setup].filter(Boolean);
}

function quality(parts, { sampled, bitrate: each, leastEstimate, layers: counts }) {
  const some = sampled > 0;
  const total = counts.reduce((sum, number) => sum + number, 0);
  show(parts.bars, some && total > 0);
  keyed(parts.bars, counts.map((number, index) => ({ number, index })), (it) => it.index, () => make('i'), (bar, it) => {
    attr(bar, 'data-layer', Math.min(2, it.index + 3 - Math.min(3, counts.length)));
    if (bar.style.flexGrow !== String(it.number)) bar.style.flexGrow = it.number;
  });
  set(parts.quality, some ? `${bitrate(each)} each` : '');
  const told = [
    `Looked at ${count(sampled, 'viewer')}: each is sent ${bitrate(each)} on average`,
    total ? `layers: ${layers(counts)}` : null,
    leastEstimate ? `least bandwidth estimate ${bitrate(leastEstimate)}` : null,
  ];
  attr(parts.quality.parentElement, 'title', some ? told.filter(Boolean).join('; ') : null);
}
