// Connection quality in plain words.

import { percent } from './format.js';

/** Judges the numbers of a viewer: `{ level, word, reason }`, level from 0 (poor) to 3 (excellent). */
export function watching({ lossPercent, recentFreezeMs, jitterMs, rttMs, fps, videoBitrate }) {
  const loss = lossPercent ?? 0;
  if (!fps && !videoBitrate) return { level: 1, word: 'Sound only', reason: 'No picture arrives at the moment.' };
  if (!fps) return { level: 0, word: 'Poor', reason: 'The picture cannot be decoded yet; a key frame is missing.' };
  if (recentFreezeMs > 1500) return { level: 0, word: 'Poor', reason: 'The picture froze for more than a second.' };
  if (loss > 5) return { level: 0, word: 'Poor', reason: `${percent(loss)} of the packets are lost.` };
  if (recentFreezeMs > 0) return { level: 1, word: 'Fair', reason: 'The picture froze for a moment.' };
  if (loss > 1.5) return { level: 1, word: 'Fair', reason: `${percent(loss)} of the packets are lost; most are repaired.` };
  if (jitterMs > 60) return { level: 1, word: 'Fair', reason: 'Packets arrive unevenly.' };
  if (fps < 10) return { level: 1, word: 'Fair', reason: 'Few frames a second arrive.' };
  if (loss > 0.3) return { level: 2, word: 'Good', reason: 'A few packets are lost and repaired.' };
  if (rttMs > 250) return { level: 2, word: 'Good', reason: 'Complete, but the node is far away.' };
  return { level: 3, word: 'Excellent', reason: 'The picture arrives complete and on time.' };
}

const LIMITS = {
  none: 'nothing',
  bandwidth: 'the network',
  cpu: 'this computer (CPU)',
  other: 'the browser',
};

/** What holds the encoder back. */
export const limitation = (reason) => LIMITS[reason] ?? reason;

/** Judges the numbers of a publisher, like `watching`. */
export function publishing({ lossPercent, limitation: limit, rttMs, fps }) {
  const loss = lossPercent ?? 0;
  if (loss > 5) return { level: 0, word: 'Poor', reason: `${percent(loss)} of the packets do not reach the node.` };
  if (fps > 0 && fps < 10) return { level: 1, word: 'Fair', reason: 'Few frames a second leave this device.' };
  if (limit === 'bandwidth') return { level: 1, word: 'Fair', reason: 'The network carries less than the chosen quality.' };
  if (limit === 'cpu') return { level: 1, word: 'Fair', reason: 'This computer is too busy for the chosen quality.' };
  if (loss > 0.5) return { level: 2, word: 'Good', reason: 'A few packets are lost and sent again.' };
  if (rttMs > 250) return { level: 2, word: 'Good', reason: 'Complete, but the node is far away.' };
  return { level: 3, word: 'Excellent', reason: 'Everything reaches the node.' };
}
