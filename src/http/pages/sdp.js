// Session descriptions (RFC 8866) and trickle ICE fragments (RFC 8840), as far as WHIP and WHEP need them.

const lines = (sdp) => sdp.split(/\r?\n/).filter(Boolean);

/** The media sections of a description, each as its lines; the part above the first is `head`. */
function split(sdp) {
  const head = [];
  const media = [];
  for (const line of lines(sdp)) {
    if (line.startsWith('m=')) media.push([line]);
    else (media.at(-1) ?? head).push(line);
  }
  return { head, media };
}

const value = (part, name) =>
  part.find((line) => line.startsWith(`a=${name}:`))?.slice(name.length + 3);

/** ICE user fragment and password of a description or fragment. */
export function credentials(sdp) {
  const all = lines(sdp);
  return { ufrag: value(all, 'ice-ufrag'), pwd: value(all, 'ice-pwd') };
}

/**
 * The `application/trickle-ice-sdpfrag` body that tells the other side of local candidates.
 * Without candidates it still carries the credentials, which is what an ICE restart asks for.
 */
export function fragment(localSdp, candidates, complete) {
  const { head, media } = split(localSdp);
  const { ufrag, pwd } = credentials(localSdp);
  const body = head.filter((line) => line.startsWith('a=group:BUNDLE'));
  const mids = new Set(candidates.map((candidate) => candidate.sdpMid));
  const chosen = media.filter((part) => mids.has(value(part, 'mid')));
  for (const part of chosen.length > 0 ? chosen : media.slice(0, 1)) {
    const mid = value(part, 'mid');
    body.push(part[0], `a=mid:${mid}`, `a=ice-ufrag:${ufrag}`, `a=ice-pwd:${pwd}`);
    for (const candidate of candidates) {
      if (candidate.sdpMid === mid) body.push(`a=${candidate.candidate}`);
    }
    if (complete) body.push('a=end-of-candidates');
  }
  return `${body.join('\r\n')}\r\n`;
}

/**
 * The answer that follows an ICE restart: the remote description that was in force,
 * with the credentials and candidates of the server's fragment in place of the old ones.
 */
export function restarted(remote, local, answerFragment) {
  const { ufrag, pwd } = credentials(answerFragment);
  const candidates = lines(answerFragment).filter((line) => /^a=(candidate:|end-of-candidates)/.test(line));
  const stale = /^a=(ice-ufrag|ice-pwd|candidate|end-of-candidates)\b/;
  // A remote offer says `actpass`; an answer must name the role that was settled (RFC 8842 section 5.3).
  const role = value(lines(local.sdp), 'setup') === 'active' ? 'passive' : 'active';
  const { head, media } = split(remote.sdp);
  const out = head.filter((line) => !stale.test(line));
  for (const part of media) {
    for (const line of part) {
      if (stale.test(line)) continue;
      out.push(line === 'a=setup:actpass' ? `a=setup:${role}` : line);
    }
    out.push(`a=ice-ufrag:${ufrag}`, `a=ice-pwd:${pwd}`, ...candidates);
  }
  return { type: 'answer', sdp: `${out.join('\r\n')}\r\n` };
}

/** The description with these parameters in every Opus format, such as `{ stereo: 1 }` (RFC 7587 section 6.1). */
export function withOpus(sdp, parameters) {
  const { head, media } = split(sdp);
  const out = [...head];
  for (const part of media) {
    const opus = part.map((line) => line.match(/^a=rtpmap:(\d+) opus\//i)?.[1]).filter(Boolean);
    for (const line of part) {
      const of = line.match(/^a=fmtp:(\d+) ?(.*)$/);
      if (!of || !opus.includes(of[1])) out.push(line);
      const rtpmap = line.match(/^a=rtpmap:(\d+) opus\//i)?.[1];
      if (rtpmap) out.push(`a=fmtp:${rtpmap} ${formatted(part, rtpmap, parameters)}`);
    }
  }
  return `${out.join('\r\n')}\r\n`;
}

function formatted(part, type, parameters) {
  const before = part.find((line) => line.startsWith(`a=fmtp:${type} `))?.slice(`a=fmtp:${type} `.length) ?? '';
  const kept = before.split(';').map((one) => one.trim()).filter((one) => one && !(one.split('=')[0] in parameters));
  return [...kept, ...Object.entries(parameters).map(([name, of]) => `${name}=${of}`)].join(';');
}
