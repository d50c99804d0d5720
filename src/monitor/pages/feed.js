// The events as they come: server-sent events by fetch, because EventSource cannot send a token.

import { request, waiting } from './api.js';

const QUIET = 25_000; // the monitor says something every 10 s
const LONGEST = 8_000;

/** Reads the feed until the page is gone. `event` gets each one; `state` whether the feed is up. */
export async function feed({ event, state }) {
  let last = null;
  let wait = 500;
  for (;;) {
    const stop = new AbortController();
    let timer;
    const patience = () => {
      clearTimeout(timer);
      timer = setTimeout(() => (waiting() ? patience() : stop.abort()), QUIET);
    };
    patience();
    try {
      const headers = last === null ? {} : { 'Last-Event-ID': last };
      const response = await request('/api/events', { signal: stop.signal, headers: { Accept: 'text/event-stream', ...headers } });
      state(true);
      wait = 500;
      for await (const text of lines(response.body)) {
        patience();
        if (text.startsWith('id:')) last = text.slice(3).trim();
        else if (text.startsWith('data:')) tell(event, text.slice(5));
      }
    } catch {
      // Whatever broke it, the answer is to try again.
    }
    clearTimeout(timer);
    stop.abort();
    state(false);
    await new Promise((done) => setTimeout(done, wait * (0.7 + Math.random() * 0.6)));
    wait = Math.min(wait * 2, LONGEST);
  }
}

function tell(event, json) {
  let recorded;
  try {
    recorded = JSON.parse(json);
  } catch {
    return;
  }
  event(recorded);
}

/** The lines of a stream; the monitor writes each event's data as one. */
async function* lines(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = '';
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    const parts = (rest + value).split(/\r?\n/);
    rest = parts.pop();
    yield* parts;
  }
}
