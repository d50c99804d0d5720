// The landing page: choose a room and a stream, then publish or watch, or meet there.

import { beside, viewers } from './format.js';
import { status } from './node.js';
import { address, place } from './place.js';
import { checkNames, el, header, set, state } from './ui.js';

const TYPING_MS = 350;
const REFRESH_MS = 4_000;
const FIRST = ['quiet', 'clear', 'still', 'bright', 'upper', 'green', 'silver', 'gentle'];
const SECOND = ['spring', 'river', 'brook', 'delta', 'lake', 'ford', 'weir', 'fall'];

const form = el('room-form');
const where = place();
let timer;

state('idle', '');
form.elements.room.value = where.room;
form.elements.stream.value = where.query.get('stream') ?? '';
form.addEventListener('input', () => {
  checkNames(form, { quietWhenEmpty: true });
  look(TYPING_MS);
});
form.addEventListener('submit', go);
el('suggest').addEventListener('click', suggest);
document.addEventListener('visibilitychange', () => look(0));
checkNames(form, { quietWhenEmpty: true });
look(0);
showNode();

async function showNode() {
  const self = await header({ objection: 'no room on this page' });
  set(el('node-name'), self ? self.name : 'does not answer');
  set(el('node-region'), self?.region || '–');
  set(el('node-version'), self?.version || '–');
}

function chosen() {
  return { room: form.elements.room.value.trim(), stream: form.elements.stream.value.trim() || 'main' };
}

function suggest() {
  const one = (list) => list[Math.floor(Math.random() * list.length)];
  form.elements.room.value = `${one(FIRST)}-${one(SECOND)}-${Math.floor(10 + Math.random() * 90)}`;
  checkNames(form);
  look(0);
}

function go(event) {
  event.preventDefault();
  if (!checkNames(form)) {
    form.querySelector('[aria-invalid="true"]').focus();
    return;
  }
  const page = ['publish', 'room'].includes(event.submitter?.value) ? event.submitter.value : 'watch';
  const more = page === 'watch' ? { autostart: '1' } : {};
  // All streams of a room meet there.
  const to = page === 'room' ? { ...chosen(), stream: 'main' } : chosen();
  location.assign(address(page, to, more) + location.hash);
}

/** Looks whether the typed stream is live, once typing rests, and again while the page is visible. */
function look(delay) {
  clearTimeout(timer);
  timer = setTimeout(async () => {
    if (document.hidden) return;
    const asked = chosen();
    if (!asked.room || !checkNames(form, { quietWhenEmpty: true })) {
      tell('', '');
      return;
    }
    const found = await status(asked, AbortSignal.timeout(5_000)).catch(() => null);
    const now = chosen();
    if (now.room !== asked.room || now.stream !== asked.stream) return;
    if (!found) tell('unknown', 'This node does not answer.');
    else if (!found.live) tell('off', 'Nobody is publishing here yet.');
    else tell('on', beside(`Live from ${(found.origin ?? found.node).name}`, viewers(found)));
    look(REFRESH_MS);
  }, delay);
}

function tell(kind, text) {
  el('found').dataset.kind = kind;
  set(el('found'), text);
}
