// Numbers and times as people read them. What is not known is a dash.

const NUMBER = new Intl.NumberFormat('en', { maximumFractionDigits: 0 });
const DAY = new Intl.DateTimeFormat('en', { day: 'numeric', month: 'short' });
const TIME = new Intl.DateTimeFormat('en', { hour: '2-digit', minute: '2-digit', second: '2-digit', hourCycle: 'h23' });
export const NONE = '–';
const known = (number) => typeof number === 'number' && Number.isFinite(number);
const precise = (number) => number.toFixed(number < 10 ? 2 : number < 100 ? 1 : 0);

/** Bits per second. */
export function bitrate(bits) {
  if (!known(bits)) return NONE;
  if (bits >= 1e9) return `${precise(bits / 1e9)} Gbit/s`;
  if (bits >= 1e6) return `${precise(bits / 1e6)} Mbit/s`;
  return `${Math.round(bits / 1e3)} kbit/s`;
}

/** An amount of data. */
export function bytes(number) {
  if (!known(number)) return NONE;
  if (number >= 1e12) return `${precise(number / 1e12)} TB`;
  if (number >= 1e9) return `${precise(number / 1e9)} GB`;
  if (number >= 1e6) return `${precise(number / 1e6)} MB`;
  return `${Math.round(number / 1e3)} kB`;
}

export const whole = (number) => (known(number) ? NUMBER.format(number) : NONE);

/** A number and its noun: `1 viewer`, `2 viewers`. */
export const count = (number, noun) => `${whole(number)} ${noun}${number === 1 ? '' : 's'}`;

/** A span of milliseconds in its two largest units: `3 m 12 s`. */
export function span(ms) {
  if (!known(ms)) return NONE;
  const seconds = Math.max(0, Math.floor(ms / 1000));
  if (seconds < 60) return `${seconds} s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} m ${seconds % 60} s`;
  if (seconds < 86400) return `${Math.floor(seconds / 3600)} h ${Math.floor((seconds % 3600) / 60)} m`;
  return `${Math.floor(seconds / 86400)} d ${Math.floor((seconds % 86400) / 3600)} h`;
}

/** A short duration in microseconds. */
export function duration(us) {
  if (!known(us)) return NONE;
  if (us < 10_000) return `${(us / 1000).toFixed(1)} ms`;
  return us < 1e6 ? `${Math.round(us / 1000)} ms` : `${(us / 1e6).toFixed(1)} s`;
}

export const percent = (part) => (known(part) ? `${Math.round(part * 100)} %` : NONE);

/** The time of day here, with the date where it is not today. */
export function clock(time, now = Date.now()) {
  const date = new Date(time);
  if (Number.isNaN(date.getTime())) return NONE;
  const day = date.toDateString() === new Date(now).toDateString() ? '' : `${DAY.format(date)}, `;
  return `${day}${TIME.format(date)}`;
}

/** The layers that viewers get, highest first. */
export function layers(counts) {
  const names = counts.length > 3 ? null : ['low', 'middle', 'high'].slice(3 - counts.length);
  if (counts.length === 2) names.splice(0, 2, 'low', 'high');
  return counts.map((number, index) => `${number} ${names ? names[index] : `layer ${index}`}`).reverse().join(', ');
}

const ENDED = {
  unpublished: 'the publisher stopped',
  disconnected: 'the publisher’s connection failed',
  silent: 'the publisher sent nothing',
  replaced: 'another publisher took over',
  closed: 'an operator ended it',
  removed: 'a moderator ended it',
  expired: 'the token expired',
  drained: 'its origin was drained',
  media: 'a media worker failed',
  lost: 'its origin isn’t heard',
};

/** Why a stream ended. */
export const ended = (reason) => ENDED[reason] ?? 'for an unknown reason';
