// Headwater for any page: `Player`, `Publisher` and the element `<headwater-player>`.
//
// They speak WHIP (RFC 9725) and WHEP (draft-ietf-wish-whep), so that any such server will do. See /embed.

export { HeadwaterPlayer } from './assets/element.js';
export { Player } from './assets/player.js';
export { Problem } from './assets/problem.js';
export { Publisher } from './assets/publisher.js';

// What these need, named here so that a browser fetches all of it at once.
import './assets/encodings.js';
import './assets/keep.js';
import './assets/live.js';
import './assets/sdp.js';
import './assets/session.js';
import './assets/skin.js';
import './assets/whep.js';
import './assets/whip.js';
