// Which nodes a room may be entered at, asked while they are well, to be known when one dies.

import { request } from './problem.js';

const REFRESH_MS = 60_000;
const ASK_LIMIT_MS = 5_000;

/** The address of a room's WebSocket on the node whose pages are below `base`. */
export function socketUrl(base, room) {
  const url = new URL(`rtc/${room}`, base.endsWith('/') ? base : `${base}/`);
  url.protocol = url.protocol.replace('http', 'ws');
  return url.href;
}

/** The nodes to go on at, the best first. */
export class Ways {
  #room;
  #timer = null;
  #bases = [];

  constructor(room) {
    this.#room = room;
  }

  /** Bases of the nodes other than `but`, as `https://node.example/`. */
  but(own) {
    const same = (base) => new URL(base).href === new URL(own).href;
    return this.#bases.filter((base) => !same(base));
  }

  /** Asks a node for them, now and each minute. */
  follow(base) {
    clearInterval(this.#timer);
    this.#timer = setInterval(() => this.#ask(base), REFRESH_MS);
    return this.#ask(base);
  }

  stop() {
    clearInterval(this.#timer);
  }

  async #ask(base) {
    const url = new URL(`api/where?room=${this.#room}`, base).href;
    try {
      const { nodes } = await (await request(url, { signal: AbortSignal.timeout(ASK_LIMIT_MS) })).json();
      this.#bases = nodes.map((node) => (node.url.endsWith('/') ? node.url : `${node.url}/`));
    } catch {
      // What was known stays.
    }
  }
}
