// What can go wrong with a server, in words for people (RFC 9457).

/** A request that was refused or never answered. `status` is 0 when nothing came back. */
export class Problem extends Error {
  constructor({ status = 0, title, detail, retryAfter = null, lasting = false, nodes = [] }) {
    super(detail || title);
    this.name = 'Problem';
    this.status = status;
    this.title = title;
    this.detail = detail;
    /** Seconds the server asks to wait, or null. */
    this.retryAfter = retryAfter;
    this.lasting = lasting;
    /** Endpoints of other nodes, which may do what this one can't. */
    this.nodes = nodes;
  }

  /** True when asking again unchanged cannot help. */
  get final() {
    if (this.lasting) return true;
    // Whoever names a time to come again means it.
    if (this.retryAfter !== null) return false;
    return this.status >= 400 && this.status < 500 && ![408, 409, 425, 429].includes(this.status);
  }

  /** Reads the problem document of a refused request. */
  static async from(response) {
    const type = response.headers.get('content-type') ?? '';
    const body = type.includes('json') ? await response.json().catch(() => ({})) : {};
    const title = body.title || response.statusText || `The server answered ${response.status}`;
    const retryAfter = seconds(response.headers.get('retry-after'));
    const nodes = Array.isArray(body.nodes) ? body.nodes.filter((node) => typeof node === 'string') : [];
    return new Problem({ status: response.status, title, detail: body.detail, retryAfter, nodes });
  }
}

function seconds(header) {
  if (!header) return null;
  const wait = /^\d+$/.test(header) ? Number(header) : (Date.parse(header) - Date.now()) / 1000;
  return Number.isFinite(wait) ? Math.max(0, wait) : null;
}

/** `fetch` whose every failure is a `Problem`; statuses in `accept` are not failures. */
export async function request(url, options = {}, accept = []) {
  let response;
  try {
    response = await fetch(url, { cache: 'no-store', ...options });
  } catch (error) {
    if (error.name === 'AbortError') throw error;
    throw new Problem({ title: 'The server cannot be reached', detail: 'The server cannot be reached.' });
  }
  if (!response.ok && !accept.includes(response.status)) throw await Problem.from(response);
  return response;
}
