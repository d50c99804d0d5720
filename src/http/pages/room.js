// A conference: joins a room, publishes tracks to it and receives those of the others, with mediasoup-client.

import { People } from './people.js';
import { here } from './place.js';
import { Chat } from './room-chat.js';
import { RoomMedia } from './room-media.js';
import { RoomSession } from './room-session.js';
import { RoomProblem, left } from './room-socket.js';
import { Traffic } from './room-traffic.js';

/**
 * A participant in a room. `url` is where a node has its pages (default: the node that this module is of), `name` one's
 * name there, `subscribe` what is received: `all`, `audio` (the rest by `subscribe` and `subscribeData`), or `none`;
 * `speakers` leaves out all voices but those of so many who spoke last.
 *
 * Goes on by itself: on the same node when the connection breaks, on another one when the node is gone. Is joined once.
 *
 * Events, with these in `detail`:
 * - `state`: `state` (`connecting`, `connected`, `reconnecting`, `closed`), `reason` and `problem` of the end;
 * - `participantjoined`, `participantleft` (`reason`), `participantchanged`: `participant`;
 * - `producer`, `producerended`: `participant` sends something (`producer`), whether it is received or not;
 * - `track`, `trackended`: `participant`, `producer`, `track`; `trackfailed`: `problem`;
 * - `trackpaused`, `trackresumed`: `participant`, `producer`, `by`;
 * - `layers`, `score`: `participant`, `producer` and what the server says;
 * - `activespeaker`: `participant` (a name, or null); `volumes`: `volumes` of `{ participant, producerId, volume }`;
 * - `dataproducer`, `dataproducerended`: `participant` sends data (`dataProducer`), whether it is received or not;
 * - `data`: `participant`, `dataProducer` and the `data`, text or an `ArrayBuffer`; `datafailed`: `problem`;
 * - `message`: `participant`, `text`; `chat`: whether messages can be sent (`on`) and why not (`problem`);
 * - `locked`: `locked`.
 */
export class Room extends EventTarget {
  #state = 'idle';
  #session;
  #media = null;
  #people = new People();
  #traffic;
  #chat;
  #relay;
  /** The answer that holds; null while the room can't be asked. */
  #answer = null;
  #turn = Promise.resolve();
  #joining = null;
  /** Whether one keeps the room locked, wherever the session goes on. */
  #locks = false;

  constructor({ url = here(''), room, name, token = null, appData = {}, subscribe = 'all', speakers = Infinity, relay = false }) {
    super();
    Object.assign(this, { room, name, appData, node: null, region: null, locked: false });
    /** What one may: `publish`, `subscribe`, `moderate`. */
    this.may = { publish: false, subscribe: false, moderate: false };
    this.#relay = relay;
    const introduce = () => ({ name: this.name, appData: this.appData });
    const session = new RoomSession({ base: new URL(url, document.baseURI).href, room, token, introduce });
    this.#session = session;
    this.#traffic = new Traffic(session, subscribe, speakers);
    this.#chat = new Chat(session, this.#traffic);
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

  /** The tracks that one publishes. */
  get publications() {
    return this.#traffic.publications.all;
  }

  /** Whether messages can be sent, and why they can't be: `{ on, problem }`. */
  get chat() {
    return { on: this.#chat.on, problem: this.#chat.problem };
  }

  /** Joins; rejects where that is refused or impossible. */
  async join() {
    if (this.#state !== 'idle') throw new RoomProblem('left', 'A room is joined once: make another.');
    this.#become('connecting');
    try {
      await this.#session.open();
      await this.#joining;
    } catch (problem) {
      this.#session.leave({ reason: 'refused', problem });
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
    this.#mayPublish();
    return this.#traffic.publish(track, options);
  }

  /**
   * Opens a data channel to whoever receives it; resolves with its `DataPublication`. Options: `label`, `protocol`,
   * `appData`, `ordered`, and `maxRetransmits` or `maxPacketLifeTime` (ms).
   */
  async publishData(options = {}) {
    this.#mayPublish();
    return this.#traffic.publishData(options);
  }

  #mayPublish() {
    if (!this.may.publish) throw new RoomProblem('forbidden', 'You may only watch and listen here.');
  }

  /** Receives what the subscribe policy leaves out; resolves with its track. */
  subscribe(producerId) {
    return this.#traffic.tracks.subscribe(producerId);
  }

  unsubscribe(producerId) {
    this.#traffic.tracks.unsubscribe(producerId);
  }

  /** The same of data; resolves once it is received. */
  subscribeData(dataProducerId) {
    return this.#traffic.messages.subscribe(dataProducerId);
  }

  unsubscribeData(dataProducerId) {
    this.#traffic.messages.unsubscribe(dataProducerId);
  }

  /** Which layers of a picture are to be received: `{ spatialLayer, temporalLayer }`, or the number of the former. */
  setLayers(producerId, layers) {
    this.#traffic.tracks.wish(producerId, { layers: typeof layers === 'number' ? { spatialLayer: layers } : layers });
  }

  /** Lets the node send nothing of it until `resume`. */
  pause(producerId) {
    this.#traffic.tracks.wish(producerId, { paused: true });
  }

  resume(producerId) {
    this.#traffic.tracks.wish(producerId, { paused: false });
  }

  /** Sends a text to all; resolves once it is on its way, rejects where that can't be. */
  send(text) {
    return this.#chat.send(text);
  }

  /** For moderators: nobody gets this any more until its participant resumes it. */
  mute(participant, producerId) {
    return this.#session.request('muteProducer', { participant, producerId });
  }

  remove(participant) {
    return this.#session.request('removeParticipant', { participant });
  }

  /** For moderators: nobody new joins, until all who have locked the room unlock it, or leave. */
  async lock(locked) {
    this.#locks = false;
    await this.#session.request('lockRoom', { locked });
    this.#locks = locked;
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
    const { tracks, messages } = this.#traffic;
    session.addEventListener('joined', ({ detail }) => {
      this.#answer = detail;
      this.#joining = this.#turn.then(() => this.#joined(detail));
      this.#turn = this.#joining.catch((problem) => this.#fail(problem));
    });
    session.addEventListener('lost', () => this.#lost());
    session.addEventListener('event', ({ detail }) => {
      // What comes while one still joins comes after it.
      this.#turn = this.#turn.then(() => this.#heard(detail.name, detail.data));
    });
    session.addEventListener('closed', ({ detail }) => this.#closed(detail));
    const on = (name, then) => this.#people.addEventListener(name, ({ detail }) => then(detail));
    on('producer', ({ participant, producer }) => tracks.add(participant, producer));
    on('ended', ({ producer }) => tracks.remove(producer));
    on('paused', (detail) => this.#tell(detail.producer.paused ? 'trackpaused' : 'trackresumed', detail));
    on('data', ({ participant, dataProducer }) => messages.add(participant, dataProducer));
    on('dataended', ({ dataProducer }) => messages.remove(dataProducer));
    // After our own parts have taken it over.
    const pass = (part, names) => Object.entries(names).forEach(([name, told]) => {
      part.addEventListener(name, ({ detail }) => this.#tell(told, detail));
    });
    pass(this.#people, { joined: 'participantjoined', left: 'participantleft', changed: 'participantchanged' });
    pass(this.#people, { producer: 'producer', ended: 'producerended', data: 'dataproducer', dataended: 'dataproducerended' });
    pass(messages, { data: 'data', datafailed: 'datafailed' });
    pass(tracks, { track: 'track', trackended: 'trackended', trackfailed: 'trackfailed' });
    pass(this.#chat, { message: 'message' });
    this.#chat.addEventListener('change', () => this.#tell('chat', this.chat));
  }

  #lost() {
    this.#answer = null;
    this.#traffic.hold();
    this.#become('reconnecting');
  }

  async #joined(answer) {
    const { resumed, name, node, region, may, locked, participants, transports, activeSpeaker = null } = answer;
    Object.assign(this, { name, node, region, may, locked });
    if (!resumed || !this.#media) {
      const former = this.#media;
      former?.close();
      this.#media = await RoomMedia.open(this.#session, answer, { relay: this.#relay, former });
      this.#media.addEventListener('gone', ({ detail }) => this.#traffic.renew(detail));
    }
    const media = this.#media;
    if (this.#state === 'closed') {
      media.close();
      throw left();
    }
    // Where it broke meanwhile, it goes on with the next answer.
    if (this.#answer !== answer) return;
    this.#become('connected');
    await media.resume(transports);
    if (this.#answer !== answer) return;
    this.#traffic.start(media, answer);
    this.#people.apply(participants.filter((one) => one.name !== name));
    this.#chat.start(may.publish);
    this.#tell('activespeaker', { participant: activeSpeaker });
    // It was kept by the session that is over.
    if (this.#locks) this.#session.request('lockRoom', { locked: true }).catch(() => {});
  }

  #heard(name, data) {
    if (this.#state === 'closed') return;
    if (data.participant === this.name && name.startsWith('producer')) {
      this.publications.find(({ id }) => id === data.producerId)?.overruled(name, data.by);
      return;
    }
    if (this.#people.hear(name, data)) return;
    this.#traffic.hear(name, data);
    const told = { layersChanged: 'layers', score: 'score' }[name];
    if (told) {
      const of = this.#traffic.tracks.of(data.consumerId);
      if (of) this.#tell(told, { ...data, participant: of.participant, producer: of.source });
    }
    if (name === 'transportClosed') this.#media?.drop(data.transportId);
    if (name === 'activeSpeaker') this.#tell('activespeaker', data);
    if (name === 'volumes') {
      this.#traffic.tracks.speak(data.volumes.map(({ participant }) => participant));
      this.#tell('volumes', data);
    }
    if (name === 'roomLocked') {
      this.locked = data.locked;
      this.#tell('locked', data);
    }
  }

  #fail(problem) {
    if (this.#answer && problem.code !== 'lost') this.#session.leave({ reason: 'refused', problem });
  }

  #closed({ reason, problem }) {
    const why = problem ?? left();
    this.#answer = null;
    this.#media?.close();
    this.#media = null;
    this.#traffic.stop(why, problem);
    this.#become('closed', { reason, problem });
  }
}
