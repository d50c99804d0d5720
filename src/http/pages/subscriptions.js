// What of a room is received: which tracks, in which size, or paused; asked for again wherever the session goes on.

import { RoomProblem } from './room-socket.js';

const TRIES = 6;
const RETRY_MS = 300;
/** How long the old way of a track is kept until the new one brings something. */
const OVERLAP_MS = 2_000;

const same = (one, other) => JSON.stringify(one) === JSON.stringify(other);

/**
 * Events, with `participant` and `producer` in their `detail`: `track` (`track`; `replaces` the one before, if any),
 * `trackended` (`track`), `trackfailed` (`problem`).
 */
export class Subscriptions extends EventTarget {
  #session;
  #policy;
  #media = null;
  #told = false;
  #entries = new Map();

  /** `policy` is `all`, `audio` (pictures on demand) or `none`. */
  constructor(session, policy) {
    super();
    this.#session = session;
    this.#policy = policy;
  }

  /** Someone sends something. */
  add(participant, producer) {
    const wanted = this.#policy === 'all' || (this.#policy === 'audio' && producer.kind === 'audio');
    const entry = { participant, producer, wanted, paused: false, layers: null, got: null, tries: 0, waiting: [] };
    this.#entries.set(producer.id, entry);
    this.#sync(entry);
  }

  /** It is sent no more. */
  remove({ id }) {
    const entry = this.#entries.get(id);
    if (!entry) return;
    this.#entries.delete(id);
    entry.wanted = false;
    const problem = new RoomProblem('unknownProducer', 'It is not sent any more.');
    for (const { reject } of entry.waiting.splice(0)) reject(problem);
    this.#sync(entry);
  }

  /** Receives it from now on; resolves with its track. */
  subscribe(id) {
    const entry = this.#entries.get(id);
    if (!entry) return Promise.reject(new RoomProblem('unknownProducer', 'Nobody in the room sends this.'));
    entry.wanted = true;
    entry.tries = 0;
    if (entry.got) return Promise.resolve(entry.got.consumer.track);
    const track = new Promise((resolve, reject) => { entry.waiting.push({ resolve, reject }); });
    this.#sync(entry);
    return track;
  }

  unsubscribe(id) {
    this.#set(id, { wanted: false });
  }

  /** Whether it is received, or to be. */
  wants(id) {
    return this.#entries.get(id)?.wanted ?? false;
  }

  /** Which of its layers is to be received. */
  prefer(id, layers) {
    this.#set(id, { layers });
  }

  pause(id, paused) {
    this.#set(id, { paused });
  }

  #set(id, wishes) {
    const entry = this.#entries.get(id);
    if (!entry || Object.entries(wishes).every(([name, wish]) => same(entry[name], wish))) return;
    Object.assign(entry, wishes);
    this.#sync(entry);
  }

  /** Receives with this media from now on; `kept` are the ids of the consumers that the node still has. */
  start(media, kept) {
    if (media !== this.#media) this.#told = false;
    this.#media = media;
    const known = new Set(kept);
    for (const entry of this.#entries.values()) {
      if (entry.got && !known.delete(entry.got.consumer.id)) this.#forget(entry);
      entry.tries = 0;
      this.#sync(entry);
    }
    // What it made meanwhile, and nobody here knows.
    for (const consumerId of known) this.#session.request('closeConsumer', { consumerId }).catch(() => {});
  }

  /** The transport is over: all is to be received anew. */
  lost() {
    for (const entry of this.#entries.values()) {
      this.#forget(entry);
      this.#sync(entry);
    }
  }

  /** The node has ended a consumer. */
  closed(consumerId) {
    const entry = this.#by(consumerId);
    if (!entry) return;
    this.#forget(entry);
    entry.tries += 1;
    setTimeout(() => this.#sync(entry), RETRY_MS);
  }

  /** The same comes another way: takes that, and leaves the old one when something has come. */
  async replaced(consumerId, by) {
    const entry = this.#by(consumerId) ?? this.#entries.get(by.producerId);
    const old = entry?.got;
    if (!entry?.wanted || !this.#media) return;
    const got = await this.#receive(entry, by).catch(() => null);
    if (!got) return;
    if (old) await arrives(got.consumer.track);
    if (entry.got !== old || !entry.wanted) {
      this.#release(got);
      return;
    }
    this.#take(entry, got);
    if (old) this.#release(old);
    this.#sync(entry);
  }

  /** Whose consumer that is, as `{ participant, producer }`. */
  of(consumerId) {
    return this.#by(consumerId);
  }

  #by(consumerId) {
    return [...this.#entries.values()].find(({ got }) => got?.consumer.id === consumerId);
  }

  #tell(name, { participant, producer }, more) {
    this.dispatchEvent(new CustomEvent(name, { detail: { participant, producer, ...more } }));
  }

  #forget(entry) {
    entry.got?.consumer.close();
    entry.got = null;
  }

  #release({ consumer }) {
    consumer.close();
    this.#session.request('closeConsumer', { consumerId: consumer.id }).catch(() => {});
  }

  /** Makes what is so what is wished; one at a time for each. */
  async #sync(entry) {
    entry.again = true;
    if (entry.busy) return;
    entry.busy = true;
    while (entry.again && this.#media) {
      entry.again = false;
      try {
        await this.#step(entry);
        entry.tries = 0;
      } catch (problem) {
        await this.#stumble(entry, problem);
      }
    }
    entry.busy = false;
  }

  async #step(entry) {
    if (!entry.wanted) {
      const { got } = entry;
      if (!got) return;
      entry.got = null;
      this.#release(got);
      entry.producer.track = null;
      this.#tell('trackended', entry, { track: got.consumer.track });
      return;
    }
    if (!entry.got) await this.#consume(entry);
    const { got } = entry;
    if (!got || !entry.wanted) return;
    const { id: consumerId } = got.consumer;
    const { layers, paused } = entry;
    if (layers && !same(got.layers, layers)) {
      // A wish: what has no layers comes as it is.
      await this.#session.request('setPreferredLayers', { consumerId, ...layers }).catch(() => {});
      got.layers = layers;
    }
    if (got.paused !== paused) {
      await this.#session.request(paused ? 'pauseConsumer' : 'resumeConsumer', { consumerId });
      got.paused = paused;
    }
  }

  async #consume(entry) {
    const media = this.#media;
    const { producer } = entry;
    await media.transport('recv');
    // A picture begins with a key frame, which is asked for once it can be shown.
    const paused = producer.kind === 'video';
    const rtpCapabilities = this.#told ? {} : { rtpCapabilities: media.device.recvRtpCapabilities };
    const answer = await this.#session.request('consume', { producerId: producer.id, ...rtpCapabilities, paused });
    if (media !== this.#media) return;
    this.#told = true;
    const got = await this.#receive(entry, answer, paused);
    if (media !== this.#media) got.consumer.close();
    else this.#take(entry, got);
  }

  async #receive({ participant, producer }, { id, kind, rtpParameters }, paused = null) {
    const transport = await this.#media.transport('recv');
    // Sound and picture of one source are played in step.
    const source = ['camera', 'microphone', ''].includes(producer.label) ? '' : `-${producer.label}`;
    const streamId = `${participant.name}${source}`;
    const consumer = await transport.consume({ id, producerId: producer.id, kind, rtpParameters, streamId });
    return { consumer, paused, layers: null };
  }

  #take(entry, got) {
    const replaces = entry.producer.track;
    entry.got = got;
    entry.producer.track = got.consumer.track;
    this.#tell('track', entry, { track: got.consumer.track, replaces });
    for (const { resolve } of entry.waiting.splice(0)) resolve(got.consumer.track);
  }

  async #stumble(entry, problem) {
    // It is all asked for again when the session goes on.
    if (problem.code === 'lost' || !this.#session.isOpen) return;
    if (problem.code === 'unknownConsumer') this.#forget(entry);
    entry.tries += 1;
    if (entry.tries < TRIES && !problem.final && this.#entries.has(entry.producer.id)) {
      await new Promise((resolve) => { setTimeout(resolve, RETRY_MS * entry.tries); });
      entry.again = true;
      return;
    }
    for (const { reject } of entry.waiting.splice(0)) reject(problem);
    if (entry.wanted) this.#tell('trackfailed', entry, { problem });
  }
}

/** Waits until a track brings something, or not for ever. */
function arrives(track) {
  if (!track.muted) return Promise.resolve();
  return new Promise((resolve) => {
    setTimeout(resolve, OVERLAP_MS);
    track.addEventListener('unmute', resolve, { once: true });
  });
}
