// A camera that needs no permission: the generated picture and a quiet tone.

import { paint } from './picture.js';

const TONE_HZ = 220;
const BEEP_HZ = 880;
const TONE_GAIN = 0.02;
const BEEP_GAIN = 0.08;

/** A stream with one video and one audio track; `end` releases everything. */
export function generated({ width, height, fps, label }) {
  const picture = pictureTrack({ width, height, fps, label });
  const tone = toneTrack();
  return {
    stream: new MediaStream([picture.track, tone.track]),
    end() {
      picture.end();
      tone.end();
    },
  };
}

function pictureTrack(options) {
  const worker = new Worker(new URL('picture-worker.js', import.meta.url), { type: 'module' });
  if ('MediaStreamTrackGenerator' in window) {
    const track = new MediaStreamTrackGenerator({ kind: 'video' });
    const { writable } = track;
    worker.postMessage({ writable, ...options }, [writable]);
    return { track, end: () => finish(worker, track) };
  }
  const canvas = document.createElement('canvas');
  canvas.width = options.width;
  canvas.height = options.height;
  const context = canvas.getContext('2d', { alpha: false });
  let frame = 0;
  worker.onmessage = () => {
    frame += 1;
    paint(context, canvas.width, canvas.height, { frame, now: new Date(), label: options.label });
  };
  worker.postMessage({ tick: true, fps: options.fps });
  const [track] = canvas.captureStream(options.fps).getVideoTracks();
  return { track, end: () => finish(worker, track) };
}

function finish(worker, track) {
  worker.postMessage({ stop: true });
  track.stop();
}

function toneTrack() {
  const context = new AudioContext();
  const destination = context.createMediaStreamDestination();
  oscillator(context, destination, TONE_HZ, TONE_GAIN);
  const beep = oscillator(context, destination, BEEP_HZ, 0);
  // Scheduled a few seconds ahead on the audio clock: page timers sleep in hidden tabs.
  let scheduled = 0;
  const schedule = () => {
    const lead = (1000 - (Date.now() % 1000)) / 1000;
    for (let second = 0; second < 5; second += 1) {
      const at = context.currentTime + lead + second;
      if (at <= scheduled + 0.5) continue;
      beep.gain.setValueAtTime(BEEP_GAIN, at);
      beep.gain.setValueAtTime(0, at + 0.1);
      scheduled = at;
    }
  };
  const timer = setInterval(() => context.state === 'running' && schedule(), 1000);
  // Browsers keep sound silent until the first gesture when the page started by itself.
  const resume = () => context.resume().catch(() => {});
  for (const gesture of ['pointerdown', 'keydown']) addEventListener(gesture, resume);
  resume();
  const [track] = destination.stream.getAudioTracks();
  return {
    track,
    end() {
      clearInterval(timer);
      for (const gesture of ['pointerdown', 'keydown']) removeEventListener(gesture, resume);
      track.stop();
      context.close();
    },
  };
}

function oscillator(context, destination, frequency, volume) {
  const gain = new GainNode(context, { gain: volume });
  const source = new OscillatorNode(context, { frequency });
  source.connect(gain).connect(destination);
  source.start();
  return gain;
}
