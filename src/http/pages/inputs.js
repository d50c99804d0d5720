// What one shows and says in a conference: camera, microphone and screen, each opened and closed by itself.

import { generated } from './generated.js';
import { SourceError, exactly, explain, hearing, open as openSource } from './source.js';

const PICTURE = { width: { ideal: 1280 }, height: { ideal: 720 }, frameRate: { ideal: 30 } };
const SCREEN = { kind: 'screen', width: 1920, height: 1080, fps: 15 };

/** Events: `change`: a track came or went, also where its device was pulled out (`detail.kind`, `detail.problem`). */
export class Inputs extends EventTarget {
  /** The tracks that are open. */
  camera = null;
  microphone = null;
  screen = null;
  screenSound = null;
  /** Ids of the chosen devices; '' is the browser's choice. */
  chosen = { camera: '', microphone: '' };
  #muted = false;
  #drawn = null;
  #endScreen = null;

  /** With `drawn`, a picture of a clock (of `width` and `height`) and a tone stand in for the devices. */
  constructor({ drawn = false, label = '', width = 1280, height = 720 } = {}) {
    super();
    Object.assign(this, { isDrawn: drawn, label, width, height });
  }

  /** Whether the microphone, open or not, lets nothing be heard. */
  get muted() {
    return this.#muted;
  }

  set muted(muted) {
    this.#muted = muted;
    if (this.microphone) this.microphone.enabled = !muted;
  }

  /** Opens both, or what there is of them; resolves with the problems, by kind. */
  async openBoth() {
    let refused = null;
    if (!this.isDrawn && navigator.mediaDevices) {
      // Asked for together, people are asked once.
      try {
        const [video, audio] = [this.#wanted('camera'), this.#wanted('microphone')];
        const stream = await navigator.mediaDevices.getUserMedia({ video, audio });
        this.#take('camera', stream.getVideoTracks()[0]);
        this.#take('microphone', stream.getAudioTracks()[0]);
        return {};
      } catch (error) {
        // One by one, then.
        if (error.name === 'NotAllowedError') refused = explain(error, 'camera and microphone');
      }
    }
    const problems = {};
    for (const kind of ['microphone', 'camera']) await this.open(kind).catch((problem) => { problems[kind] = problem; });
    const { camera, microphone } = problems;
    return refused && camera && microphone ? { camera: refused, microphone: refused } : problems;
  }

  /** Opens `camera` or `microphone`; rejects with a `SourceError`. */
  async open(kind) {
    if (this.isDrawn) {
      this.#drawn ??= generated({ ...this.#drawing(), label: this.label });
      const [track] = kind === 'camera' ? this.#drawn.stream.getVideoTracks() : this.#drawn.stream.getAudioTracks();
      this.#take(kind, track);
      return track;
    }
    if (!navigator.mediaDevices) {
      throw new SourceError('Cameras and microphones are available only over HTTPS or on localhost.');
    }
    try {
      const stream = await navigator.mediaDevices.getUserMedia({ [kind === 'camera' ? 'video' : 'audio']: this.#wanted(kind) });
      this.#take(kind, stream.getTracks()[0]);
    } catch (error) {
      throw explain(error, kind);
    }
    return this[kind];
  }

  /** Closes one, so that its light goes out. */
  close(kind) {
    const track = this[kind];
    this[kind] = null;
    // The drawn ones are made once.
    if (!this.isDrawn) track?.stop();
    if (track) this.#tell(kind);
  }

  /** Lets people choose a screen or window; rejects with a `SourceError`. */
  async openScreen() {
    const source = this.isDrawn ? generated({ ...this.#drawing(), fps: 15, label: 'Screen' }) : await openSource(SCREEN);
    this.#endScreen = source.end;
    const [picture] = source.stream.getVideoTracks();
    this.screen = picture;
    this.screenSound = this.isDrawn ? null : source.stream.getAudioTracks()[0] ?? null;
    picture.addEventListener('ended', () => this.screen === picture && this.closeScreen());
    this.#tell('screen');
  }

  closeScreen() {
    this.#endScreen?.();
    Object.assign(this, { screen: null, screenSound: null });
    this.#endScreen = null;
    this.#tell('screen');
  }

  /** Closes all. */
  end() {
    for (const kind of ['camera', 'microphone']) this.close(kind);
    if (this.screen) this.closeScreen();
    this.#drawn?.end();
    this.#drawn = null;
  }

  #wanted(kind) {
    const id = this.chosen[kind];
    return kind === 'camera' ? { ...PICTURE, ...exactly(id) } : hearing(id);
  }

  #drawing() {
    return { width: this.width, height: this.height, fps: 30 };
  }

  #take(kind, track) {
    const before = this[kind];
    this[kind] = track;
    if (kind === 'microphone') track.enabled = !this.#muted;
    if (before !== track) before?.stop();
    track.addEventListener('ended', () => {
      if (this[kind] !== track) return;
      this[kind] = null;
      this.#tell(kind, new SourceError(`The ${kind} was disconnected.`));
    });
    this.#tell(kind);
  }

  #tell(kind, problem = null) {
    this.dispatchEvent(new CustomEvent('change', { detail: { kind, problem } }));
  }
}
