// Requests to the monitor, with the token where one is asked for.

const KEY = 'headwater.monitor.token';
let asking = null;
let skew = 0;

/** The monitor's time now, in milliseconds: ages must not depend on this computer's clock. */
export const now = () => Date.now() + skew;

/** Whether the operator is being asked for the token. */
export const waiting = () => asking !== null;

/** A response that says that it did not work. */
export class Refused extends Error {
  constructor(status, detail) {
    super(detail);
    this.status = status;
  }
}

/** Fetches; asks for the token as often as needed. Throws `Refused`, or what `fetch` throws when nothing answers. */
export async function request(path, { signal, headers = {} } = {}) {
  for (;;) {
    const token = sessionStorage.getItem(KEY);
    const response = await fetch(path, { signal, cache: 'no-store', headers: token ? { ...headers, Authorization: `Bearer ${token}` } : headers });
    if (response.ok) {
      const theirs = Date.parse(response.headers.get('date'));
      // The header has whole seconds: less than two is no skew.
      if (theirs) skew = Math.abs(theirs - Date.now()) > 2000 ? theirs - Date.now() : 0;
      return response;
    }
    if (response.status === 401) {
      await ask(token);
      continue;
    }
    const problem = await response.json().catch(() => ({}));
    throw new Refused(response.status, problem.detail ?? problem.title ?? `The monitor answered ${response.status}.`);
  }
}

/** Fetches JSON. */
export const get = async (path, options) => (await request(path, options)).json();

function ask(refused) {
  // Another request may have brought the token already.
  if (sessionStorage.getItem(KEY) !== refused) return Promise.resolve();
  asking ??= new Promise((done) => {
    const dialog = document.getElementById('token-dialog');
    const field = document.getElementById('token');
    document.getElementById('token-error').textContent = refused ? 'The monitor does not accept this token.' : '';
    field.value = '';
    dialog.oncancel = (event) => event.preventDefault();
    document.getElementById('token-form').addEventListener('submit', () => {
      sessionStorage.setItem(KEY, field.value.trim());
      asking = null;
      done();
    }, { once: true });
    dialog.showModal();
  });
  return asking;
}
