// How loud a track is, shown on a meter.

const LOOK_MS = 80;

/** Follows one track at a time; `show(level)` is called with 0 (silence) to 1. */
export class Level {
  #context = null;
  #source = null;
  #timer = null;
  #show;

  constructor(show) {
    this.#show = show;
  }

  /** Measures this track from now on, or nothing. */
  follow(track) {
    clearInterval(this.#timer);
    this.#source?.disconnect();
    this.#source = null;
    this.#show(0);
    if (!track) return;
    this.#context ??= new AudioContext();
    this.#context.resume().catch(() => {});
    const analyser = new AnalyserNode(this.#context, { fftSize: 512 });
    this.#source = new MediaStreamAudioSourceNode(this.#context, { mediaStream: new MediaStream([track]) });
    this.#source.connect(analyser);
    const samples = new Float32Array(analyser.fftSize);
    this.#timer = setInterval(() => {
      analyser.getFloatTimeDomainData(samples);
      const power = samples.reduce((sum, sample) => sum + sample * sample, 0) / samples.length;
      // From -60 dB to -10 dB.
      const level = power > 0 ? (10 * Math.log10(power) + 60) / 50 : 0;
      this.#show(Math.min(1, Math.max(0, level)));
    }, LOOK_MS);
  }

  end() {
    this.follow(null);
    this.#context?.close();
    this.#context = null;
  }
}
