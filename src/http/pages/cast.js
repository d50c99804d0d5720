// Who of a conference is seen and heard, and how: a room's participants and tracks, put on tiles and loudspeakers.

import { RoomQuality } from './room-quality.js';
import { called } from './tile.js';

const QUALITY_MS = 2_000;
const SPOKE_MS = 900;
const LOOK_MS = 300;
/** How loud one must be to be shown speaking, in dBov. */
const LOUD = -55;

/** Events: `silent`: the browser plays no sound before a gesture. */
export class Cast extends EventTarget {
  #room;
  #tiles;
  #sounds = new Map();
  /** The keys of the tiles on which pictures are shown, by producer. */
  #places = new Map();
  #quality = new RoomQuality();
  #timers;
  #active = null;
  #speaker = '';

  constructor(room, tiles) {
    super();
    this.#room = room;
    this.#tiles = tiles;
    const on = (name, then) => room.addEventListener(name, ({ detail }) => then(detail));
    on('participantjoined', ({ participant }) => this.#meet(participant));
    on('participantchanged', ({ participant }) => this.#meet(participant));
    on('participantleft', ({ participant }) => tiles.remove(participant.name));
    on('producer', ({ participant, producer }) => this.#expect(participant, producer));
    on('track', (detail) => this.#take(detail));
    on('producerended', (detail) => this.#drop(detail));
    on('trackpaused', ({ participant }) => this.#mark(participant));
    on('trackresumed', ({ participant }) => this.#mark(participant));
    on('activespeaker', ({ participant }) => { this.#active = participant; });
    on('volumes', ({ volumes }) => this.#hear(volumes));
    tiles.addEventListener('size', ({ detail }) => this.#prefer(detail));
    tiles.addEventListener('sight', ({ detail }) => this.#sight(detail));
    this.#timers = [setInterval(() => this.#judge(), QUALITY_MS), setInterval(() => this.#showSpeakers(), LOOK_MS)];
  }

  end() {
    for (const timer of this.#timers) clearInterval(timer);
    for (const sound of this.#sounds.values()) sound.srcObject = null;
    this.#sounds.clear();
  }

  /** Plays what the browser withheld; after a gesture it lets. */
  unmute() {
    for (const sound of this.#sounds.values()) sound.play().catch(() => {});
  }

  /** Plays on this loudspeaker ('' is the browser's choice). */
  async speaker(id) {
    this.#speaker = id;
    await Promise.all([...this.#sounds.values()].map((sound) => sound.setSinkId(id)));
  }

  #meet(participant) {
    const name = called(participant);
    const about = { name, node: participant.node, region: participant.region };
    this.#tiles.add(participant.name, 'person').describe(about);
    for (const { id } of participant.producers.values()) this.#tiles.get(id)?.describe(about);
    this.#mark(participant);
  }

  /** The key of the tile on which a picture is to be shown: its sender's own one, or one for it alone. */
  #key(participant, producer) {
    if (producer.label === 'camera') return participant.name;
    const pictures = [...participant.producers.values()].filter(({ kind }) => kind === 'video');
    const hasCamera = pictures.some(({ label }) => label === 'camera');
    return producer.label !== 'screen' && !hasCamera && pictures[0]?.id === producer.id ? participant.name : producer.id;
  }

  #expect(participant, producer) {
    if (producer.kind === 'video') {
      const key = this.#key(participant, producer);
      this.#places.set(producer.id, key);
      const tile = this.#tiles.add(key, key === producer.id ? 'screen' : 'person');
      if (key === producer.id) tile.describe({ ...participant, name: called(participant) });
      tile.producerId = producer.id;
      if (tile.seen) this.#sight({ producerId: producer.id, seen: true });
    }
    this.#mark(participant);
  }

  /** Pictures are received where they are seen. */
  #sight({ producerId, seen }) {
    if (!seen) {
      this.#room.pause(producerId);
      return;
    }
    this.#room.resume(producerId);
    this.#room.subscribe(producerId).catch(() => {});
  }

  #take({ participant, producer, track }) {
    if (producer.kind === 'audio') {
      this.#play(producer.id, track);
    } else {
      const tile = this.#tiles.get(this.#places.get(producer.id));
      tile?.show(track, producer.id);
      if (tile) this.#tiles.fit(tile);
    }
    this.#mark(participant);
  }

  #drop({ participant, producer }) {
    if (producer.kind === 'audio') {
      const sound = this.#sounds.get(producer.id);
      if (sound) sound.srcObject = null;
      this.#sounds.delete(producer.id);
    } else {
      this.#places.delete(producer.id);
      this.#tiles.remove(producer.id);
      const tile = this.#tiles.get(participant.name);
      if (tile?.producerId === producer.id) tile.show(null);
    }
    this.#mark(participant);
  }

  #play(id, track) {
    const sound = this.#sounds.get(id) ?? new Audio();
    this.#sounds.set(id, sound);
    sound.srcObject = new MediaStream([track]);
    if (this.#speaker) sound.setSinkId(this.#speaker).catch(() => {});
    sound.play().catch((error) => error.name === 'NotAllowedError' && this.dispatchEvent(new Event('silent')));
  }

  /** Shows who is muted, and whose picture is paused. */
  #mark(participant) {
    const tile = this.#tiles.get(participant.name);
    const sends = [...participant.producers.values()];
    const sounds = sends.filter(({ kind, label }) => kind === 'audio' && label !== 'screen');
    tile?.silence(sounds.every(({ paused }) => paused));
    for (const { id, kind, paused } of sends) {
      if (kind !== 'video') continue;
      this.#tiles.all.find(({ producerId }) => producerId === id)?.hold(paused);
    }
  }

  #prefer({ producerId, layer }) {
    for (const { producers } of this.#room.participants.values()) {
      const layers = producers.get(producerId)?.layers ?? 1;
      // Of the layers that there are, as good a one as of three.
      if (layers > 1) this.#room.setLayers(producerId, Math.min(layers - 1, Math.round((layer * (layers - 1)) / 2)));
    }
  }

  #hear(volumes) {
    for (const { participant, volume } of volumes) {
      const tile = this.#tiles.get(participant);
      if (tile && volume > LOUD) tile.spokeAt = performance.now();
    }
  }

  #showSpeakers() {
    const now = performance.now();
    for (const tile of this.#tiles.all) {
      if (tile.kind !== 'person') continue;
      const own = tile.isSelf ? this.#room.name : tile.key;
      tile.speak(now - tile.spokeAt < SPOKE_MS, own === this.#active);
    }
  }

  async #judge() {
    if (this.#room.state !== 'connected') return;
    const { received, sent } = this.#quality.read(await this.#room.getStats());
    window.headwater.stats = { received: Object.fromEntries(received), sent };
    for (const tile of this.#tiles.all) tile.judge(tile.isSelf ? sent : this.#of(tile, received));
  }

  /** What is said of a tile: of its picture, or of the sound where there is none. */
  #of({ key, producerId, seen }, received) {
    const producers = [...this.#room.participants.values()].flatMap((one) => [...one.producers.values()]
      .filter((producer) => producer.id === producerId || (one.name === key && producer.kind === 'audio')));
    const flows = producers.filter(({ paused, track }) => track && !paused);
    const picture = flows.find(({ kind, id }) => kind === 'video' && id === producerId && seen !== false);
    const sound = flows.find(({ kind }) => kind === 'audio');
    return received.get((picture ?? sound)?.track.id)?.judged ?? null;
  }
}
