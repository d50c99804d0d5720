// The panel beside a conference: messages, and who is there.

import * as format from './format.js';
import { called, icon, showFace } from './tile.js';
import { el, set } from './ui.js';

const KEPT = 500;

/** Shows either panel of a call. Events: `change`: opened, closed, or something new in it. */
export class Drawer extends EventTarget {
  #call;
  #opener = null;
  #unread = 0;
  #say;

  constructor(call, say, signal) {
    super();
    this.#call = call;
    this.#say = say;
    el('messages').replaceChildren();
    const on = (target, event, then) => target.addEventListener(event, then, { signal });
    for (const name of ['chat', 'people']) {
      on(el(`tab-${name}`), 'click', () => this.open(name));
      on(el(`tab-${name}`), 'keydown', ({ key }) => {
        if (key !== 'ArrowLeft' && key !== 'ArrowRight') return;
        this.open(name === 'chat' ? 'people' : 'chat');
        el(`tab-${this.shown}`).focus();
      });
    }
    on(el('drawer-close'), 'click', () => this.close());
    on(el('drawer'), 'keydown', (event) => event.key === 'Escape' && this.close());
    on(el('say'), 'submit', (event) => this.#send(event));
    on(el('lock'), 'change', () => this.#do(call.room.lock(el('lock').checked)));
    const { room } = call;
    on(room, 'message', ({ detail }) => this.#message(called(detail.participant), detail.text, false));
    on(room, 'chat', () => this.#showChat());
    const people = ['state', 'participantjoined', 'participantleft', 'participantchanged', 'producer', 'trackended',
      'trackpaused', 'trackresumed', 'locked'];
    for (const name of people) on(room, name, () => this.showPeople());
    on(call, 'change', () => this.showPeople());
    this.#showChat();
  }

  /** `chat`, `people` or null. */
  get shown() {
    if (el('drawer').hidden) return null;
    return el('panel-chat').hidden ? 'people' : 'chat';
  }

  get unread() {
    return this.#unread;
  }

  toggle(name, opener) {
    if (this.shown === name) this.close();
    else this.open(name, opener);
  }

  open(name, opener = this.#opener) {
    this.#opener = opener;
    el('drawer').hidden = false;
    for (const one of ['chat', 'people']) {
      el(`panel-${one}`).hidden = one !== name;
      el(`tab-${one}`).setAttribute('aria-selected', String(one === name));
      el(`tab-${one}`).tabIndex = one === name ? 0 : -1;
    }
    if (name === 'chat') {
      this.#unread = 0;
      el('messages').scrollTop = el('messages').scrollHeight;
      el(el('text').disabled ? 'tab-chat' : 'text').focus();
    } else {
      el('tab-people').focus();
    }
    this.showPeople();
    this.dispatchEvent(new Event('change'));
  }

  close() {
    el('drawer').hidden = true;
    this.#opener?.focus();
    this.#opener = null;
    this.dispatchEvent(new Event('change'));
  }

  async #send(event) {
    event.preventDefault();
    const field = el('text');
    const text = field.value.trim();
    if (!text) return;
    field.value = '';
    try {
      await this.#call.room.send(text);
    } catch (problem) {
      field.value ||= text;
      set(el('say-note'), problem.message);
      return;
    }
    set(el('say-note'), '');
    this.#message(this.#call.displayName, text, true);
  }

  #message(name, text, own) {
    const line = document.createElement('li');
    line.dataset.own = String(own);
    const head = document.createElement('p');
    const [who, at, body] = [document.createElement('b'), document.createElement('time'), document.createElement('p')];
    who.textContent = own ? 'You' : name;
    at.textContent = new Date().toLocaleTimeString([], { hour: '2-digit', minute: '2-digit' });
    body.textContent = text;
    head.append(who, at);
    line.append(head, body);
    const list = el('messages');
    list.append(line);
    if (list.children.length > KEPT) list.firstChild.remove();
    list.scrollTop = list.scrollHeight;
    if (!own && this.shown !== 'chat') {
      this.#unread += 1;
      this.#say(`${name}: ${text.slice(0, 80)}`);
    }
    this.dispatchEvent(new Event('change'));
  }

  #showChat() {
    const { on, problem } = this.#call.room.chat;
    el('text').disabled = !on;
    el('say-send').disabled = !on;
    const why = problem?.code === 'forbidden' ? problem.message : `Messages are not possible here: ${problem?.message}`;
    set(el('say-note'), on ? '' : problem ? why : 'Messages can be sent once the connection is there.');
  }

  /** Who is there, with what a moderator may do about them. */
  showPeople() {
    const { room, displayName } = this.#call;
    el('lock-field').hidden = !room.may.moderate;
    el('lock').checked = room.locked;
    if (this.shown !== 'people') return;
    const own = { name: room.name, node: room.node, region: room.region, appData: { displayName } };
    const rows = [this.#person(own, !this.#call.sends('microphone'), null)];
    for (const one of room.participants.values()) {
      const sounds = [...one.producers.values()].filter(({ kind, label }) => kind === 'audio' && label !== 'screen');
      rows.push(this.#person(one, sounds.every(({ paused }) => paused), sounds.find(({ paused }) => !paused) ?? null));
    }
    const focused = document.activeElement?.dataset?.of;
    el('people').replaceChildren(...rows);
    if (focused) el('people').querySelector(`[data-of="${CSS.escape(focused)}"]`)?.focus();
  }

  #person(one, isMuted, sound) {
    const { room } = this.#call;
    const name = called(one);
    const row = document.createElement('li');
    const [face, text, who, where] = ['span', 'p', 'b', 'span'].map((tag) => document.createElement(tag));
    face.className = 'face';
    showFace(face, name);
    face.setAttribute('aria-hidden', 'true');
    who.textContent = one.name === room.name ? `${name} (you)` : name;
    where.textContent = `${format.node({ name: one.node, region: one.region })}${isMuted ? ' · muted' : ''}`;
    text.append(who, where);
    row.append(face, text);
    if (isMuted) row.append(icon('mic-off'));
    if (room.may.moderate && one.name !== room.name) {
      const button = (what, label, then) => {
        const made = document.createElement('button');
        Object.assign(made, { type: 'button', className: 'small', textContent: what, onclick: then });
        made.setAttribute('aria-label', label);
        made.dataset.of = `${what} ${one.name}`;
        return made;
      };
      if (sound) row.append(button('Mute', `Mute ${name}`, () => this.#do(room.mute(one.name, sound.id))));
      row.append(button('Remove', `Remove ${name} from the room`, () => this.#remove(one.name, name)));
    }
    return row;
  }

  #remove(name, shown) {
    if (confirm(`Remove ${shown} from the room?`)) this.#do(this.#call.room.remove(name));
  }

  /** Says so where a moderator's wish is refused. */
  #do(promise) {
    promise.catch((problem) => {
      this.#say(problem.message);
      this.showPeople();
    });
  }
}
