// The media of a session in a room: mediasoup-client's device and its two transports, kept connected.

/** A short silence on the path usually heals by itself. */
const GRACE_MS = 2_000;
const LOOK_MS = 500;
/** How long nothing may come before it is doubted that the node is there. */
const SILENCE_MS = 1_200;
const LONGEST_DOUBT_MS = 5_000;

/** Events: `gone` (`detail`: `send` or `recv`): a transport is over, with all that it carried. */
export class RoomMedia extends EventTarget {
  #session;
  #iceServers;
  #relay;
  #transports = { send: null, recv: null };
  #healing = new Set();
  #timer;
  #quiet = { packets: 0, since: performance.now(), patience: SILENCE_MS };
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
    this.#transports[direction] ??= this.#create(direction).catch((error) => {
      this.#transports[direction] = null;
      throw error;
    });
    return this.#transports[direction];
  }

  async #create(direction) {
    const options = await this.#options(direction);
    const make = direction === 'send' ? 'createSendTransport' : 'createRecvTransport';
    const transport = this.device[make]({
      ...options,
      iceServers: this.#iceServers,
      iceTransportPolicy: this.#relay ? 'relay' : 'all',
    });
    const { id: transportId } = transport;
    const pass = (verb, more) => (parameters, done, failed) => {
      this.#session.request(verb, { transportId, ...more(parameters) }).then(done, failed);
    };
    transport.on('connect', pass('connectWebRtcTransport', ({ dtlsParameters }) => ({ dtlsParameters })));
    transport.on('produce', pass('produce', ({ kind, rtpParameters, appData }) => ({ kind, rtpParameters, ...appData })));
    transport.on('producedata', pass('produceData', ({ appData, ...parameters }) => parameters));
    transport.on('connectionstatechange', () => this.#changed(transport));
    return transport;
  }

  async #options(direction) {
    const ask = (sctp) => this.#session.request('createWebRtcTransport', { direction, ...(sctp ? { sctp } : {}) });
    if (!this.data) return ask(false);
    try {
      const options = await ask(true);
      this.data = Boolean(options.sctpParameters);
      return options;
    } catch (problem) {
      // A node without data channels carries sound and picture all the same.
      if (!['malformed', 'unsupported'].includes(problem.code)) throw problem;
      this.data = false;
      return ask(false);
    }
  }

  /** Those transports that are there by now. */
  async #made() {
    const made = Object.values(this.#transports).filter(Boolean).map((one) => one.catch(() => null));
    return (await Promise.all(made)).filter((transport) => transport && !transport.closed);
  }

  #changed(transport) {
    const { connectionState: state } = transport;
    if (state === 'failed') this.#heal(transport);
    if (state === 'disconnected') {
      setTimeout(() => transport.connectionState === 'disconnected' && this.#heal(transport), GRACE_MS);
    }
  }

  async #heal(transport) {
    if (this.#healing.has(transport) || transport.closed || !this.#session.isOpen) return;
    this.#healing.add(transport);
    try {
      const { iceParameters } = await this.#session.request('restartIce', { transportId: transport.id });
      await transport.restartIce({ iceParameters });
    } catch (problem) {
      if (problem.code === 'unknownTransport') this.drop(transport.id);
    } finally {
      this.#healing.delete(transport);
    }
  }

  /** Heals what broke while the room couldn't be asked; `there` are the ids of the transports that the node still has. */
  async resume(there) {
    for (const transport of await this.#made()) {
      if (!there.includes(transport.id)) this.drop(transport.id);
      else if (['failed', 'disconnected'].includes(transport.connectionState)) this.#heal(transport);
    }
  }

  /** A transport is over at the node. */
  async drop(transportId) {
    for (const [direction, promised] of Object.entries(this.#transports)) {
      const transport = await promised?.catch(() => null);
      if (transport?.id !== transportId) continue;
      this.#transports[direction] = null;
      transport.close();
      this.dispatchEvent(new CustomEvent('gone', { detail: direction }));
    }
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
    const now = performance.now();
    const quiet = this.#quiet;
    if (packets !== quiet.packets) Object.assign(quiet, { packets, since: now, patience: SILENCE_MS });
    const since = Math.max(quiet.since, this.#session.heardAt);
    if (now - since > quiet.patience) {
      quiet.patience = Math.min(LONGEST_DOUBT_MS, 2 * quiet.patience);
      await this.#session.doubt();
    }
    this.#looking = false;
  }

  /** Ends it here; the node ends its part by itself. */
  close() {
    clearInterval(this.#timer);
    for (const promised of Object.values(this.#transports)) promised?.then((transport) => transport.close(), () => {});
    this.#transports = { send: null, recv: null };
  }
}
