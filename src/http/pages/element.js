// `<headwater-player src="https://node/whep/room">`: a stream on any page, from any WHEP server.

import { Player } from './player.js';
import { frame } from './skin.js';

/** What is shown where no picture is, by state. */
const WORDS = {
  idle: () => '',
  connecting: () => 'Connecting…',
  live: () => '',
  waiting: () => 'Waiting for the stream.',
  reconnecting: (problem) => problem?.message ?? 'The connection was interrupted. Looking for a new path.',
  failed: (problem) => {
    if (problem?.status === 401) return 'This stream needs a token.';
    if (problem?.status === 403) return 'The token does not allow watching this stream.';
    return problem?.message ?? 'Something unexpected happened.';
  },
  stopped: () => '',
};

/**
 * Plays the WHEP endpoint `src`.
 *
 * Attributes: `src`, `token`, `autoplay`, `muted`, `controls`, `poster`, `relay` (media by TURN alone).
 * Methods: `play()`, `stop()`. Properties: `state`, `message`, `problem`, `player`, `video`, `muted`, `volume`.
 *
 * Events: `statechange` (`detail`: `state`, `message`, `problem`, `retryIn`), `firstframe`
 * (`detail.elapsedMs` since the session was asked for) and `stats` (`detail`: an `RTCStatsReport`).
 */
export class HeadwaterPlayer extends HTMLElement {
  static observedAttributes = ['src', 'token', 'muted', 'poster', 'relay'];

  #parts = frame(this.attachShadow({ mode: 'open' }));
  #player = null;
  #problem = null;
  #message = '';
  #moved = false;

  constructor() {
    super();
    const { video, big, mute, unmute, volume, full, pip } = this.#parts;
    big.addEventListener('click', () => this.play());
    for (const button of [mute, unmute]) button.addEventListener('click', () => this.toggleSound());
    volume.addEventListener('input', () => {
      video.volume = Number(volume.value);
      video.muted = video.volume === 0;
    });
    video.addEventListener('volumechange', () => this.#heard());
    full.addEventListener('click', () => this.toggleFullScreen());
    video.addEventListener('dblclick', () => this.toggleFullScreen());
    this.#parts.box.addEventListener('fullscreenchange', () => {
      const filled = this.shadowRoot.fullscreenElement !== null;
      full.querySelector('.label').textContent = filled ? 'Leave full screen' : 'Full screen';
    });
    pip.hidden = !document.pictureInPictureEnabled;
    pip.addEventListener('click', () => {
      if (this.shadowRoot.pictureInPictureElement) document.exitPictureInPicture();
      else video.requestPictureInPicture().catch(() => {});
    });
    this.addEventListener('keydown', (event) => this.press(event));
    this.#show('idle', null, null, true);
    this.#heard();
  }

  connectedCallback() {
    // A player that was moved within the page goes on.
    if (this.autoplay || this.#moved) this.play();
    this.#moved = false;
  }

  disconnectedCallback() {
    this.#moved = this.#player !== null;
    this.stop();
  }

  attributeChangedCallback(name, before, now) {
    if (before === now) return;
    if (name === 'muted') this.#parts.video.muted = now !== null;
    else if (name === 'poster') this.#parts.video.poster = now ?? '';
    else if (this.#player) this.play();
    else if (name === 'src' && this.autoplay && this.isConnected) this.play();
  }

  /** Connects, or connects anew. */
  play() {
    this.#close();
    const { src, token } = this;
    if (!src) return;
    let player;
    try {
      player = new Player({ url: src, token, relay: this.hasAttribute('relay') });
    } catch {
      this.#show('failed', new Error(`“${src}” is no address.`), null);
      return;
    }
    this.#player = player;
    const mine = (then) => ({ detail }) => this.#player === player && then(detail);
    let asked = performance.now();
    player.addEventListener('statechange', mine(({ state, problem, retryIn }) => {
      if (state === 'failed') this.#close();
      if (retryIn !== null) asked = performance.now() + retryIn * 1000;
      this.#show(state, problem, retryIn);
    }));
    player.addEventListener('stream', mine((stream) => this.#screen(stream, asked)));
    player.addEventListener('stats', mine((detail) => this.#tell('stats', detail)));
    player.start();
  }

  /** Leaves the stream. */
  stop() {
    if (!this.#player) return;
    this.#close();
    this.#show('stopped', null, null);
  }

  #close() {
    const player = this.#player;
    this.#player = null;
    player?.stop();
    this.#parts.video.srcObject = null;
  }

  #screen(stream, asked) {
    const { video } = this.#parts;
    video.srcObject = stream;
    const first = () => this.#tell('firstframe', { elapsedMs: performance.now() - asked });
    if (video.requestVideoFrameCallback) video.requestVideoFrameCallback(first);
    else video.addEventListener('loadeddata', first, { once: true });
    video.play().catch(({ name }) => {
      // Without a gesture only silent video may start; the unmute button is in plain view.
      if (name !== 'NotAllowedError') return;
      video.muted = true;
      video.play().catch(() => {});
    });
  }

  #show(state, problem, retryIn, silent = false) {
    this.#problem = problem;
    this.#message = WORDS[state](problem);
    this.#parts.box.dataset.state = state;
    this.#parts.words.textContent = this.#message;
    if (!silent) this.#tell('statechange', { state, message: this.#message, problem, retryIn });
  }

  #tell(name, detail) {
    this.dispatchEvent(new CustomEvent(name, { detail }));
  }

  #heard() {
    const { box, video, mute, volume } = this.#parts;
    const silent = video.muted || video.volume === 0;
    box.dataset.muted = String(silent);
    mute.querySelector('.label').textContent = silent ? 'Unmute' : 'Mute';
    mute.setAttribute('aria-pressed', String(silent));
    volume.value = silent ? '0' : String(video.volume);
    this.#tell('volumechange');
  }

  /** Turns sound on or off. */
  toggleSound() {
    const { video } = this.#parts;
    video.muted = !video.muted;
    if (!video.muted && video.volume === 0) video.volume = 1;
  }

  /** Fills the screen, or leaves it. */
  toggleFullScreen() {
    const { box, video } = this.#parts;
    if (document.fullscreenElement) document.exitFullscreen();
    else if (box.requestFullscreen) box.requestFullscreen().catch(() => {});
    else video.webkitEnterFullscreen?.();
  }

  /** Takes a key: `m` turns sound on or off, `f` fills the screen. */
  press(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest?.('input, select, textarea')) return;
    if (event.key === 'm') this.toggleSound();
    if (event.key === 'f') this.toggleFullScreen();
  }

  get state() {
    return this.#parts.box.dataset.state;
  }

  get message() {
    return this.#message;
  }

  get problem() {
    return this.#problem;
  }

  /** The `Player` at work, or null. */
  get player() {
    return this.#player;
  }

  /** The `<video>` within. */
  get video() {
    return this.#parts.video;
  }

  get src() {
    return this.getAttribute('src');
  }

  set src(src) {
    this.setAttribute('src', src);
  }

  get token() {
    return this.getAttribute('token');
  }

  set token(token) {
    if (token === null) this.removeAttribute('token');
    else this.setAttribute('token', token);
  }

  get autoplay() {
    return this.hasAttribute('autoplay');
  }

  get muted() {
    return this.#parts.video.muted;
  }

  set muted(muted) {
    this.#parts.video.muted = muted;
  }

  get volume() {
    return this.#parts.video.volume;
  }

  set volume(volume) {
    this.#parts.video.volume = volume;
  }
}

if (!customElements.get('headwater-player')) customElements.define('headwater-player', HeadwaterPlayer);
