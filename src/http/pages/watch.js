// The watch page.

import '../headwater.js';
import * as format from './format.js';
import { follow } from './node.js';
import { showNotes } from './notes.js';
import { address, here, place } from './place.js';
import { watching } from './quality.js';
import { Sparkline } from './sparkline.js';
import { WatchMeter } from './stats.js';
import { askForRoom, countdown, el, header, numbers, set, state } from './ui.js';

const SETTLE_MS = 2_500;
/** Many watch; what changes the picture is known without asking. */
const STATUS_MS = 10_000;

const where = place();
const screen = el('player');
const meter = new WatchMeter();
const spark = new Sparkline(el('spark'));
let quiet = () => {};
let ask = () => {};
let firstFrame = null;
let liveAt = 0;

header(where);
if (where.objection) {
  askForRoom(where, 'watch');
} else {
  state('idle', 'Press Watch to start.');
  ask = follow(where, STATUS_MS, showRoute);
  screen.addEventListener('statechange', ({ detail }) => changed(detail));
  screen.addEventListener('firstframe', ({ detail }) => { firstFrame ??= detail.elapsedMs; });
  screen.addEventListener('stats', ({ detail }) => sample(detail));
  el('stop').addEventListener('click', () => screen.stop());
  el('embed').href = address('embed', where);
  document.addEventListener('keydown', (event) => event.target !== screen && screen.press(event));
  screen.toggleAttribute('relay', where.query.get('relay') === '1');
  screen.token = where.token;
  screen.src = here(`whep/${where.room}/${where.stream}`);
  if (where.query.get('autostart') === '1') {
    screen.muted = where.query.get('sound') !== '1';
    screen.play();
  }
}

function changed({ state: name, message, problem, retryIn }) {
  quiet();
  quiet = retryIn === null ? () => {} : countdown(retryIn);
  if (name === 'connecting') firstFrame = null;
  if (name === 'live') liveAt = performance.now();
  if (['live', 'waiting'].includes(name)) ask();
  state(name, explain(name, message, problem));
  showSession();
}

function explain(name, message, problem) {
  if (problem?.status === 401) return 'This stream needs a token. Open the page with #token=… at the end of its address.';
  if (name === 'live') return 'Playing.';
  if (name === 'stopped') return 'You left the stream.';
  if (name === 'waiting') return 'Waiting for the publisher.';
  return message;
}

function sample(reports) {
  const session = screen.player?.session;
  if (!session) return;
  showSession();
  const stats = meter.read(session.pc, reports);
  stats.timeToFirstFrameMs = firstFrame;
  stats.framesRendered = screen.video.getVideoPlaybackQuality?.().totalVideoFrames ?? null;
  Object.assign(stats, { node: session.node, origin: session.origin, hops: session.hops });
  window.headwater.stats = stats;
  const now = performance.now();
  show(stats, now, window.headwater.state === 'live' && now - liveAt > SETTLE_MS);
}

let drawnAt = 0;
function show(stats, now, settled) {
  if (now - drawnAt < 950) return;
  drawnAt = now;
  const top = spark.add(stats.bitrate);
  set(el('spark-top'), format.bitrate(top));
  const live = window.headwater.state === 'live';
  const judged = settled ? watching(stats) : { level: '', word: '–', reason: 'Nothing to judge yet.' };
  el('quality').dataset.level = judged.level;
  numbers({
    quality: judged.word,
    reason: judged.reason,
    bitrate: format.bitrate(stats.bitrate),
    size: format.size(stats.width, stats.height),
    fps: live ? format.whole(stats.fps) : '–',
    loss: format.percent(stats.lossPercent),
    jitter: format.ms(stats.jitterMs),
    delay: format.ms(stats.playoutDelayMs),
    rtt: format.ms(stats.rttMs),
    freezes: stats.freezes > 0 ? `${format.whole(stats.freezes)} (${format.seconds(stats.freezeMs)})` : '0',
    first: format.seconds(stats.timeToFirstFrameMs),
    codec: [stats.videoCodec, stats.audioCodec].filter(Boolean).join(' + ') || '–',
    audio: format.bitrate(stats.audioBitrate),
    frames: format.whole(stats.framesDecoded),
    lost: format.whole(stats.packetsLost),
    keyframes: format.whole(stats.keyFramesDecoded),
    path: format.text(stats.path),
  });
}

function showSession() {
  const session = screen.player?.session;
  if (!session) return;
  const { node, origin, hops } = session;
  if (node) set(el('edge-name'), node);
  if (origin) set(el('origin-name'), origin);
  showHops(hops === null ? null : Number(hops));
}

function showHops(hops) {
  const known = Number.isInteger(hops);
  document.body.dataset.hops = known ? String(hops) : '';
  set(el('hops'), !known ? 'no route yet' : hops === 0 ? 'same node' : hops === 1 ? '1 hop' : `${hops} hops`);
}

function showRoute(status) {
  set(el('status-note'), status ? '' : 'The node does not answer.');
  // What is wrong with a stream is its publisher's affair; what is muted explains what a viewer misses.
  showNotes(el('notes'), { muted: status?.muted }, 'The publisher is connected, and sends nothing now.');
  if (!status) return;
  set(el('edge-name'), status.node.name);
  set(el('edge-region'), status.node.region ?? '');
  set(el('origin-name'), status.origin?.name ?? 'no publisher yet');
  set(el('origin-region'), status.origin?.region ?? '');
  showHops(status.live ? status.hops : null);
  document.body.dataset.live = String(status.live);
  const since = status.since ? `live for ${format.span(status.since, status.serverTime)}` : 'not live';
  set(el('audience'), format.beside(since, format.viewers(status)));
}
