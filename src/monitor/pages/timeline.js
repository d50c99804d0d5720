// The time line: a room's events, or what is news for the fleet; newest first.

import { get } from './api.js';
import { attr, el, keyed, lead, link, make, set, show } from './dom.js';
import { clock } from './format.js';
import { fromEvent, fromProblem, milliseconds, order } from './items.js';
import { ofFleet, summary } from './kinds.js';
import { Log } from './log.js';
import { go, place } from './place.js';

const ENOUGH = 20;
const MOST = 600;
const SOON = 40;
const OFTEN = 300;
const fleet = new Map();
let log = null;
let items = [];
let seen = { sequence: 0, time: null };
let changed = () => {};
let pending = false;
let painted = -Infinity;
let finished = false;


/** Calls back with the items, ascending, whenever they are drawn. */
export const onItems = (callback) => {
  changed = callback;
};

/** The room that is chosen has changed: loads its newest events. */
export async function openRoom(room, signal) {
  if (!room) {
    log = null;
    draw();
    return;
  }
  const mine = new Log(room);
  log = mine;
  draw();
  await mine.newest(signal).catch(gone);
  await around(signal);
  for (let pages = 0; pages < 4 && log === mine && mine.older && visible().length < ENOUGH; pages += 1) await mine.back().catch(gone);
  draw();
}

/** After a break: loads what is missing at the newest end. */
export const catchUp = async () => {
  if (log && !log.newer) await log.newest().catch(gone);
  draw();
};

/** The moment that the views show. */
export async function showMoment(at, signal) {
  seen = at;
  await around(signal);
  draw();
}

async function around(signal) {
  const first = log?.events[0]?.sequence ?? 0;
  if (place.at && log?.older && seen.sequence && seen.sequence < first) await log.around(seen.sequence, signal).catch(gone);
}

/** One event of the feed. */
export function addEvent(recorded) {
  const { event } = recorded;
  const mine = log !== null && event?.subject.room === place.room;
  if (mine) log.add(recorded);
  if (ofFleet(recorded)) remember(fromEvent(recorded));
  if (mine || !log) draw();
}

/** Loads the newest of what is news for the fleet. */
export async function openFleet() {
  const page = await get('/api/log/events?limit=1000').catch(gone);
  for (const recorded of page?.events ?? []) if (ofFleet(recorded)) remember(fromEvent(recorded));
  draw();
}

/** The fleet's problems at the moment shown. */
export function addProblems(problems) {
  let news = false;
  for (const problem of problems) {
    const item = fromProblem(problem);
    news ||= !fleet.has(item.key);
    remember(item);
  }
  draw();
  return news;
}

function remember(item) {
  if (!fleet.has(item.key)) fleet.set(item.key, item);
  if (fleet.size > MOST) fleet.delete([...fleet.values()].reduce((a, b) => (a.at <= b.at ? a : b)).key);
}

function visible() {
  const all = log ? log.events.map(fromEvent) : [...fleet.values()].sort(order);
  const kinds = el('kinds').value;
  if (kinds === 'all') return all;
  if (kinds === 'problems') return all.filter((it) => it.severity === 'error' || it.severity === 'warning');
  return all.filter((it) => !summary(it.type));
}

/** Whether an item is after the moment that the address asks for. */
function later(item) {
  if (!place.at) return false;
  if (/^\d+$/.test(place.at)) {
    if (item.sequence) return item.sequence > Number(place.at);
    return item.at > milliseconds(seen.time);
  }
  return item.at > milliseconds(place.at);
}

/** Draws soon. */
export function draw() {
  if (pending) return;
  pending = true;
  setTimeout(() => {
    pending = false;
    paint();
  }, Math.max(SOON, painted + OFTEN - performance.now()));
}

function paint() {
  painted = performance.now();
  items = visible();
  const here = place.at ? items.findLast((item) => !later(item)) : null;
  keyed(el('timeline'), items.toReversed(), (item) => item.key, create, (li, item) => {
    attr(li, 'data-later', later(item));
    attr(li, 'aria-current', item === here ? 'true' : null);
  });
  show(el('newer'), Boolean(log?.newer));
  show(el('older'), log ? log.older : items.length > 0 && !finished);
  show(el('timeline-empty'), items.length === 0);
  set(el('timeline-empty'), place.room ? 'No events of this room are kept.' : 'Nothing has happened that is worth telling.');
  if (here) reveal();
  changed(items, here);
}

function create(item) {
  const text = link(item.text, { at: item.go }, { class: 'what' });
  const refer = make('p', { class: 'refer' }, make('time', { datetime: item.time, title: item.time }, clock(item.time)), link(item.node ?? '', { node: item.node }));
  if (item.room && !log) refer.append(link(`room ${item.room}`, { room: item.room }));
  const li = make('li', { 'data-sequence': item.sequence, 'data-type': item.type, 'data-severity': item.severity }, make('i', { class: 'sign', 'data-severity': item.severity }), make('div', {}, text, refer));
  lead(text, { at: item.go });
  return li;
}

let revealed = null;

/** Brings the item of the moment into sight within the list; never moves the page. */
function reveal() {
  const item = el('timeline').querySelector('[aria-current]');
  if (!item || revealed === `${item.dataset.sequence} ${place.at}`) return;
  revealed = `${item.dataset.sequence} ${place.at}`;
  const list = el('timeline');
  const top = item.offsetTop - list.offsetTop;
  if (top < list.scrollTop || top + item.offsetHeight > list.scrollTop + list.clientHeight) list.scrollTop = top - list.clientHeight / 2;
}

/** Goes to the event before (-1) or after (1) the moment; after the last one comes live. */
export async function step(by) {
  if (by < 0) {
    const earlier = () => {
      const past = items.filter((item) => !later(item));
      return place.at ? past.at(-2) : past.at(-1);
    };
    if (!earlier() && log?.older) {
      await log.back().catch(gone);
      paint();
    }
    const item = earlier();
    if (item) go({ at: item.go }, { replace: true });
    return;
  }
  if (!place.at) return;
  if (!items.some(later) && log?.newer) {
    await log.on().catch(gone);
    paint();
  }
  const item = items.find(later);
  go({ at: item ? item.go : null }, { replace: true });
}

// The views tell what went wrong; here there is only less to show.
function gone() {}

el('kinds').addEventListener('change', draw);
el('newer').addEventListener('click', async () => {
  await log?.on().catch(gone);
  draw();
});
el('older').addEventListener('click', async () => {
  if (log) {
    await log.back().catch(gone);
    draw();
    return;
  }
  // The fleet as it was at the oldest problem known tells the ones before it.
  const oldest = [...fleet.values()].reduce((a, b) => (a.at <= b.at ? a : b));
  const view = await get(`/api/fleet?${new URLSearchParams({ at: oldest.go })}`).catch(() => null);
  if (view) finished = !addProblems(view.problems);
  draw();
});
el('timeline').addEventListener('keydown', (event) => {
  const by = { ArrowDown: 1, ArrowUp: -1 }[event.key];
  const links = [...el('timeline').querySelectorAll('a.what')];
  const index = links.indexOf(document.activeElement);
  if (!by || index < 0) return;
  event.preventDefault();
  links[index + by]?.focus();
});
