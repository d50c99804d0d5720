// What of others is received, tracks or data: asked for until it comes, and again wherever the session goes on.

import { pause } from './keep.js';
import { RoomProblem } from './room-socket.js';

/** After so many attempts in vain it is told, and tried on. */
const TRIES = 6;
const RETRY_MS = 300;
const LONGEST_MS = 5_000;

const same = (one, other) => JSON.stringify(one) === JSON.stringify(other);

/**
 * Keeps what is received as it is wished. Those of a kind say how it is asked for (`ask`), taken (`make`), tuned (`tune`),
 * and what is told of it (`taken`, `ended`, `failed`).
 *
 * An entry has whose it is (`participant`), what it is (`source`), whether it is `wanted`, the consumer that it comes by
 * (`got`, or null), and the node's newest answer that is to take its place (`next`, or null).
 */
export class Reception extends EventTarget {
  #close;
  /** What is asked with, anew whenever it begins anew; null while nothing can be asked. */
  #run = null;
  #over = null;
  #entries = new Map();

  /** `close(id)` closes a consumer at the node. */
  constructor(close) {
    super();
    this.#close = close;
  }

  /** Somebody sends something. */
  enter(participant, source, wanted, wishes = {}) {
    const entry = { participant, source, wanted, got: null, next: null, tries: 0, over: false, waiting: [], ...wishes };
    this.#entries.set(source.id, entry);
    this.#sync(entry);
  }

  /** It is sent no more. */
  remove({ id }) {
    const entry = this.#entries.get(id);
    if (!entry) return;
    this.#entries.delete(id);
    this.#end(entry, new RoomProblem('unknownProducer', 'It is not sent any more.'));
  }

  /** Receives it from now on; resolves with what comes. */
  subscribe(id) {
    if (this.#over) return Promise.reject(this.#over);
    const entry = this.#entries.get(id);
    if (!entry) return Promise.reject(new RoomProblem('unknownProducer', 'Nobody in the room sends this.'));
    Object.assign(entry, { wanted: true, tries: 0, over: false });
    if (entry.got) return Promise.resolve(entry.got.comes);
    const comes = new Promise((resolve, reject) => { entry.waiting.push({ resolve, reject }); });
    this.#sync(entry);
    return comes;
  }

  unsubscribe(id) {
    const entry = this.#entries.get(id);
    if (entry) this.#end(entry, new RoomProblem('unwanted', 'It is not asked for any more.'));
  }

  /** How it is to be received. */
  wish(id, wishes) {
    const entry = this.#entries.get(id);
    if (!entry || Object.entries(wishes).every(([name, wish]) => same(entry[name], wish))) return;
    Object.assign(entry, wishes);
    this.#sync(entry);
  }

  /** Receives with this media from now on; `kept` are the ids of the consumers that the node has. */
  start(media, kept = []) {
    this.#run = { media };
    const unknown = new Set(kept);
    for (const entry of this.#entries.values()) {
      if (!unknown.delete(entry.got?.consumer.id)) this.#forget(entry);
      Object.assign(entry, { next: null, tries: 0, over: false });
      this.#sync(entry);
    }
    // Made by an answer that never came, or took the place of another meanwhile.
    for (const id of unknown) this.#closeAtNode(id);
  }

  /** Asks for nothing until `start`: the room can't be asked. */
  hold() {
    this.#run = null;
  }

  /** The session is over, for this reason. */
  stop(why) {
    this.#over = why;
    this.#run = null;
    for (const entry of this.#entries.values()) this.#settle(entry, ({ reject }) => reject(why));
    this.#entries.clear();
  }

  /** The node has ended a consumer. */
  closed(id) {
    const entry = this.of(id);
    if (!entry) return;
    this.#forget(entry);
    // Mostly nobody sends it any more, which is heard next.
    setTimeout(() => this.#sync(entry), RETRY_MS);
  }

  /** The same comes another way: takes that, and leaves the old one once something has come. */
  async replaced(id, by, sourceId) {
    const entry = this.of(id) ?? this.#entries.get(sourceId);
    const run = this.#run;
    if (!run) return;
    if (!entry?.wanted) {
      this.#closeAtNode(by.id);
      return;
    }
    entry.next = by;
    const got = await this.make(entry, by, run.media).catch(() => null);
    if (got && entry.got && entry.next === by) await this.arrives(got);
    // It may have been replaced itself, or isn't wanted any more.
    const holds = entry.next === by && run === this.#run;
    if (holds) entry.next = null;
    if (holds && got) {
      this.#take(entry, got);
    } else {
      got?.consumer.close();
      this.#closeAtNode(by.id);
      if (holds) this.#forget(entry);
    }
    this.#sync(entry);
  }

  /** What comes, or is about to come, by a consumer. */
  of(id) {
    return [...this.#entries.values()].find(({ got, next }) => got?.consumer.id === id || next?.id === id);
  }

  /** Resolves once something comes by a consumer, or won't for a while. */
  async arrives() {}

  async tune() {}

  taken() {}

  ended() {}

  failed() {}

  #closeAtNode(id) {
    this.#close(id).catch(() => {});
  }

  #settle(entry, how) {
    for (const waiting of entry.waiting.splice(0)) how(waiting);
  }

  /** What came by it is over: it is to be asked for anew. */
  #forget(entry) {
    entry.got?.consumer.close();
    Object.assign(entry, { got: null, next: null });
  }

  #end(entry, why) {
    const { got } = entry;
    entry.wanted = false;
    this.#forget(entry);
    if (got) this.#closeAtNode(got.consumer.id);
    this.#settle(entry, ({ reject }) => reject(why));
    this.ended(entry);
  }

  #take(entry, got) {
    const former = entry.got;
    entry.got = got;
    this.taken(entry, got);
    if (former) {
      former.consumer.close();
      this.#closeAtNode(former.consumer.id);
    }
    this.#settle(entry, ({ resolve }) => resolve(got.comes));
  }

  /** Makes what is so what is wished; one at a time for each. */
  async #sync(entry) {
    entry.again = true;
    if (entry.busy) return;
    entry.busy = true;
    while (entry.again && entry.wanted && !entry.over && this.#run) {
      entry.again = false;
      const run = this.#run;
      try {
        if (!entry.got) await this.#consume(entry, run);
        if (entry.got && entry.wanted && run === this.#run) await this.#tune(entry);
        entry.tries = 0;
      } catch (problem) {
        await this.#stumble(entry, problem, run);
      }
    }
    entry.busy = false;
  }

  async #consume(entry, run) {
    const answer = await this.ask(entry, run.media);
    const goesOn = () => run === this.#run && entry.wanted && !entry.got;
    let got = null;
    try {
      if (goesOn()) got = await this.make(entry, answer, run.media);
    } finally {
      if (goesOn() && got) {
        this.#take(entry, got);
      } else {
        got?.consumer.close();
        this.#closeAtNode(answer.id);
      }
    }
  }

  async #tune(entry) {
    const { got } = entry;
    try {
      await this.tune(entry, got);
    } catch (problem) {
      if (problem.code !== 'unknownConsumer') throw problem;
      // Where another takes its place, that one is tuned next.
      if (entry.next || entry.got !== got) return;
      this.#forget(entry);
      throw problem;
    }
  }

  async #stumble(entry, problem, run) {
    // It is all asked for again when it begins anew.
    if (run !== this.#run || !entry.wanted) return;
    entry.tries += 1;
    // Until it begins anew, or is asked for again.
    entry.over = problem.final || (!(problem instanceof RoomProblem) && entry.tries >= TRIES);
    if (entry.over || entry.tries === TRIES) {
      this.#settle(entry, ({ reject }) => reject(problem));
      this.failed(entry, problem);
    }
    if (entry.over) return;
    await pause(Math.min(LONGEST_MS, RETRY_MS * entry.tries) / 1_000);
    entry.again = true;
  }
}
