// The chosen room: its numbers and the tree of each stream.

import { age } from './ages.js';
import { attr, el, keyed, link, make, set, show } from './dom.js';
import { bitrate, bytes, count, ended, span, whole } from './format.js';
import { place } from './place.js';
import { listProblems } from './problems.js';
import { Tree } from './tree.js';

const FEW = 3;

/** Shows a room, or with null that it isn't known; nothing when none is chosen. */
export function showRoom(view, problem = '') {
  show(el('room'), Boolean(place.room));
  if (!place.room) return;
  set(el('room-title'), place.room);
  show(el('room-empty'), !view || view.streams.length === 0);
  set(el('room-empty'), view ? 'This room has no stream at this moment.' : problem);
  const streams = view?.streams ?? [];
  set(el('room-state'), view ? (view.live ? 'live' : 'over') : 'not known');
  set(el('room-locked'), view?.lockedBy?.length ? `Locked by ${view.lockedBy.join(', ')}: nobody new is let in.` : '');
  attr(el('room-state'), 'data-live', String(Boolean(view?.live)));
  facts(view);
  listProblems(el('room-problems'), (view?.problems ?? []).slice(0, FEW));
  keyed(el('room-streams'), streams.length > 1 ? [null, ...streams] : [], (it) => it?.stream ?? '', (it) => link('', { stream: it?.stream ?? null }), (a, it) => {
    set(a, it ? `${it.stream} · ${count(it.viewers, 'viewer')}` : 'All streams');
    attr(a, 'aria-current', (place.stream ?? null) === (it?.stream ?? null) ? 'true' : null);
  });
  const chosen = streams.filter((it) => !place.stream || it.stream === place.stream);
  keyed(el('room-trees'), chosen, (it) => `${place.room}/${it.stream}`, section, fill, (item) => item.parts.tree.close());
}

function facts(view) {
  const { counters = {} } = view ?? {};
  const rows = view ? [
    ['Viewers', whole(view.viewers)],
    ...(view.waiting ? [['Waiting', whole(view.waiting)]] : []),
    ['Most at once', whole(counters.peakViewers)],
    ['Joined', whole(counters.viewersJoined)],
    ['Left', whole(counters.viewersLeft)],
    ...(counters.viewersLeft ? [['Watched by those who left', span(counters.viewerSeconds * 1000)]] : []),
    ...(counters.viewersLeft ? [['Sent to those who left', bytes(counters.watchedBytes)]] : []),
    ['Streams started', whole(counters.streamsStarted)],
    ['Pipes opened', whole(counters.pipesOpened)],
    ['Pipes failed', whole(counters.pipesFailed)],
    ['Recoveries', whole(counters.recoveries)],
  ] : [];
  keyed(el('room-facts'), rows, ([name]) => name, ([name]) => make('div', {}, make('dt', {}, name), make('dd')), (item, [, text]) => set(item.lastChild, text));
}

function section(stream) {
  const tree = new Tree();
  const state = make('span', { class: 'badge' });
  const text = make('span', { class: 'quiet' });
  const since = make('span', { class: 'quiet' });
  const gone = make('p', { class: 'empty' });
  const item = make('section', { class: 'stream', 'data-stream': stream.stream }, make('header', { class: 'head' }, make('h3', {}, stream.stream), state, text, since), gone, tree.element);
  item.parts = { tree, state, text, since, gone };
  return item;
}

function fill(item, stream) {
  const { parts } = item;
  set(parts.state, stream.live ? 'live' : 'over');
  attr(parts.state, 'data-live', String(stream.live));
  const numbers = [stream.participant ? 'participant' : null, bitrate(stream.bitrate), count(stream.viewers, 'viewer'), stream.depth ? `${count(stream.depth, 'hop')} deep` : 'no other node', stream.crossings ? `${count(stream.crossings, 'pipe')} between regions` : null, codecs(stream.producers), stream.muted ? 'muted' : null, ...stream.warnings.map((it) => `⚠ ${it.kind.replaceAll('_', ' ')}`)];
  const why = stream.ended ? ended(stream.ended) : 'it is not published';
  set(parts.text, stream.live ? numbers.filter(Boolean).join(' · ') : `Over: ${why}.`);
  age(parts.since, stream.live ? stream.startedAt : stream.endedAt, stream.live ? 'up' : 'ago');
  show(parts.gone, !stream.tree);
  set(parts.gone, stream.live ? 'The origin of this stream is not known at this moment.' : stream.apart.length ? 'No origin has this stream now; viewers wait for it to come back.' : 'No node has this stream now.');
  parts.tree.show(stream);
}

/** What is published: `VP8 in 3 layers, opus`. */
function codecs(producers) {
  return producers.map((it) => `${it.mimeType.split('/')[1]}${it.encodings > 1 ? ` in ${it.encodings} layers` : ''}${it.paused ? ' (paused)' : ''}`).join(', ');
}
