// One node in the picture of the fleet.

import { attr, make, set, style } from './dom.js';
import { count, percent, whole } from './format.js';
import { go, place } from './place.js';

/** A new tile: a button, because it opens the node's card. */
export function create(node) {
  const common = make('span', { class: 'common' });
  const own = make('span');
  const name = make('b', {}, common, own);
  const viewers = make('span', { class: 'viewers' });
  const cpu = make('span', { class: 'cpu' });
  const bar = make('i', { class: 'fill' });
  const load = make('span', { class: 'load' });
  const condition = make('em');
  const button = make('button', { class: 'tile', type: 'button', 'data-node': node.node },
    make('span', { class: 'name' }, make('i', { class: 'mark' }), name, viewers),
    make('span', { class: 'gauge' }, make('span', { class: 'bar' }, bar), cpu),
    make('span', { class: 'rest' }, load, condition));
  button.addEventListener('click', () => go({ node: place.node === node.node ? null : node.node }));
  button.addEventListener('pointerenter', () => attr(button, 'title', button.getAttribute('aria-label')));
  const item = make('li', {}, button);
  item.parts = { button, mark: button.querySelector('.mark'), common, own, viewers, cpu, bar, load, condition };
  return item;
}

/** Shows a node in its tile. `search` is in small letters; `beginning` is how all names of its region begin. */
export function update(item, node, search, beginning) {
  const { button, mark, common, own, viewers, cpu, bar, load, condition } = item.parts;
  const gone = node.condition === 'lost' || node.condition === 'stopped';
  const busy = gone ? 0 : Math.min(1, Math.max(0, node.load.cpu));
  attr(button, 'data-condition', node.condition);
  attr(mark, 'data-condition', node.condition);
  set(common, beginning);
  set(own, node.node.slice(beginning.length));
  set(viewers, gone ? '' : whole(node.load.viewers));
  set(cpu, gone ? '' : percent(busy));
  attr(button, 'data-hot', busy >= 0.85);
  style(bar, 'transform', `scaleX(${Math.round(busy * 100) / 100})`);
  set(load, gone ? '' : `${count(node.load.viewers, 'viewer')} · ${count(node.load.streams, 'stream')}`);
  set(condition, node.condition === 'serving' ? '' : node.condition);
  attr(button, 'data-dim', Boolean(search) && !node.node.toLowerCase().includes(search));
  attr(button, 'aria-pressed', String(place.node === node.node));
  const said = gone ? `${node.node}, ${node.condition}` : `${node.node}, ${node.condition}, processor ${percent(busy)}, ${count(node.load.viewers, 'viewer')}, ${count(node.load.streams, 'stream')}`;
  attr(button, 'aria-label', said);
}
