// The video of the watch page and its controls.

import { el, set } from './ui.js';

/** Wires the controls. `show(stream, onFrame)` plays a stream, `clear` empties the screen. */
export function player() {
  const box = el('player');
  const video = el('video');
  const mute = el('mute');
  const volume = el('volume');
  const full = el('fullscreen');
  const pip = el('pip');

  const heard = () => {
    const silent = video.muted || video.volume === 0;
    box.dataset.muted = String(silent);
    set(mute.querySelector('.label'), silent ? 'Unmute' : 'Mute');
    mute.setAttribute('aria-pressed', String(silent));
    volume.value = silent ? '0' : String(video.volume);
  };
  const toggleSound = () => {
    video.muted = !video.muted;
    if (!video.muted && video.volume === 0) video.volume = 1;
  };
  const toggleFull = () => {
    if (document.fullscreenElement) document.exitFullscreen();
    else if (box.requestFullscreen) box.requestFullscreen().catch(() => {});
    else video.webkitEnterFullscreen?.();
  };

  mute.addEventListener('click', toggleSound);
  el('unmute').addEventListener('click', toggleSound);
  volume.addEventListener('input', () => {
    video.volume = Number(volume.value);
    video.muted = video.volume === 0;
  });
  video.addEventListener('volumechange', heard);
  full.addEventListener('click', toggleFull);
  video.addEventListener('dblclick', toggleFull);
  document.addEventListener('fullscreenchange', () => {
    set(full.querySelector('.label'), document.fullscreenElement ? 'Leave full screen' : 'Full screen');
  });
  pip.hidden = !document.pictureInPictureEnabled;
  pip.addEventListener('click', () => {
    if (document.pictureInPictureElement) document.exitPictureInPicture();
    else video.requestPictureInPicture().catch(() => {});
  });
  document.addEventListener('keydown', (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest('input, select, textarea')) return;
    if (event.key === 'm') toggleSound();
    if (event.key === 'f') toggleFull();
  });
  heard();

  return {
    show(stream, onFrame) {
      video.srcObject = stream;
      if (video.requestVideoFrameCallback) video.requestVideoFrameCallback(onFrame);
      else video.addEventListener('loadeddata', onFrame, { once: true });
      video.play().catch(({ name }) => {
        // Without a gesture only silent video may start; the unmute button is in plain view.
        if (name !== 'NotAllowedError') return;
        video.muted = true;
        video.play().catch(() => {});
      });
    },
    /** Plays with sound from now on, where the browser lets it. */
    loud() {
      video.muted = false;
    },
    clear() {
      video.srcObject = null;
    },
    /** Frames shown so far of the current stream. */
    rendered() {
      return video.getVideoPlaybackQuality?.().totalVideoFrames ?? null;
    },
  };
}
