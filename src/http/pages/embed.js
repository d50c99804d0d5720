// The page that says how to put a stream on one's own page, filled in with this node's address.

import { address, here, place } from './place.js';
import { checkNames, copy, el, header, set, state } from './ui.js';

const form = el('room-form');
const where = place();

header(where);
state('idle', '');
form.elements.room.value = where.room || 'news';
form.elements.stream.value = where.query.get('stream') ?? '';
form.addEventListener('input', fill);
form.addEventListener('submit', (event) => event.preventDefault());
for (const button of document.querySelectorAll('[data-copy]')) {
  button.addEventListener('click', () => copy(el(button.dataset.copy), button));
}
fill();

function fill() {
  if (!checkNames(form)) return;
  const room = form.elements.room.value.trim();
  const stream = form.elements.stream.value.trim() || 'main';
  const names = stream === 'main' ? room : `${room}/${stream}`;
  const [whep, whip, module] = [here(`whep/${names}`), here(`whip/${names}`), here('headwater.js')];
  show('page', `
<!doctype html>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${names}</title>

<!-- These two: -->
<script type="module" src="${module}"></script>
<headwater-player src="${whep}" autoplay muted controls></headwater-player>
`);
  const watch = address('watch', { room, stream }, { autostart: '1' }).replaceAll('&', '&amp;');
  show('frame', `
<iframe src="${watch}" allow="autoplay; fullscreen; picture-in-picture" style="width: 100%; height: 40rem; border: 0"></iframe>
`);
  show('script', `
import { Player, Publisher } from '${module}';

// Watch:
const player = new Player({ url: '${whep}' });
player.addEventListener('stream', ({ detail }) => { video.srcObject = detail; });
player.addEventListener('statechange', ({ detail }) => console.log(detail.state, detail.problem));
player.start();

// Publish:
const stream = await navigator.mediaDevices.getUserMedia({ audio: true, video: true });
const publisher = new Publisher({
  url: '${whip}',
  stream,
  video: { codec: 'VP8', bitrate: 2_500_000, simulcast: true },
});
publisher.start();

// And later:
player.stop();
publisher.stop();
`);
}

function show(id, text) {
  set(el(id), text.trim());
  el(id).rows = text.trim().split('\n').length + 1;
}
