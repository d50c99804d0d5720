// Text between the participants of a room, over data channels labelled `chat`.

import { RoomProblem } from './room-socket.js';

const LABEL = 'chat';
/** The longest text, in bytes. */
const LONGEST = 4_096;
const RETRY_MS = 1_000;

/** Events: `message` (`participant`, `text`), `change`: whether one may send (`on`). */
export class Chat extends EventTarget {
  #session;
  #media = null;
  #producer = null;
  #sources = new Map();

  constructor(session) {
    super();
    this.#session = session;
    /** Whether texts can be sent now. */
    this.on = false;
    /** Why they can't be for good, or null. */
    this.problem = null;
  }

  /** Goes on with this media; `may` says whether one may send. */
  async start(media, may) {
    this.#media = media;
    for (const source of this.#sources.values()) this.#listen(source);
    if (this.#producer && !this.#producer.closed) return;
    this.#producer = null;
    this.#become(false, this.problem);
    try {
      if (!may) throw new RoomProblem('forbidden', 'You may only read here.');
      const transport = await media.transport('send');
      if (!media.data) throw new RoomProblem('unsupported', 'This node carries no messages.');
      const producer = await transport.produceData({ label: LABEL, ordered: true });
      if (media !== this.#media) return;
      this.#producer = producer;
      this.#become(true, null);
    } catch (problem) {
      if (media !== this.#media) return;
      this.#become(false, problem.final ? problem : null);
      if (!problem.final) setTimeout(() => media === this.#media && this.#session.isOpen && this.start(media, may), RETRY_MS);
    }
  }

  /** The transports are over, or the session is. */
  stop() {
    this.#media = null;
    this.#become(false, this.problem);
  }

  add(participant, { id, label }) {
    if (label !== LABEL) return;
    const source = { id, participant, consumer: null, busy: false };
    this.#sources.set(id, source);
    this.#listen(source);
  }

  remove({ id }) {
    this.#sources.get(id)?.consumer?.close();
    this.#sources.delete(id);
  }

  closed(dataConsumerId) {
    for (const source of this.#sources.values()) {
      if (source.consumer?.id !== dataConsumerId) continue;
      source.consumer.close();
      source.consumer = null;
    }
  }

  /** Sends a text to all others. */
  send(text) {
    if (new TextEncoder().encode(text).length > LONGEST) {
      throw new RoomProblem('tooLarge', `A message has at most ${LONGEST} bytes.`);
    }
    if (!this.#producer || this.#producer.closed) {
      throw this.problem ?? new RoomProblem('lost', 'Messages cannot be sent just now.');
    }
    this.#producer.send(text);
  }

  #become(on, problem) {
    if (this.on === on && this.problem === problem) return;
    Object.assign(this, { on, problem });
    this.dispatchEvent(new Event('change'));
  }

  async #listen(source) {
    const media = this.#media;
    if (!media || source.busy || (source.consumer && !source.consumer.closed)) return;
    source.busy = true;
    try {
      const transport = await media.transport('recv');
      if (!media.data) return;
      const { id, participant } = source;
      const { dataProducerId, ...answer } = await this.#session.request('consumeData', { dataProducerId: id });
      const { id: own, sctpStreamParameters, label, protocol } = answer;
      if (media !== this.#media) return;
      const consumer = await transport.consumeData({ id: own, dataProducerId, sctpStreamParameters, label, protocol });
      source.consumer = consumer;
      consumer.on('message', (data) => {
        const text = typeof data === 'string' ? data : new TextDecoder().decode(data);
        this.dispatchEvent(new CustomEvent('message', { detail: { participant, text } }));
      });
    } catch (problem) {
      const again = !problem.final && problem.code !== 'unknownDataProducer' && problem.code !== 'unknownProducer';
      const there = () => media === this.#media && this.#sources.get(source.id) === source && this.#session.isOpen;
      if (again) setTimeout(() => there() && this.#listen(source), RETRY_MS);
    } finally {
      source.busy = false;
    }
  }
}
