// WHEP client (draft-ietf-wish-whep): receives one stream, by counter-offer where the server makes one.

import { Problem, request } from './problem.js';
import { Session, headers, iceServers } from './session.js';

/**
 * Watches `endpoint`. `onTrack(event)` sees each incoming track.
 * Resolves with the `Session` once descriptions are exchanged; rejects with a `Problem`.
 */
export async function watch({ endpoint, token, onTrack, signal }) {
  // An offer that is only shown, never applied: nothing is gathered until the server has spoken.
  const first = connection(onTrack);
  let pc = first;
  let session;
  try {
    first.addTransceiver('audio', { direction: 'recvonly' });
    first.addTransceiver('video', { direction: 'recvonly' });
    const offer = await first.createOffer();
    const response = await request(endpoint, {
      method: 'POST',
      headers: headers(token, { 'Content-Type': 'application/sdp', Prefer: 'counter-offer' }),
      body: offer.sdp,
      signal,
    }, [406]);
    const counter = response.status === 406;
    const type = response.headers.get('content-type') ?? '';
    if (counter && !type.startsWith('application/sdp')) throw await Problem.from(response);

    if (counter) {
      // Our own transceivers would never pair with the server's offer, so it gets a fresh connection.
      first.close();
      pc = connection(onTrack);
    }
    session = new Session(pc, response, token);
    const sdp = await response.text();
    signal?.throwIfAborted();
    const servers = iceServers(response.headers.get('link'));
    if (servers.length > 0) pc.setConfiguration({ ...pc.getConfiguration(), iceServers: servers });
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

function connection(onTrack) {
  const pc = new RTCPeerConnection({ bundlePolicy: 'max-bundle' });
  pc.addEventListener('track', onTrack);
  return pc;
}

async function answerTo(session, sdp, signal) {
  const { pc } = session;
  await pc.setRemoteDescription({ type: 'offer', sdp }).catch(unusable);
  const answer = await pc.createAnswer();
  await pc.setLocalDescription(answer);
  await session.answer(answer.sdp, signal);
}

async function apply(pc, offer, sdp) {
  await pc.setLocalDescription(offer);
  await pc.setRemoteDescription({ type: 'answer', sdp }).catch(unusable);
}

function unusable(error) {
  const title = 'The offer or answer of the node cannot be used';
  throw new Problem({ title, detail: `${title}: ${error.message}`, lasting: true });
}
