// A conference: joins a room, publishes tracks to it and receives those of the others, with mediasoup-client.

import { People } from './people.js';
import { here } from './place.js';
import { Publications } from './publications.js';
import { Chat } from './room-chat.js';
import { RoomMedia } from './room-media.js';
import { RoomSession } from './room-session.js';
import { RoomProblem } from './room-socket.js';
import { Subscriptions } from './subscriptions.js';

/**
 * A participant in a room. `url` is where a node has its pages (default: the node that this module is of), `name` one's
 * name there, `subscribe` what is received: `all`, `audio` (pictures by `subscribe`), or `none`.
 *
 * Goes on by itself: on the same node when the connection breaks, on another one when the node is gone.
 *
 * Events, with these in `detail`:
 * - `state`: `state` (`connecting`, `connected`, `reconnecting`, `closed`), `reason` and `problem` of the end;
 * - `participantjoined`, `participantleft` (`reason`), `participantchanged`: `participant`;
 * - `producer`, `producerended`: `participant` sends something (`producer`), whether it is received or not;
 * - `track`, `trackended`: `participant`, `producer`, `track`; `trackfailed`: `problem`;
 * - `trackpaused`, `trackresumed`: `participant`, `producer`, `by`;
 * - `layers`, `score`: `participant`, `producer` and what the server says;
 * - `activespeaker`: `participant` (a name, or null); `volumes`: `volumes` of `{ participant, producerId, volume }`;
 * - `message`: `participant`, `text`; `chat`: whether messages can be sent (`on`) and why not (`problem`);
 * - `locked`: `locked`.
 */
export class Room extends EventTarget {
  #state = 'idle';
  #session;
  #media = null;
  #people = new People();
  #subscriptions;
  #chat;
  #publications;
  #relay;
  #turn = Promise.resolve();
  #joining = null;

  constructor({ url = here(''), room, name, token = null, appData = {}, subscribe = 'all', relay = false }) {
    super();
    Object.assign(this, { room, name, appData, node: null, region: null, locked: false });
    /** What one may: `publish`, `subscribe`, `moderate`. */
    this.may = { publish: false, subscribe: false, moderate: false };
    this.#relay = relay;
    const introduce = () => ({ name: this.name, appData: this.appData });
    this.#session = new RoomSession({ base: new URL(url, document.baseURI).href, room, token, introduce });
    this.#subscriptions = new Subscriptions(this.#session, subscribe);
    this.#publications = new Publications(this.#session);
    this.#chat = new Chat(this.#session);
    this.#listen();
  }

  /** What is happening. */
  get state() {
    return this.#state;
  }

  /** The others, by name. */
  get participants() {
    return this.#people.all;
  }

  /** What one publishes. */
  get publications() {
    return this.#publications.all;
  }

  /** Whether messages can be sent, and why they can't be: `{ on, problem }`. */
  get chat() {
    return { on: this.#chat.on, problem: this.#chat.problem };
  }

  /** Joins; rejects where that is refused or impossible. */
  async join() {
    this.#become('connecting');
    try {
      await this.#session.open();
      await this.#joining;
    } catch (problem) {
      this.#refused(problem);
      throw problem;
    }
  }

  /** Leaves; the published tracks aren't stopped. */
  leave() {
    this.#session.leave();
  }

  /**
   * Publishes a track; resolves with its `Publication`. Options: `label`, `appData`, `paused`, and for pictures
   * `simulcast`, `codec`, `bitrate` (bit/s), `fps`; for sound `stereo` and `bitrate`.
   */
  async publish(track, options = {}) {
    if (!this.may.publish) throw new RoomProblem('forbidden', 'You may only watch and listen here.');
    return this.#publications.add(track, options);
  }

  /** Receives what the subscribe policy leaves out; resolves with its track. */
  subscribe(producerId) {
    return this.#subscriptions.subscribe(producerId);
  }

  unsubscribe(producerId) {
    this.#subscriptions.unsubscribe(producerId);
  }

  /** Which layers of a picture are to be received: `{ spatialLayer, temporalLayer }`, or the number of the former. */
  setLayers(producerId, layers) {
    this.#subscriptions.prefer(producerId, typeof layers === 'number' ? { spatialLayer: layers } : layers);
  }

  /** Lets the node send nothing of it until `resume`. */
  pause(producerId) {
    this.#subscriptions.pause(producerId, true);
  }

  resume(producerId) {
    this.#subscriptions.pause(producerId, false);
  }

  /** Sends a text to all; throws where that can't be. */
  send(text) {
    this.#chat.send(text);
  }

  /** For moderators: nobody gets this any more until its participant resumes it. */
  mute(participant, producerId) {
    return this.#session.request('muteProducer', { participant, producerId });
  }

  remove(participant, reason) {
    return this.#session.request('removeParticipant', { participant, ...(reason ? { reason } : {}) });
  }

  /** For moderators: nobody new joins. */
  lock(locked) {
    return this.#session.request('lockRoom', { locked });
  }

  /** `RTCStatsReport`s of both directions, each null while there is none. */
  async getStats() {
    const [send, receive] = await Promise.all(['send', 'recv'].map((direction) => this.#media?.stats(direction) ?? null));
    return { send, receive };
  }

  #tell(name, detail) {
    this.dispatchEvent(new CustomEvent(name, { detail }));
  }

  #become(state, more = {}) {
    this.#state = state;
    this.#tell('state', { state, reason: null, problem: null, ...more });
  }

  #listen() {
    const session = this.#session;
    session.addEventListener('joined', ({ detail }) => {
      this.#joining = this.#turn.then(() => this.#joined(detail));
      this.#turn = this.#joining.catch((problem) => this.#fail(problem));
    });
    session.addEventListener('lost', () => this.#become('reconnecting'));
    session.addEventListener('event', ({ detail }) => {
      // What comes while one still joins comes after it.
      this.#turn = this.#turn.then(() => this.#heard(detail.name, detail.data));
    });
    session.addEventListener('closed', ({ detail }) => this.#closed(detail));
    const on = (name, then) => this.#people.addEventListener(name, ({ detail }) => then(detail));
    on('producer', ({ participant, producer }) => this.#subscriptions.add(participant, producer));
    on('ended', ({ producer }) => this.#subscriptions.remove(producer));
    on('paused', (detail) => this.#tell(detail.producer.paused ? 'trackpaused' : 'trackresumed', detail));
    on('data', ({ participant, dataProducer }) => this.#chat.add(participant, dataProducer));
    on('dataended', ({ dataProducer }) => this.#chat.remove(dataProducer));
    // After our own parts have taken it over.
    const pass = (part, names) => Object.entries(names).forEach(([name, told]) => {
      part.addEventListener(name, ({ detail }) => this.#tell(told, detail));
    });
    pass(this.#people, { joined: 'participantjoined', left: 'participantleft', changed: 'participantchanged' });
    pass(this.#people, { producer: 'producer', ended: 'producerended' });
    pass(this.#subscriptions, { track: 'track', trackended: 'trackended', trackfailed: 'trackfailed' });
    pass(this.#chat, { message: 'message' });
    this.#chat.addEventListener('change', () => this.#tell('chat', this.chat));
  }

  async #joined({ resumed, name, node, region, may, locked, participants, ...answer }) {
    Object.assign(this, { name, node, region, may, locked });
    if (!resumed) {
      const former = this.#media;
      former?.close();
      this.#media = null;
      this.#media = await RoomMedia.open(this.#session, answer, { relay: this.#relay, former });
      this.#media.addEventListener('gone', ({ detail }) => this.#gone(detail));
    }
    if (this.#state === 'closed') return;
    this.#become('connected');
    await this.#media.resume(answer.transports ?? []);
    this.#publications.start(this.#media, answer.producers ?? []);
    this.#subscriptions.start(this.#media, answer.consumers ?? []);
    this.#people.apply(participants.filter((one) => one.name !== name));
    this.#chat.start(this.#media, may.publish);
  }

  #gone(direction) {
    if (direction === 'recv') this.#subscriptions.lost();
    else this.#publications.start(this.#media, []);
    this.#chat.start(this.#media, this.may.publish);
  }

  #heard(name, data) {
    if (this.#state === 'closed') return;
    if (data.participant === this.name && name.startsWith('producer')) {
      this.#publications.overruled(name, data);
      return;
    }
    if (this.#people.hear(name, data)) return;
    const told = { layersChanged: 'layers', score: 'score' }[name];
    if (told) {
      const of = this.#subscriptions.of(data.consumerId);
      if (of) this.#tell(told, { ...data, participant: of.participant, producer: of.producer });
    }
    if (name === 'consumerClosed') this.#subscriptions.closed(data.consumerId);
    if (name === 'consumerReplaced') this.#subscriptions.replaced(data.consumerId, data.by);
    if (name === 'dataConsumerClosed') this.#chat.closed(data.dataConsumerId);
    if (name === 'transportClosed') this.#media?.drop(data.transportId);
    if (name === 'activeSpeaker') this.#tell('activespeaker', data);
    if (name === 'volumes') this.#tell('volumes', data);
    if (name === 'roomLocked') {
      this.locked = data.locked;
      this.#tell('locked', data);
    }
  }

  #fail(problem) {
    if (this.#session.isOpen && problem.code !== 'lost') this.#refused(problem);
  }

  #refused(problem) {
    if (this.#state === 'closed') return;
    this.#become('closed', { reason: 'refused', problem });
    this.#session.leave();
  }

  #closed({ reason, problem }) {
    this.#media?.close();
    this.#media = null;
    this.#chat.stop();
    this.#publications.close(problem);
    if (this.#state !== 'closed' && this.#state !== 'idle') this.#become('closed', { reason, problem });
  }
}
