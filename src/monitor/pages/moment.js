// The moment that is shown: the slider, the button back to live, and the banner while in the past.

import { freeze } from './ages.js';
import { get, now } from './api.js';
import { attr, draw, el, keyed, set, show } from './dom.js';
import { clock, span } from './format.js';
import { go, place } from './place.js';
import { step } from './timeline.js';

const WIDTH = 1000;
const GRAVITY = ['plain', 'good', 'warning', 'error'];
let first = null;
let time = null;
let text = '';
let items = [];
let drawn = '';
let dragging = false;

const parsed = (at) => (/^\d+$/.test(at) ? null : Date.parse(at) || null);

/** Reads from when on moments can be asked for. */
export async function reach() {
  const log = await get('/api/log').catch(() => null);
  if (log) first = Date.parse(log.first?.time) || null;
  slide();
}

/** Tells which moment the views show. */
export function showMoment(at) {
  if (!place.at) return;
  time = parsed(place.at) ?? (Date.parse(at.time) || null);
  freeze(time);
  slide();
}

/** The address has changed. */
export function turn() {
  if (place.at) {
    time = parsed(place.at) ?? items.find((item) => item.go === place.at)?.at ?? time;
    if (time) freeze(time);
  } else {
    time = null;
    freeze(null);
  }
  slide();
}

/** The events of the time line become ticks; `here` is the one of the moment. */
export function mark(all, here) {
  items = all;
  text = here?.text ?? '';
  slide();
}

function slide() {
  const slider = el('moment');
  const live = !place.at;
  const last = Math.max(now(), time ?? 0);
  const back = Number(el('span').value);
  const start = Math.min(Math.max(first ?? last, back ? last - back : 0), time ?? last, last - 1000);
  attr(slider, 'disabled', first === null);
  attr(slider, 'min', Math.floor(start));
  attr(slider, 'max', Math.ceil(last));
  if (!dragging) slider.value = String(Math.round(time ?? last));
  attr(slider, 'aria-valuetext', live ? 'Live' : clock(time));
  set(el('clock'), clock(time ?? last));
  attr(el('live'), 'aria-pressed', String(live));
  attr(document.body, 'data-past', !live);
  show(el('past'), !live);
  if (!live) {
    set(el('past-time'), time ? `You see ${clock(time)}` : 'You see the past');
    // Outside of what is read aloud, because it changes each second.
    set(el('past-ago'), time ? `, ${span(now() - time)} ago.` : '.');
    set(el('past-text'), text ? `Last event: ${text}` : '');
  }
  if (!document.hidden) ticks(start, last);
}

function ticks(start, last) {
  const paths = Object.fromEntries(GRAVITY.map((it) => [it, new Set()]));
  for (const item of items) {
    const x = Math.round(((item.at - start) / (last - start)) * WIDTH);
    if (x >= 0 && x <= WIDTH) paths[item.severity]?.add(x);
  }
  const shapes = GRAVITY.map((name) => [name, [...paths[name]].map((x) => `M${x} 0V10`).join('')]);
  const all = shapes.join();
  if (all === drawn) return;
  drawn = all;
  attr(el('ticks'), 'viewBox', `0 0 ${WIDTH} 10`);
  keyed(el('ticks'), shapes, ([name]) => name, ([name]) => draw('path', { 'data-severity': name }), (path, [, d]) => attr(path, 'd', d));
}

const toLive = () => go({ at: null });

el('live').addEventListener('click', toLive);
el('past-live').addEventListener('click', toLive);
el('previous').addEventListener('click', () => step(-1));
el('next').addEventListener('click', () => step(1));
el('span').addEventListener('change', slide);
el('moment').addEventListener('input', () => {
  const slider = el('moment');
  const [value, min, max] = [Number(slider.value), Number(slider.min), Number(slider.max)];
  dragging = true;
  // The right end is now.
  const live = value >= max - (max - min) * 0.002;
  go({ at: live ? null : new Date(value).toISOString() }, { replace: true, gently: true });
});
for (const end of ['change', 'pointerup', 'blur']) {
  el('moment').addEventListener(end, () => {
    dragging = false;
    slide();
  });
}
document.addEventListener('keydown', (event) => {
  const by = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
  if (!by || event.ctrlKey || event.altKey || event.metaKey || event.shiftKey) return;
  const field = event.target.closest?.('input, select, textarea, dialog');
  if (field && field.id !== 'moment') return;
  event.preventDefault();
  step(by);
});
setInterval(slide, 1000);
