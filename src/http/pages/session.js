// What WHIP (RFC 9725) and WHEP share: an HTTP resource that stands for one WebRTC session.

import { Problem, request } from './problem.js';
import { credentials, fragment, restarted } from './sdp.js';

const FRAGMENT = 'application/trickle-ice-sdpfrag';
const EVENTS = 'urn:ietf:params:whep:ext:core:server-sent-events';
const TRICKLE_DELAY_MS = 40;
const CLOSE_LIMIT_MS = 3_000;

/** What `Link` headers name by a relation (RFC 8288): `[target, parameter]`, the latter a function of a name. */
function links(header, relation) {
  const found = [];
  for (const [, target, rest] of (header ?? '').matchAll(/<([^>]*)>((?:[^,"]|"[^"]*")*)/g)) {
    const parameter = (name) => rest.match(new RegExp(`;\\s*${name}="?([^";]*)"?`, 'i'))?.[1];
    if (parameter('rel') === relation) found.push([target, parameter]);
  }
  return found;
}

/** ICE servers announced by `Link: <stun:…>; rel="ice-server"` headers (RFC 9725 section 4.6). */
export function iceServers(header) {
  return links(header, 'ice-server').map(([urls, parameter]) => {
    const username = parameter('username');
    return username ? { urls, username, credential: parameter('credential') } : { urls };
  });
}

/** Endpoints of other nodes, to go on at when this one dies. */
function ways(response) {
  return links(response.headers.get('link'), 'alternate').map(([target]) => new URL(target, response.url).href);
}

/** Headers of a request, with the bearer token when there is one. */
export function headers(token, more = {}) {
  return token ? { ...more, Authorization: `Bearer ${token}` } : more;
}

/** A peer connection for one session; `relay` lets media go by TURN alone. */
export function connection(relay) {
  return new RTCPeerConnection({ bundlePolicy: 'max-bundle', iceTransportPolicy: relay ? 'relay' : 'all' });
}

/** Uses the ICE servers that an answer names: they are known only then, and must be set before gathering. */
export function useIceServers(pc, response) {
  const servers = iceServers(response.headers.get('link'));
  if (servers.length > 0) pc.setConfiguration({ ...pc.getConfiguration(), iceServers: servers });
}

/** The problem with a description that the browser refused. */
export function unusable(error) {
  const title = 'The description that the server sent cannot be used';
  throw new Problem({ title, detail: `${title}: ${error.message}`, lasting: true });
}

/** One session on a server. `close` ends it on both sides. */
export class Session {
  #token;
  #etag;
  #pending = [];
  #complete = false;
  #trickles = true;
  #timer;
  #work = Promise.resolve();
  #open;
  #events = null;
  #leave = null;
  #left = null;

  constructor(pc, response, token) {
    const location = response.headers.get('location');
    this.pc = pc;
    /** Where the session is; null where the server doesn't let a page see it: then it ends by its connection alone. */
    this.url = location === null ? null : new URL(location, response.url).href;
    this.node = response.headers.get('headwater-node');
    this.origin = response.headers.get('headwater-origin');
    this.hops = response.headers.get('headwater-hops');
    /** Endpoints of other nodes, to go on at when this one dies. */
    this.ways = ways(response);
    const [events] = links(response.headers.get('link'), EVENTS);
    /** Where the server tells of the session, or null. */
    this.events = events ? new URL(events[0], response.url).href : null;
    this.closed = false;
    this.#token = token;
    this.#etag = response.headers.get('etag');
    // Candidates wait here until the server knows the description they belong to.
    this.#work = new Promise((resolve) => { this.#open = resolve; });
    pc.addEventListener('icecandidate', ({ candidate }) => this.#gathered(candidate));
  }

  /** Lets candidates flow: call once both descriptions are in force. */
  established() {
    this.#open();
  }

  /** Sends the answer to a counter-offer; the server confirms with 204. */
  async answer(sdp, signal) {
    await this.#patch('application/sdp', sdp, {}, signal);
  }

  #gathered(candidate) {
    if (candidate?.candidate) this.#pending.push(candidate);
    else this.#complete = true;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => { this.#work = this.#work.then(() => this.#flush()); }, TRICKLE_DELAY_MS);
  }

  async #flush() {
    const candidates = this.#pending.splice(0);
    const complete = this.#complete;
    this.#complete = false;
    if (this.closed || this.url === null || !this.#trickles || (candidates.length === 0 && !complete)) return;
    const local = this.pc.localDescription.sdp;
    const { ufrag } = credentials(local);
    const current = candidates.filter(({ usernameFragment: of }) => !of || of === ufrag);
    const match = this.#etag ? { 'If-Match': this.#etag } : {};
    try {
      await this.#patch(FRAGMENT, fragment(local, current, complete), match);
    } catch {
      // A server with a public address hears from us by ICE anyway: trickling is a courtesy.
      this.#trickles = false;
    }
  }

  async #patch(type, body, more, signal) {
    if (this.url === null) {
      const title = 'The server did not say where the session is';
      throw new Problem({ title, detail: `${title}: no Location header, or none that CORS exposes.`, lasting: true });
    }
    const all = headers(this.#token, { 'Content-Type': type, ...more });
    return request(this.url, { method: 'PATCH', headers: all, body, signal });
  }

  /** Restarts ICE on this session (RFC 9725 section 4.3.3): the media keeps its state. */
  restartIce(signal) {
    const done = this.#work.then(async () => {
      const { remoteDescription: remote, currentLocalDescription: before } = this.pc;
      this.#pending = [];
      await this.pc.setLocalDescription(await this.pc.createOffer({ iceRestart: true }));
      const body = fragment(this.pc.localDescription.sdp, [], false);
      const response = await this.#patch(FRAGMENT, body, { 'If-Match': '*' }, signal);
      this.#etag = response.headers.get('etag') ?? this.#etag;
      await this.pc.setRemoteDescription(restarted(remote, before, await response.text()));
    });
    this.#work = done.catch(() => {});
    return done;
  }

  /** Resolves when media can flow; rejects with a `Problem` when it cannot within `limit` ms. */
  connected(limit, signal) {
    const { pc } = this;
    return new Promise((resolve, reject) => {
      const settle = (error) => {
        clearTimeout(timer);
        pc.removeEventListener('connectionstatechange', check);
        signal?.removeEventListener('abort', abort);
        if (error) reject(error);
        else resolve();
      };
      const check = () => {
        if (pc.connectionState === 'connected') settle();
        if (['failed', 'closed'].includes(pc.connectionState)) settle(unreachable());
      };
      const abort = () => settle(signal.reason);
      const timer = setTimeout(() => settle(unreachable()), limit);
      pc.addEventListener('connectionstatechange', check);
      signal?.addEventListener('abort', abort);
      // A failure from before (healed by an ICE restart) does not count.
      if (pc.connectionState === 'connected') settle();
    });
  }

  /**
   * Whether a node says that the session is there, within `limit` ms; where it can't be asked, that it is. Notes where
   * else to go.
   */
  async there(limit) {
    if (this.url === null) return true;
    try {
      const signal = AbortSignal.timeout(limit);
      const response = await request(this.url, { headers: headers(this.#token), signal });
      const told = ways(response);
      if (told.length > 0) this.ways = told;
      return true;
    } catch (error) {
      // A server without GET on sessions is there; so is one that can't ask the session's node just now.
      return error.status !== undefined && error.status !== 0 && error.status !== 404;
    }
  }

  /** Hears when the server wants the session to go on elsewhere: `moved(url)`, null where it names no place. */
  async listen(moved) {
    if (this.events === null || !('EventSource' in globalThis)) return;
    const options = {
      method: 'POST',
      headers: headers(this.#token, { 'Content-Type': 'application/json' }),
      body: JSON.stringify(['reconnect']),
    };
    const response = await request(this.events, options).catch(() => null);
    const location = response?.headers.get('location');
    if (!location || this.closed) return;
    this.#events = new EventSource(new URL(location, response.url));
    this.#events.addEventListener('reconnect', ({ data }) => {
      let url = null;
      try {
        url = JSON.parse(data).url ?? null;
      } catch { /* It names no place. */ }
      moved(url);
    });
  }

  /** Ends the wait of `lost` with a reason of one's own. */
  leave(why) {
    if (this.#leave) this.#leave(why);
    else this.#left = why;
  }

  /**
   * Resolves when the connection is interrupted (`'interrupted'`), the server ended it (`'ended'`) or `leave` was
   * called.
   */
  lost(signal) {
    const { pc } = this;
    const dtls = pc.getTransceivers().map(({ sender, receiver }) => sender.transport ?? receiver.transport).find(Boolean);
    return new Promise((resolve, reject) => {
      let grace;
      const settle = (outcome) => {
        this.#leave = null;
        clearTimeout(grace);
        pc.removeEventListener('connectionstatechange', check);
        dtls?.removeEventListener('statechange', check);
        signal.removeEventListener('abort', abort);
        if (outcome) resolve(outcome);
        else reject(signal.reason);
      };
      const check = () => {
        clearTimeout(grace);
        if (dtls && ['closed', 'failed'].includes(dtls.state)) settle('ended');
        else if (pc.connectionState === 'closed') settle('ended');
        else if (pc.connectionState === 'failed') settle('interrupted');
        // A short silence on the path usually heals by itself.
        else if (pc.connectionState === 'disconnected') grace = setTimeout(() => settle('interrupted'), 2000);
      };
      const abort = () => settle(null);
      this.#leave = settle;
      const left = this.#left;
      this.#left = null;
      pc.addEventListener('connectionstatechange', check);
      dtls?.addEventListener('statechange', check);
      signal.addEventListener('abort', abort);
      if (left) settle(left);
      else check();
    });
  }

  /** Ends the session: DELETE on the node, then the peer connection. Never throws. */
  async close() {
    if (this.closed) return;
    this.closed = true;
    clearTimeout(this.#timer);
    this.#events?.close();
    this.pc.close();
    if (this.url === null) return;
    await request(this.url, {
      method: 'DELETE',
      headers: headers(this.#token),
      keepalive: true, // outlives the page
      signal: AbortSignal.timeout(CLOSE_LIMIT_MS),
    }).catch(() => {});
  }
}

function unreachable() {
  const title = 'No media path to the server';
  return new Problem({ title, detail: 'The server answered, but no media path to it could be set up (ICE or DTLS failed).' });
}
