// Numbers as people read them. An unknown number is a dash.

const NONE = '–';
const known = (number) => number !== null && number !== undefined && Number.isFinite(number);

export const bitrate = (bits) => {
  if (!known(bits)) return NONE;
  return bits >= 1e6 ? `${(bits / 1e6).toFixed(2)} Mbit/s` : `${Math.round(bits / 1e3)} kbit/s`;
};
export const ms = (number) => {
  if (!known(number)) return NONE;
  return number < 10 ? `${number.toFixed(1)} ms` : `${Math.round(number)} ms`;
};
export const seconds = (number) => (known(number) ? `${(number / 1000).toFixed(number < 10_000 ? 2 : 1)} s` : NONE);
export const percent = (number) => (known(number) ? `${number.toFixed(number < 10 ? 1 : 0)} %` : NONE);
export const whole = (number) => (known(number) ? Math.round(number).toLocaleString('en') : NONE);
export const size = (width, height) => (known(width) && known(height) ? `${width} × ${height}` : NONE);
export const text = (string) => string || NONE;

/** A node as its name and, where known, its region. */
export const node = (it) => (it?.name ? [it.name, it.region].filter(Boolean).join(' · ') : NONE);

/** A span since an RFC 3339 time, such as `3 min`. */
export function span(since, now) {
  const elapsed = Math.floor((Date.parse(now) - Date.parse(since)) / 1000);
  if (!known(elapsed) || elapsed < 0) return NONE;
  if (elapsed < 60) return `${elapsed} s`;
  if (elapsed < 3600) return `${Math.floor(elapsed / 60)} min`;
  return `${Math.floor(elapsed / 3600)} h ${Math.floor((elapsed % 3600) / 60)} min`;
}

/** How many watch a stream: all over the fleet, and here; '' where the node doesn't know. */
export function viewers({ viewers: all, viewersHere: here }) {
  if (!known(all)) return '';
  const count = all === 1 ? '1 viewer' : `${all} viewers`;
  return here < all && here > 0 ? `${count}, ${here} of them here` : count;
}

/** Texts side by side, without those that are empty. */
export const beside = (...texts) => texts.filter(Boolean).join(' · ');
