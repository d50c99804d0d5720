// What this node says about itself and about a stream.

import { here } from './place.js';
import { request } from './problem.js';

/** `{ name, region, version }` of the node that serves this page, or null. */
export async function node() {
  try {
    return await (await request(here('api/node'))).json();
  } catch {
    return null;
  }
}

/** Status of one stream; rejects with a `Problem`. */
export async function status({ room, stream }, signal) {
  return (await request(here(`api/status/${room}/${stream}`), { signal })).json();
}

/**
 * Calls `seen(status or null)` every so many milliseconds while the page is visible; null when the node does not answer.
 * Returns what asks at once.
 */
export function follow(where, every, seen) {
  let timer;
  let asking = false;
  const ask = async () => {
    clearTimeout(timer);
    if (document.hidden || asking) return;
    asking = true;
    seen(await status(where, AbortSignal.timeout(5_000)).catch(() => null));
    asking = false;
    timer = setTimeout(ask, every);
  };
  document.addEventListener('visibilitychange', ask);
  ask();
  return ask;
}
