// Who is in a room and what they send, as the room tells it.

/**
 * A participant: `name`, `node`, `region`, `appData`, `joinedAt`, and `producers`, a `Map` by id of what it sends:
 * `{ id, kind, label, paused, appData, codec, layers, track }`, `track` being what arrives of it, or null.
 */
function sent({ mimeType, encodings, ...told }) {
  return { label: '', appData: {}, paused: false, codec: mimeType, layers: encodings ?? 1, ...told, track: null };
}

function participant({ producers = [], dataProducers = [], ...about }) {
  return {
    ...about,
    producers: new Map(producers.map((one) => [one.id, sent(one)])),
    dataProducers: new Map(dataProducers.map((one) => [one.id, one])),
  };
}

const PRODUCER_EVENTS = { producerPaused: true, producerResumed: false };

/**
 * Events, each with `participant` in its `detail`: `joined`, `left` (`reason`), `changed`, `producer` and `ended`
 * (`producer`), `paused` (`producer`, `by`), `data` and `dataended` (`dataProducer`).
 */
export class People extends EventTarget {
  /** All others, by name. */
  all = new Map();

  /** Takes over what holds now. */
  apply(list) {
    const names = new Set(list.map(({ name }) => name));
    for (const name of this.all.keys()) if (!names.has(name)) this.#leave(name, 'left');
    for (const one of list) this.#join(one);
  }

  /** Takes over a change; returns whether it was one of these. */
  hear(name, data) {
    switch (name) {
      case 'participantJoined': this.#join(data.participant); return true;
      case 'participantLeft': this.#leave(data.name, data.reason); return true;
      case 'newProducer': this.#with(data, (one) => this.#add(one, data.producer)); return true;
      case 'producerClosed': this.#with(data, (one) => this.#remove(one, data.producerId)); return true;
      case 'newDataProducer': this.#with(data, (one) => this.#addData(one, data.dataProducer)); return true;
      case 'dataProducerClosed': this.#with(data, (one) => this.#removeData(one, data.dataProducerId)); return true;
      default: break;
    }
    if (!(name in PRODUCER_EVENTS)) return false;
    this.#with(data, (one) => this.#pause(one, data.producerId, PRODUCER_EVENTS[name], data.by));
    return true;
  }

  #tell(name, detail) {
    this.dispatchEvent(new CustomEvent(name, { detail }));
  }

  #with({ participant: name }, then) {
    const one = this.all.get(name);
    if (one) then(one);
  }

  #join(told) {
    const known = this.all.get(told.name);
    const now = participant(told);
    if (!known) {
      this.all.set(told.name, { ...now, producers: new Map(), dataProducers: new Map() });
      this.#tell('joined', { participant: this.all.get(told.name) });
    } else {
      const { node, region, appData, joinedAt } = now;
      const moved = node !== known.node || JSON.stringify(appData) !== JSON.stringify(known.appData);
      Object.assign(known, { node, region, appData, joinedAt });
      if (moved) this.#tell('changed', { participant: known });
    }
    const one = this.all.get(told.name);
    for (const id of one.producers.keys()) if (!now.producers.has(id)) this.#remove(one, id);
    for (const id of one.dataProducers.keys()) if (!now.dataProducers.has(id)) this.#removeData(one, id);
    for (const producer of now.producers.values()) this.#add(one, producer);
    for (const dataProducer of now.dataProducers.values()) this.#addData(one, dataProducer);
  }

  #leave(name, reason) {
    const one = this.all.get(name);
    if (!one) return;
    for (const id of one.producers.keys()) this.#remove(one, id);
    for (const id of one.dataProducers.keys()) this.#removeData(one, id);
    this.all.delete(name);
    this.#tell('left', { participant: one, reason });
  }

  #add(one, told) {
    if (one.producers.has(told.id)) {
      this.#pause(one, told.id, told.paused, null);
      return;
    }
    const producer = sent(told);
    one.producers.set(producer.id, producer);
    this.#tell('producer', { participant: one, producer });
  }

  #remove(one, id) {
    const producer = one.producers.get(id);
    if (!producer) return;
    one.producers.delete(id);
    this.#tell('ended', { participant: one, producer });
  }

  #pause(one, id, paused, by) {
    const producer = one.producers.get(id);
    if (!producer || producer.paused === paused) return;
    producer.paused = paused;
    this.#tell('paused', { participant: one, producer, by: by ?? null });
  }

  #addData(one, dataProducer) {
    if (one.dataProducers.has(dataProducer.id)) return;
    one.dataProducers.set(dataProducer.id, dataProducer);
    this.#tell('data', { participant: one, dataProducer });
  }

  #removeData(one, id) {
    const dataProducer = one.dataProducers.get(id);
    if (!dataProducer) return;
    one.dataProducers.delete(id);
    this.#tell('dataended', { participant: one, dataProducer });
  }
}
