// What playing and publishing have in common: one session that is kept alive, and its state, told.

import { Doubt } from './doubt.js';
import { keep } from './keep.js';

const LOOK_MS = 500;
const SILENCE_MS = 2_000;
/** How long a node may take to say that it still has a session. */
const ANSWER_MS = 800;

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
    const run = { controller, timer: null, busy: false, wasOpen: false, packets: 0, heardAt: 0, doubt: null };
    this.#run = run;
    this.#become('connecting');
    const on = {
      open: (session) => {
        run.wasOpen = true;
        Object.assign(run, { packets: 0, doubt: null });
        this.#session = session;
        this.opened(session);
        session.listen((url) => session.leave({ url })).catch(() => {});
        this.dispatchEvent(new CustomEvent('session', { detail: session }));
      },
      connected: () => Object.assign(run, { heardAt: performance.now(), doubt: new Doubt(this.patience) }),
      healing: () => this.#become('reconnecting'),
      lost: (problem, seconds) => {
        this.#session = null;
        this.#become(this.waits(problem) ? 'waiting' : 'reconnecting', problem, seconds);
      },
    };
    run.timer = setInterval(() => this.#look(run), LOOK_MS);
    keep({ open: (limit, way) => this.open(limit, run.wasOpen, way), on, signal }).catch((error) => {
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
    this.#ask(run, session, reports);
    this.dispatchEvent(new CustomEvent('stats', { detail: reports }));
  }

  /** Asks for the session where nothing comes: a node that is gone doesn't say so. */
  async #ask(run, session, reports) {
    if (run.asking || !run.doubt?.asks(this.heard([...reports.values()]))) return;
    run.asking = true;
    const there = await session.there(ANSWER_MS);
    run.asking = false;
    if (!there && this.#run === run && this.#session === session) session.leave('gone');
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
