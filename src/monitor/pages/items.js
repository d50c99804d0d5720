// What the time line shows, be it an event or a problem: `go` is its moment as the address names it,
// `at` the same in milliseconds.

import { sign } from './kinds.js';
import { moment } from './problems.js';

const made = new WeakMap();

export const milliseconds = (time) => Date.parse(time) || 0;

/** Sorts items in the order of the log, as far as it is known. */
export const order = (a, b) => (a.sequence && b.sequence ? a.sequence - b.sequence : a.at - b.at);

/** The item of a recorded event; made once. */
export function fromEvent(recorded) {
  if (!made.has(recorded)) made.set(recorded, item(recorded));
  return made.get(recorded);
}

function item(recorded) {
  const { sequence, stored, event, text } = recorded;
  const key = String(sequence);
  return {
    key, sequence, go: key, at: milliseconds(stored), time: event?.time ?? stored, type: event?.type ?? 'unknown',
    severity: sign(recorded), text, room: event?.subject.room, node: event?.source.node,
  };
}

/** The item of a problem. */
export function fromProblem(problem) {
  const { time, kind, node, room, text } = problem;
  const go = moment(problem);
  const at = milliseconds(problem.sequence ? time : go);
  const key = problem.sequence ? String(problem.sequence) : `${time} ${kind} ${node} ${text}`;
  return { key, sequence: problem.sequence ?? null, go, at, time, type: kind, severity: problem.severity, text, room, node };
}
