// WHEP client (draft-ietf-wish-whep): receives one stream, by counter-offer where the server makes one.

import { Problem, request } from './problem.js';
import { withOpus } from './sdp.js';
import { Session, connection, headers, unusable, useIceServers } from './session.js';

/** Origins whose CORS doesn't let a page ask for a counter-offer. */
const plain = new Set();

/**
 * Watches `endpoint`. `onTrack(event)` sees each incoming track.
 * Resolves with the `Session` once descriptions are exchanged; rejects with a `Problem`.
 */
export async function watch({ endpoint, token, relay, onTrack, signal }) {
  // An offer that is only shown, never applied: nothing is gathered until the server has spoken.
  const first = listening(relay, onTrack);
  let pc = first;
  let session;
  try {
    first.addTransceiver('audio', { direction: 'recvonly' });
    first.addTransceiver('video', { direction: 'recvonly' });
    const offer = stereo(await first.createOffer());
    const response = await ask(endpoint, token, offer.sdp, signal);
    const counter = response.status === 406;
    const type = response.headers.get('content-type') ?? '';
    if (counter && !type.startsWith('application/sdp')) throw await Problem.from(response);

    if (counter) {
      // Our own transceivers would never pair with the server's offer, so it gets a fresh connection.
      first.close();
      pc = listening(relay, onTrack);
    }
    session = new Session(pc, response, token);
    const sdp = await response.text();
    signal?.throwIfAborted();
    useIceServers(pc, response);
    if (counter) await answerTo(session, sdp, signal);
    else await apply(pc, offer, sdp);
    session.established();
    return session;
  } catch (error) {
    await session?.close();
    pc.close();
    first.close();
    throw error;
  }
}

function listening(relay, onTrack) {
  const pc = connection(relay);
  pc.addEventListener('track', onTrack);
  return pc;
}

/** Posts the offer; asks for a counter-offer, unless the server's CORS forbids the question. */
async function ask(endpoint, token, body, signal) {
  const { origin } = new URL(endpoint);
  const post = (more) => request(endpoint, {
    method: 'POST',
    headers: headers(token, { 'Content-Type': 'application/sdp', ...more }),
    body,
    signal,
  }, [406]);
  if (plain.has(origin)) return post({});
  try {
    return await post({ Prefer: 'counter-offer' });
  } catch (error) {
    // A refused pre-flight and a dead server look the same to a page.
    if (error.status !== 0 || origin === location.origin) throw error;
    const response = await post({});
    plain.add(origin);
    return response;
  }
}

/** Chromium plays Opus as one channel unless its own description asks for two. */
const stereo = ({ type, sdp }) => ({ type, sdp: withOpus(sdp, { stereo: 1 }) });

async function answerTo(session, sdp, signal) {
  const { pc } = session;
  await pc.setRemoteDescription({ type: 'offer', sdp }).catch(unusable);
  const answer = stereo(await pc.createAnswer());
  await pc.setLocalDescription(answer);
  await session.answer(answer.sdp, signal);
}

async function apply(pc, offer, sdp) {
  await pc.setLocalDescription(offer);
  await pc.setRemoteDescription({ type: 'answer', sdp }).catch(unusable);
}
