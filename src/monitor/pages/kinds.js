// What the page makes of each type of event.

const GOOD = new Set(['stream.started', 'stream.recovered', 'stream.cleared', 'pipe.opened', 'node.started']);
const FLEET = new Set(['stream.started', 'stream.recovered', 'stream.ended', 'node.started', 'node.draining', 'node.undrained', 'node.stopped']);

/** The monitor's `error` or `warning` where the event is a problem, else `good` or `plain`. */
export const sign = ({ severity, event }) => severity ?? (GOOD.has(event?.type) ? 'good' : 'plain');

/** Whether an event only repeats what holds. */
export const summary = (type) => type === 'room.summary' || type === 'node.summary';

/** Whether a recorded event is news of the whole fleet. Problems come with the fleet's view. */
export const ofFleet = ({ severity, event }) => !severity && FLEET.has(event?.type);
