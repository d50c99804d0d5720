// One track that is published to a room, kept published wherever the session goes on.

import { encodings } from './encodings.js';
import { RoomProblem } from './room-socket.js';

/**
 * A published track. Events: `change` (`paused` changed, by the moderator where `detail.by` says so), `ended` (the device
 * ended the track), `closed` (`detail.problem`: why, where it was not meant).
 */
export class Publication extends EventTarget {
  #session;
  #options;
  #producer = null;
  /** Whether it is paused as far as the room was told. */
  #told = null;
  #settle;

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
    /** Resolves once it is published; rejects where that can't be. */
    this.ready = new Promise((resolve, reject) => { this.#settle = { resolve, reject }; });
    this.ready.catch(() => {});
  }

  /** Its producer's id, which changes with the node; null before it is published. */
  get id() {
    return this.#producer?.id ?? null;
  }

  /** Publishes it with this media, or tells the room again what holds. */
  async start(media) {
    if (this.closed) return;
    if (!this.#producer || this.#producer.closed) await this.#produce(media);
    // What the room was told last may never have come.
    else this.#told = null;
    await this.#tell();
    this.#settle.resolve();
  }

  async #produce(media) {
    const { label, appData, paused, track, kind } = this;
    if (paused) track.enabled = false;
    const producer = await media.send((transport) => transport.produce({
      track,
      ...(kind === 'video' ? this.#picture(media.device) : { codecOptions: this.#sound() }),
      stopTracks: false,
      appData: { label, appData, paused },
    }));
    if (this.closed) {
      await this.#end(producer);
      return;
    }
    this.#producer = producer;
    this.#told = paused;
    producer.on('trackended', () => this.dispatchEvent(new Event('ended')));
    if (this.track !== track) await producer.replaceTrack({ track: this.track });
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

  /** Sends nothing until `resume`. */
  async pause() {
    await this.#set(true);
  }

  async resume() {
    await this.#set(false);
  }

  async #set(paused) {
    if (this.#become(paused, null)) await this.#tell();
  }

  /** The room has done something to it: a moderator, that is, where it was paused. */
  overruled(name, by = null) {
    if (name === 'producerClosed') {
      this.close(new RoomProblem('closed', 'The node has closed it.')).catch(() => {});
    } else if (by) {
      this.#told = name === 'producerPaused';
      this.#become(this.#told, by);
    }
  }

  #become(paused, by) {
    if (this.closed || this.paused === paused) return false;
    this.paused = paused;
    this.track.enabled = !paused;
    if (paused) this.#producer?.pause();
    else this.#producer?.resume();
    this.dispatchEvent(new CustomEvent('change', { detail: { by } }));
    return true;
  }

  /** Tells the room whether it is paused, until it knows. */
  async #tell() {
    const producer = this.#producer;
    while (producer && !producer.closed && producer === this.#producer && this.#told !== this.paused) {
      const { paused } = this;
      if (paused) producer.pause();
      else producer.resume();
      await this.#ask(paused ? 'pauseProducer' : 'resumeProducer', producer.id);
      this.#told = paused;
    }
  }

  /** Sends another track of the same kind from now on; the old one isn't stopped. */
  async replaceTrack(track) {
    this.track = track;
    track.enabled = !this.paused;
    if (this.#producer && !this.#producer.closed) await this.#producer.replaceTrack({ track });
  }

  /** Publishes it no more; the track isn't stopped. `why` is told to who waits for it to be published. */
  async close(problem = null, why = problem ?? new RoomProblem('unwanted', 'It was closed before it was published.')) {
    if (this.closed) return;
    this.closed = true;
    const producer = this.#producer;
    this.#producer = null;
    this.#settle.reject(why);
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
