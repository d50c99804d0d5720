// When it is to be doubted that the other side is there: who is gone doesn't say so.

const LONGEST_MS = 5_000;

/** Doubts after so many ms of silence, and each time later while it lasts. */
export class Doubt {
  #patience;
  #wait;
  #count = 0;
  #since = performance.now();

  constructor(patience) {
    this.#patience = patience;
    this.#wait = patience;
  }

  /** Whether to ask now; `count` is another whenever something has come, `heardAt` when something else has. */
  asks(count, heardAt = 0) {
    const now = performance.now();
    if (count !== this.#count) {
      this.#wait = this.#patience;
      this.#since = now;
      this.#count = count;
    }
    if (now - Math.max(this.#since, heardAt) <= this.#wait) return false;
    this.#wait = Math.min(LONGEST_MS, 2 * this.#wait);
    this.#since = now;
    return true;
  }
}
