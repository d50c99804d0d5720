// Which data channels of a room are received.

import { Reception } from './reception.js';
import { RoomProblem } from './room-socket.js';

/** Events, with `participant` and `dataProducer` in their `detail`: `data` (`data`), `datafailed` (`problem`). */
export class DataSubscriptions extends Reception {
  #session;
  #wants;

  /** `wants(dataProducer)` tells whether one is received without being asked for. */
  constructor(session, wants) {
    super((dataConsumerId) => session.request('closeDataConsumer', { dataConsumerId }));
    this.#session = session;
    this.#wants = wants;
  }

  add(participant, dataProducer) {
    this.enter(participant, dataProducer, this.#wants(dataProducer));
  }

  async ask({ source }, media) {
    await media.transport('recv');
    if (!media.data) throw new RoomProblem('unsupported', 'This node carries sound and pictures alone.');
    return this.#session.request('consumeData', { dataProducerId: source.id });
  }

  async make(entry, { id, sctpStreamParameters, label, protocol }, media) {
    const transport = await media.transport('recv');
    const { id: dataProducerId } = entry.source;
    const consumer = await transport.consumeData({ id, dataProducerId, sctpStreamParameters, label, protocol });
    consumer.binaryType = 'arraybuffer';
    consumer.on('message', (data) => this.#tell('data', entry, { data }));
    return { consumer, comes: entry.source };
  }

  failed(entry, problem) {
    this.#tell('datafailed', entry, { problem });
  }

  #tell(name, { participant, source: dataProducer }, more) {
    this.dispatchEvent(new CustomEvent(name, { detail: { participant, dataProducer, ...more } }));
  }
}
