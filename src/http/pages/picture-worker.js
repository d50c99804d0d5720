// Draws the generated picture off the page, where timers keep their pace in a hidden tab.

import { paint } from './picture.js';

let timer;

self.onmessage = ({ data }) => {
  if (data.stop) {
    clearInterval(timer);
    self.close();
    return;
  }
  if (data.tick) {
    timer = setInterval(() => self.postMessage({ tick: true }), 1000 / data.fps);
    return;
  }
  draw(data);
};

function draw({ writable, width, height, fps, label }) {
  const canvas = new OffscreenCanvas(width, height);
  const context = canvas.getContext('2d', { alpha: false });
  const writer = writable.getWriter();
  let frame = 0;
  timer = setInterval(() => {
    frame += 1;
    // A slow consumer loses frames instead of gathering delay.
    if (writer.desiredSize <= 0) return;
    paint(context, width, height, { frame, now: new Date(), label });
    const picture = new VideoFrame(canvas, { timestamp: performance.now() * 1000 });
    writer.write(picture).catch(() => clearInterval(timer));
  }, 1000 / fps);
}
