// One data channel to a room, kept open wherever the session goes on.

import { RoomProblem } from './room-socket.js';

/** From so many bytes on that wait in the browser, the next waits here, until they are so few. */
const MUCH = 1 << 20;
const LITTLE = 1 << 18;

/**
 * What is sent to whoever receives it. Events: `change` (`isOpen` changed), `closed` (`detail.problem`: why, where it was not
 * meant).
 */
export class DataPublication extends EventTarget {
  #session;
  #options;
  #producer = null;
  #settle;
  #turn = Promise.resolve();
  #waiting = [];
  /** Why it is closed, or null. */
  #why = null;

  /** Options: `label`, `protocol`, `appData`, `ordered`, and `maxRetransmits` or `maxPacketLifeTime` (ms). */
  constructor(session, { label = '', protocol = '', appData = {}, ordered = true, maxRetransmits, maxPacketLifeTime } = {}) {
    super();
    this.#session = session;
    // Where some may be given up, none waits for those.
    const isSure = maxRetransmits === undefined && maxPacketLifeTime === undefined;
    this.#options = { ordered: ordered && isSure, maxRetransmits, maxPacketLifeTime };
    Object.assign(this, { label, protocol, appData });
    /** Resolves once it is published; rejects where that can't be. */
    this.ready = new Promise((resolve, reject) => { this.#settle = { resolve, reject }; });
    this.ready.catch(() => {});
  }

  /** Its id, which changes with the node; null before it is published. */
  get id() {
    return this.#producer?.id ?? null;
  }

  get closed() {
    return this.#why !== null;
  }

  /** Whether what is sent goes out now. */
  get isOpen() {
    return this.#producer?.readyState === 'open';
  }

  /** How many bytes wait in the browser. */
  get bufferedAmount() {
    return this.#producer?.bufferedAmount ?? 0;
  }

  /** Sends a text or bytes, after what was sent before; resolves once the browser has them, which is when there is room. */
  send(data) {
    const sent = this.#turn.then(() => this.#send(data));
    this.#turn = sent.catch(() => {});
    return sent;
  }

  async #send(data) {
    while (!this.closed && !(this.isOpen && this.bufferedAmount < MUCH)) {
      await new Promise((resolve) => { this.#waiting.push(resolve); });
    }
    if (this.closed) throw this.#why;
    this.#producer.send(data);
  }

  #changed() {
    for (const resolve of this.#waiting.splice(0)) resolve();
    this.dispatchEvent(new Event('change'));
  }

  /** Publishes it with this media. */
  async start(media) {
    if (this.#producer && !this.#producer.closed) return;
    const { label, protocol, appData } = this;
    await media.transport('send');
    if (!media.data) throw new RoomProblem('unsupported', 'This node carries sound and pictures alone.');
    const options = { ...this.#options, label, protocol, appData };
    const producer = await media.send((transport) => transport.produceData(options));
    if (this.closed) {
      await this.#end(producer);
      return;
    }
    this.#producer = producer;
    producer.bufferedAmountLowThreshold = LITTLE;
    for (const event of ['open', 'bufferedamountlow', 'transportclose']) producer.on(event, () => this.#changed());
    producer.on('close', () => this.close(new RoomProblem('closed', 'The data channel was closed.')));
    this.#changed();
    this.#settle.resolve();
  }

  /** Its transport, or its producer at the node, is over: it is to be started again. */
  lost() {
    this.#producer?.close();
    this.#producer = null;
    this.#changed();
  }

  /** Sends no more; `why` is told to who waits. */
  async close(problem = null, why = problem ?? new RoomProblem('unwanted', 'It was closed.')) {
    if (this.closed) return;
    const producer = this.#producer;
    this.#why = why;
    this.#producer = null;
    this.#settle.reject(why);
    this.#changed();
    this.dispatchEvent(new CustomEvent('closed', { detail: { problem } }));
    if (producer) await this.#end(producer);
  }

  async #end(producer) {
    producer.close();
    await this.#session.request('closeDataProducer', { dataProducerId: producer.id }).catch(() => {});
  }
}
