// The generated picture: a clock, a colour wheel and a frame counter, so that a viewer can judge
// delay, smoothness, colour and missing frames by eye.

const TURN_MS = 8_000;
const SANS = '"Helvetica Neue", Arial, "Liberation Sans", sans-serif';
const MONO = 'ui-monospace, Menlo, Consolas, "Liberation Mono", monospace';

const pad = (number, digits = 2) => String(number).padStart(digits, '0');

/** Draws frame number `frame` of the moment `now` (a Date). */
export function paint(context, width, height, { frame, now, label }) {
  const unit = height / 100;
  const phase = (now.getTime() % TURN_MS) / TURN_MS;
  background(context, width, height, phase);
  wheel(context, width * 0.245, height * 0.5, unit * 31, phase);
  clock(context, width, unit, now);
  counter(context, width, height, unit, { frame, now, label });
}

function background(context, width, height, phase) {
  const depth = context.createLinearGradient(0, 0, 0, height);
  depth.addColorStop(0, '#0d3b46');
  depth.addColorStop(1, '#041318');
  context.fillStyle = depth;
  context.fillRect(0, 0, width, height);
  context.lineWidth = Math.max(1, height / 360);
  for (let line = 0; line < 7; line += 1) {
    context.strokeStyle = `rgba(120, 214, 220, ${0.05 + line * 0.02})`;
    context.beginPath();
    for (let x = 0; x <= width; x += width / 48) {
      const bend = Math.sin((x / width) * Math.PI * 3 + line * 0.7 + phase * Math.PI * 2);
      const y = height * (0.62 + line * 0.055) + bend * height * 0.025;
      if (x === 0) context.moveTo(x, y);
      else context.lineTo(x, y);
    }
    context.stroke();
  }
}

function wheel(context, x, y, radius, phase) {
  const slices = 24;
  for (let slice = 0; slice < slices; slice += 1) {
    const from = (slice / slices + phase) * Math.PI * 2;
    context.fillStyle = `hsl(${(slice * 360) / slices} 78% 56%)`;
    context.beginPath();
    context.moveTo(x, y);
    context.arc(x, y, radius, from, from + (Math.PI * 2) / slices + 0.01);
    context.fill();
  }
  context.fillStyle = '#06202a';
  context.beginPath();
  context.arc(x, y, radius * 0.56, 0, Math.PI * 2);
  context.fill();
}

function clock(context, width, unit, now) {
  const time = `${pad(now.getHours())}:${pad(now.getMinutes())}:${pad(now.getSeconds())}`;
  context.textBaseline = 'alphabetic';
  context.textAlign = 'left';
  context.fillStyle = '#f2fbfb';
  context.font = `600 ${unit * 15}px ${MONO}`;
  context.fillText(time, width * 0.46, unit * 50);
  context.fillStyle = '#7ce0e0';
  context.font = `500 ${unit * 8}px ${MONO}`;
  context.fillText(`.${pad(now.getMilliseconds(), 3)}`, width * 0.46, unit * 61);
}

function counter(context, width, height, unit, { frame, now, label }) {
  context.fillStyle = '#b5d9dc';
  context.font = `500 ${unit * 5}px ${SANS}`;
  context.fillText(label, width * 0.46, unit * 30);
  context.textAlign = 'center';
  context.fillStyle = '#f2fbfb';
  context.font = `600 ${unit * 8}px ${MONO}`;
  context.fillText(String(frame), width * 0.245, unit * 51.5);
  context.fillStyle = '#8fb9be';
  context.font = `400 ${unit * 4}px ${SANS}`;
  context.fillText('frame', width * 0.245, unit * 58);
  // The bar fills once a second and flashes with the beep of the tone.
  const part = now.getMilliseconds() / 1000;
  context.fillStyle = 'rgba(255, 255, 255, 0.14)';
  context.fillRect(width * 0.46, unit * 68, width * 0.46, unit * 2.4);
  context.fillStyle = part < 0.1 ? '#ffffff' : '#3fc6c8';
  context.fillRect(width * 0.46, unit * 68, width * 0.46 * part, unit * 2.4);
  if (part < 0.1) context.fillRect(width - unit * 12, unit * 4, unit * 8, unit * 8);
}
