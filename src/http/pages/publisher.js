// Publishes one stream by WHIP, to any server that speaks it.

import { isStereo, send } from './encodings.js';
import { Live } from './live.js';
import { publish } from './whip.js';

const TAKEN_LIMIT_MS = 60_000;

/**
 * Sends a `MediaStream`, of sound, picture or both. `url` is the WHIP endpoint, `token` its bearer token.
 *
 * `video` may have `codec` (such as `VP8`), `bitrate` in bit/s, `fps` and `simulcast`; `audio` may have
 * `bitrate` in bit/s and `stereo` (else as the track has it). Connects again when the session ends.
 */
export class Publisher extends Live {
  #takenSince = null;

  constructor({ url, token = null, stream, video = {}, audio = {}, relay = false }) {
    super();
    this.url = new URL(url, document.baseURI).href;
    Object.assign(this, { token, stream, video, audio, relay });
  }

  /** Sends the tracks of another stream from now on, on the sections that there are. */
  async replace(stream) {
    this.stream = stream;
    const transceivers = this.session?.pc.getTransceivers() ?? [];
    for (const track of stream.getTracks()) {
      const of = transceivers.find(({ receiver }) => receiver.track.kind === track.kind);
      await of?.sender.replaceTrack(track);
    }
  }

  async open(signal, again, way) {
    const { token, relay, stream, video } = this;
    const endpoint = way ?? this.url;
    const audio = { ...this.audio, stereo: this.audio.stereo ?? isStereo(stream) };
    try {
      const prepare = (pc) => send(pc, stream, { video, audio });
      const session = await publish({ endpoint, token, relay, prepare, audio, signal });
      this.#takenSince = null;
      return session;
    } catch (error) {
      // The server may still hold our own old session: worth asking again for a minute.
      if (error.status === 409) error.lasting = !(again && this.#yieldsSoon());
      throw error;
    }
  }

  #yieldsSoon() {
    this.#takenSince ??= performance.now();
    return performance.now() - this.#takenSince < TAKEN_LIMIT_MS;
  }

  opened() {}

  /** What tells that the node is there (its reports), and for how many ms it may not change. */
  heard(reports) {
    return reports.reduce((sum, report) => sum + (report.type === 'transport' ? report.packetsReceived ?? 0 : 0), 0);
  }

  get patience() {
    return 1_200;
  }

  waits() {
    return false;
  }

  packets(reports) {
    return reports.reduce((sum, report) => sum + (report.type === 'outbound-rtp' ? report.packetsSent ?? 0 : 0), 0);
  }

  get silenceIsWaiting() {
    return false;
  }
}
