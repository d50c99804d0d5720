// WHIP client (RFC 9725): publishes what `prepare` adds to a peer connection.

import { request } from './problem.js';
import { withOpus } from './sdp.js';
import { Session, connection, headers, unusable, useIceServers } from './session.js';

/**
 * Publishes to `endpoint`. `prepare(pc)` adds the transceivers; `audio` has `stereo` and `bitrate`.
 * Resolves with the `Session` once descriptions are exchanged; rejects with a `Problem`.
 */
export async function publish({ endpoint, token, relay, prepare, audio = {}, signal }) {
  const pc = connection(relay);
  let session;
  try {
    await prepare(pc);
    const { type, sdp } = await pc.createOffer();
    const offer = { type, sdp: audio.stereo ? withOpus(sdp, { stereo: 1, 'sprop-stereo': 1 }) : sdp };
    const response = await request(endpoint, {
      method: 'POST',
      headers: headers(token, { 'Content-Type': 'application/sdp' }),
      body: offer.sdp,
      signal,
    });
    session = new Session(pc, response, token);
    const answer = wanted(await response.text(), audio);
    signal?.throwIfAborted();
    useIceServers(pc, response);
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

/** What the encoder shall do stands in the receiver's description (RFC 7587 section 6.1); few servers say it. */
function wanted(answer, { stereo, bitrate }) {
  const parameters = {
    ...(stereo ? { stereo: 1 } : {}),
    ...(bitrate ? { maxaveragebitrate: bitrate } : {}),
  };
  return Object.keys(parameters).length > 0 ? withOpus(answer, parameters) : answer;
}
