// The list of rooms, a page at a time; the server searches and sorts.

import { age } from './ages.js';
import { attr, el, keyed, lead, link, make, set, show } from './dom.js';
import { bitrate, count, whole } from './format.js';
import { place } from './place.js';

const PAGE = 50;
let offset = 0;
let total = 0;
let changed = () => {};

/** The query of the page that is wanted. */
export function query() {
  const wanted = { sort: el('sort').value, offset, limit: PAGE };
  if (el('rooms-live').checked) wanted.live = true;
  if (place.search) wanted.search = place.search;
  if (place.node) wanted.node = place.node;
  if (place.at) wanted.at = place.at;
  return new URLSearchParams(wanted);
}

/** Calls back when another page, order or choice of rooms is wanted. */
export function onChange(callback) {
  changed = callback;
}

/** Goes to the first page, as a new search does. */
export const first = () => {
  offset = 0;
};

/** Shows a page of rooms. */
export function showRooms(view) {
  total = view.total;
  if (offset > 0 && offset >= total) {
    offset = Math.max(0, Math.ceil(total / PAGE) - 1) * PAGE;
    changed();
    return;
  }
  keyed(el('room-list'), view.rooms, (room) => room.room, row, fill);
  set(el('rooms-count'), [total ? count(total, 'room') : '', place.node ? `on ${place.node}` : ''].filter(Boolean).join(' '));
  lead(el('rooms-everywhere'), { node: null });
  show(el('rooms-everywhere'), Boolean(place.node));
  show(el('rooms-empty'), total === 0);
  show(el('room-list').parentElement, total > 0);
  set(el('rooms-empty'), nothing());
  show(el('pager'), total > PAGE);
  set(el('page-at'), `${whole(offset + 1)} to ${whole(Math.min(total, offset + PAGE))} of ${whole(total)}`);
  attr(el('page-back'), 'disabled', offset === 0);
  attr(el('page-on'), 'disabled', offset + PAGE >= total);
}

function nothing() {
  const on = place.node ? ` on ${place.node}` : '';
  if (place.search) return `No room’s name${on} has “${place.search}” in it.`;
  if (el('rooms-live').checked) return `No room is live${on}.`;
  if (place.node) return `${place.node} carries no room.`;
  if (place.at) return 'There was no room yet at this moment.';
  return 'No rooms yet. Publish a stream to any node, with a browser at its /publish page or with any WHIP client: its room shows up here within a second.';
}

function row(room) {
  const name = link(room.room, { room: room.room });
  const live = make('span', { class: 'badge' });
  const cells = Object.fromEntries(['viewers', 'bitrate', 'streams', 'nodes', 'depth', 'since', 'problems'].map((it) => [it, make('td', { class: `of-${it}` })]));
  const since = make('span');
  cells.since.append(since);
  const item = make('tr', { 'data-room': room.room }, make('th', { scope: 'row' }, name, live), ...Object.values(cells));
  // The whole row is a target for the pointer; the link is the one for the keyboard.
  item.addEventListener('click', (event) => {
    if (!event.target.closest('a')) name.click();
  });
  item.parts = { ...cells, since, live };
  return item;
}

function fill(item, room) {
  const { parts } = item;
  attr(item, 'data-live', String(room.live));
  attr(item, 'aria-current', place.room === room.room ? 'true' : null);
  set(parts.live, room.live ? 'live' : 'over');
  attr(parts.live, 'data-live', String(room.live));
  set(parts.viewers, whole(room.viewers));
  // The noun is shown where there is no heading.
  attr(parts.viewers, 'data-noun', room.viewers === 1 ? ' viewer' : ' viewers');
  set(parts.bitrate, bitrate(room.bitrate));
  set(parts.streams, whole(room.streams));
  attr(parts.streams, 'data-noun', room.streams === 1 ? ' stream' : ' streams');
  set(parts.nodes, room.regions > 1 ? `${whole(room.nodes)} in ${whole(room.regions)} regions` : whole(room.nodes));
  set(parts.depth, room.depth ? count(room.depth, 'hop') : 'none');
  age(parts.since, room.live ? room.since : room.changedAt, room.live ? 'for' : 'ago');
  set(parts.problems, room.problems ? count(room.problems, 'problem') : '');
}

for (const id of ['sort', 'rooms-live']) {
  el(id).addEventListener('change', () => {
    first();
    changed();
  });
}
el('page-back').addEventListener('click', () => {
  offset = Math.max(0, offset - PAGE);
  changed();
});
el('page-on').addEventListener('click', () => {
  if (offset + PAGE < total) offset += PAGE;
  changed();
});
