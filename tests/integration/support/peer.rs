//! A participant that sends and is sent messages by mediasoup-client as it is, driven by hand from a page.

/// `enter(name, node)` gives one: `me.send(label, options)`, `me.hear(id)`, and what it got of whom by label.
pub(crate) const PEER: &str = r"
    window.enter = async (name, base = location.origin) => {
        const { Device } = await import('/assets/mediasoup-client.js');
        const socket = new WebSocket(`${base.replace('http', 'ws')}/rtc/talk`);
        await new Promise((done) => socket.addEventListener('open', done));
        let last = 0;
        const asked = new Map();
        const me = { got: {}, told: [], others: new Map() };
        const add = (of, one) => me.others.set(`${of}/${one.label}`, one);
        socket.addEventListener('message', ({ data }) => {
            const { id, ok, error, event } = JSON.parse(data);
            if (id !== undefined) {
                const { done, failed } = asked.get(id);
                return ok ? done(ok) : failed(Object.assign(new Error(error.reason), { code: error.code }));
            }
            for (const [name, told] of Object.entries(event)) {
                me.told.push(name);
                if (name === 'newDataProducer') add(told.participant, told.dataProducer);
                if (name === 'participantJoined') told.participant.dataProducers.forEach((one) => add(told.participant.name, one));
            }
        });
        me.ask = (verb, parameters = {}) => new Promise((done, failed) => {
            asked.set(++last, { done, failed });
            socket.send(JSON.stringify({ id: last, request: { [verb]: parameters } }));
        });
        me.refused = (verb, parameters) => me.ask(verb, parameters).then(() => 'done', ({ code }) => code);
        const entered = await me.ask('join', { name });
        entered.participants.forEach((other) => other.dataProducers.forEach((one) => add(other.name, one)));
        const device = await Device.factory();
        await device.load({ routerRtpCapabilities: entered.routerRtpCapabilities });
        const link = async (direction, make) => {
            const options = await me.ask('createWebRtcTransport', { direction, sctp: true });
            const transport = device[make](options);
            const transportId = transport.id;
            transport.on('connect', ({ dtlsParameters }, done, failed) =>
                me.ask('connectWebRtcTransport', { transportId, dtlsParameters }).then(done, failed));
            transport.on('producedata', ({ sctpStreamParameters, label, protocol }, done, failed) =>
                me.ask('produceData', { transportId, sctpStreamParameters, label, protocol }).then(done, failed));
            me[`${direction}s`] = transportId;
            me.limit = options.sctpParameters.maxMessageSize;
            return transport;
        };
        let sends;
        me.send = async (label, options = {}) => {
            sends ??= link('send', 'createSendTransport');
            const producer = await (await sends).produceData({ label, ...options });
            if (producer.readyState !== 'open') await new Promise((done) => producer.on('open', done));
            return producer;
        };
        const receives = await link('recv', 'createRecvTransport');
        me.hear = async (what) => {
            const { id: dataProducerId } = me.others.get(what);
            const { id, sctpStreamParameters, label, protocol } = await me.ask('consumeData', { dataProducerId });
            const consumer = await receives.consumeData({ id, dataProducerId, sctpStreamParameters, label, protocol });
            me.got[what] = [];
            consumer.on('message', (data) => { me.got[what].push(data); me.heard?.(data); });
            return consumer;
        };
        window.me = me;
        return me;
    };
";
