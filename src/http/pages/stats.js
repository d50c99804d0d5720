// getStats (W3C webrtc-stats) turned into numbers a person wants.

const RATE_WINDOW_MS = 2_000;
const LOSS_WINDOW_MS = 10_000;

/**
 * Totals that only grow, although the browser starts counting anew
 * when the sender changes its SSRC or the page reconnects.
 */
class Totals {
  #seen = new Map();
  #sums = new Map();
  #history = [];

  /** Counts `value` of the report `id` into the total `name`. */
  count(name, id, value = 0) {
    const key = `${name} ${id}`;
    const before = this.#seen.get(key) ?? 0;
    this.#seen.set(key, value);
    const grown = value >= before ? value - before : value;
    this.#sums.set(name, (this.#sums.get(name) ?? 0) + grown);
  }

  total(name) {
    return this.#sums.get(name) ?? 0;
  }

  /** Remembers the totals of this moment for `grown` and `rate`. */
  mark(now) {
    this.#history.push({ at: now, sums: new Map(this.#sums) });
    while (this.#history.length > 2 && now - this.#history[1].at >= LOSS_WINDOW_MS) this.#history.shift();
  }

  #since(window) {
    const last = this.#history.at(-1);
    const first = this.#history.find(({ at }) => last.at - at <= window);
    return { first, last, ms: last.at - first.at };
  }

  /** How much `name` grew within the window. */
  grown(name, window) {
    const { first, last } = this.#since(window);
    return (last.sums.get(name) ?? 0) - (first.sums.get(name) ?? 0);
  }

  /** Growth per second, or null before there is something to compare. */
  rate(name, window = RATE_WINDOW_MS) {
    const { ms } = this.#since(window);
    return ms > 0 ? (this.grown(name, window) * 1000) / ms : null;
  }
}

const share = (part, whole) => (whole > 0 ? (100 * Math.max(0, part)) / whole : null);
const milliseconds = (seconds) => (seconds === undefined || seconds === null ? null : seconds * 1000);

function codecName(reports, rtp) {
  return reports.get(rtp?.codecId)?.mimeType?.split('/')[1] ?? null;
}

/** The candidate pair in use and how it travels. */
function path(reports) {
  const transport = [...reports.values()].find(({ type }) => type === 'transport');
  const pair = reports.get(transport?.selectedCandidatePairId)
    ?? [...reports.values()].find((report) => report.type === 'candidate-pair' && report.selected);
  const remote = reports.get(pair?.remoteCandidateId);
  const local = reports.get(pair?.localCandidateId);
  const relayed = local?.candidateType === 'relay' || remote?.candidateType === 'relay';
  return {
    rttMs: milliseconds(pair?.currentRoundTripTime),
    availableBitrate: pair?.availableOutgoingBitrate ?? null,
    path: remote?.protocol ? `${remote.protocol.toUpperCase()}${relayed ? ' (relayed)' : ''}` : null,
  };
}

/** Numbers of a viewer. Use one meter for all sessions of a page: totals go on across reconnects. */
export class WatchMeter {
  #totals = new Totals();
  #generation = new WeakMap();
  #sessions = 0;

  /** The numbers of the reports of a connection. */
  read(pc, reports) {
    if (!this.#generation.has(pc)) this.#generation.set(pc, ++this.#sessions);
    const totals = this.#totals;
    let video;
    let audio;
    for (const report of reports.values()) {
      if (report.type !== 'inbound-rtp') continue;
      const id = `${this.#generation.get(pc)} ${report.id} ${report.ssrc}`;
      const { kind } = report;
      totals.count(`${kind}Packets`, id, report.packetsReceived);
      totals.count(`${kind}Lost`, id, Math.max(0, report.packetsLost ?? 0));
      totals.count(`${kind}Bytes`, id, report.bytesReceived);
      for (const name of ['framesDecoded', 'framesDropped', 'keyFramesDecoded', 'freezeCount', 'totalFreezesDuration',
        'nackCount', 'pliCount', 'retransmittedPacketsReceived']) {
        totals.count(name, id, report[name]);
      }
      if (kind === 'audio') totals.count('totalAudioEnergy', id, report.totalAudioEnergy);
      if (kind === 'video') {
        totals.count('delay', id, report.jitterBufferDelay);
        totals.count('emitted', id, report.jitterBufferEmittedCount);
      }
      // The newest stream of a kind describes what is seen and heard now.
      const newest = (known) => (!known || (report.lastPacketReceivedTimestamp ?? 0) >= (known.lastPacketReceivedTimestamp ?? 0) ? report : known);
      if (kind === 'video') video = newest(video);
      else audio = newest(audio);
    }
    totals.mark(performance.now());
    return this.#numbers(reports, video, audio);
  }

  #numbers(reports, video, audio) {
    const totals = this.#totals;
    const sum = (name) => totals.total(`video${name}`) + totals.total(`audio${name}`);
    const grown = (name) => totals.grown(`video${name}`, LOSS_WINDOW_MS) + totals.grown(`audio${name}`, LOSS_WINDOW_MS);
    const bits = (kind) => (totals.rate(`${kind}Bytes`) ?? 0) * 8;
    const emitted = totals.grown('emitted', RATE_WINDOW_MS);
    const { rttMs, path: way } = path(reports);
    return {
      bitrate: bits('video') + bits('audio'),
      videoBitrate: bits('video'),
      audioBitrate: bits('audio'),
      fps: totals.rate('framesDecoded'),
      width: video?.frameWidth ?? null,
      height: video?.frameHeight ?? null,
      lossPercent: share(grown('Lost'), grown('Lost') + grown('Packets')),
      jitterMs: milliseconds((video ?? audio)?.jitter),
      playoutDelayMs: emitted > 0 ? (1000 * totals.grown('delay', RATE_WINDOW_MS)) / emitted : null,
      freezes: totals.total('freezeCount'),
      freezeMs: 1000 * totals.total('totalFreezesDuration'),
      recentFreezeMs: 1000 * totals.grown('totalFreezesDuration', LOSS_WINDOW_MS),
      packetsReceived: sum('Packets'),
      packetsLost: sum('Lost'),
      bytesReceived: sum('Bytes'),
      videoBytes: totals.total('videoBytes'),
      audioBytes: totals.total('audioBytes'),
      totalAudioEnergy: totals.total('totalAudioEnergy'),
      audioLevel: audio?.audioLevel ?? null,
      framesDecoded: totals.total('framesDecoded'),
      framesDropped: totals.total('framesDropped'),
      keyFramesDecoded: totals.total('keyFramesDecoded'),
      nacks: totals.total('nackCount'),
      plis: totals.total('pliCount'),
      retransmitted: totals.total('retransmittedPacketsReceived'),
      videoSsrc: video?.ssrc ?? null,
      audioSsrc: audio?.ssrc ?? null,
      videoCodec: codecName(reports, video),
      audioCodec: codecName(reports, audio),
      decoder: video?.decoderImplementation ?? null,
      rttMs,
      path: way,
    };
  }
}

const LAYER_ORDER = ['q', 'h', 'f'];

/** Numbers of a publisher; totals go on across reconnects. */
export class PublishMeter {
  #totals = new Totals();
  #generation = new WeakMap();
  #sessions = 0;

  /** The numbers of the reports of a connection. */
  read(pc, reports) {
    if (!this.#generation.has(pc)) this.#generation.set(pc, ++this.#sessions);
    const totals = this.#totals;
    const layers = [];
    let audio;
    for (const report of reports.values()) {
      if (report.type !== 'outbound-rtp') continue;
      const id = `${this.#generation.get(pc)} ${report.id} ${report.ssrc}`;
      for (const name of ['packetsSent', 'retransmittedPacketsSent', 'nackCount', 'pliCount', 'framesSent',
        'framesEncoded', 'keyFramesEncoded']) {
        totals.count(name, id, report[name]);
      }
      totals.count(`${report.kind}Bytes`, id, report.bytesSent);
      if (report.kind === 'audio') audio = report;
      else layers.push({ report, id, name: `layer ${report.rid ?? ''}` });
    }
    for (const { report, id, name } of layers) {
      totals.count(`${name} bytes`, id, report.bytesSent);
      totals.count(`${name} frames`, id, report.framesSent);
    }
    for (const report of reports.values()) {
      if (report.type === 'remote-inbound-rtp') {
        totals.count('packetsLost', `${this.#generation.get(pc)} ${report.id} ${report.ssrc}`, Math.max(0, report.packetsLost ?? 0));
      }
    }
    totals.mark(performance.now());
    return this.#numbers(reports, layers, audio);
  }

  #numbers(reports, layers, audio) {
    const totals = this.#totals;
    const grown = (name) => totals.grown(name, LOSS_WINDOW_MS);
    const remote = [...reports.values()].filter(({ type }) => type === 'remote-inbound-rtp');
    const rtts = remote.map(({ roundTripTime }) => roundTripTime).filter((rtt) => rtt !== undefined);
    const way = path(reports);
    const encoded = layers.map(({ report, name }) => ({
      rid: report.rid ?? null,
      active: report.active !== false,
      bitrate: (totals.rate(`${name} bytes`) ?? 0) * 8,
      targetBitrate: report.targetBitrate ?? null,
      fps: totals.rate(`${name} frames`),
      width: report.frameWidth ?? null,
      height: report.frameHeight ?? null,
      framesSent: report.framesSent ?? 0,
      keyFrames: report.keyFramesEncoded ?? 0,
      limitation: report.qualityLimitationReason ?? 'none',
    })).sort((a, b) => LAYER_ORDER.indexOf(b.rid) - LAYER_ORDER.indexOf(a.rid));
    const largest = encoded.filter(({ fps }) => fps > 0).reduce((best, layer) => (layer.height > (best?.height ?? 0) ? layer : best), null);
    const limited = encoded.find(({ limitation }) => limitation !== 'none');
    return {
      bitrate: 8 * ((totals.rate('videoBytes') ?? 0) + (totals.rate('audioBytes') ?? 0)),
      videoBitrate: 8 * (totals.rate('videoBytes') ?? 0),
      audioBitrate: 8 * (totals.rate('audioBytes') ?? 0),
      availableBitrate: way.availableBitrate,
      fps: largest?.fps ?? 0,
      width: largest?.width ?? null,
      height: largest?.height ?? null,
      layers: encoded,
      limitation: limited?.limitation ?? 'none',
      rttMs: way.rttMs ?? milliseconds(rtts.length > 0 ? Math.max(...rtts) : null),
      lossPercent: remote.length > 0 ? share(grown('packetsLost'), grown('packetsSent')) : null,
      packetsLost: totals.total('packetsLost'),
      packetsSent: totals.total('packetsSent'),
      retransmitted: totals.total('retransmittedPacketsSent'),
      nacks: totals.total('nackCount'),
      plis: totals.total('pliCount'),
      framesSent: totals.total('framesSent'),
      framesEncoded: totals.total('framesEncoded'),
      keyFramesSent: totals.total('keyFramesEncoded'),
      videoBytes: totals.total('videoBytes'),
      audioBytes: totals.total('audioBytes'),
      videoCodec: codecName(reports, layers[0]?.report),
      audioCodec: codecName(reports, audio),
      encoder: layers[0]?.report.encoderImplementation ?? null,
      path: way.path,
    };
  }
}
