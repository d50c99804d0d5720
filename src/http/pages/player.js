// Plays one stream by WHEP, from any server that speaks it.

import { Live } from './live.js';
import { watch } from './whep.js';

/** Many servers say of a stream that isn't live that there is none (404): it is asked for again after so long. */
const ABSENT_S = 5;

/**
 * Receives a stream. `url` is the WHEP endpoint, `token` its bearer token; `relay` uses TURN alone.
 *
 * Waits for a stream that isn't live yet, and connects again when the session ends. Beyond the events of
 * `Live` there is `stream`, whose `detail` is the `MediaStream` to show from now on.
 */
export class Player extends Live {
  #stream = null;

  constructor({ url, token = null, relay = false }) {
    super();
    this.url = new URL(url, document.baseURI).href;
    this.token = token;
    this.relay = relay;
  }

  /** The `MediaStream` that arrives, or null before the first session. */
  get stream() {
    return this.#stream;
  }

  async open(signal, again, way) {
    const stream = new MediaStream();
    // A track of which nothing comes (yet) would keep an element from playing the other.
    const onTrack = ({ track }) => {
      if (track.muted) track.addEventListener('unmute', () => stream.addTrack(track), { once: true });
      else stream.addTrack(track);
    };
    const { token, relay } = this;
    const session = await watch({ endpoint: way ?? this.url, token, relay, onTrack, signal }).catch((error) => {
      if (error.status === 404) error.retryAfter ??= ABSENT_S;
      throw error;
    });
    session.stream = stream;
    return session;
  }

  opened({ stream }) {
    this.#stream = stream;
    this.dispatchEvent(new CustomEvent('stream', { detail: stream }));
  }

  waits({ status }) {
    return status === 409 || status === 404;
  }

  packets(reports) {
    return reports.reduce((sum, report) => sum + (report.type === 'inbound-rtp' ? report.packetsReceived ?? 0 : 0), 0);
  }

  /** What tells that the node is there, and for how many ms it may not change. */
  heard(reports) {
    return this.packets(reports);
  }

  get patience() {
    return 400;
  }

  get silenceIsWaiting() {
    return true;
  }
}
