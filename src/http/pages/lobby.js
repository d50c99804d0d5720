// Before one joins a conference: one's name, camera and microphone, and how one looks.

import { Level } from './level.js';
import { status } from './node.js';
import { address, objection } from './place.js';
import { listDevices } from './source.js';
import { showFace } from './tile.js';
import { el, fillChoice, set } from './ui.js';

const KEY = 'headwater.conference';

/** The name of a participant that comes nearest to how people call themselves. */
function nameOf(text) {
  const plain = text.normalize('NFKD').replace(/\p{M}/gu, '').replaceAll('ß', 'ss');
  return plain.replace(/[^A-Za-z0-9_-]+/g, '-').replace(/^-+|-+$/g, '').slice(0, 64);
}

/** Events: `join` (`name`, `displayName`). */
export class Lobby extends EventTarget {
  #where;
  #inputs;
  #level = new Level((level) => { el('meter').firstElementChild.style.width = `${Math.round(level * 100)}%`; });
  #form = el('lobby-form');
  #insists = null;
  /** Ends when the lobby isn't shown any more: what happens to the inputs then is no matter of its. */
  #shown = new AbortController();

  constructor(where, inputs) {
    super();
    this.#where = where;
    this.#inputs = inputs;
    const kept = recall();
    this.#form.elements.name.value = where.query.get('name') ?? kept.name ?? '';
    Object.assign(inputs.chosen, { camera: kept.camera ?? '', microphone: kept.microphone ?? '' });
    this.#form.addEventListener('submit', (event) => this.#submit(event));
    this.#form.addEventListener('input', () => this.#check(true));
    for (const kind of ['microphone', 'camera']) {
      el(`preview-${kind}`).addEventListener('click', () => this.#toggle(kind));
      this.#form.elements[kind].addEventListener('change', () => this.choose(kind, this.#form.elements[kind].value));
    }
    if (!objection(where.room, 'room')) return;
    el('room-field').hidden = false;
    this.#form.elements.room.value = where.room;
    set(el('room-error'), where.room ? objection(where.room, 'room') : '');
  }

  /** Opens the devices, as far as people let it. */
  async open(opens) {
    const kinds = ['microphone', 'camera'].filter((kind) => opens[kind]);
    const problems = kinds.length > 1 ? await this.#inputs.openBoth() : {};
    if (kinds.length === 1) await this.#inputs.open(kinds[0]).catch((problem) => { problems[kinds[0]] = problem; });
    const said = [...new Set(Object.values(problems).map(({ message }) => message))];
    const without = { microphone: 'without a microphone', camera: 'without a camera' };
    const lacks = Object.keys(problems).map((kind) => without[kind]).join(' and ');
    set(el('lobby-note'), said.length > 0 ? `${said.join(' ')} You can join ${lacks}.` : '');
    await fillDevices(this.#inputs);
  }

  /** Uses another device from now on. */
  async choose(kind, id) {
    this.#inputs.chosen[kind] = id;
    keep({ [kind]: id });
    await this.#inputs.open(kind).then(() => set(el('lobby-note'), ''), (problem) => set(el('lobby-note'), problem.message));
  }

  /** Joins as if the button were pressed, also in the place of whoever has the name. */
  submit() {
    this.#insists = nameOf(this.#form.elements.name.value.trim());
    this.#form.requestSubmit();
  }

  /** Why one wasn't let in. */
  refuse(problem) {
    this.busy(false);
    if (problem.code === 'nameTaken') this.#objectToName(`“${this.#form.elements.name.value.trim()}” is in the room already. Choose another name.`);
    else set(el('lobby-problem'), explain(problem));
  }

  #objectToName(text) {
    this.busy(false);
    const { name } = this.#form.elements;
    set(el('name-error'), text);
    name.setAttribute('aria-invalid', 'true');
    name.focus();
  }

  busy(on) {
    el('join').disabled = on;
    set(el('join'), on ? 'Joining …' : 'Join');
    if (on) set(el('lobby-problem'), '');
  }

  /** Follows the inputs from now on, until `leave`. */
  show() {
    this.#shown.abort();
    this.#shown = new AbortController();
    this.#inputs.addEventListener('change', () => this.#draw(), { signal: this.#shown.signal });
    this.#draw();
  }

  leave() {
    this.#shown.abort();
    this.#level.end();
  }

  /** What one will be seen and heard with. */
  #draw() {
    const { camera, microphone, muted } = this.#inputs;
    const video = el('preview-video');
    if ((video.srcObject?.getVideoTracks()[0] ?? null) !== camera) video.srcObject = camera ? new MediaStream([camera]) : null;
    el('preview').dataset.picture = camera ? 'on' : 'off';
    el('preview').dataset.mirror = String(!this.#inputs.isDrawn);
    const on = { camera: Boolean(camera), microphone: Boolean(microphone) && !muted };
    for (const kind of ['camera', 'microphone']) showButton(el(`preview-${kind}`), kind, on[kind]);
    set(el('preview-text'), on.camera ? '' : on.microphone ? 'Camera off' : 'Camera and microphone off');
    this.#level.follow(on.microphone ? microphone : null);
    showFace(el('preview-face'), this.#form.elements.name.value.trim() || '?');
  }

  /** Whether somebody else has the name; who insists takes it over. */
  async #isTaken(name) {
    if (this.#insists === name) return false;
    const found = await status({ room: this.#where.room, stream: name }, AbortSignal.timeout(2_000)).catch(() => null);
    if (!found?.live) return false;
    this.#insists = name;
    return true;
  }

  async #toggle(kind) {
    const open = this.#inputs[kind];
    try {
      if (kind === 'microphone' && open) this.#inputs.muted = !this.#inputs.muted;
      else if (open) this.#inputs.close(kind);
      else await this.#inputs.open(kind);
      set(el('lobby-note'), '');
      await fillDevices(this.#inputs);
    } catch (problem) {
      set(el('lobby-note'), problem.message);
    }
    this.#draw();
  }

  #check(quiet) {
    const { name, room } = this.#form.elements;
    const text = name.value.trim();
    const plain = nameOf(text);
    const wrong = text === '' ? 'Enter your name.' : plain === '' ? 'A name needs a letter A–Z or a digit at least.' : '';
    set(el('name-error'), quiet && text === '' ? '' : wrong);
    name.setAttribute('aria-invalid', String(Boolean(wrong) && !quiet));
    set(el('name-help'), plain && plain !== text ? `Streams of yours are called ${plain}.` : '');
    const place = el('room-field').hidden ? null : objection(room.value.trim(), 'room');
    if (!quiet || room.value) set(el('room-error'), place ?? '');
    this.#draw();
    return !wrong && !place;
  }

  async #submit(event) {
    event.preventDefault();
    if (el('join').disabled) return;
    if (!this.#check(false)) {
      this.#form.elements[objection(this.#where.room, 'room') && !nameOf(this.#form.elements.name.value) ? 'room' : 'name'].focus();
      return;
    }
    const displayName = this.#form.elements.name.value.trim();
    keep({ name: displayName });
    if (!el('room-field').hidden) {
      location.assign(address('room', { room: this.#form.elements.room.value.trim(), stream: 'main' }) + location.hash);
      return;
    }
    const name = nameOf(displayName);
    this.busy(true);
    if (await this.#isTaken(name)) {
      this.#objectToName(`“${displayName}” is in the room already. Choose another name, or press Join again if that is you.`);
      return;
    }
    this.dispatchEvent(new CustomEvent('join', { detail: { name, displayName } }));
  }
}

/** A button that turns a device on and off. */
export function showButton(button, kind, on) {
  const names = { microphone: 'mic', camera: 'camera' };
  const words = { microphone: on ? 'Mute' : 'Unmute', camera: on ? 'Stop camera' : 'Start camera' };
  button.dataset.off = String(!on);
  button.querySelector('use').setAttribute('href', `#icon-${names[kind]}${on ? '' : '-off'}`);
  set(button.querySelector('.label'), words[kind]);
}

/** Fills all lists of devices. */
export async function fillDevices(inputs) {
  const { cameras, microphones } = await listDevices();
  for (const select of document.querySelectorAll('[data-device]')) {
    const kind = select.dataset.device;
    const fallback = inputs.isDrawn ? 'Test picture and tone' : `Default ${kind}`;
    fillChoice(select, kind === 'camera' ? cameras : microphones, fallback, inputs.chosen[kind]);
    select.disabled = inputs.isDrawn;
  }
}

/** Why one isn't let in, in words for people. */
export function explain(problem) {
  const words = {
    locked: 'The room is locked. Ask someone inside to open it.',
    limit: `The room is full. ${problem.message}`,
    unreachable: 'The node cannot be reached, or something between (a proxy, a firewall) lets no WebSocket pass.',
    timeout: 'The node does not answer. Try again in a moment.',
  };
  if (problem.code === 'forbidden' || [401, 403].includes(problem.status)) {
    if (!location.hash.includes('token=')) return 'This room needs a token. Open the page with #token=… at the end of its address.';
    return `You may not enter this room. ${problem.message}`;
  }
  return words[problem.code] ?? problem.message;
}

function recall() {
  try {
    return JSON.parse(localStorage.getItem(KEY)) ?? {};
  } catch {
    return {};
  }
}

function keep(more) {
  try {
    localStorage.setItem(KEY, JSON.stringify({ ...recall(), ...more }));
  } catch { /* Then it is asked for again. */ }
}
