// What playing and publishing have in common: one session that is kept alive, and its state, told.

import { keep } from './keep.js';

const LOOK_MS = 500;
const SILENCE_MS = 2_000;

/**
 * One session with a server, opened again by itself when it is lost.
 *
 * `state` is one of `idle`, `connecting`, `live`, `waiting`, `reconnecting`, `failed`, `stopped`.
 *
 * Events:
 * - `statechange`, whose `detail` has the `state`, the `problem` behind it (or null) and, where the next
 *   attempt is set, `retryIn` seconds;
 * - `session`, whose `detail` is the new `Session`;
 * - `stats`, twice a second, whose `detail` is the connection's `RTCStatsReport`.
 */
export class Live extends EventTarget {
  #state = 'idle';
  #problem = null;
  #session = null;
  #run = null;

  /** What is happening. */
  get state() {
    return this.#state;
  }

  /** The `Problem` behind the state, or null. */
  get problem() {
    return this.#problem;
  }

  /** The `Session` that is open, or null; its `pc` is the `RTCPeerConnection`. */
  get session() {
    return this.#session;
  }

  /** Begins, or begins anew. */
  start() {
    this.#end();
    const controller = new AbortController();
    const { signal } = controller;
    const run = { controller, timer: null, busy: false, wasOpen: false, packets: 0, heardAt: 0 };
    this.#run = run;
    this.#become('connecting');
    const on = {
      open: (session) => {
        run.wasOpen = true;
        run.packets = 0;
        this.#session = session;
        this.dispatchEvent(new CustomEvent('session', { detail: session }));
      },
      connected: () => { run.heardAt = performance.now(); },
      healing: () => this.#become('reconnecting'),
      lost: (problem, seconds) => {
        this.#session = null;
        this.#become(this.waits(problem) ? 'waiting' : 'reconnecting', problem, seconds);
      },
    };
    run.timer = setInterval(() => this.#look(run), LOOK_MS);
    keep({ open: () => this.open(signal, run.wasOpen), on, signal }).catch((error) => {
      if (this.#run !== run) return;
      this.#end();
      this.#become('failed', error);
    });
    addEventListener('pagehide', () => this.#session?.close(), { signal });
    // A page that comes back from the browser's cache has lost its session.
    addEventListener('pageshow', ({ persisted }) => persisted && this.start(), { signal });
  }

  /** Ends the session, here and on the server. */
  stop() {
    if (!this.#run) return;
    this.#end();
    this.#become('stopped');
  }

  #end() {
    this.#run?.controller.abort();
    clearInterval(this.#run?.timer);
    this.#run = null;
    this.#session = null;
  }

  #become(state, problem = null, retryIn = null) {
    this.#state = state;
    this.#problem = problem;
    this.dispatchEvent(new CustomEvent('statechange', { detail: { state, problem, retryIn } }));
  }

  async #look(run) {
    const session = this.#session;
    if (run.busy || !session || session.closed) return;
    run.busy = true;
    const reports = await session.pc.getStats().catch(() => null);
    run.busy = false;
    if (!reports || this.#run !== run || this.#session !== session) return;
    this.#judge(run, session, reports);
    this.dispatchEvent(new CustomEvent('stats', { detail: reports }));
  }

  #judge(run, session, reports) {
    if (session.pc.connectionState !== 'connected') return;
    const now = performance.now();
    const packets = this.packets([...reports.values()]);
    const moved = packets > run.packets;
    run.packets = packets;
    if (moved) {
      run.heardAt = now;
      if (this.#state !== 'live') this.#become('live');
    } else if (this.silenceIsWaiting && this.#state !== 'waiting' && now - run.heardAt > SILENCE_MS) {
      this.#become('waiting');
    }
  }
}
