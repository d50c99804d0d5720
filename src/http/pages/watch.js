// The watch page.

import * as format from './format.js';
import { keep } from './keep.js';
import { follow } from './node.js';
import { place } from './place.js';
import { player } from './player.js';
import { watching } from './quality.js';
import { Sparkline } from './sparkline.js';
import { WatchMeter } from './stats.js';
import { askForRoom, countdown, el, header, numbers, set, state } from './ui.js';
import { watch } from './whep.js';

const SAMPLE_MS = 500;
const SILENCE_MS = 2_000;
const SETTLE_MS = 2_500;

const where = place();
const screen = player();
const meter = new WatchMeter();
const spark = new Sparkline(el('spark'));
let run = null;

header(where);
if (where.objection) {
  askForRoom(where, '/watch');
} else {
  state('idle', 'Press Watch to start.');
  follow(where, showRoute);
  el('start').addEventListener('click', () => {
    screen.loud();
    start();
  });
  el('stop').addEventListener('click', stop);
  addEventListener('pagehide', () => run?.session?.close());
  // A page that comes back from the browser's cache has lost its session.
  addEventListener('pageshow', ({ persisted }) => persisted && run && restart());
  if (where.query.get('sound') === '1') screen.loud();
  if (where.query.get('autostart') === '1') start();
}

function restart() {
  stop();
  start();
}

function stop() {
  end();
  state('stopped', 'You left the stream.');
}

function end() {
  run?.controller.abort();
  run?.quiet();
  clearInterval(run?.timer);
  run = null;
  screen.clear();
}

async function start() {
  end();
  const controller = new AbortController();
  const mine = { controller, session: null, quiet: () => {}, timer: null, firstFrame: null, packets: 0, heardAt: 0, liveAt: 0 };
  run = mine;
  let opened = 0;
  const open = async (signal) => {
    opened = performance.now();
    const media = new MediaStream();
    mine.firstFrame = null;
    const endpoint = `/whep/${where.room}/${where.stream}`;
    const session = await watch({ endpoint, token: where.token, signal, onTrack: ({ track }) => media.addTrack(track) });
    screen.show(media, () => { mine.firstFrame ??= performance.now() - opened; });
    return session;
  };
  const on = {
    opening(again) {
      mine.quiet();
      if (!again) state('connecting', 'Asking the node for the stream.');
    },
    open(session) {
      mine.session = session;
      showNodes(session);
      if (window.headwater.state !== 'reconnecting') state('connecting', 'Setting up the media path.');
    },
    connected() {
      mine.heardAt = performance.now();
    },
    healing() {
      state('reconnecting', 'The connection was interrupted. Looking for a new path to the node.');
    },
    lost(problem, seconds) {
      mine.session = null;
      if (problem.status === 409) state('waiting', 'Waiting for the publisher.');
      else state('reconnecting', problem.message);
      mine.quiet = countdown(seconds);
    },
  };
  let busy = false;
  mine.timer = setInterval(async () => {
    if (busy || !mine.session || mine.session.closed) return;
    busy = true;
    await sample(mine).catch(() => {});
    busy = false;
  }, SAMPLE_MS);
  try {
    await keep({ open, on, signal: controller.signal });
  } catch (error) {
    if (run !== mine) return;
    end();
    state('failed', explain(error));
  }
}

function explain(error) {
  if (error.status === 401) return 'This stream needs a token. Open the page with #token=… at the end of its address.';
  if (error.status === 403) return 'The token does not allow watching this stream.';
  return error.message;
}

async function sample(mine) {
  const { session } = mine;
  const stats = await meter.read(session.pc);
  if (run !== mine || session !== mine.session) return;
  stats.timeToFirstFrameMs = mine.firstFrame;
  stats.framesRendered = screen.rendered();
  Object.assign(stats, { node: session.node, origin: session.origin, hops: session.hops });
  window.headwater.stats = stats;
  const now = performance.now();
  const arriving = stats.packetsReceived > mine.packets;
  mine.packets = stats.packetsReceived;
  if (session.pc.connectionState === 'connected') {
    if (arriving) {
      mine.heardAt = now;
      if (window.headwater.state !== 'live') {
        mine.liveAt = now;
        state('live', 'Playing.');
      }
    } else if (now - mine.heardAt > SILENCE_MS && window.headwater.state !== 'waiting') {
      state('waiting', 'Waiting for the publisher.');
    }
  }
  const settled = window.headwater.state === 'live' && now - mine.liveAt > SETTLE_MS;
  show(stats, now, settled);
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

function showNodes({ node, origin, hops }) {
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
  if (!status) return;
  set(el('edge-name'), status.node.name);
  set(el('edge-region'), status.node.region ?? '');
  set(el('origin-name'), status.origin?.name ?? 'no publisher yet');
  set(el('origin-region'), status.origin?.region ?? '');
  showHops(status.live ? status.hops : null);
  document.body.dataset.live = String(status.live);
  const viewers = status.viewers === 1 ? '1 viewer' : `${status.viewers} viewers`;
  const since = status.since ? `live for ${format.span(status.since, status.serverTime)}` : 'not live';
  set(el('audience'), `${since} · ${viewers}`);
}
