// Which tracks of a room are received, in which size, or paused.

import { Reception } from './reception.js';
import { Speakers } from './speakers.js';

/** How long the old way of a track is kept until the new one brings something. */
const OVERLAP_MS = 2_000;

/**
 * Events, with `participant` and `producer` in their `detail`: `track` (`track`; `replaces` the one before, if any),
 * `trackended` (`track`), `trackfailed` (`problem`).
 */
export class Subscriptions extends Reception {
  #session;
  #policy;
  #speakers;
  /** The voices that may be left out, by producer. */
  #voices = new Map();
  /** The media that the node was told what it can take of. */
  #told = null;

  /** `policy` is `all`, `audio` (pictures on demand) or `none`; `speakers` of how many the voices are received. */
  constructor(session, policy, speakers) {
    super((consumerId) => session.request('closeConsumer', { consumerId }));
    this.#session = session;
    this.#policy = policy;
    this.#speakers = new Speakers(speakers);
  }

  add(participant, producer) {
    const wanted = this.#policy === 'all' || (this.#policy === 'audio' && producer.kind === 'audio');
    const isVoice = wanted && producer.kind === 'audio' && producer.label !== 'screen';
    if (isVoice) {
      this.#speakers.add(participant.name);
      this.#voices.set(producer.id, { name: participant.name, received: this.#speakers.has(participant.name) });
    }
    const { received = wanted } = this.#voices.get(producer.id) ?? {};
    this.enter(participant, producer, received, { paused: false, layers: null });
  }

  remove(producer) {
    super.remove(producer);
    const voice = this.#voices.get(producer.id);
    if (!this.#voices.delete(producer.id)) return;
    if (![...this.#voices.values()].some(({ name }) => name === voice.name)) this.#speakers.remove(voice.name);
    this.#choose();
  }

  /** These speak, the loudest first. */
  speak(names) {
    this.#speakers.speak(names);
    this.#choose();
  }

  /** Receives those who spoke last, and no longer who spoke before them. */
  #choose() {
    for (const [id, voice] of this.#voices) {
      const received = this.#speakers.has(voice.name);
      if (received === voice.received) continue;
      voice.received = received;
      if (received) this.subscribe(id).catch(() => {});
      else this.unsubscribe(id);
    }
  }

  async ask({ source }, media) {
    await media.transport('recv');
    // A picture begins with a key frame, which is asked for once it can be shown.
    const paused = source.kind === 'video';
    const rtpCapabilities = this.#told === media ? {} : { rtpCapabilities: media.device.recvRtpCapabilities };
    const answer = await this.#session.request('consume', { producerId: source.id, ...rtpCapabilities, paused });
    this.#told = media;
    return { ...answer, paused };
  }

  async make({ participant, source }, { id, kind, rtpParameters, paused = null }, media) {
    const transport = await media.transport('recv');
    // Sound and picture of one source are played in step.
    const of = ['camera', 'microphone', ''].includes(source.label) ? '' : `-${source.label}`;
    const streamId = `${participant.name}${of}`;
    const consumer = await transport.consume({ id, producerId: source.id, kind, rtpParameters, streamId });
    return { consumer, comes: consumer.track, paused, layers: null };
  }

  async arrives({ comes: track }) {
    if (!track.muted) return;
    await new Promise((resolve) => {
      setTimeout(resolve, OVERLAP_MS);
      track.addEventListener('unmute', resolve, { once: true });
    });
  }

  async tune({ layers, paused }, got) {
    const { id: consumerId } = got.consumer;
    if (layers && got.layers !== layers) {
      // A wish: what has no layers comes as it is.
      await this.#session.request('setPreferredLayers', { consumerId, ...layers }).catch(() => {});
      got.layers = layers;
    }
    if (got.paused !== paused) {
      await this.#session.request(paused ? 'pauseConsumer' : 'resumeConsumer', { consumerId });
      got.paused = paused;
    }
  }

  taken(entry, { comes: track }) {
    const replaces = entry.source.track;
    entry.source.track = track;
    this.#tell('track', entry, { track, replaces });
  }

  ended(entry) {
    const { track } = entry.source;
    entry.source.track = null;
    if (track) this.#tell('trackended', entry, { track });
  }

  failed(entry, problem) {
    this.#tell('trackfailed', entry, { problem });
  }

  #tell(name, { participant, source: producer }, more) {
    this.dispatchEvent(new CustomEvent(name, { detail: { participant, producer, ...more } }));
  }
}
