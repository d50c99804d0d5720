// The lines between regions: drawn in the channel between the boxes, so that no line runs over one.

import { attr, draw, el, keyed, make, set } from './dom.js';
import { bitrate, count } from './format.js';

const LABELS = 14;
const TRIES = [0.5, 0.4, 0.6, 0.3, 0.7, 0.22, 0.78];
// All labels stand above all lines.
const lines = draw('g');
const labels = draw('g');
let links = [];
let geometry = null;
let lit = null;
let pending = false;

const key = (link) => `${link.from}->${link.to}`;
const said = (link) => `${link.from} to ${link.to}: ${count(link.streams, 'stream')}, ${bitrate(link.bitrate)}`;

el('links').append(lines, labels);
const moved = new ResizeObserver(() => {
  geometry = null;
  later();
});
for (const id of ['map', 'left', 'right']) moved.observe(el(id));

/** Shows these links. */
export function lay(next) {
  const where = (list) => list.map(key).join();
  if (where(next) !== where(links)) geometry = null;
  links = next;
  later();
  keyed(el('crossings'), links, key, () => make('li', {}, make('span'), make('b'), make('span')), (item, link) => {
    set(item.children[0], `${link.from} → ${link.to}`);
    set(item.children[1], bitrate(link.bitrate));
    set(item.children[2], count(link.streams, 'stream'));
  });
}

/** Brings out the lines of one region; null brings out none. */
export function light(region) {
  lit = region;
  later();
}

function later() {
  if (pending) return;
  pending = true;
  requestAnimationFrame(() => {
    pending = false;
    paint();
  });
}

/** Where each line leaves and arrives: measured only when boxes have moved. */
function measure() {
  const map = el('map').getBoundingClientRect();
  const boxes = new Map();
  for (const side of ['left', 'right']) {
    for (const item of el(side).children) {
      const { left, right, top, height } = item.getBoundingClientRect();
      const wide = el('right').getBoundingClientRect().left >= el('left').getBoundingClientRect().right;
      const rightward = side === 'left' || !wide;
      boxes.set(item.dataset.region, { rightward, x: (rightward ? right : left) - map.left, top: top - map.top, height, ports: [] });
    }
  }
  const sorted = links.filter((link) => boxes.has(link.from) && boxes.has(link.to) && link.from !== link.to);
  const middle = (name) => boxes.get(name).top + boxes.get(name).height / 2;
  for (const link of sorted) {
    const beside = boxes.get(link.from).rightward === boxes.get(link.to).rightward;
    boxes.get(link.from).ports.push({ link, beside, out: true, other: middle(link.to) });
    boxes.get(link.to).ports.push({ link, beside, out: false, other: middle(link.from) });
  }
  const ends = new Map();
  for (const box of boxes.values()) {
    // Both directions between two boxes run side by side: nested on one side, parallel across.
    const turn = (port) => (port.beside && port.other < box.top + box.height / 2 ? -1 : 1);
    box.ports.sort((a, b) => a.other - b.other || turn(a) * key(a.link).localeCompare(key(b.link)));
    const room = Math.min(box.height - 24, box.ports.length * 22);
    box.ports.forEach((port, index) => {
      const y = box.top + box.height / 2 + (box.ports.length === 1 ? 0 : (index / (box.ports.length - 1) - 0.5) * room);
      const end = ends.get(key(port.link)) ?? {};
      end[port.out ? 'from' : 'to'] = { x: box.x, y, rightward: box.rightward };
      ends.set(key(port.link), end);
    });
  }
  const inner = [el('left'), el('right')].map((side) => side.getBoundingClientRect());
  const wide = inner[1].left >= inner[0].right;
  const channel = wide ? [inner[0].right - map.left, inner[1].left - map.left] : [inner[0].right - map.left, map.width];
  return { width: map.width, height: map.height, wide, channel, ends };
}

/** The four points of the curve. */
function curve({ from, to }, channel) {
  const room = channel[1] - channel[0];
  const near = from.rightward === to.rightward;
  const reach = near ? Math.min(room * 0.9, 30 + Math.abs(to.y - from.y) * 0.3) : room * 0.5;
  const bend = (end) => end.x + (end.rightward ? reach : -reach);
  return [[from.x, from.y], [bend(from), from.y], [bend(to), to.y], [to.x, to.y]];
}

function at([a, b, c, d], t) {
  const u = 1 - t;
  const mix = (index) => u ** 3 * a[index] + 3 * u * u * t * b[index] + 3 * u * t * t * c[index] + t ** 3 * d[index];
  return [mix(0), mix(1)];
}

function paint() {
  if (!geometry) geometry = measure();
  const { width, height, wide, channel, ends } = geometry;
  const svg = el('links');
  attr(svg, 'viewBox', `0 0 ${width} ${height}`);
  attr(svg, 'data-lit', lit !== null);
  const taken = [];
  const ranked = links.filter((link) => ends.has(key(link))).sort((a, b) => b.bitrate - a.bitrate || key(a).localeCompare(key(b)));
  const labelled = new Set(ranked.filter((link) => !lit || link.from === lit || link.to === lit).slice(0, LABELS));
  const spots = new Map();
  keyed(lines, ranked, key, line, (group, link) => {
    const points = curve(ends.get(key(link)), channel);
    const tip = ends.get(key(link)).to;
    const back = tip.rightward ? 8 : -8;
    attr(group, 'data-on', lit === link.from || lit === link.to);
    const [flow, head, title] = group.children;
    attr(flow, 'd', `M${points[0]}C${points[1]} ${points[2]} ${points[3][0] + back} ${points[3][1]}`);
    attr(flow, 'stroke-width', (1.5 + Math.min(5, Math.log10(1 + link.bitrate / 1e6) * 1.8)).toFixed(1));
    attr(head, 'd', `M${tip.x + back * 1.2} ${tip.y - 5}L${tip.x} ${tip.y}L${tip.x + back * 1.2} ${tip.y + 5}Z`);
    set(title, said(link));
    const spot = wide && labelled.has(link) ? place(points, taken) : null;
    if (spot) spots.set(link, spot);
  });
  keyed(labels, [...spots.keys()], key, label, (group, link) => {
    const [x, y] = spots.get(link);
    attr(group, 'transform', `translate(${x.toFixed(1)} ${y.toFixed(1)})`);
    set(group.children[1], bitrate(link.bitrate));
    set(group.children[2], count(link.streams, 'stream'));
  });
}

/** A spot on the curve where no other label is; none if there is none. */
function place(points, taken) {
  for (const t of TRIES) {
    const [x, y] = at(points, t);
    if (taken.some((other) => Math.abs(other[0] - x) < 86 && Math.abs(other[1] - y) < 36)) continue;
    taken.push([x, y]);
    return [x, y];
  }
  return null;
}

function line() {
  return draw('g', { class: 'link' }, draw('path', { class: 'flow' }), draw('path', { class: 'head' }), draw('title'));
}

function label() {
  return draw('g', { class: 'label' }, draw('rect', { x: -42, y: -17, width: 84, height: 34, rx: 8 }), draw('text', { y: -3, class: 'strong' }), draw('text', { y: 11 }));
}
