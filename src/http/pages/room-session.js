// A session in a room: its socket, taken up again when it breaks, and gone on with at other nodes when its node is gone.

import { pause } from './keep.js';
import { Problem, request as ask } from './problem.js';
import { RoomProblem, RoomSocket, left, lost } from './room-socket.js';
import { Ways, socketUrl } from './room-ways.js';

/** How long a node keeps a session whose socket broke. */
const KEPT_MS = 30_000;
const SHORTEST_MS = 250;
const LONGEST_MS = 5_000;
/** How long one attempt may take while there are others to make. */
const ATTEMPT_MS = 1_500;
const HELLO_MS = 4_000;
const GOODBYE_MS = 2_000;
/** How long one's own old self may stand in the way. */
const TAKEN_MS = 10_000;
/** Why a session ends that is to go on elsewhere, or anew. */
const GOES_ON = ['drained', 'media', 'expired', 'lost', 'disconnected', 'silent'];
/** How long a node may take to answer where it is doubted that it is there. */
const DOUBT_MS = 1_000;

/** Where attempt `n` (from 0) goes, null being the node that there was, and how many ms it waits. */
function attempt(n, others) {
  if (n < 2) return { base: null, wait: n * SHORTEST_MS };
  const turn = n - 2;
  const wait = Math.min(LONGEST_MS, turn === 0 ? 0 : SHORTEST_MS * 2 ** (turn - 1));
  // In turn: the network may be what is gone, and not the node.
  if (others.length === 0 || turn % 2 === 1) return { base: null, wait };
  return { base: others[(turn / 2) % others.length], wait };
}

/** Whether no node of the room will do it. */
const everywhere = (problem) => problem.final && !problem.elsewhere;

/**
 * Events: `joined` (`detail`: the answer of `join` or `resume`, and `resumed`), `lost`, `event` (`name`, `data`), `closed`
 * (`reason`, `problem`: it is over for good).
 */
export class RoomSession extends EventTarget {
  #room;
  #token;
  #introduce;
  #ways;
  #socket = null;
  #session = null;
  #controller = new AbortController();
  #closed = false;

  /** `introduce()` tells what `join` is asked with. */
  constructor({ base, room, token, introduce }) {
    super();
    this.#room = room;
    this.#token = token;
    this.#introduce = introduce;
    this.#ways = new Ways(room);
    /** Where the node that has the session has its pages. */
    this.base = base.endsWith('/') ? base : `${base}/`;
  }

  /** Joins for the first time; rejects with a `RoomProblem` or a `Problem` where that can't be. */
  async open() {
    try {
      await this.#join(this.base, {});
    } catch (problem) {
      if (problem.code === 'unreachable') await this.#explain();
      if (everywhere(problem) || !(problem instanceof RoomProblem)) throw problem;
      // This node is full, or on its way out: others may do it.
      this.#controller.signal.throwIfAborted();
      await this.#ways.follow(this.base);
      for (const base of this.#ways.but(this.base)) {
        try {
          await this.#join(base, { limit: ATTEMPT_MS });
          return;
        } catch (other) {
          if (everywhere(other)) throw other;
        }
      }
      throw problem;
    }
  }

  /** Asks the room; rejects with `lost` while the connection is broken. */
  request(verb, parameters, limit) {
    return this.#socket ? this.#socket.request(verb, parameters, limit) : Promise.reject(lost());
  }

  /** When the server was heard last. */
  get heardAt() {
    return this.#socket?.heardAt ?? 0;
  }

  /** Whether there is a connection, as far as is known. */
  get isOpen() {
    return this.#socket !== null;
  }

  /** Asks whether the node is there, and goes on without it where it isn't. */
  async doubt() {
    const socket = this.#socket;
    try {
      await socket?.request('ping', {}, DOUBT_MS);
    } catch (problem) {
      if (problem.code === 'timeout') socket.close();
    }
  }

  /** Leaves the room; `why` is what `closed` tells. */
  leave(why = { reason: 'left', problem: null }) {
    if (this.#closed) return;
    const socket = this.#socket;
    this.#socket = null;
    if (socket) goodbye(socket);
    this.#end(why);
  }

  #end(detail) {
    if (this.#closed) return;
    this.#closed = true;
    this.#controller.abort(left());
    this.#ways.stop();
    this.#socket?.close();
    this.#socket = null;
    this.dispatchEvent(new CustomEvent('closed', { detail }));
  }

  #url(address, more = {}) {
    const url = new URL(address);
    if (this.#token) url.searchParams.set('access_token', this.#token);
    for (const [name, value] of Object.entries(more)) url.searchParams.set(name, value);
    return url.href;
  }

  async #join(base, { limit, address = socketUrl(base, this.#room) }) {
    const socket = await RoomSocket.open(this.#url(address), { limit, signal: this.#controller.signal });
    await this.#begin(socket, base, () => socket.request('join', this.#introduce(), limit && HELLO_MS), false);
  }

  async #resume(limit) {
    const url = this.#url(socketUrl(this.base, this.#room), { session: this.#session });
    const socket = await RoomSocket.open(url, { limit, signal: this.#controller.signal });
    await this.#begin(socket, this.base, () => socket.request('resume', {}, HELLO_MS), true);
  }

  async #begin(socket, base, hello, resumed) {
    const early = [];
    const hold = ({ detail }) => early.push(detail);
    socket.addEventListener('event', hold);
    let answer;
    try {
      answer = await hello();
    } catch (problem) {
      socket.close();
      throw problem;
    }
    socket.removeEventListener('event', hold);
    if (this.#closed) {
      goodbye(socket);
      throw left();
    }
    if (base !== this.base || !resumed) this.#ways.follow(base);
    Object.assign(this, { base });
    this.#socket = socket;
    this.#session = answer.session;
    socket.addEventListener('event', ({ detail }) => this.#heard(detail));
    socket.addEventListener('close', () => this.#broke(socket));
    this.dispatchEvent(new CustomEvent('joined', { detail: { ...answer, resumed } }));
    for (const event of early) this.#heard(event);
    if (socket.closed) this.#broke(socket);
  }

  #heard({ name, data }) {
    if (name !== 'sessionEnded') {
      this.dispatchEvent(new CustomEvent('event', { detail: { name, data } }));
      return;
    }
    const { reason, url } = data;
    if (!GOES_ON.includes(reason)) {
      this.#end({ reason, problem: null });
      return;
    }
    this.#session = null;
    const socket = this.#socket;
    this.#socket = null;
    socket?.close();
    this.#again(url ?? null, reason === 'drained');
  }

  #broke(socket) {
    if (this.#closed || this.#socket !== socket) return;
    this.#socket = null;
    this.#again(null);
  }

  /** Goes on until there is a session again; `address` is the WebSocket that the server sends to. */
  async #again(address, leaves = false) {
    this.dispatchEvent(new Event('lost'));
    const since = performance.now();
    const lasts = (ms) => performance.now() - since < ms;
    /** The nodes that can't or mayn't do it. */
    const refused = new Set();
    // A node that says that it leaves isn't asked again.
    let n = leaves ? 2 : 0;
    while (!this.#closed) {
      const { base, wait } = attempt(n, this.#ways.but(this.base));
      const at = address === null ? base ?? this.base : pages(address, this.#room);
      const resumes = address === null && base === null && this.#session !== null && lasts(KEPT_MS);
      n += 1;
      try {
        await pause(wait / 1_000, this.#controller.signal);
        if (resumes) await this.#resume(ATTEMPT_MS);
        else await this.#join(at, { limit: ATTEMPT_MS, ...(address === null ? {} : { address }) });
        return;
      } catch (problem) {
        if (this.#closed) return;
        address = null;
        if (problem.elsewhere) refused.add(at);
        if (problem.code === 'unknownSession') {
          this.#session = null;
          n = 0;
        } else if (this.#isOver(problem, refused) && !(['nameTaken', 'locked'].includes(problem.code) && lasts(TAKEN_MS))) {
          this.#end({ reason: 'refused', problem });
        }
      }
    }
  }

  /** Whether no node is left that might do it. */
  #isOver(problem, refused) {
    if (!problem.elsewhere) return problem.final;
    return [this.base, ...this.#ways.but(this.base)].every((base) => refused.has(base));
  }

  /** Browsers don't tell why a WebSocket was refused: asked without one, the node says it. */
  async #explain() {
    const url = new URL(`rtc/${this.#room}`, this.base);
    url.searchParams.set('name', this.#introduce().name);
    const headers = this.#token ? { Authorization: `Bearer ${this.#token}` } : {};
    await ask(url.href, { headers, signal: this.#controller.signal }, [426]).catch((problem) => {
      if (problem instanceof Problem && problem.final) throw problem;
    });
  }
}

/** Says that one leaves; the node closes the socket once it knows. */
function goodbye(socket) {
  socket.request('leave', {}, GOODBYE_MS).catch(() => {}).finally(() => socket.close());
}

/** Where the node has its pages whose WebSocket is at `address`. */
function pages(address, room) {
  const url = new URL(address);
  url.protocol = url.protocol.replace('ws', 'http');
  url.search = '';
  url.pathname = url.pathname.replace(new RegExp(`rtc/${room}$`), '');
  return url.href;
}
