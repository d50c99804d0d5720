// Where the operator is: the parameters of the address, so that it can be shared and walked back.

const NAMES = ['room', 'stream', 'node', 'at', 'search'];
const watchers = [];

/** The parameters now; null where there is none. */
export const place = read();

function read() {
  const query = new URLSearchParams(location.search);
  return Object.fromEntries(NAMES.map((name) => [name, query.get(name) || null]));
}

/** The address with some parameters changed. */
export function address(changes) {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries({ ...place, ...changes })) if (value) query.set(name, value);
  const string = query.toString();
  return string ? `/?${string}` : '/';
}

/** Calls back with the parameters as they were before each change. */
export const watch = (callback) => watchers.push(callback);

/** Changes parameters; `replace` adds nothing to the browser's history. */
export function go(changes, { replace = false, gently = false } = {}) {
  const before = { ...place };
  // A stream belongs to its room.
  if ('room' in changes && !('stream' in changes) && changes.room !== place.room) changes = { ...changes, stream: null };
  const url = address(changes);
  Object.assign(place, changes);
  if (url === location.pathname + location.search) return;
  if (replace) history.replaceState(null, '', url);
  else history.pushState(null, '', url);
  for (const watcher of watchers) watcher(before, gently);
}

window.addEventListener('popstate', () => {
  const before = { ...place };
  Object.assign(place, read());
  for (const watcher of watchers) watcher(before, false);
});

// One handler for all links; an address is made again when it is needed, so that rows need no update when the place changes.
const target = (event) => event.target.closest?.('a[data-go]');
const fill = (event) => {
  const a = target(event);
  if (a) a.href = address(JSON.parse(a.dataset.go));
};
document.addEventListener('pointerover', fill);
document.addEventListener('focusin', fill);
document.addEventListener('click', (event) => {
  const a = target(event);
  if (!a || event.ctrlKey || event.metaKey || event.shiftKey || event.button !== 0) return;
  event.preventDefault();
  go(JSON.parse(a.dataset.go));
});
