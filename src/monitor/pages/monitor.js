// The page: which view is fetched when, and what is said when the monitor does not answer.

import { get, now, Refused } from './api.js';
import { el, lead, set, show } from './dom.js';
import { feed } from './feed.js';
import { showFleet, touch } from './fleet.js';
import { clock } from './format.js';
import * as moment from './moment.js';
import { place, watch } from './place.js';
import { showProblems } from './problems.js';
import { Refresh } from './refresh.js';
import { showRoom } from './room.js';
import * as rooms from './rooms.js';
import * as search from './search.js';
import * as timeline from './timeline.js';

const DRAGGING = 120;
const SELDOM = 15_000;
let broken = null;

const asked = (path) => (place.at ? `${path}?${new URLSearchParams({ at: place.at })}` : path);

/** What automated tests may read: how long drawing each view took, in milliseconds. */
window.headwater = { drawn: {} };

/** A view that is fetched and shown; a failure keeps the picture. */
const view = (name, work) => new Refresh(async (signal) => {
  try {
    const draw = await work(signal);
    if (signal.aborted) return;
    const start = performance.now();
    draw?.();
    window.headwater.drawn[name] = performance.now() - start;
    reached('views');
  } catch (error) {
    if (signal.aborted) return;
    unreached('views', error);
  }
});

const fleet = view('fleet', async (signal) => {
  const it = await get(asked('/api/fleet'), { signal });
  return () => {
    showFleet(it);
    showProblems(it.problems);
    timeline.addProblems(it.problems);
    moment.showMoment(it.at);
    timeline.showMoment(it.at, signal);
    search.tell();
  };
});

const list = view('rooms', async (signal) => {
  const it = await get(`/api/rooms?${rooms.query()}`, { signal });
  return () => {
    rooms.showRooms(it);
    search.found(it);
  };
});

const room = view('room', async (signal) => {
  const { room: name } = place;
  if (!name) return () => showRoom(null);
  try {
    const it = await get(asked(`/api/rooms/${encodeURIComponent(name)}`), { signal });
    return () => showRoom(it);
  } catch (error) {
    if (!(error instanceof Refused) || error.status !== 404) throw error;
    return () => showRoom(null, place.at ? 'This room was not known yet at this moment.' : 'The monitor does not know this room. Its name may be wrong, or its history may have been deleted.');
  }
});

const all = [fleet, list, room];

// What does not answer, and since when.
function unreached(what, error) {
  broken ??= { since: now(), what: new Set() };
  broken.what.add(what);
  const since = clock(broken.since);
  set(el('broken'), error instanceof Refused ? `The monitor has no answer since ${since}: ${error.message} This is the last picture; trying again.` : `Monitor unreachable since ${since}. This is the last picture; trying again.`);
  show(el('broken'), true);
}

function reached(what) {
  broken?.what.delete(what);
  if (broken?.what.size) return;
  broken = null;
  show(el('broken'), false);
}

let newest = 0;

function event(recorded) {
  // Another log than before: nothing here is of it.
  if (recorded.sequence < newest) location.reload();
  newest = recorded.sequence;
  timeline.addEvent(recorded);
  if (place.at || document.hidden) return;
  fleet.soon();
  list.soon();
  const { subject } = recorded.event ?? { subject: {} };
  if (place.room && (subject.room === place.room || subject.node)) room.soon();
}

function titled() {
  document.title = [place.at ? '⏸ past' : null, place.room, 'Monitor · Headwater'].filter(Boolean).join(' · ');
  lead(el('home'), { room: null, stream: null, node: null, at: null, search: null });
  lead(el('room-close'), { room: null, stream: null });
}

watch((before, gently) => {
  titled();
  search.tell();
  if (before.at !== place.at) {
    moment.turn();
    timeline.draw();
    for (const it of all) gently ? it.soon(DRAGGING) : it.now();
  }
  if (before.search !== place.search || before.node !== place.node) {
    rooms.first();
    list.now();
  }
  if (before.stream !== place.stream && before.room === place.room) room.now();
  if (before.room !== place.room) {
    showRoom(null, 'Loading …');
    room.now();
    list.now();
    timeline.openRoom(place.room);
    if (place.room) el('main').scrollIntoView({ block: 'start' });
  }
  touch();
  if (before.node !== place.node && place.node) el('node').scrollIntoView({ block: 'nearest' });
});

rooms.onChange(() => list.now());
timeline.onItems(moment.mark);
titled();
moment.turn();
moment.reach();
search.tell();
for (const it of all) it.now();
timeline.openRoom(place.room);
timeline.openFleet();

feed({
  event,
  state(up) {
    if (!up) return unreached('feed');
    reached('feed');
    // What happened between the views and the feed would be missed otherwise.
    for (const it of all) it.soon();
    timeline.catchUp();
    moment.reach();
  },
});

document.addEventListener('visibilitychange', () => {
  if (!document.hidden && !place.at) for (const it of all) it.soon();
});

// Whatever no event tells (a node heard of again, say) shows in the end.
setInterval(() => {
  if (document.hidden) return;
  // What the log has forgotten can't be shown any more.
  moment.reach();
  if (!place.at || broken) for (const it of all) it.soon();
}, SELDOM);
