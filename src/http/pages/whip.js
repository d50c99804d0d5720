// WHIP client (RFC 9725): publishes what `prepare` adds to a peer connection.

import { Problem, request } from './problem.js';
import { Session, headers, iceServers } from './session.js';

/**
 * Publishes to `endpoint`. `prepare(pc)` adds the transceivers.
 * Resolves with the `Session` once descriptions are exchanged; rejects with a `Problem`.
 */
export async function publish({ endpoint, token, prepare, signal }) {
  const pc = new RTCPeerConnection({ bundlePolicy: 'max-bundle' });
  let session;
  try {
    await prepare(pc);
    const offer = await pc.createOffer();
    const response = await request(endpoint, {
      method: 'POST',
      headers: headers(token, { 'Content-Type': 'application/sdp' }),
      body: offer.sdp,
      signal,
    });
    session = new Session(pc, response, token);
    const answer = await response.text();
    signal?.throwIfAborted();
    // ICE servers are known only now, and must be set before gathering starts.
    const servers = iceServers(response.headers.get('link'));
    if (servers.length > 0) pc.setConfiguration({ ...pc.getConfiguration(), iceServers: servers });
    await pc.setLocalDescription(offer);
    await pc.setRemoteDescription({ type: 'answer', sdp: answer }).catch(unusable);
    session.established();
    return session;
  } catch (error) {
    await session?.close();
    pc.close();
    throw error;
  }
}

function unusable(error) {
  const title = 'The answer of the node cannot be used';
  throw new Problem({ title, detail: `${title}: ${error.message}`, lasting: true });
}
