// The publish page.

import { codecs, send } from './encodings.js';
import * as format from './format.js';
import { keep } from './keep.js';
import { follow } from './node.js';
import { address, place } from './place.js';
import { Problem } from './problem.js';
import { publishing } from './quality.js';
import { SourceError, listDevices, open as openSource } from './source.js';
import { Sparkline } from './sparkline.js';
import { PublishMeter } from './stats.js';
import { askForRoom, copy, countdown, el, header, numbers, set, state } from './ui.js';
import { showLayers } from './layers.js';
import { publish } from './whip.js';

const SAMPLE_MS = 500;
const TAKEN_LIMIT_MS = 60_000;

const where = place();
const form = el('settings');
const meter = new PublishMeter();
const spark = new Sparkline(el('spark'));
let source = null;
let run = null;

header(where);
if (where.objection) {
  askForRoom(where, '/publish');
} else {
  state('idle', 'Choose a source, then go live.');
  prepare();
  if (where.query.get('autostart') === '1') start();
  else if (form.elements.source.value === 'generated') preview();
}

function prepare() {
  const able = codecs();
  for (const option of form.elements.codec.options) {
    if (option.value === 'auto' || able.includes(option.value)) continue;
    option.disabled = true;
    option.textContent += ' (not in this browser)';
  }
  for (const name of ['source', 'codec', 'size', 'bitrate']) {
    const wanted = where.query.get(name);
    if (wanted && [...form.querySelectorAll(`[name=${name}], [name=${name}] option`)].some(({ value }) => value === wanted)) {
      form.elements[name].value = wanted;
    }
  }
  if (where.query.has('simulcast')) form.elements.simulcast.checked = where.query.get('simulcast') === '1';
  el('link').value = address('/watch', where);
  el('copy').addEventListener('click', () => copy(el('link'), el('copy')));
  el('open-watch').href = address('/watch', where);
  el('start').addEventListener('click', start);
  el('stop').addEventListener('click', stop);
  el('preview').addEventListener('click', preview);
  el('mute-audio').addEventListener('click', () => toggle('audio'));
  el('mute-video').addEventListener('click', () => toggle('video'));
  form.addEventListener('change', changed);
  navigator.mediaDevices?.addEventListener('devicechange', fillDevices);
  fillDevices();
  follow(where, showStatus);
  addEventListener('pagehide', () => run?.session?.close());
  // A page that comes back from the browser's cache has lost its session.
  addEventListener('pageshow', ({ persisted }) => persisted && run && start());
  showSource();
}

function settings() {
  const { elements } = form;
  const [width, height] = elements.size.value.split('x').map(Number);
  return {
    kind: elements.source.value,
    width,
    height,
    fps: 30,
    camera: elements.camera.value,
    microphone: elements.microphone.value,
    bitrate: Number(elements.bitrate.value) * 1000,
    codec: elements.codec.value,
    simulcast: elements.simulcast.checked,
    label: where.stream === 'main' ? where.room : `${where.room} / ${where.stream}`,
  };
}

async function changed({ target }) {
  if (target.name === 'source') {
    release();
    showSource();
    if (settings().kind === 'generated') await preview();
  } else if (['camera', 'microphone', 'size'].includes(target.name) && source) {
    await replace();
  }
}

function showSource() {
  document.body.dataset.source = settings().kind;
}

function release() {
  source?.end();
  source = null;
  el('video').srcObject = null;
  document.body.dataset.preview = 'off';
}

async function acquire() {
  source = await openSource(settings());
  el('video').srcObject = source.stream;
  document.body.dataset.preview = 'on';
  for (const track of source.stream.getTracks()) track.addEventListener('ended', () => ended(track));
  mark('audio');
  mark('video');
  await fillDevices();
}

async function preview() {
  if (source) return;
  try {
    await acquire();
    state('idle', 'This is what viewers will see.');
  } catch (error) {
    refuse(error);
  }
}

/** Opens the source anew with other devices; a live session keeps running with the new tracks. */
async function replace() {
  const senders = run?.session?.pc.getSenders() ?? [];
  const muted = { audio: isMuted('audio'), video: isMuted('video') };
  source.end();
  try {
    await acquire();
    for (const track of source.stream.getTracks()) {
      track.enabled = !muted[track.kind];
      await senders.find((sender) => sender.track?.kind === track.kind)?.replaceTrack(track);
      mark(track.kind);
    }
  } catch (error) {
    finish();
    refuse(error);
  }
}

function ended(track) {
  if (!source?.stream.getTracks().includes(track)) return;
  const wasLive = run !== null;
  const screen = settings().kind === 'screen';
  if (track.kind === 'audio' && screen) return;
  finish();
  release();
  if (screen) state(wasLive ? 'stopped' : 'idle', 'Screen sharing was ended.');
  else state('failed', `The ${track.kind === 'audio' ? 'microphone' : 'camera'} was disconnected.`);
}

const isMuted = (kind) => source?.stream.getTracks().some((track) => track.kind === kind && !track.enabled) ?? false;

function toggle(kind) {
  for (const track of source?.stream.getTracks() ?? []) if (track.kind === kind) track.enabled = !track.enabled;
  mark(kind);
}

function mark(kind) {
  const button = el(`mute-${kind}`);
  const muted = isMuted(kind);
  const name = kind === 'audio' ? 'sound' : 'picture';
  button.disabled = !source?.stream.getTracks().some((track) => track.kind === kind);
  button.setAttribute('aria-pressed', String(muted));
  set(button.querySelector('.label'), muted ? `Turn ${name} on` : `Turn ${name} off`);
}

async function fillDevices() {
  const { cameras, microphones } = await listDevices();
  fill(form.elements.camera, cameras, 'Default camera');
  fill(form.elements.microphone, microphones, 'Default microphone');
}

function fill(select, devices, fallback) {
  const chosen = select.value;
  const options = [{ id: '', label: fallback }, ...devices.filter(({ id }) => id !== 'default')];
  select.replaceChildren(...options.map(({ id, label }) => new Option(label, id, false, id === chosen)));
}

function refuse(error) {
  state('failed', error instanceof SourceError || error instanceof Problem ? explain(error) : `Something unexpected happened: ${error.message}`);
}

function explain(error) {
  if (error.status === 401) return 'Publishing here needs a token. Open the page with #token=… at the end of its address.';
  if (error.status === 403) return 'The token does not allow publishing this stream.';
  if (error.status === 409) return error.detail || 'Someone else is publishing this stream already. Choose another stream name, or wait until it ends.';
  if (error.status === 422) return `The node cannot accept this encoding${error.detail ? `: ${error.detail}` : ''}. Try another codec.`;
  return error.message;
}

function lock(on) {
  el('fixed').disabled = on;
  for (const radio of form.elements.source) radio.disabled = on;
}

function stop() {
  finish();
  // Nobody leaves a stream and wants the camera to stay on.
  if (settings().kind !== 'generated') release();
  state('stopped', 'You ended the stream.');
}

function finish() {
  run?.controller.abort();
  run?.quiet();
  clearInterval(run?.timer);
  run = null;
  lock(false);
}

async function start() {
  finish();
  const controller = new AbortController();
  const mine = { controller, session: null, quiet: () => {}, timer: null, wasOpen: false, takenSince: null };
  run = mine;
  lock(true);
  state('connecting', source ? 'Offering the stream to the node.' : 'Opening the source.');
  const chosen = settings();
  const open = async (signal) => {
    const endpoint = `/whip/${where.room}/${where.stream}`;
    const prepare = (pc) => send(pc, source.stream, chosen);
    try {
      return await publish({ endpoint, token: where.token, prepare, signal });
    } catch (error) {
      if (error.status === 409) error.lasting = !yieldsSoon(mine);
      throw error;
    }
  };
  const on = {
    opening(again) {
      mine.quiet();
      if (!again) state('connecting', 'Offering the stream to the node.');
    },
    open(session) {
      Object.assign(mine, { session, wasOpen: true, takenSince: null });
      set(el('via'), session.node ?? '');
    },
    connected() {},
    healing() {
      state('reconnecting', 'The connection was interrupted. Looking for a new path to the node.');
    },
    lost(problem, seconds) {
      mine.session = null;
      state('reconnecting', explain(problem));
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
    if (!source) await acquire();
    if (controller.signal.aborted) return;
    await keep({ open, on, signal: controller.signal });
  } catch (error) {
    if (run !== mine) return;
    finish();
    refuse(error);
  }
}

/** After an interruption the node may still hold our own old session: worth asking again for a minute. */
function yieldsSoon(mine) {
  if (!mine.wasOpen) return false;
  mine.takenSince ??= performance.now();
  return performance.now() - mine.takenSince < TAKEN_LIMIT_MS;
}

let sent = 0;
let drawnAt = 0;
async function sample(mine) {
  const { session } = mine;
  const stats = await meter.read(session.pc);
  if (run !== mine || session !== mine.session) return;
  Object.assign(stats, { node: session.node });
  window.headwater.stats = stats;
  if (session.pc.connectionState === 'connected' && stats.packetsSent > sent && window.headwater.state !== 'live') {
    state('live', 'Viewers can watch now.');
  }
  sent = stats.packetsSent;
  const now = performance.now();
  if (now - drawnAt < 950) return;
  drawnAt = now;
  show(stats);
}

function show(stats) {
  set(el('spark-top'), format.bitrate(spark.add(stats.bitrate)));
  const live = window.headwater.state === 'live';
  const judged = live ? publishing(stats) : { level: '', word: '–', reason: 'Nothing to judge yet.' };
  el('quality').dataset.level = judged.level;
  showLayers(el('layers'), stats.layers);
  numbers({
    quality: judged.word,
    reason: judged.reason,
    bitrate: format.bitrate(stats.bitrate),
    loss: format.percent(stats.lossPercent),
    rtt: format.ms(stats.rttMs),
    plis: format.whole(stats.plis),
    nacks: format.whole(stats.nacks),
    retransmitted: format.whole(stats.retransmitted),
    codec: [stats.videoCodec, stats.audioCodec].filter(Boolean).join(' + ') || '–',
    audio: format.bitrate(stats.audioBitrate),
    available: format.bitrate(stats.availableBitrate),
    frames: format.whole(stats.framesSent),
    path: format.text(stats.path),
  });
}

function showStatus(status) {
  set(el('status-note'), status ? '' : 'The node does not answer.');
  if (!status) return;
  const viewers = status.viewers === 1 ? '1 viewer' : `${status.viewers} viewers`;
  set(el('audience'), status.live ? `${viewers} · live for ${format.span(status.since, status.serverTime)}` : 'nobody is publishing here');
  if (!run) set(el('via'), format.node(status.node));
}
