// The fleet: a box for each region on both sides of a channel, in which the lines between them run.

import { attr, el, keyed, make, set, show } from './dom.js';
import { count, whole } from './format.js';
import { lay, light } from './links.js';
import { card, flow } from './nodecard.js';
import { place } from './place.js';
import * as tile from './tile.js';

const TOTALS = [['nodes', 'node'], ['rooms', 'room'], ['streams', 'stream'], ['viewers', 'viewer'], ['pipes', 'pipe']];
const CROWDED = 40;
const sides = new Map();
let fleet = null;
let searched = '';

/** The fleet as it is shown; null before the first. */
export const shown = () => fleet;

/** Shows a fleet. */
export function showFleet(view) {
  fleet = view;
  totals(view.totals);
  const nodes = view.regions.reduce((sum, region) => sum + region.nodes.length, 0);
  const empty = nodes === 0;
  show(el('fleet-empty'), empty);
  show(el('map'), !empty);
  set(el('fleet-empty'), place.at
    ? 'At this moment no node had been heard of yet. Move the slider to the right, or go back to live.'
    : 'No node has been heard of. Start one with “headwater node” and give it the same NATS address as this monitor: it shows up here within a second.');
  const wanted = place.search?.toLowerCase() ?? '';
  // A search that is for rooms alone dims no node.
  searched = view.regions.some((region) => region.nodes.some((node) => node.node.toLowerCase().includes(wanted))) ? wanted : '';
  attr(el('map'), 'data-crowded', nodes > CROWDED);
  const halves = halve(view.regions);
  keyed(el('left'), halves[0], (region) => region.region, box, fill);
  keyed(el('right'), halves[1], (region) => region.region, box, fill);
  lay(view.links);
  chosen();
}

/** Shows again what depends on the address and the search alone. */
export function touch() {
  if (fleet) showFleet(fleet);
}

function totals(numbers) {
  keyed(el('totals'), TOTALS, ([key]) => key, () => make('div', {}, make('dt'), make('dd')), (item, [key, noun]) => {
    set(item.firstChild, numbers[key] === 1 ? noun : `${noun}s`);
    set(item.lastChild, whole(numbers[key]));
  });
}

/** Both sides about as tall; a region stays on the side where it is. */
function halve(regions) {
  const halves = [[], []];
  const weight = [0, 0];
  const put = (region, side) => {
    sides.set(region.region, side);
    weight[side] += 2 + Math.ceil(region.nodes.length / 4);
  };
  for (const region of regions) if (sides.has(region.region)) put(region, sides.get(region.region));
  for (const region of regions) if (!sides.has(region.region)) put(region, weight[0] <= weight[1] ? 0 : 1);
  for (const region of regions) halves[sides.get(region.region)].push(region);
  return halves;
}

function box(region) {
  const title = make('h3', {}, region.region);
  const ill = make('span', { class: 'ill' });
  const facts = make('p', { class: 'quiet' });
  const bits = make('p', { class: 'quiet' });
  const nodes = make('ul', { class: 'nodes' });
  const item = make('li', { class: 'region', 'data-region': region.region }, make('header', {}, title, ill, make('div', {}, facts, bits)), nodes);
  item.addEventListener('pointerenter', () => light(region.region));
  item.addEventListener('pointerleave', () => light(null));
  item.addEventListener('focusin', () => light(region.region));
  item.addEventListener('focusout', () => light(null));
  item.parts = { ill, facts, bits, nodes };
  return item;
}

function fill(item, region) {
  const { ill, facts, bits, nodes } = item.parts;
  const conditions = {};
  for (const { condition } of region.nodes) conditions[condition] = (conditions[condition] ?? 0) + 1;
  set(ill, ['lost', 'draining', 'stopped'].filter((it) => conditions[it]).map((it) => `${conditions[it]} ${it}`).join(', '));
  attr(ill, 'data-worst', conditions.lost ? 'lost' : conditions.draining ? 'draining' : null);
  set(facts, `${count(region.nodes.length, 'node')} · ${count(region.streams, 'stream')} · ${count(region.viewers, 'viewer')}`);
  set(bits, flow(region));
  const common = beginning(region.nodes.map((node) => node.node));
  keyed(nodes, region.nodes, (node) => node.node, tile.create, (it, node) => tile.update(it, node, searched, common));
}

/** How all names begin, up to a sign that parts words: where it is crowded only the rest is shown. */
function beginning(names) {
  let common = names.length > 1 ? names[0] : '';
  for (const name of names) while (!name.startsWith(common)) common = common.slice(0, -1);
  return /^(.*[-._])?/.exec(common)[0];
}

function chosen() {
  const node = place.node && fleet.regions.flatMap((region) => region.nodes).find((it) => it.node === place.node);
  card(node || null, place.node);
}
