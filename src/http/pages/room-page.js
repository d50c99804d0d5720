// The conference page: a lobby, the conference, and what is said when it is over.

import { Call } from './call.js';
import { Drawer } from './drawer.js';
import * as format from './format.js';
import { Inputs } from './inputs.js';
import { Lobby, explain, fillDevices, showButton } from './lobby.js';
import { address, place } from './place.js';
import { listDevices } from './source.js';
import { inlineIcons } from './tile.js';
import { Toasts } from './toasts.js';
import { el, fillChoice, header, set, state } from './ui.js';

const KEYS = { m: 'microphone', v: 'camera', s: 'screen', c: 'chat', p: 'people', d: 'devices', L: 'leave' };
/** A short interruption isn't worth a word. */
const PATIENCE_MS = 400;

const where = place();
const { query } = where;
const source = query.get('source') ?? (query.has('generated') ? 'generated' : 'camera');
const [, width, height] = /^(\d{2,4})x(\d{2,4})$/.exec(query.get('size') ?? '') ?? [0, 1280, 720];
const label = query.get('name') || where.room;
const inputs = new Inputs({ drawn: source === 'generated', label, width: Number(width), height: Number(height) });
const toasts = new Toasts(el('toasts'));
/** What is opened of the devices where one joins. */
let opens = { microphone: source !== 'none', camera: !['none', 'sound'].includes(source) };
/** The conference that one is in, or null. */
let call = null;
let drawer = null;
let ends = new AbortController();
let patience;

header(where);
inlineIcons().catch(() => {});
state('idle', '');
const lobby = new Lobby(where, inputs);
lobby.addEventListener('join', ({ detail }) => join(detail));
el('rejoin').addEventListener('click', async () => {
  show('lobby');
  await lobby.open(opens);
  lobby.submit();
});
el('invite').addEventListener('click', invite);
el('sound-on').addEventListener('click', () => {
  call?.cast.unmute();
  el('sound').hidden = true;
});
for (const button of document.querySelectorAll('[data-do]')) button.addEventListener('click', () => act(button.dataset.do));
document.addEventListener('keydown', press);
addEventListener('pagehide', () => call?.end());
// A page that comes back from the browser's cache has left.
addEventListener('pageshow', ({ persisted }) => persisted && location.reload());
prepareDevices();
begin();

async function begin() {
  show('lobby');
  await lobby.open(opens);
  if (query.get('autostart') === '1' && !where.objection) lobby.submit();
}

function show(view) {
  document.body.dataset.view = view;
  for (const one of ['lobby', 'call', 'ended']) el(one).hidden = one !== view;
  if (view === 'lobby') lobby.show();
  else lobby.leave();
}

async function join({ name, displayName }) {
  leave();
  lobby.busy(true);
  state('connecting', 'Joining.');
  const { room, token } = where;
  const relay = query.get('relay') === '1';
  const mine = new Call({ room, name, displayName, token, relay, inputs });
  call = mine;
  window.headwater.room = mine.room;
  ends = new AbortController();
  const on = (target, event, then) => target.addEventListener(event, ({ detail }) => call === mine && then(detail), { signal: ends.signal });
  on(mine, 'state', moved);
  on(mine, 'say', ({ text }) => toasts.say(text));
  on(mine, 'change', refresh);
  on(mine.cast, 'silent', () => { el('sound').hidden = false; });
  for (const event of ['participantjoined', 'participantleft', 'locked']) on(mine.room, event, refresh);
  drawer = new Drawer(mine, (text) => toasts.say(text), ends.signal);
  drawer.addEventListener('change', refresh);
  el('drawer').hidden = true;
  try {
    await mine.begin();
  } catch (problem) {
    if (call !== mine) return;
    leave();
    show('lobby');
    state('failed', explain(problem));
    lobby.refuse(problem);
    return;
  }
  if (call !== mine) return;
  lobby.busy(false);
  show('call');
  refresh();
  if (!mine.room.may.publish) toasts.say('You watch and listen here.');
  el('tiles').focus({ preventScroll: true });
}

function leave() {
  clearTimeout(patience);
  ends.abort();
  call?.end();
  call = null;
  drawer = null;
}

function moved({ state: name, reason, problem }) {
  clearTimeout(patience);
  if (name === 'connected') {
    state('live', 'You are in the room.');
    set(el('node'), format.node({ name: call.room.node, region: call.room.region }));
    banner('');
  } else if (name === 'reconnecting') {
    state('reconnecting', 'The connection was interrupted.');
    patience = setTimeout(() => banner('The connection was interrupted. Reconnecting …'), PATIENCE_MS);
  } else if (name === 'closed' && document.body.dataset.view === 'call') {
    over(reason, problem);
  }
  refresh();
}

function banner(text) {
  el('banner').hidden = text === '';
  set(el('banner-text'), text);
}

/** Says why it is over. */
function over(reason, problem) {
  leave();
  banner('');
  opens = { microphone: Boolean(inputs.microphone), camera: Boolean(inputs.camera) };
  inputs.end();
  const [title, text] = {
    left: ['You left the room', ''],
    removed: ['You were removed from the room', 'A moderator has removed you.'],
    closed: ['You were removed from the room', 'An operator has ended your session.'],
    replaced: ['You are in the room elsewhere', 'Someone joined under your name, perhaps you on another page or device.'],
  }[reason] ?? ['The room was closed to you', problem ? explain(problem) : `The node ended it: ${reason}.`];
  set(el('ended-title'), title);
  set(el('ended-text'), text);
  state(reason === 'left' ? 'stopped' : 'failed', text || title);
  el('devices').close();
  show('ended');
  el('ended-title').focus();
}

/** Buttons, counts and marks, as things are. */
function refresh() {
  if (!call) return;
  const { room } = call;
  const button = (what) => document.querySelector(`[data-do="${what}"]`);
  for (const what of ['microphone', 'camera', 'screen']) button(what).hidden = !room.may.publish;
  for (const kind of ['microphone', 'camera']) showButton(button(kind), kind, call.sends(kind));
  const shares = call.sends('screen');
  button('screen').dataset.on = String(shares);
  set(button('screen').querySelector('.label'), shares ? 'Stop sharing' : 'Share screen');
  button('screen').disabled = !inputs.isDrawn && !navigator.mediaDevices?.getDisplayMedia;
  for (const what of ['chat', 'people']) button(what).setAttribute('aria-expanded', String(drawer?.shown === what));
  el('unread').hidden = !drawer?.unread;
  set(el('unread'), String(drawer?.unread ?? ''));
  el('crowd').hidden = false;
  set(el('crowd'), String(room.participants.size + 1));
  el('alone').hidden = !call.isAlone || room.state !== 'connected';
  el('locked').hidden = !room.locked;
}

function act(what) {
  if (!call) return;
  if (what === 'leave') {
    over('left', null);
  } else if (what === 'devices') {
    set(el('devices-problem'), '');
    fillDevices(inputs);
    el('devices').showModal();
  } else if (what === 'chat' || what === 'people') {
    drawer.toggle(what, document.querySelector(`[data-do="${what}"]`));
  } else {
    call.toggle(what);
  }
}

function press(event) {
  const { key, ctrlKey, altKey, metaKey, target } = event;
  if (!call || ctrlKey || altKey || metaKey || el('devices').open || el('call').hidden) return;
  if (target.closest?.('input:not([type]), select, [role="log"]')) return;
  const what = KEYS[key];
  if (!what) return;
  event.preventDefault();
  act(what);
}

async function invite() {
  const link = address('room', where);
  try {
    await navigator.clipboard.writeText(link);
    toasts.say('The link was copied.');
  } catch {
    toasts.say(`Give others this address: ${link}`);
  }
}

/** The choice of devices within the conference. */
function prepareDevices() {
  for (const kind of ['microphone', 'camera']) {
    el(`call-${kind}`).addEventListener('change', async ({ target }) => {
      set(el('devices-problem'), '');
      inputs.chosen[kind] = target.value;
      // What is off stays off, and is opened with it when it is turned on.
      if (inputs[kind]) await inputs.open(kind).catch((problem) => set(el('devices-problem'), problem.message));
    });
  }
  navigator.mediaDevices?.addEventListener('devicechange', () => {
    fillDevices(inputs);
    fillSpeakers();
  });
  el('speaker').addEventListener('change', ({ target }) => {
    call?.cast.speaker(target.value).catch((error) => set(el('devices-problem'), error.message));
  });
  fillSpeakers();
}

async function fillSpeakers() {
  const { speakers } = await listDevices();
  const able = 'setSinkId' in HTMLMediaElement.prototype;
  el('speaker-field').hidden = !able || speakers.length === 0;
  fillChoice(el('speaker'), speakers, 'Default loudspeaker');
}
