// Keeps one session alive: opens it, heals it by ICE restart, and opens it again when it is lost.

import { Problem } from './problem.js';

const CONNECT_LIMIT_MS = 15_000;
const HEAL_LIMIT_MS = 6_000;
const STEADY_MS = 10_000;
const SHORTEST_S = 1;
const LONGEST_S = 15;

/** Seconds before attempt `n` (from 0): exponential, jittered, between 1 and 15. */
export function backoff(n, random = Math.random()) {
  const ceiling = Math.min(LONGEST_S, SHORTEST_S * 2 ** n);
  return Math.max(SHORTEST_S, ceiling * (0.5 + random / 2));
}

/** Waits `seconds`, or until the signal aborts (then rejects). */
export function pause(seconds, signal) {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(done, seconds * 1000);
    function done() {
      signal.removeEventListener('abort', abort);
      resolve();
    }
    function abort() {
      clearTimeout(timer);
      reject(signal.reason);
    }
    if (signal.aborted) abort();
    else signal.addEventListener('abort', abort, { once: true });
  });
}

/**
 * Runs until the signal aborts or a problem is final (then rejects with it).
 *
 * - `open(signal)` resolves with a new `Session`
 * - `on.open(session)`, `on.connected(session)`, `on.healing()`
 * - `on.lost(problem, seconds)`: the next attempt starts after `seconds`
 */
export async function keep({ open, on, signal }) {
  let failures = 0;
  for (;;) {
    let session;
    let since = null;
    try {
      session = await open(signal);
      on.open(session);
      await session.connected(CONNECT_LIMIT_MS, signal);
      since = performance.now();
      on.connected(session);
      await untilLost(session, on, signal);
    } catch (error) {
      if (signal.aborted) {
        await session?.close();
        return;
      }
      await session?.close();
      if (!(error instanceof Problem) || error.final) throw error;
      if (since !== null && performance.now() - since > STEADY_MS) failures = 0;
      const seconds = error.retryAfter === null ? backoff(failures) : Math.max(SHORTEST_S, error.retryAfter);
      // 409 is an answer, not a failure: the server is well, the stream is just not ready.
      failures = error.status === 409 ? 0 : failures + 1;
      on.lost(error, seconds);
      try {
        await pause(seconds, signal);
      } catch {
        return;
      }
    }
  }
}

async function untilLost(session, on, signal) {
  for (;;) {
    const why = await session.lost(signal);
    if (why === 'ended') {
      throw new Problem({ title: 'The server ended the session', detail: 'The server ended the session.' });
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
