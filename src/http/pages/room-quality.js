// How well each picture and sound of a conference comes, and one's own goes, of what the browser counts.

import { publishing, watching } from './quality.js';

const WINDOW_MS = 8_000;
const COUNTS = ['packetsReceived', 'packetsLost', 'bytesReceived', 'framesDecoded', 'totalFreezesDuration', 'packetsSent', 'framesSent'];

/** Judges the reports of a room's two connections, again and again. */
export class RoomQuality {
  #history = new Map();

  /** `{ received, sent }`: what `quality.js` says by track id, and of what one sends (or null). */
  read({ send, receive }) {
    const now = performance.now();
    const seen = new Set();
    const received = new Map();
    const rttMs = this.#roundTrip(receive);
    for (const report of receive?.values() ?? []) {
      if (report.type !== 'inbound-rtp' || report.trackIdentifier === undefined || report.trackIdentifier === 'probator') continue;
      seen.add(report.id);
      const grown = this.#grown(report, now);
      if (grown) received.set(report.trackIdentifier, { kind: report.kind, ...this.#watched(report, grown, rttMs) });
    }
    const sent = this.#sent(send, now, seen);
    for (const id of this.#history.keys()) if (!seen.has(id)) this.#history.delete(id);
    return { received, sent };
  }

  #watched({ kind, jitter, frameHeight }, { ms, ...grown }, rttMs) {
    const lossPercent = share(grown.packetsLost, grown.packetsLost + grown.packetsReceived);
    const fps = (grown.framesDecoded * 1_000) / ms;
    const measured = {
      lossPercent,
      recentFreezeMs: 1_000 * grown.totalFreezesDuration,
      jitterMs: 1_000 * (jitter ?? 0),
      rttMs,
      // Of sound, loss alone tells.
      fps: kind === 'audio' ? 30 : fps,
      videoBitrate: (grown.bytesReceived * 8_000) / ms,
    };
    return { height: frameHeight ?? null, fps, bytes: grown.bytesReceived, judged: watching(measured) };
  }

  #sent(send, now, seen) {
    if (!send) return null;
    let fps = 0;
    let [lost, packets, limitation] = [0, 0, 'none'];
    for (const report of send.values()) {
      if (!['outbound-rtp', 'remote-inbound-rtp'].includes(report.type)) continue;
      seen.add(report.id);
      const grown = this.#grown(report, now);
      if (!grown) continue;
      lost += grown.packetsLost;
      packets += grown.packetsSent;
      if (report.kind === 'video' && report.active !== false) fps = Math.max(fps, (grown.framesSent * 1_000) / grown.ms);
      if ((report.qualityLimitationReason ?? 'none') !== 'none') limitation = report.qualityLimitationReason;
    }
    if (packets === 0) return null;
    return publishing({ lossPercent: share(lost, packets), limitation, rttMs: this.#roundTrip(send), fps });
  }

  #roundTrip(reports) {
    const pair = [...(reports?.values() ?? [])].find(({ type, nominated }) => type === 'candidate-pair' && nominated);
    return 1_000 * (pair?.currentRoundTripTime ?? 0);
  }

  /** How much each count grew within the window; null before there is something to compare. */
  #grown(report, now) {
    const marks = this.#history.get(report.id) ?? [];
    this.#history.set(report.id, marks);
    const counts = Object.fromEntries(COUNTS.map((name) => [name, report[name] ?? 0]));
    marks.push({ now, counts });
    while (marks.length > 2 && now - marks[1].now >= WINDOW_MS) marks.shift();
    const [first] = marks;
    if (first.now === now) return null;
    const grown = Object.fromEntries(COUNTS.map((name) => [name, Math.max(0, counts[name] - first.counts[name])]));
    return { ms: now - first.now, ...grown };
  }
}

const share = (part, whole) => (whole > 0 ? (100 * part) / whole : 0);
