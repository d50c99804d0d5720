// One track that is published to a room, kept published wherever the session goes on.

import { encodings } from './encodings.js';

/**
 * A published track. Events: `change` (`paused` changed, by the moderator where `detail.by` says so), `ended` (the device
 * ended the track), `closed` (`detail.problem`: why, where it was not meant).
 */
export class Publication extends EventTarget {
  #session;
  #options;
  #producer = null;
  #started;
  #ready;
  #turn = Promise.resolve();

  constructor(session, track, { label = track.kind === 'audio' ? 'microphone' : 'camera', appData = {}, ...options }) {
    super();
    this.#session = session;
    this.#options = options;
    this.label = label;
    this.appData = appData;
    this.kind = track.kind;
    this.track = track;
    this.paused = options.paused ?? false;
    this.closed = false;
    this.#ready = new Promise((resolve) => { this.#started = resolve; });
  }

  /** Its producer's id, which changes with the node; null before it is published. */
  get id() {
    return this.#producer?.id ?? null;
  }

  /** Resolves once it is published. */
  get ready() {
    return this.#ready;
  }

  /** Publishes it with this media. */
  start(media) {
    const begun = this.#turn.then(() => this.#begin(media));
    this.#turn = begun.catch(() => {});
    return begun;
  }

  async #begin(media) {
    if (this.closed || (this.#producer && !this.#producer.closed)) return;
    const transport = await media.transport('send');
    const { label, appData, paused, track, kind } = this;
    if (paused) track.enabled = false;
    const producer = await transport.produce({
      track,
      ...(kind === 'video' ? this.#picture(media.device) : { codecOptions: this.#sound() }),
      stopTracks: false,
      appData: { label, appData, paused },
    });
    if (this.closed) {
      this.#end(producer);
      return;
    }
    this.#producer = producer;
    producer.on('trackended', () => this.dispatchEvent(new Event('ended')));
    if (this.track !== track) await producer.replaceTrack({ track: this.track });
    if (this.paused !== paused) await this.confirm();
    this.#started();
  }

  #picture(device) {
    const { simulcast = this.label !== 'screen', codec, bitrate, fps } = this.#options;
    const named = ({ mimeType }) => mimeType.toLowerCase() === `video/${codec}`.toLowerCase();
    const chosen = codec ? device.sendRtpCapabilities.codecs.find(named) : undefined;
    return {
      encodings: encodings({ simulcast, codec: chosen?.mimeType.split('/')[1], bitrate, fps }),
      codec: chosen,
      codecOptions: { videoGoogleStartBitrate: 1_000 },
    };
  }

  #sound() {
    const { stereo = this.track.getSettings().channelCount === 2 && this.label !== 'microphone', bitrate } = this.#options;
    return { opusStereo: stereo, opusDtx: !stereo, opusFec: true, ...(bitrate ? { opusMaxAverageBitrate: bitrate } : {}) };
  }

  /** Tells the room again what holds: it may have missed it. */
  async confirm() {
    const producer = this.#producer;
    if (!producer || producer.closed) return;
    if (this.paused) producer.pause();
    else producer.resume();
    await this.#ask(this.paused ? 'pauseProducer' : 'resumeProducer', producer.id);
  }

  /** Sends nothing until `resume`. */
  async pause() {
    await this.#set(true);
  }

  async resume() {
    await this.#set(false);
  }

  async #set(paused) {
    if (this.closed || this.paused === paused) return;
    this.paused = paused;
    this.track.enabled = !paused;
    this.dispatchEvent(new CustomEvent('change', { detail: { by: null } }));
    await this.confirm();
  }

  /** A moderator has paused it. */
  overruled(paused, by) {
    if (this.paused === paused) return;
    this.paused = paused;
    this.track.enabled = !paused;
    if (paused) this.#producer?.pause();
    else this.#producer?.resume();
    this.dispatchEvent(new CustomEvent('change', { detail: { by: by ?? null } }));
  }

  /** Sends another track of the same kind from now on; the old one isn't stopped. */
  async replaceTrack(track) {
    this.track = track;
    track.enabled = !this.paused;
    if (this.#producer && !this.#producer.closed) await this.#producer.replaceTrack({ track });
  }

  /** Publishes it no more; the track isn't stopped. */
  async close(problem = null) {
    if (this.closed) return;
    this.closed = true;
    const producer = this.#producer;
    this.#producer = null;
    this.#started();
    this.dispatchEvent(new CustomEvent('closed', { detail: { problem } }));
    if (producer) await this.#end(producer);
  }

  /** Its transport, or its producer at the node, is over: it is to be started again. */
  lost() {
    this.#producer?.close();
    this.#producer = null;
  }

  async #end(producer) {
    const { id } = producer;
    producer.close();
    await this.#ask('closeProducer', id);
  }

  async #ask(verb, producerId) {
    try {
      await this.#session.request(verb, { producerId });
    } catch (problem) {
      // What the room missed is told when the session goes on.
      if (!['lost', 'unknownProducer'].includes(problem.code)) throw problem;
    }
  }
}
