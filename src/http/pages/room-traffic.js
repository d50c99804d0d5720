// All that goes to and from a participant of a room, tracks and data.

import { DataPublication } from './data-publication.js';
import { DataSubscriptions } from './data-subscriptions.js';
import { Publication } from './publication.js';
import { Publications } from './publications.js';
import { isChat } from './room-chat.js';
import { Subscriptions } from './subscriptions.js';

/** What one publishes and receives in a session, begun anew wherever that goes on. */
export class Traffic {
  #session;
  #media = null;

  /** `policy` is what is received without being asked for, and `speakers` of how many the voices, as `Room` has it. */
  constructor(session, policy, speakers) {
    this.#session = session;
    this.publications = new Publications((producerId) => session.request('closeProducer', { producerId }));
    this.data = new Publications((dataProducerId) => session.request('closeDataProducer', { dataProducerId }));
    this.tracks = new Subscriptions(session, policy, speakers);
    this.messages = new DataSubscriptions(session, (dataProducer) => policy === 'all' || isChat(dataProducer));
  }

  get #parts() {
    return [this.publications, this.data, this.tracks, this.messages];
  }

  publish(track, options) {
    return this.publications.add(new Publication(this.#session, track, options));
  }

  publishData(options) {
    return this.data.add(new DataPublication(this.#session, options));
  }

  /** Goes on with this media; the lists are of what the node has already. */
  start(media, { producers, dataProducers, consumers, dataConsumers }) {
    this.#media = media;
    this.publications.start(media, producers);
    this.data.start(media, dataProducers);
    this.tracks.start(media, consumers);
    this.messages.start(media, dataConsumers);
  }

  /** Asks for nothing until `start`: the room can't be asked. */
  hold() {
    this.#media = null;
    for (const part of this.#parts) part.hold();
  }

  /** A connection is over: what went by it begins anew. */
  renew(direction) {
    if (!this.#media) return;
    const parts = direction === 'send' ? [this.publications, this.data] : [this.tracks, this.messages];
    for (const part of parts) part.start(this.#media);
  }

  /** The session is over, for this reason, which is a problem if it was not meant. */
  stop(why, problem) {
    for (const part of this.#parts) part.stop(why, problem);
  }

  /** Takes over what the room tells. */
  hear(name, data) {
    switch (name) {
      case 'consumerClosed': this.tracks.closed(data.consumerId); break;
      case 'consumerReplaced': this.tracks.replaced(data.consumerId, data.by, data.by.producerId); break;
      case 'dataConsumerClosed': this.messages.closed(data.dataConsumerId); break;
      case 'dataConsumerReplaced': this.messages.replaced(data.dataConsumerId, data.by, data.by.dataProducerId); break;
      default: break;
    }
  }
}
