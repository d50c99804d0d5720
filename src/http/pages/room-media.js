// The media of a session in a room: mediasoup-client's device and its two transports, kept connected.

import { Doubt } from './doubt.js';
import { pause } from './keep.js';
import { lost } from './room-socket.js';

/** A short silence on the path usually heals by itself. */
const GRACE_MS = 2_000;
const RETRY_MS = 500;
/** How long mediasoup-client may take to undo what the room has refused. */
const UNDO_MS = 300;
/** What says nothing of whether a node will do it. */
const PASSES = ['lost', 'timeout', 'busy'];
const LOOK_MS = 500;
/** How long nothing may come before it is doubted that the node is there. */
const SILENCE_MS = 1_200;

const isBroken = ({ connectionState }) => ['failed', 'disconnected'].includes(connectionState);

/** Events: `gone` (`detail`: `send` or `recv`): a transport is over, with all that it carried. */
export class RoomMedia extends EventTarget {
  #session;
  #iceServers;
  #relay;
  /** Promises of them, by direction. */
  #transports = { send: null, recv: null };
  #closed = false;
  #sending = Promise.resolve();
  #healing = new Set();
  #timer;
  #doubt = new Doubt(SILENCE_MS);
  #looking = false;

  /** What can be sent and received with a node, of what `join` answered; `former` is that with the node before. */
  static async open(session, { routerRtpCapabilities, iceServers = [] }, { relay, former }) {
    const carried = JSON.stringify(routerRtpCapabilities);
    // Nodes of one kind carry the same, and time is short.
    if (former?.carried === carried) return new RoomMedia(session, former.device, { carried, iceServers, relay });
    const { Device } = await import('./mediasoup-client.js');
    const device = await Device.factory();
    await device.load({ routerRtpCapabilities });
    return new RoomMedia(session, device, { carried, iceServers, relay });
  }

  constructor(session, device, { carried, iceServers, relay }) {
    super();
    Object.assign(this, { device, carried });
    this.#session = session;
    this.#iceServers = iceServers;
    this.#relay = relay;
    /** Whether data channels are possible here. */
    this.data = true;
    this.#timer = setInterval(() => this.#look(), LOOK_MS);
  }

  /** The transport of a direction, made when it is wanted first. */
  transport(direction) {
    if (this.#closed) return Promise.reject(lost());
    const known = this.#transports[direction];
    if (known) return known;
    const made = this.#create(direction);
    this.#transports[direction] = made;
    made.catch(() => this.#forget(direction, made));
    return made;
  }

  /** Makes something that is sent, of the transport for it: one after the other, and where one was refused, once that is undone. */
  send(make) {
    const made = this.#sending.then(async () => {
      const transport = await this.transport('send');
      // Where it is over meanwhile, another is opened.
      return make(transport).catch((error) => { throw transport.closed ? lost() : error; });
    });
    this.#sending = made.catch(() => pause(UNDO_MS / 1_000));
    return made;
  }

  async #create(direction) {
    const options = await this.#options(direction);
    if (this.#closed) throw lost();
    const make = direction === 'send' ? 'createSendTransport' : 'createRecvTransport';
    const transport = this.device[make]({
      ...options,
      iceServers: this.#iceServers,
      iceTransportPolicy: this.#relay ? 'relay' : 'all',
    });
    const ask = (verb, parameters) => this.#insist(verb, transport, parameters);
    transport.on('connect', ({ dtlsParameters }, done, failed) => {
      ask('connectWebRtcTransport', { dtlsParameters }).then(done, (problem) => {
        failed(problem);
        // It is half set up, and of no use: another takes its place.
        this.#session.request('closeTransport', { transportId: transport.id }).catch(() => {});
        this.drop(transport.id);
      });
    });
    transport.on('produce', ({ kind, rtpParameters, appData }, done, failed) => {
      // Of layers alone mediasoup-client knows no name, which it says by an empty one.
      const rtcp = { ...rtpParameters.rtcp, cname: rtpParameters.rtcp?.cname || undefined };
      ask('produce', { kind, rtpParameters: { ...rtpParameters, rtcp }, ...appData }).then(done, failed);
    });
    transport.on('producedata', (parameters, done, failed) => ask('produceData', parameters).then(done, failed));
    transport.on('connectionstatechange', () => this.#changed(transport));
    return transport;
  }

  async #options(direction) {
    const ask = (more) => this.#session.request('createWebRtcTransport', { direction, ...more });
    if (!this.data) return ask({});
    try {
      const options = await ask({ sctp: true });
      this.data = Boolean(options.sctpParameters);
      return options;
    } catch (problem) {
      // A node without data channels carries sound and picture all the same.
      if (problem.code !== 'unsupported') throw problem;
      this.data = false;
      return ask({});
    }
  }

  /** Asks the room something of a transport. */
  async #ask(verb, { id: transportId }, parameters = {}) {
    try {
      return await this.#session.request(verb, { transportId, ...parameters });
    } catch (problem) {
      if (problem.code === 'unknownTransport') this.drop(transportId);
      throw problem;
    }
  }

  /** Asks until there is an answer: mediasoup-client can't go on later with what it has begun. */
  async #insist(verb, transport, parameters) {
    while (!transport.closed) {
      try {
        return await this.#ask(verb, transport, parameters);
      } catch (problem) {
        if (!PASSES.includes(problem.code)) throw problem;
      }
      await pause(RETRY_MS / 1_000);
    }
    throw lost();
  }

  #changed(transport) {
    if (transport.connectionState === 'failed') this.#heal(transport);
    if (transport.connectionState === 'disconnected') {
      setTimeout(() => transport.connectionState === 'disconnected' && this.#heal(transport), GRACE_MS);
    }
  }

  /** Looks for another path until there is one; who has lost the room goes on when it is there again. */
  async #heal(transport) {
    if (this.#healing.has(transport)) return;
    this.#healing.add(transport);
    while (isBroken(transport) && this.#session.isOpen) {
      try {
        const { iceParameters } = await this.#ask('restartIce', transport);
        await transport.restartIce({ iceParameters });
        break;
      } catch {
        await pause(RETRY_MS / 1_000);
      }
    }
    this.#healing.delete(transport);
  }

  /** Goes on where the room couldn't be asked for a while; `there` are the ids of the transports that the node has. */
  async resume(there) {
    const unknown = new Set(there);
    for (const [direction, promised] of Object.entries(this.#transports)) {
      const transport = await promised?.catch(() => null);
      if (!transport) continue;
      if (!unknown.delete(transport.id)) this.#end(direction, promised, transport);
      else if (isBroken(transport)) this.#heal(transport);
    }
    // Made by an answer that never came: there is one for each direction, so that it would be in the way.
    const close = (transportId) => this.#session.request('closeTransport', { transportId }).catch(() => {});
    await Promise.all([...unknown].map(close));
  }

  /** A transport is over at the node. */
  async drop(transportId) {
    for (const [direction, promised] of Object.entries(this.#transports)) {
      const transport = await promised?.catch(() => null);
      if (transport?.id !== transportId || !this.#end(direction, promised, transport)) continue;
      this.dispatchEvent(new CustomEvent('gone', { detail: direction }));
    }
  }

  #end(direction, promised, transport) {
    transport.close();
    return this.#forget(direction, promised);
  }

  #forget(direction, promised) {
    const is = this.#transports[direction] === promised;
    if (is) this.#transports[direction] = null;
    return is;
  }

  /** The statistics of a direction's connection, or null. */
  async stats(direction) {
    const transport = await this.#transports[direction]?.catch(() => null);
    return transport && !transport.closed ? transport.getStats().catch(() => null) : null;
  }

  /** A node that is gone doesn't say so: where nothing comes from it any more, it is asked. */
  async #look() {
    if (this.#looking || !this.#session.isOpen) return;
    this.#looking = true;
    const reports = (await Promise.all(['send', 'recv'].map((direction) => this.stats(direction)))).filter(Boolean);
    let packets = 0;
    for (const report of reports.flatMap((one) => [...one.values()])) {
      if (report.type === 'transport') packets += report.packetsReceived ?? 0;
    }
    if (this.#doubt.asks(packets, this.#session.heardAt)) await this.#session.doubt();
    this.#looking = false;
  }

  /** Ends it here; the node ends its part by itself. */
  close() {
    this.#closed = true;
    clearInterval(this.#timer);
    for (const promised of Object.values(this.#transports)) promised?.then((transport) => transport.close(), () => {});
    this.#transports = { send: null, recv: null };
  }
}
