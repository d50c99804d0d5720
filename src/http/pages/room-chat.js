// Text between the participants of a room, over data channels labelled `chat`.

import { DataPublication } from './data-publication.js';
import { RoomProblem } from './room-socket.js';

const LABEL = 'chat';
/** The longest text, in bytes. */
const LONGEST = 4_096;
const RETRY_MS = 1_000;

/** Whether a data channel carries the texts of a room. */
export const isChat = ({ label }) => label === LABEL;

/** Events: `message` (`participant`, `text`), `change`: whether one may send (`on`). */
export class Chat extends EventTarget {
  #session;
  #traffic;
  #publication = null;

  /** Sends and hears by the `traffic` of the session. */
  constructor(session, traffic) {
    super();
    this.#session = session;
    this.#traffic = traffic;
    /** Why texts can't be sent for good, or null. */
    this.problem = null;
    traffic.messages.addEventListener('data', ({ detail: { participant, dataProducer, data } }) => {
      if (!isChat(dataProducer)) return;
      const text = typeof data === 'string' ? data : new TextDecoder().decode(data);
      this.dispatchEvent(new CustomEvent('message', { detail: { participant, text } }));
    });
  }

  /** Whether a text goes out now. */
  get on() {
    return this.#publication?.isOpen ?? false;
  }

  /** The session has begun, or goes on; `may` says whether one may send. */
  start(may) {
    // A node before this one may have refused it.
    if (!this.#publication) this.#open(may);
  }

  #open(may) {
    this.problem = may ? null : new RoomProblem('forbidden', 'You may only read here.');
    if (!may) {
      this.#change();
      return;
    }
    const publication = new DataPublication(this.#session, { label: LABEL, ordered: true });
    this.#publication = publication;
    publication.addEventListener('change', () => this.#change());
    publication.addEventListener('closed', ({ detail: { problem } }) => {
      this.#publication = null;
      if (problem?.final) this.problem = problem;
      else if (problem) setTimeout(() => this.#session.isOpen && this.start(may), RETRY_MS);
      this.#change();
    });
    this.#traffic.data.add(publication).catch(() => {});
  }

  #change() {
    this.dispatchEvent(new Event('change'));
  }

  /** Sends a text to all others; resolves once it is on its way, rejects where that can't be. */
  async send(text) {
    if (new TextEncoder().encode(text).length > LONGEST) {
      throw new RoomProblem('tooLarge', `A message has at most ${LONGEST} bytes.`);
    }
    if (!this.#publication) throw this.problem ?? new RoomProblem('lost', 'Messages cannot be sent just now.');
    await this.#publication.send(text);
  }
}
