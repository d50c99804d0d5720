// All that one publishes to a room.

import { Publication } from './publication.js';
import { RoomProblem } from './room-socket.js';

/** The `Publication`s of a session, which begin anew wherever it goes on. */
export class Publications {
  #session;
  #media = null;
  #over = false;
  #all = new Set();

  constructor(session) {
    this.#session = session;
  }

  get all() {
    return [...this.#all];
  }

  /** Publishes a track; resolves once it is published. */
  async add(track, options) {
    const publication = new Publication(this.#session, track, options);
    this.#all.add(publication);
    publication.addEventListener('closed', () => this.#all.delete(publication));
    await this.#start(publication);
    return publication;
  }

  /** Goes on with this media; `there` are the ids of the producers that the node still has. */
  start(media, there) {
    this.#media = media;
    for (const publication of this.#all) {
      if (publication.id !== null && there.includes(publication.id)) {
        publication.confirm().catch(() => {});
        continue;
      }
      publication.lost();
      this.#start(publication).catch(() => {});
    }
  }

  /** The room has done something to one of them. */
  overruled(name, { producerId, by }) {
    const publication = this.all.find(({ id }) => id === producerId);
    if (!publication) return;
    if (name === 'producerClosed') publication.close(new RoomProblem('closed', 'The node has closed it.'));
    else if (by) publication.overruled(name === 'producerPaused', by);
  }

  /** The session is over, for this reason if it was not meant. */
  close(problem) {
    this.#over = true;
    this.#media = null;
    for (const publication of this.all) publication.close(problem).catch(() => {});
  }

  async #start(publication) {
    const media = this.#media;
    try {
      if (media) await publication.start(media);
    } catch (problem) {
      // It is published again when the session goes on.
      if (problem.code !== 'lost' && media === this.#media && this.#session.isOpen) {
        await publication.close(problem);
        throw problem;
      }
    }
    if (!this.#over) await publication.ready;
  }
}
