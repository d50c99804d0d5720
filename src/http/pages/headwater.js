// Headwater for any page: `Player`, `Publisher`, the element `<headwater-player>`, and `Room`, for conferences.
//
// The first three speak WHIP (RFC 9725) and WHEP (draft-ietf-wish-whep), so that any such server will do; see /embed.
// `Room` speaks Headwater's session API, and loads mediasoup-client when it joins.

export { HeadwaterPlayer } from './assets/element.js';
export { Player } from './assets/player.js';
export { Problem } from './assets/problem.js';
export { Publisher } from './assets/publisher.js';
export { Room } from './assets/room.js';
export { RoomProblem } from './assets/room-socket.js';

// What these need, named here so that a browser fetches all of it at once.
import './assets/data-publication.js';
import './assets/data-subscriptions.js';
import './assets/doubt.js';
import './assets/encodings.js';
import './assets/keep.js';
import './assets/live.js';
import './assets/people.js';
import './assets/place.js';
import './assets/publication.js';
import './assets/publications.js';
import './assets/reception.js';
import './assets/room-chat.js';
import './assets/room-media.js';
import './assets/room-session.js';
import './assets/room-traffic.js';
import './assets/room-ways.js';
import './assets/sdp.js';
import './assets/session.js';
import './assets/skin.js';
import './assets/subscriptions.js';
import './assets/whep.js';
import './assets/whip.js';
