// One WebSocket to a room: requests, their answers, and events.

const OPEN_LIMIT_MS = 10_000;
const ANSWER_LIMIT_MS = 10_000;

/** What asking the same node again can't help. */
const FINAL = ['malformed', 'forbidden', 'nameTaken', 'locked', 'tooLarge', 'left'];
/** What another node may do all the same: this one is full, isn't made for it, or mayn't. */
const ELSEWHERE = ['limit', 'unsupported', 'residency'];
/** What is made by an answer that nobody waits for any more, and how that is closed. */
const CLOSES = {
  createWebRtcTransport: ['closeTransport', 'transportId'],
  produce: ['closeProducer', 'producerId'],
  consume: ['closeConsumer', 'consumerId'],
  produceData: ['closeDataProducer', 'dataProducerId'],
  consumeData: ['closeDataConsumer', 'dataConsumerId'],
};

/**
 * What a room refused, or why it can't be reached. `code` is the server's (such as `locked`), or one of ours: `lost` (the
 * connection broke), `timeout` (no answer), `unreachable`, `left`, `unwanted` (it isn't asked for any more).
 */
export class RoomProblem extends Error {
  constructor(code, message) {
    super(message || code);
    this.name = 'RoomProblem';
    this.code = code;
  }

  /** Whether asking the same node again can't help. */
  get final() {
    return FINAL.includes(this.code) || this.elsewhere;
  }

  /** Whether another node may do it all the same. */
  get elsewhere() {
    return ELSEWHERE.includes(this.code);
  }
}

/** What doesn't come about as the connection broke. */
export const lost = () => new RoomProblem('lost', 'The connection to the room was interrupted.');
/** What doesn't come about as one has left. */
export const left = () => new RoomProblem('left', 'You left the room.');

/** An open socket. Events: `event`, whose `detail` has `name` and `data`; `close`, once, whoever closed it. */
export class RoomSocket extends EventTarget {
  #socket;
  #waiting = new Map();
  #last = 0;

  /** Opens one; `limit` is how many ms that may take. */
  static open(url, { limit = OPEN_LIMIT_MS, signal } = {}) {
    return new Promise((resolve, reject) => {
      const socket = new WebSocket(url);
      const settle = (error) => {
        clearTimeout(timer);
        signal?.removeEventListener('abort', abort);
        socket.onopen = null;
        socket.onclose = null;
        if (!error) {
          resolve(new RoomSocket(socket));
          return;
        }
        socket.close();
        reject(error);
      };
      const abort = () => settle(signal.reason);
      const unreachable = () => settle(new RoomProblem('unreachable', 'The node cannot be reached.'));
      const timer = setTimeout(unreachable, limit);
      socket.onopen = () => settle();
      socket.onclose = unreachable;
      if (signal?.aborted) abort();
      signal?.addEventListener('abort', abort);
    });
  }

  constructor(socket) {
    super();
    this.#socket = socket;
    /** When something came last. */
    this.heardAt = performance.now();
    socket.onmessage = ({ data }) => this.#hear(data);
    socket.onclose = () => this.close();
  }

  get closed() {
    return this.#socket === null;
  }

  /** Asks; resolves with what `ok` holds, rejects with a `RoomProblem`. */
  request(verb, parameters = {}, limit = ANSWER_LIMIT_MS) {
    if (this.closed) return Promise.reject(lost());
    this.#last += 1;
    const id = this.#last;
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        this.#waiting.set(id, { resolve: (late) => this.#undo(verb, late), reject: () => {} });
        reject(new RoomProblem('timeout', `The node did not answer “${verb}” in time.`));
      }, limit);
      this.#waiting.set(id, { resolve, reject, timer });
      this.#socket.send(JSON.stringify({ id, request: { [verb]: parameters } }));
    });
  }

  /** Ends it, and all that waits for an answer. */
  close() {
    if (this.closed) return;
    const socket = this.#socket;
    this.#socket = null;
    socket.onmessage = null;
    socket.onclose = null;
    socket.close();
    for (const { reject, timer } of this.#waiting.values()) {
      clearTimeout(timer);
      reject(lost());
    }
    this.#waiting.clear();
    this.dispatchEvent(new Event('close'));
  }

  /** Closes what came too late. */
  #undo(verb, { id }) {
    const [close, key] = CLOSES[verb] ?? [];
    if (close) this.request(close, { [key]: id }).catch(() => {});
  }

  #hear(text) {
    this.heardAt = performance.now();
    let message;
    try {
      message = JSON.parse(text);
    } catch {
      return;
    }
    const waiting = this.#waiting.get(message.id);
    if (waiting) {
      this.#waiting.delete(message.id);
      clearTimeout(waiting.timer);
      if (message.error) waiting.reject(new RoomProblem(message.error.code, message.error.reason));
      else waiting.resolve(message.ok ?? {});
      return;
    }
    for (const [name, data] of Object.entries(message.event ?? {})) {
      this.dispatchEvent(new CustomEvent('event', { detail: { name, data } }));
    }
  }
}
