// All that one publishes to a room.

import { pause } from './keep.js';
import { RoomProblem } from './room-socket.js';

const RETRY_MS = 500;
const LONGEST_MS = 5_000;

/**
 * The publications of a session, of tracks or of data, which begin anew wherever it goes on. `close(id)` closes what the
 * node has of one.
 */
export class Publications {
  #close;
  #media = null;
  #over = null;
  /** Each with its newest run of attempts, and the attempt under way. */
  #all = new Map();

  constructor(close) {
    this.#close = close;
  }

  get all() {
    return [...this.#all.keys()];
  }

  /** Publishes one; resolves with it once it is published. */
  async add(publication) {
    if (this.#over) throw this.#over;
    publication.addEventListener('closed', () => this.#all.delete(publication));
    this.#run(publication);
    await publication.ready;
    return publication;
  }

  /** Goes on with this media; `there` are the ids of what the node still has. */
  start(media, there = []) {
    this.#media = media;
    const unknown = new Set(there);
    for (const publication of this.all) {
      if (!unknown.delete(publication.id)) publication.lost();
      this.#run(publication);
    }
    // Made by an answer that never came.
    for (const id of unknown) this.#close(id).catch(() => {});
  }

  /** Asks for nothing until `start`: the room can't be asked. */
  hold() {
    this.#media = null;
  }

  /** The session is over, for this reason, which is a problem if it was not meant. */
  stop(why, problem) {
    this.#over = why;
    this.#media = null;
    for (const publication of this.all) publication.close(problem, why).catch(() => {});
  }

  /** Tries until it is published, or can't be. */
  async #run(publication) {
    const run = { media: this.#media, attempt: this.#all.get(publication)?.attempt };
    this.#all.set(publication, run);
    await run.attempt?.catch(() => {});
    const goesOn = () => run.media !== null && run.media === this.#media && this.#all.get(publication) === run;
    for (let tries = 1; goesOn(); tries += 1) {
      try {
        run.attempt = publication.start(run.media);
        await run.attempt;
        return;
      } catch (problem) {
        if (!goesOn()) return;
        if (!(problem instanceof RoomProblem) || problem.final) {
          publication.close(problem).catch(() => {});
          return;
        }
      }
      await pause(Math.min(LONGEST_MS, RETRY_MS * tries) / 1_000);
    }
  }
}
