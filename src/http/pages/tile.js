// One tile of a conference: a picture, or a face in its place, and what is to be known of who it is.

import * as format from './format.js';
import { here } from './place.js';
import { set } from './ui.js';

const SVG = 'http://www.w3.org/2000/svg';

function make(tag, className, ...children) {
  const element = document.createElement(tag);
  element.className = className;
  element.append(...children);
  return element;
}

/** Takes the icons into the page: its node may be gone when one is first shown. */
export async function inlineIcons() {
  const text = await (await fetch(here('assets/icons.svg'))).text();
  const { documentElement } = new DOMParser().parseFromString(text, 'image/svg+xml');
  documentElement.setAttribute('class', 'hidden');
  documentElement.setAttribute('aria-hidden', 'true');
  for (const symbol of documentElement.querySelectorAll('symbol')) symbol.id = `icon-${symbol.id}`;
  document.body.append(documentElement);
  for (const use of document.querySelectorAll('use')) {
    use.setAttribute('href', use.getAttribute('href').replace('assets/icons.svg#', '#icon-'));
  }
}

/** An icon of `icons.svg`. */
export function icon(name) {
  const svg = document.createElementNS(SVG, 'svg');
  svg.setAttribute('class', 'icon');
  svg.setAttribute('aria-hidden', 'true');
  const use = document.createElementNS(SVG, 'use');
  use.setAttribute('href', `#icon-${name}`);
  svg.append(use);
  return svg;
}

/** How a participant is called: by the name it shows, or its own. */
export const called = ({ appData, name }) => {
  const shown = typeof appData?.displayName === 'string' ? appData.displayName.trim() : '';
  return shown.slice(0, 64) || name;
};

/** One or two letters for a name. */
function initials(name) {
  const words = name.split(/[\s_-]+/).filter(Boolean);
  const letters = words.length > 1 ? [words[0], words.at(-1)].map((word) => [...word][0]) : [...(words[0] ?? '?')].slice(0, 2);
  return letters.join('').toUpperCase();
}

/** The same colour for the same name. */
function hue(name) {
  let sum = 0;
  for (const letter of name) sum = (sum * 31 + letter.codePointAt(0)) % 360;
  return sum;
}

/** What stands for somebody without a picture. */
export function showFace(element, name) {
  set(element, initials(name));
  element.style.backgroundColor = `hsl(${hue(name)} 45% 34%)`;
}

/** An element of the grid. `kind` is `person` or `screen`. */
export class Tile {
  constructor({ key, kind, isSelf = false, onPin }) {
    Object.assign(this, { key, kind, isSelf, producerId: null, fitted: '', name: '', spokeAt: 0 });
    this.video = make('video', '');
    Object.assign(this.video, { playsInline: true, muted: true, autoplay: true });
    this.face = make('p', 'face', make('span', ''));
    this.face.setAttribute('aria-hidden', 'true');
    this.muted = make('span', 'silent', icon('mic-off'), make('span', 'hidden', document.createTextNode('muted')));
    this.label = make('b', '');
    this.place = make('span', 'badge');
    this.bars = make('span', 'bars', ...Array.from({ length: 4 }, () => document.createElement('i')));
    this.bars.setAttribute('role', 'img');
    this.pin = make('button', 'pin', icon('pin'));
    Object.assign(this.pin, { type: 'button', onclick: () => onPin(this.key) });
    this.pin.setAttribute('aria-pressed', 'false');
    const caption = make('p', 'caption', this.muted, this.label, this.place, this.bars);
    this.element = make('li', `tile ${kind}${isSelf ? ' self' : ''}`, this.video, this.face, caption, this.pin);
    this.element.dataset.key = key;
    this.element.dataset.picture = 'off';
    this.held = false;
    this.video.onloadeddata = () => this.#picture();
    this.element.ondblclick = () => onPin(this.key);
    this.muted.hidden = true;
    this.judge(null);
  }

  /** Who it is, and by which node. */
  describe({ name, node, region }) {
    this.name = name;
    const screen = this.kind === 'screen';
    const shown = this.isSelf ? (screen ? 'Your screen' : `${name} (you)`) : screen ? `${name}: screen` : name;
    set(this.label, shown);
    showFace(this.face.firstChild, name);
    set(this.place, format.node({ name: node, region }));
    this.place.title = `${this.isSelf ? 'You are' : `${name} is`} connected to ${format.node({ name: node, region })}`;
    this.video.setAttribute('aria-label', shown);
    this.pin.setAttribute('aria-label', `Show ${shown} large`);
  }

  /** Shows a track, or none; the picture before it stands until it brings one. */
  show(track, producerId = null) {
    this.producerId = track ? producerId : null;
    const { video } = this;
    const before = video.srcObject?.getVideoTracks()[0] ?? null;
    if (!track) {
      video.srcObject = null;
    } else if (!before) {
      video.srcObject = new MediaStream([track]);
    } else if (before !== track) {
      video.srcObject.addTrack(track);
      video.srcObject.removeTrack(before);
    }
    if (track) video.play().catch(() => {});
    this.#picture();
  }

  /** Whether nothing of its picture is sent for now. */
  hold(paused) {
    this.held = paused;
    this.#picture();
  }

  #picture() {
    const { video } = this;
    const shows = video.srcObject && !this.held && video.readyState >= HTMLMediaElement.HAVE_CURRENT_DATA;
    this.element.dataset.picture = shows ? 'on' : 'off';
  }

  /** One's own picture is shown as in a mirror. */
  mirror(on) {
    this.element.dataset.mirror = String(on);
  }

  silence(muted) {
    this.muted.hidden = !muted;
  }

  speak(on, isActive) {
    this.element.dataset.speaking = String(on);
    this.element.dataset.active = String(isActive);
  }

  pinned(on) {
    this.pin.setAttribute('aria-pressed', String(on));
  }

  /** Shows how well it comes: what `quality.js` says, or null. */
  judge(quality) {
    this.bars.hidden = !quality;
    if (!quality) return;
    this.bars.dataset.level = quality.level;
    const said = `Connection ${quality.word.toLowerCase()}: ${quality.reason}`;
    this.bars.title = said;
    this.bars.setAttribute('aria-label', said);
  }

  /** Puts it there. */
  put({ left, top, width, height }, isLarge) {
    const { style } = this.element;
    style.transform = `translate(${left.toFixed(1)}px, ${top.toFixed(1)}px)`;
    style.width = `${width.toFixed(1)}px`;
    style.height = `${height.toFixed(1)}px`;
    this.element.dataset.large = String(isLarge);
    this.element.dataset.small = String(width < 230);
    this.height = height;
  }

  remove() {
    this.video.srcObject = null;
    this.element.remove();
  }
}
