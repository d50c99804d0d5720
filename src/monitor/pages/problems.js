// What went wrong lately, in plain words.

import { age } from './ages.js';
import { attr, el, keyed, lead, link, make, set, show } from './dom.js';

const FEW = 6;
let all = false;
let problems = [];

// What happened is stored, and so part of the picture, a little later.
const STORED = 1000;

/** The moment of a problem, as the address names it: its sequence where it is known. */
export const moment = (problem) => (problem.sequence ? String(problem.sequence) : new Date(Date.parse(problem.time) + STORED).toISOString());

/** Shows problems, newest first. */
export function showProblems(list) {
  problems = list;
  const visible = all ? problems : problems.slice(0, FEW);
  listProblems(el('problems'), visible);
  set(el('problems-count'), problems.length ? String(problems.length) : '');
  show(el('problems-empty'), problems.length === 0);
  show(el('problems-more'), problems.length > FEW);
  set(el('problems-more'), all ? 'Show fewer' : `Show ${problems.length - FEW} more`);
}

/** Makes the items of a list those of these problems. */
export function listProblems(list, some) {
  keyed(list, some, (problem) => `${problem.time} ${problem.kind} ${problem.node} ${problem.text}`, item, fill);
}

function item(problem) {
  const when = link('', {}, { class: 'ago' });
  const text = make('p');
  const links = make('p', { class: 'refer' }, when);
  if (problem.room) links.append(link(`room ${problem.room}`, { room: problem.room }));
  links.append(link(`node ${problem.node}`, { node: problem.node }));
  const li = make('li', { 'data-kind': problem.kind }, make('i', { class: 'sign' }), make('div', {}, text, links));
  li.parts = { when, text };
  return li;
}

function fill(li, problem) {
  attr(li, 'data-severity', problem.severity);
  attr(li.firstChild, 'data-severity', problem.severity);
  attr(li.firstChild, 'title', problem.severity);
  set(li.parts.text, problem.text);
  age(li.parts.when, problem.time, 'ago');
  lead(li.parts.when, { at: moment(problem) });
  attr(li.parts.when, 'title', `See the moment: ${problem.time}`);
}

el('problems-more').addEventListener('click', () => {
  all = !all;
  showProblems(problems);
});
