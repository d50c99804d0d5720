// Pieces both user pages share: header, room form, state line, number tiles, copying.

import * as format from './format.js';
import { node } from './node.js';
import { address, objection } from './place.js';

/** The element with this id. */
export const el = (id) => document.getElementById(id);

const WORDS = {
  idle: 'Idle',
  connecting: 'Connecting',
  waiting: 'Waiting',
  live: 'Live',
  reconnecting: 'Reconnecting',
  failed: 'Failed',
  stopped: 'Stopped',
};

/** What automated tests and the console may read; see the pages for `stats`. */
window.headwater = { state: 'idle', detail: '', stats: {} };

/** Shows a state and what it means; `hint` (a countdown, say) is not read aloud. */
export function state(name, detail, hint = '') {
  window.headwater.state = name;
  window.headwater.detail = detail;
  document.body.dataset.state = name;
  set(el('state-word'), WORDS[name]);
  set(el('state-detail'), detail);
  set(el('state-hint'), hint);
}

/** Sets text only when it changes, so that screen readers stay quiet. */
export function set(element, text) {
  if (element && element.textContent !== text) element.textContent = text;
}

/** Fills `data-number` elements from an object of texts. */
export function numbers(texts) {
  for (const [name, text] of Object.entries(texts)) {
    for (const tile of document.querySelectorAll(`[data-number="${name}"]`)) set(tile, text);
  }
}

/** Counts down in the hint until the next attempt. */
export function countdown(seconds) {
  const until = performance.now() + seconds * 1000;
  const show = () => {
    const left = Math.ceil((until - performance.now()) / 1000);
    set(el('state-hint'), left > 0 ? `Next attempt in ${left} s.` : '');
    if (left <= 0) clearInterval(timer);
  };
  const timer = setInterval(show, 500);
  show();
  return () => {
    clearInterval(timer);
    set(el('state-hint'), '');
  };
}

/** Fills the header: room, links to the other pages, the node that serves the page. */
export async function header(where) {
  if (!where.objection) {
    set(el('where'), where.stream === 'main' ? where.room : `${where.room} / ${where.stream}`);
    document.title = `${where.room} · ${document.title}`;
  }
  for (const link of document.querySelectorAll('[data-page]')) {
    link.href = where.objection ? link.dataset.page : address(link.dataset.page, where) + location.hash;
  }
  const self = await node();
  set(el('node'), self ? `node ${format.node(self)}` : 'node does not answer');
  if (self?.version) el('node').title = `Headwater ${self.version}`;
  return self;
}

/** Checks the two name fields of a form; the message goes under each field. Returns true when both are good. */
export function checkNames(form, { quietWhenEmpty = false } = {}) {
  let good = true;
  for (const what of ['room', 'stream']) {
    const field = form.elements[what];
    const value = field.value.trim() || (what === 'stream' ? 'main' : '');
    const wrong = objection(value, what);
    if (wrong) good = false;
    const shown = quietWhenEmpty && value === '' ? '' : wrong ?? '';
    set(el(`${what}-error`), shown);
    field.setAttribute('aria-invalid', String(Boolean(shown)));
  }
  return good;
}

/** Shows the room form instead of the page when the address names no usable room. */
export function askForRoom(where, page) {
  el('page').hidden = true;
  el('ask').hidden = false;
  const form = el('room-form');
  form.elements.room.value = where.room;
  form.elements.stream.value = where.stream;
  state('failed', where.objection);
  checkNames(form, { quietWhenEmpty: where.room === '' });
  form.addEventListener('input', () => checkNames(form, { quietWhenEmpty: true }));
  form.addEventListener('submit', (event) => {
    event.preventDefault();
    if (!checkNames(form)) {
      form.querySelector('[aria-invalid="true"]')?.focus();
      return;
    }
    const room = form.elements.room.value.trim();
    const stream = form.elements.stream.value.trim() || 'main';
    location.assign(address(page, { room, stream }) + location.hash);
  });
}

/** Fills a list of devices; '' leaves the choice to the browser, which is called `fallback`. */
export function fillChoice(select, devices, fallback, chosen = select.value) {
  const options = [{ id: '', label: fallback }, ...devices.filter(({ id }) => id !== 'default')];
  select.replaceChildren(...options.map(({ id, label }) => new Option(label, id, false, id === chosen)));
}

/** Copies the text of a field and says so on the button. */
export async function copy(field, button) {
  const label = button.textContent;
  let done = true;
  try {
    await navigator.clipboard.writeText(field.value);
  } catch {
    // Without a secure context there is no clipboard: select, so that one key does it.
    field.focus();
    field.select();
    done = false;
  }
  set(button, done ? 'Copied' : 'Press Ctrl+C');
  setTimeout(() => set(button, label), 2_000);
}
