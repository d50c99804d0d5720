// The publish page.

import { Problem, Publisher } from '../headwater.js';
import { codecs } from './encodings.js';
import * as format from './format.js';
import { showLayers } from './layers.js';
import { follow } from './node.js';
import { showNotes } from './notes.js';
import { address, here, place } from './place.js';
import { publishing } from './quality.js';
import { SourceError, listDevices, open as openSource } from './source.js';
import { Sparkline } from './sparkline.js';
import { PublishMeter } from './stats.js';
import { askForRoom, copy, countdown, el, fillChoice, header, numbers, set, state } from './ui.js';

const MUSIC_BITRATE = 256_000;
const STATUS_MS = 5_000;

const where = place();
const form = el('settings');
const meter = new PublishMeter();
const spark = new Sparkline(el('spark'));
let source = null;
/** The `Publisher` at work, or null. */
let run = null;
let ask = () => {};
let quiet = () => {};
/** Counts beginnings and ends, so that a slow one knows that it has been overtaken. */
let turn = 0;

header(where);
if (where.objection) {
  askForRoom(where, 'publish');
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
  for (const name of ['simulcast', 'music']) {
    if (where.query.has(name)) form.elements[name].checked = where.query.get(name) === '1';
  }
  el('link').value = address('watch', where);
  el('copy').addEventListener('click', () => copy(el('link'), el('copy')));
  el('open-watch').href = address('watch', where);
  el('embed').href = address('embed', where);
  el('start').addEventListener('click', start);
  el('stop').addEventListener('click', stop);
  el('preview').addEventListener('click', preview);
  el('mute-audio').addEventListener('click', () => toggle('audio'));
  el('mute-video').addEventListener('click', () => toggle('video'));
  form.addEventListener('change', changed);
  navigator.mediaDevices?.addEventListener('devicechange', fillDevices);
  fillDevices();
  ask = follow(where, STATUS_MS, showStatus);
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
    music: elements.music.checked,
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
  } else if (['camera', 'microphone', 'size', 'music'].includes(target.name) && source) {
    await replace();
  }
}

function showSource() {
  const { kind } = settings();
  document.body.dataset.source = kind;
  set(el('empty'), kind === 'sound' ? 'Sound only' : 'No preview yet');
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
  const muted = { audio: isMuted('audio'), video: isMuted('video') };
  source.end();
  try {
    await acquire();
    for (const track of source.stream.getTracks()) {
      track.enabled = !muted[track.kind];
      mark(track.kind);
    }
    await run?.replace(source.stream);
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
  fillChoice(form.elements.camera, cameras, 'Default camera');
  fillChoice(form.elements.microphone, microphones, 'Default microphone');
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
  // How many channels there are is agreed at the beginning.
  form.elements.music.disabled = on;
  for (const radio of form.elements.source) radio.disabled = on;
}

function stop() {
  finish();
  // Nobody leaves a stream and wants the camera to stay on.
  if (settings().kind !== 'generated') release();
  state('stopped', 'You ended the stream.');
}

function finish() {
  turn += 1;
  const publisher = run;
  run = null;
  publisher?.stop();
  quiet();
  lock(false);
}

async function start() {
  finish();
  const mine = turn;
  lock(true);
  state('connecting', source ? 'Offering the stream to the node.' : 'Opening the source.');
  try {
    if (!source) await acquire();
  } catch (error) {
    if (turn !== mine) return;
    finish();
    refuse(error);
    return;
  }
  if (turn !== mine) {
    if (settings().kind !== 'generated') release();
    return;
  }
  const { codec, bitrate, fps, simulcast, music } = settings();
  const publisher = new Publisher({
    url: here(`whip/${where.room}/${where.stream}`),
    token: where.token,
    stream: source.stream,
    video: { codec, bitrate, fps, simulcast },
    audio: music ? { bitrate: MUSIC_BITRATE, stereo: true } : {},
    relay: where.query.get('relay') === '1',
  });
  run = publisher;
  const on = (name, then) => publisher.addEventListener(name, ({ detail }) => run === publisher && then(detail));
  on('statechange', moved);
  on('session', (session) => set(el('via'), session.node ?? ''));
  on('stats', sample);
  publisher.start();
}

function moved({ state: name, problem, retryIn }) {
  quiet();
  quiet = retryIn === null ? () => {} : countdown(retryIn);
  if (name === 'failed') {
    finish();
    refuse(problem);
    return;
  }
  const words = {
    connecting: 'Offering the stream to the node.',
    live: 'Viewers can watch now.',
    reconnecting: problem ? explain(problem) : 'The connection was interrupted. Looking for a new path to the node.',
  };
  if (name === 'live') ask();
  state(name, words[name] ?? '');
}

let drawnAt = 0;
function sample(reports) {
  const { session } = run;
  const stats = meter.read(session.pc, reports);
  Object.assign(stats, { node: session.node });
  window.headwater.stats = stats;
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
  showNotes(el('notes'), status, 'The stream is connected, but nothing is sent now. Viewers wait.');
  if (!status) return;
  set(el('audience'), status.live
    ? format.beside(format.viewers(status), `live for ${format.span(status.since, status.serverTime)}`)
    : 'nobody is publishing here');
  if (!run) set(el('via'), format.node(status.node));
}
