// Fetches a view again: at once at the first reason, and not too often after.

const FIRST = 40;
const GAP = 500;

/** One view. `work` gets an abort signal and resolves when the view is shown. */
export class Refresh {
  #work;
  #timer = null;
  #running = null;
  #again = false;
  #last = -Infinity;

  constructor(work) {
    this.#work = work;
  }

  /** Soon: within `FIRST` ms, but `gap` ms after the last time. */
  soon(gap = GAP) {
    if (this.#running) {
      this.#again = true;
      return;
    }
    if (this.#timer !== null) return;
    const wait = Math.max(FIRST, this.#last + gap - performance.now());
    this.#timer = setTimeout(() => this.now(), wait);
  }

  /** Now; a fetch under way is given up. */
  async now() {
    clearTimeout(this.#timer);
    this.#timer = null;
    this.#running?.abort();
    const run = new AbortController();
    this.#running = run;
    this.#again = false;
    this.#last = performance.now();
    try {
      await this.#work(run.signal);
    } catch (error) {
      if (error.name !== 'AbortError') throw error;
    } finally {
      if (this.#running === run) {
        this.#running = null;
        if (this.#again) this.soon();
      }
    }
  }
}
