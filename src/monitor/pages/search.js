// The search for rooms and nodes: rooms by the server, nodes in the fleet that is here.

import { el, keyed, lead, link, set, show, make } from './dom.js';
import { shown } from './fleet.js';
import { count } from './format.js';
import { go, place } from './place.js';

const FEW = 6;
const PAUSE = 150;
let rooms = null;
let timer = null;

const field = el('search');
const summary = make('span');
const hits = make('ul');
el('found').append(summary, hits);

/** The rooms that the server found. */
export function found(view) {
  rooms = view;
  tell();
}

/** Shows what was found. */
export function tell() {
  // What is being typed, or was a moment ago, stays.
  if (timer === null && document.activeElement !== field && field.value !== (place.search ?? '')) field.value = place.search ?? '';
  show(el('found'), Boolean(place.search));
  if (!place.search) return;
  const { nodes, list } = matches();
  set(summary, `${count(rooms?.total ?? 0, 'room')} and ${count(nodes.length, 'node')} match “${place.search}”`);
  keyed(hits, list, (hit) => hit.key, () => make('li', {}, link('', {})), (item, hit) => {
    set(item.firstChild, hit.text);
    lead(item.firstChild, hit.go);
  });
}

function matches() {
  const wanted = place.search?.toLowerCase() ?? '';
  const nodes = (shown()?.regions ?? []).flatMap((region) => region.nodes).filter((node) => node.node.toLowerCase().includes(wanted));
  const list = [
    ...(rooms?.rooms ?? []).slice(0, FEW).map(({ room }) => ({ key: `room ${room}`, text: `room ${room}`, name: room, go: { room } })),
    ...nodes.slice(0, FEW).map(({ node }) => ({ key: `node ${node}`, text: `node ${node}`, name: node, go: { node } })),
  ];
  return { nodes, list };
}

function apply() {
  clearTimeout(timer);
  timer = null;
  go({ search: field.value.trim() || null }, { replace: true });
}

field.addEventListener('input', () => {
  clearTimeout(timer);
  timer = setTimeout(apply, PAUSE);
});
field.addEventListener('keydown', (event) => {
  if (event.key !== 'Escape') return;
  field.value = '';
  apply();
  field.blur();
});
el('find').addEventListener('submit', (event) => {
  event.preventDefault();
  apply();
  const { list } = matches();
  const hit = list.find((it) => it.name === place.search) ?? list[0];
  if (hit) go(hit.go);
});
document.addEventListener('keydown', (event) => {
  if (event.key !== '/' || event.ctrlKey || event.metaKey || event.target.closest?.('input, select, textarea, dialog')) return;
  event.preventDefault();
  field.focus();
  field.select();
});
