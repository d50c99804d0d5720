// Keeps one session alive: opens it, heals it by ICE restart, and opens it again when it is lost, also at other nodes.

import { Problem } from './problem.js';

const CONNECT_LIMIT_MS = 15_000;
/** Another node is tried only for so long while there are more. */
const OTHER_LIMIT_MS = 4_000;
const HEAL_LIMIT_MS = 6_000;
const STEADY_MS = 10_000;
const SHORTEST_S = 1;
const LONGEST_S = 15;
const SPREAD_S = 0.2;
/** How long a new session may take to bring media before the old one is left. */
const OVERLAP_MS = 4_000;
const OVERLAP_LOOK_MS = 50;

/** Seconds before attempt `n` (from 0): exponential, jittered, between 1 and 15. */
export function backoff(n, random = Math.random()) {
  const ceiling = Math.min(LONGEST_S, SHORTEST_S * 2 ** n);
  return Math.max(SHORTEST_S, ceiling * (0.5 + random / 2));
}

/** Waits `seconds`, or until the signal (if any) aborts (then rejects). */
export function pause(seconds, signal = null) {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(done, seconds * 1000);
    function done() {
      signal?.removeEventListener('abort', abort);
      resolve();
    }
    function abort() {
      clearTimeout(timer);
      reject(signal.reason);
    }
    if (signal?.aborted) abort();
    else signal?.addEventListener('abort', abort, { once: true });
  });
}

/**
 * Where the next attempt goes and after how many seconds, given the last one's. `way` is the endpoint of another node,
 * or null for the one that was given; all `ways` are tried before that one is again.
 */
export function next({ way, ways, wasLive, error, failures }) {
  // Those who lose a node together don't all come at once.
  const soon = Math.random() * SPREAD_S;
  if (ways.length > 0 && (wasLive || (way === null && [0, 503].includes(error.status)))) {
    return { way: ways[0], seconds: wasLive || failures === 0 ? soon : backoff(failures) };
  }
  if (way !== null && !wasLive) return { way: ways[ways.indexOf(way) + 1] ?? null, seconds: 0 };
  // Behind one name there may be another node.
  if (error.gone && failures === 0) return { way: null, seconds: soon };
  const seconds = error.retryAfter === null ? backoff(failures) : Math.max(SHORTEST_S, error.retryAfter);
  return { way: null, seconds };
}

/**
 * Runs until the signal aborts or a problem is final (then rejects with it).
 *
 * - `open(signal, way)` resolves with a new `Session`, at the endpoint `way` of another node, or null for one's own
 * - `on.open(session)`, `on.connected(session)`, `on.healing()`
 * - `on.lost(problem, seconds)`: the next attempt starts after `seconds`
 */
export async function keep({ open, on, signal }) {
  let failures = 0;
  let ways = [];
  let way = null;
  for (;;) {
    let session;
    let since = null;
    try {
      const limit = way === null ? signal : AbortSignal.any([signal, AbortSignal.timeout(OTHER_LIMIT_MS)]);
      session = await open(limit, way).catch((error) => { throw late(error, signal); });
      on.open(session);
      await session.connected(way === null ? CONNECT_LIMIT_MS : OTHER_LIMIT_MS, signal);
      since = performance.now();
      on.connected(session);
      for (;;) {
        const url = await untilSentAway(session, on, signal);
        const other = await moved(session, url, open, signal);
        // It plays here for as long as the node lets it.
        if (!other) continue;
        on.open(other);
        on.connected(other);
        const old = session;
        session = other;
        since = performance.now();
        old.close();
      }
    } catch (error) {
      if (session && session.ways.length > 0) ways = session.ways;
      else if (error.nodes?.length > 0) ways = error.nodes;
      // The node may be gone: nobody waits for its answer.
      const closed = session?.close();
      if (signal.aborted) {
        await closed;
        return;
      }
      const final = error.final && way === null && since === null;
      if (!(error instanceof Problem) || final) throw error;
      if (since !== null && performance.now() - since > STEADY_MS) failures = 0;
      const then = next({ way, ways, wasLive: since !== null, error, failures });
      // 409 is an answer, not a failure: the server is well, the stream is just not ready.
      failures = error.status === 409 ? 0 : failures + 1;
      way = then.way;
      on.lost(error, then.seconds);
      try {
        await pause(then.seconds, signal);
      } catch {
        return;
      }
    }
  }
}

/** What became of an attempt that took too long. */
function late(error, signal) {
  if (signal.aborted || error instanceof Problem) return error;
  if (!['AbortError', 'TimeoutError'].includes(error.name)) return error;
  return new Problem({ title: 'The server does not answer', detail: 'The server does not answer in time.' });
}

/** Opens a session elsewhere while the old one still plays; null where that isn't possible. */
async function moved(session, url, open, signal) {
  for (const way of new Set([url, ...session.ways].filter(Boolean))) {
    let other = null;
    try {
      const limit = AbortSignal.any([signal, AbortSignal.timeout(OTHER_LIMIT_MS)]);
      other = await open(limit, way);
      await other.connected(OTHER_LIMIT_MS, signal);
      await arrives(other.pc, signal);
      return other;
    } catch {
      await other?.close();
      signal.throwIfAborted();
    }
  }
  return null;
}

/** Waits until media comes, or sooner where none is known to. */
async function arrives(pc, signal) {
  const until = performance.now() + OVERLAP_MS;
  while (performance.now() < until) {
    const reports = [...(await pc.getStats()).values()];
    const incoming = reports.filter(({ type }) => type === 'inbound-rtp');
    const video = incoming.find(({ kind, packetsReceived }) => kind === 'video' && packetsReceived > 0);
    if (incoming.length === 0 || (video ? video.framesDecoded > 0 : incoming.some((one) => one.packetsReceived > 0))) return;
    await pause(OVERLAP_LOOK_MS / 1000, signal);
  }
}

/** Resolves with the endpoint that the server sends away to, or null; rejects once the session is lost. */
async function untilSentAway(session, on, signal) {
  for (;;) {
    const why = await session.lost(signal);
    if (typeof why === 'object') return why.url;
    if (why === 'ended') {
      throw new Problem({ title: 'The server ended the session', detail: 'The server ended the session.' });
    }
    if (why === 'gone') {
      const title = 'The node is gone';
      throw Object.assign(new Problem({ title, detail: `${title}. Looking for another one.` }), { gone: true });
    }
    on.healing();
    const limit = AbortSignal.any([signal, AbortSignal.timeout(HEAL_LIMIT_MS)]);
    try {
      await session.restartIce(limit);
      await session.connected(HEAL_LIMIT_MS, limit);
    } catch {
      signal.throwIfAborted();
      throw new Problem({ title: 'The media connection was lost', detail: 'The media connection to the server was lost.' });
    }
    on.connected(session);
  }
}
