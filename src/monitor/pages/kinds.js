// How grave each type of event is.

const ERRORS = new Set(['pipe.failed', 'node.lost', 'worker.died', 'events.dropped']);
const WARNINGS = new Set(['publisher.rejected', 'viewer.rejected', 'keyframe.burst', 'limit.hit', 'node.draining']);
const GOOD = new Set(['stream.started', 'stream.recovered', 'pipe.opened', 'node.started']);
const UNWANTED_ENDS = new Set(['disconnected', 'silent', 'media', 'lost']);

/** `error`, `warning`, `good` or `plain`. */
export function severity(event) {
  const { type, data } = event ?? {};
  if (ERRORS.has(type) || (type === 'pipe.closed' && data?.lost)) return 'error';
  if (WARNINGS.has(type) || (type === 'stream.ended' && UNWANTED_ENDS.has(data?.reason))) return 'warning';
  return GOOD.has(type) ? 'good' : 'plain';
}

/** Whether an event only repeats what holds. */
export const summary = (type) => type === 'room.summary' || type === 'node.summary';

/** Whether an event is news of the whole fleet. Problems come with the fleet's view. */
export const ofFleet = (event) => {
  const grave = severity(event);
  return (grave === 'good' || event?.type === 'node.stopped' || event?.type === 'node.draining' || event?.type === 'stream.ended') && !event.type.startsWith('pipe.');
};
