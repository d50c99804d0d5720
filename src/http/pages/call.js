// A conference that one takes part in: a room, what one sends to it, and the buttons that say so.

import { Room } from '../headwater.js';
import { Cast } from './cast.js';
import { Tiles } from './tiles.js';
import { called } from './tile.js';
import { el } from './ui.js';

const SELF = ' self';
const SCREEN = ' screen';
const GONE = 'lost the connection';
/** Why others are there no more, where they didn't say that they leave. */
const PARTINGS = {
  removed: 'was removed by a moderator',
  closed: 'was removed',
  disconnected: GONE,
  silent: GONE,
  media: GONE,
  drained: GONE,
  lost: GONE,
};

/**
 * Events: `state` (as `Room`), `change`: what one sends has changed; `say` (`text`): something to tell.
 */
export class Call extends EventTarget {
  #inputs;
  #tiles;
  #own = { microphone: null, camera: null, screen: null, screenSound: null };
  #turns = {};
  /** Who was there before one came isn't announced. */
  #joined = false;
  #follows = new AbortController();

  constructor({ room, name, displayName, token, relay, inputs }) {
    super();
    this.#inputs = inputs;
    const appData = displayName === name ? {} : { displayName };
    // Pictures are asked for as they come in sight.
    this.room = new Room({ room, name, token, relay, appData, subscribe: 'audio' });
    this.displayName = displayName;
    this.#tiles = new Tiles(el('tiles'));
    this.cast = new Cast(this.room, this.#tiles);
    this.room.addEventListener('state', ({ detail }) => this.#moved(detail));
    const { signal } = this.#follows;
    inputs.addEventListener('change', ({ detail }) => this.#changed(detail), { signal });
    const on = (event, then) => this.room.addEventListener(event, ({ detail }) => then(detail));
    on('participantjoined', ({ participant }) => this.#joined && this.#say(`${called(participant)} joined.`));
    on('participantleft', ({ participant, reason }) => this.#say(`${called(participant)} ${PARTINGS[reason] ?? 'left'}.`));
    on('producer', ({ participant, producer }) => producer.label === 'screen' && producer.kind === 'video' && this.#joined
      && this.#say(`${called(participant)} shares a screen.`));
    on('locked', ({ locked }) => this.#say(locked ? 'The room is locked: nobody new joins.' : 'The room is open again.'));
    on('trackfailed', ({ participant, producer, problem }) => this.#say(
      `The ${producer.kind === 'audio' ? 'sound' : 'picture'} of ${called(participant)} cannot be received: ${problem.message}`,
    ));
  }

  /** Joins, and sends what is open; rejects where one isn't let in. */
  async begin() {
    await this.room.join();
    if (this.room.may.publish) {
      for (const kind of ['microphone', 'camera']) this.#follow(kind);
    }
    setTimeout(() => { this.#joined = true; }, 1_000);
  }

  /** Whether one sends this now, or is about to: `microphone`, `camera` or `screen`. */
  sends(kind) {
    return Boolean(this.#inputs[kind]) && !(kind === 'microphone' && this.#inputs.muted);
  }

  get isAlone() {
    return this.room.participants.size === 0;
  }

  /** Turns one on or off. */
  async toggle(kind) {
    if (!this.room.may.publish) return;
    const on = this.sends(kind);
    try {
      if (kind === 'microphone') await this.#mute(on);
      else if (kind === 'screen') await (on ? this.#inputs.closeScreen() : this.#inputs.openScreen());
      else await (on ? this.#inputs.close(kind) : this.#inputs.open(kind));
    } catch (problem) {
      this.#say(problem.message);
    }
    this.#show();
  }

  /** Leaves. The inputs stay as they are. */
  end() {
    this.#follows.abort();
    this.room.leave();
    this.cast.end();
    this.#tiles.end();
  }

  async #mute(on) {
    this.#inputs.muted = on;
    if (!on && !this.#inputs.microphone) await this.#inputs.open('microphone');
    await this.#turns.microphone;
    const publication = this.#own.microphone;
    await (on ? publication?.pause() : publication?.resume());
  }

  /** A track came or went. */
  #changed({ kind, problem }) {
    if (problem) this.#say(problem.message);
    if (this.room.state === 'closed' || this.room.state === 'connecting') return;
    this.#follow(kind);
    if (kind === 'screen') this.#follow('screenSound');
    this.#show();
  }

  /** Sends the track that there is of a kind, or no more; one thing after the other. */
  #follow(kind) {
    const settled = (this.#turns[kind] ?? Promise.resolve()).then(() => this.#settle(kind));
    this.#turns[kind] = settled.catch((problem) => this.#say(`Your ${kind} cannot be sent: ${problem.message}`)).then(() => this.#show());
  }

  async #settle(kind) {
    const track = this.#inputs[kind];
    const publication = this.#own[kind];
    if (!track) await publication?.close();
    else if (!publication) await this.#send(kind, track);
    else if (publication.track !== track) await publication.replaceTrack(track);
  }

  async #send(kind, track) {
    const label = kind === 'screenSound' ? 'screen' : kind;
    const paused = kind === 'microphone' && this.#inputs.muted;
    const publication = await this.room.publish(track, { label, paused });
    this.#own[kind] = publication;
    publication.addEventListener('change', ({ detail }) => {
      if (kind === 'microphone') this.#inputs.muted = publication.paused;
      if (detail.by && publication.paused) this.#say('A moderator has muted you. You can turn it on again.');
      this.#show();
    });
    publication.addEventListener('closed', ({ detail }) => {
      if (this.#own[kind] === publication) this.#own[kind] = null;
      if (detail.problem && this.room.state !== 'closed') this.#say(`Your ${kind} is not sent any more: ${detail.problem.message}`);
      this.#show();
    });
  }

  #moved(detail) {
    if (detail.state === 'connected') this.#show();
    this.dispatchEvent(new CustomEvent('state', { detail }));
  }

  #say(text) {
    this.dispatchEvent(new CustomEvent('say', { detail: { text } }));
  }

  /** One's own tiles, and whoever shows what one sends. */
  #show() {
    const { state, node, region, may } = this.room;
    if (state === 'closed' || !node) return;
    const about = { name: this.displayName, node, region };
    if (may.publish) {
      const tile = this.#tiles.add(SELF, 'person', true);
      tile.describe(about);
      tile.show(this.#inputs.camera);
      tile.mirror(!this.#inputs.isDrawn);
      tile.silence(!this.sends('microphone'));
    }
    if (this.#inputs.screen) {
      const tile = this.#tiles.add(SCREEN, 'screen', true);
      tile.describe(about);
      tile.show(this.#inputs.screen);
    } else {
      this.#tiles.remove(SCREEN);
    }
    this.dispatchEvent(new Event('change'));
  }
}
