// The events of a room, as far as they are loaded: always a part without holes.

import { get } from './api.js';

const PAGE = 100;
const MOST = 1500;

/** The events of one room, ascending by sequence. */
export class Log {
  events = [];
  older = false;
  newer = false;
  #path;

  constructor(room) {
    this.#path = `/api/rooms/${encodeURIComponent(room)}/events`;
  }

  /** The newest page. */
  async newest(signal) {
    const page = await this.#page({}, signal);
    // What the feed brought meanwhile is newer than the page.
    const last = page.events.at(-1)?.sequence ?? 0;
    this.events = [...page.events, ...this.events.filter((it) => it.sequence > last)];
    this.older = page.more;
    this.newer = false;
  }

  /** The pages around an event that is not loaded. */
  async around(sequence, signal) {
    const [before, after] = await Promise.all([this.#page({ before: sequence + 1 }, signal), this.#page({ after: sequence }, signal)]);
    this.events = [...before.events, ...after.events];
    this.older = before.more;
    this.newer = after.more;
  }

  /** One page backwards. */
  async back() {
    const first = this.events[0]?.sequence;
    if (first === undefined) return this.newest();
    const page = await this.#page({ before: first });
    this.events = [...page.events.filter((it) => it.sequence < first), ...this.events];
    this.older = page.more && page.events.length > 0;
  }

  /** One page forwards. */
  async on() {
    const last = this.events.at(-1)?.sequence ?? 0;
    const page = await this.#page({ after: last });
    const known = this.events.at(-1)?.sequence ?? 0;
    this.events.push(...page.events.filter((it) => it.sequence > known));
    this.newer = page.more && page.events.length > 0;
  }

  /** An event of the feed. */
  add(recorded) {
    if (this.newer || recorded.sequence <= (this.events.at(-1)?.sequence ?? 0)) return;
    this.events.push(recorded);
    if (this.events.length <= MOST) return;
    this.events.splice(0, this.events.length - MOST);
    this.older = true;
  }

  async #page(wanted, signal) {
    return get(`${this.#path}?${new URLSearchParams({ ...wanted, limit: PAGE })}`, { signal });
  }
}
