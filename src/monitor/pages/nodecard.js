// What is known of the chosen node.

import { age } from './ages.js';
import { attr, el, make, set, show } from './dom.js';
import { bitrate, count, NONE, percent, whole } from './format.js';
import { go } from './place.js';

const ROWS = ['Region', 'Does', 'Processor', 'Viewers', 'Streams published', 'Rooms', 'Pipes', 'Pipes to other nodes', 'Running', 'Heard of', 'Version', 'Address'];
let parts = null;

/** Shows the node, or nothing; `missing` is the name of one that is not in the fleet. */
export function card(node, missing) {
  const box = el('node');
  show(box, Boolean(node || missing));
  if (!node && !missing) return;
  parts ??= build(box);
  attr(parts.mark, 'data-condition', node?.condition ?? 'stopped');
  set(parts.name, node?.node ?? missing);
  set(parts.condition, node ? standing(node) : 'not in the fleet at this moment');
  const { load = {} } = node ?? {};
  const texts = {
    Region: node?.region, Does: node?.roles.join(', '), Processor: percent(load.cpu), Viewers: whole(load.viewers), 'Streams published': whole(load.streams),
    Rooms: whole(load.rooms), Pipes: whole(load.pipes), 'Pipes to other nodes': whole(load.outlets), Version: node?.version, Address: node?.publicUrl,
  };
  for (const [name, text] of Object.entries(texts)) set(parts.rows[name], text || NONE);
  age(parts.rows.Running, node?.startedAt, 'up');
  age(parts.rows['Heard of'], node?.heardAt, 'ago');
}

function build(box) {
  const mark = make('i', { class: 'mark' });
  const name = make('h3');
  const condition = make('span', { class: 'quiet' });
  const close = make('button', { class: 'small plain', type: 'button' }, 'Close');
  close.addEventListener('click', () => go({ node: null }));
  const rows = Object.fromEntries(ROWS.map((row) => [row, make('dd')]));
  const list = make('dl', { class: 'facts' }, ...ROWS.map((row) => make('div', {}, make('dt', {}, row), rows[row])));
  box.append(make('header', { class: 'head' }, mark, name, condition, make('span', { class: 'grow' }), close), list);
  return { mark, name, condition, rows };
}

/** How the node is, and what one that drains still has. */
function standing({ condition, load }) {
  if (condition !== 'draining') return condition;
  const left = [[load.streams, 'stream'], [load.viewers, 'viewer'], [load.outlets, 'outgoing pipe']].filter(([number]) => number);
  if (!left.length) return 'draining: nothing is left';
  return `draining: still has ${left.map(([number, noun]) => count(number, noun)).join(', ')}`;
}

/** The bits of a region that its header tells. */
export const flow = (region) => `in ${bitrate(region.published)} · out ${bitrate(region.watched)}`;
