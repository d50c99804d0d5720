// The tiles of a conference: which there are, where they stand, and how much of each is worth receiving.

import { arrange } from './arrange.js';
import { Tile } from './tile.js';

/** A picture is left alone for so long after it went out of sight: people scroll back. */
const OUT_MS = 1_000;
/** The heights in px up to which a third and two thirds of the layers will do. */
const HEIGHTS = [200, 400];

/** Events: `sight` (`producerId`, `seen`), `size` (`producerId`, `layer`: 0 to 2, for a picture of three). */
export class Tiles extends EventTarget {
  #area;
  #tiles = new Map();
  #pinned = null;
  #sight;
  #size;
  #frame = 0;

  constructor(area) {
    super();
    this.#area = area;
    this.#sight = new IntersectionObserver((entries) => this.#sighted(entries), { root: area });
    this.#size = new ResizeObserver(() => this.arrange());
    this.#size.observe(area);
  }

  get(key) {
    return this.#tiles.get(key);
  }

  get all() {
    return [...this.#tiles.values()];
  }

  /** The tile of that key, which is made where there is none. */
  add(key, kind, isSelf = false) {
    const known = this.#tiles.get(key);
    if (known) return known;
    const tile = new Tile({ key, kind, isSelf, onPin: (which) => this.pin(this.#pinned === which ? null : which) });
    this.#tiles.set(key, tile);
    this.#area.append(tile.element);
    this.#sight.observe(tile.element);
    this.arrange();
    return tile;
  }

  remove(key) {
    const tile = this.#tiles.get(key);
    if (!tile) return;
    this.#tiles.delete(key);
    this.#sight.unobserve(tile.element);
    clearTimeout(tile.timer);
    if (this.#pinned === key) this.#pinned = null;
    tile.remove();
    this.arrange();
  }

  /** Takes all away, for good. */
  end() {
    for (const observer of [this.#sight, this.#size]) observer.disconnect();
    for (const key of [...this.#tiles.keys()]) this.remove(key);
    cancelAnimationFrame(this.#frame);
  }

  /** Shows one large, or none. */
  pin(key) {
    this.#pinned = key;
    for (const tile of this.all) tile.pinned(tile.key === key);
    this.arrange();
  }

  /** Puts all where they belong, once before the next picture. */
  arrange() {
    cancelAnimationFrame(this.#frame);
    this.#frame = requestAnimationFrame(() => this.#arrange());
  }

  #arrange() {
    const { clientWidth: width, clientHeight: height } = this.#area;
    if (width === 0) return;
    const tiles = this.all;
    const large = this.#tiles.get(this.#pinned) ?? tiles.findLast(({ kind, isSelf }) => kind === 'screen' && !isSelf) ?? null;
    const order = large ? [large, ...tiles.filter((tile) => tile !== large)] : tiles;
    const places = arrange(order.length, width, height, large !== null);
    order.forEach((tile, index) => tile.put(places[index], tile === large));
    this.#area.dataset.large = String(large !== null);
    for (const tile of tiles) this.fit(tile);
  }

  /** Tells how large the picture of a tile needs to be. */
  fit(tile) {
    const { producerId, height, kind, isSelf } = tile;
    if (isSelf || !producerId) return;
    const pixels = height * Math.min(2, devicePixelRatio);
    const layer = kind === 'screen' ? 2 : HEIGHTS.filter((bound) => pixels > bound).length;
    const fitted = `${producerId} ${layer}`;
    if (tile.fitted === fitted) return;
    tile.fitted = fitted;
    this.dispatchEvent(new CustomEvent('size', { detail: { producerId, layer } }));
  }

  #sighted(entries) {
    for (const { target, isIntersecting: seen } of entries) {
      const tile = this.#tiles.get(target.dataset.key);
      if (!tile || tile.isSelf) continue;
      clearTimeout(tile.timer);
      tile.timer = setTimeout(() => this.#see(tile, seen), seen ? 0 : OUT_MS);
    }
  }

  #see(tile, seen) {
    tile.seen = seen;
    if (!tile.producerId) return;
    this.dispatchEvent(new CustomEvent('sight', { detail: { producerId: tile.producerId, seen } }));
  }
}
