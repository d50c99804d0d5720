// Which room and stream a page is about, and the token that opens it.

/** Where this node's pages begin: behind a proxy, that may be below the root. */
const base = new URL('..', import.meta.url);

/** The address of something on this node, such as `whep/news`. */
export const here = (path) => new URL(path, base).href;

const NAME = /^[A-Za-z0-9_-]{1,64}$/;

/** Why `name` cannot name a room or stream; null when it can. */
export function objection(name, what) {
  if (NAME.test(name)) return null;
  if (name === '') return `Enter the name of the ${what}.`;
  if (name.length > 64) return `The name of the ${what} has ${name.length} characters; at most 64 are allowed.`;
  const odd = [...new Set([...name].filter((c) => !/[A-Za-z0-9_-]/.test(c)))].slice(0, 3);
  const shown = odd.map((c) => (c.trim() === '' ? 'a space' : `“${c}”`)).join(', ');
  return `The name of the ${what} cannot contain ${shown}. Use letters A–Z, digits, - and _ only.`;
}

/** Room and stream of the query, token of the fragment (a fragment never leaves the browser). */
export function place() {
  const query = new URLSearchParams(location.search);
  // In a token a plus sign is a plus sign, not a space.
  const hash = new URLSearchParams(location.hash.slice(1).replaceAll('+', '%2B'));
  const room = query.get('room') ?? '';
  const stream = query.get('stream') || 'main';
  return {
    room,
    stream,
    query,
    token: hash.get('token') || null,
    objection: objection(room, 'room') ?? objection(stream, 'stream'),
  };
}

/** Address of a page for a room and stream; `more` are further query parameters. */
export function address(page, { room, stream }, more = {}) {
  const url = new URL(page, base);
  url.searchParams.set('room', room);
  if (stream !== 'main') url.searchParams.set('stream', stream);
  for (const [name, value] of Object.entries(more)) url.searchParams.set(name, value);
  return url.href;
}
