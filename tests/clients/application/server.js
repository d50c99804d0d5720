// An application server as people have one beside mediasoup: it knows who may what, does the signalling of its own
// browsers, and has Headwater's nodes where it had workers. Made from `schemas/` alone.
//
//   node server.js <NATS URL> <a node's address>   writes the address of its page
import { createServer } from "node:http";
import { connect, JSONCodec } from "nats";

const [url, node] = process.argv.slice(2);
const bus = await connect({ servers: url });
const json = JSONCodec();
const listeners = new Map(); // session → where its events go

async function ask(at, session, request) {
  const answer = await bus.request(at, json.encode({ version: 2, message: { session, request } }), { timeout: 8000 });
  const { ok, error } = json.decode(answer.data).message;
  if (error) throw new Error(`${error.code}: ${error.reason}`);
  return ok;
}

// What happens may be told before the answer to `join` is read: whoever wants to hear all of it listens first.
const nodes = new Set();
async function listenTo(at) {
  if (nodes.has(at)) return;
  nodes.add(at);
  const events = bus.subscribe(`${at}.*`);
  await bus.flush();
  (async () => {
    for await (const event of events) listener(event.subject.slice(at.length + 1)).send(json.decode(event.data).message);
  })();
}

function listener(session) {
  if (!listeners.has(session)) {
    const waiting = [];
    listeners.set(session, { waiting, send: (event) => waiting.push(event), keep: () => {} });
  }
  return listeners.get(session);
}

// Who is called "guest…" may listen only: that is this application's rule, not Headwater's.
async function join(at, name) {
  await listenTo(at);
  const may = { publish: !name.startsWith("guest"), subscribe: true, moderate: false };
  const entered = await ask(at, undefined, { join: { name, appData: { since: "today" }, may } });
  const { session } = entered;
  listener(session).keep = () => ask(at, session, { ping: {} }).catch(() => listeners.delete(session));
  return entered;
}

const page = `<!doctype html><title>alone</title><script type="module">
import { Device } from "${node}/assets/mediasoup-client.js";
const [name, to] = [new URLSearchParams(location.search).get("name"), new URLSearchParams(location.search).get("to")];
const rpc = async (verb, parameters, session) => {
  const body = JSON.stringify({ to, session, verb, parameters });
  const answer = await (await fetch("/rpc", { method: "POST", body })).json();
  if (answer.error) throw new Error(answer.error);
  return answer.ok;
};
const me = await rpc("join", { name });
const ask = (verb, parameters = {}) => rpc(verb, parameters, me.session);
const device = await Device.factory();
await device.load({ routerRtpCapabilities: me.routerRtpCapabilities });
const link = async (direction, create) => {
  const transport = create(await ask("createWebRtcTransport", { direction }));
  transport.on("connect", ({ dtlsParameters }, done, failed) =>
    ask("connectWebRtcTransport", { transportId: transport.id, dtlsParameters }).then(done, failed));
  transport.on("produce", ({ kind, rtpParameters, appData }, done, failed) =>
    ask("produce", { transportId: transport.id, kind, rtpParameters, label: appData.label }).then(done, failed));
  return transport;
};
window.seen = {};
window.refused = null;
window.speaker = me.activeSpeaker;
const receives = await link("recv", (it) => device.createRecvTransport(it));
const consume = async (participant, producer) => {
  const rtpCapabilities = device.recvRtpCapabilities ?? device.rtpCapabilities;
  const consumed = await ask("consume", { producerId: producer.id, rtpCapabilities, paused: true });
  const consumer = await receives.consume(consumed);
  const element = document.createElement(consumed.kind);
  Object.assign(element, { autoplay: true, muted: true, srcObject: new MediaStream([consumer.track]) });
  document.body.append(element);
  await ask("resumeConsumer", { consumerId: consumed.id });
  window.seen[participant + "/" + consumed.label] = element;
};
const heard = {
  participantJoined: ({ participant }) => participant.producers.map((it) => consume(participant.name, it)),
  newProducer: ({ participant, producer }) => consume(participant, producer),
  participantLeft: ({ name }) => { window.left = name; },
  activeSpeaker: ({ participant }) => { window.speaker = participant; },
};
new EventSource("/events?session=" + me.session).onmessage = ({ data }) => {
  for (const [event, told] of Object.entries(JSON.parse(data))) heard[event]?.(told);
};
for (const other of me.participants) for (const producer of other.producers) consume(other.name, producer);
try {
  const stream = await navigator.mediaDevices.getUserMedia({ audio: true, video: { width: 640, height: 360 } });
  const sends = await link("send", (it) => device.createSendTransport(it));
  // One speaks on and on: the pretended microphone of a browser under test beeps shortly.
  const audio = new AudioContext();
  const [tone, out] = [audio.createOscillator(), audio.createMediaStreamDestination()];
  tone.connect(out);
  tone.start();
  const voice = name === "ann" ? out.stream : stream;
  await sends.produce({ track: voice.getAudioTracks()[0], appData: { label: "microphone" } });
  await sends.produce({ track: stream.getVideoTracks()[0], appData: { label: "camera" } });
  document.title = "sends";
} catch (error) { window.refused = String(error.message); }
</script>`;

async function body(request) {
  let text = "";
  for await (const part of request) text += part;
  return JSON.parse(text);
}

const server = createServer(async (request, response) => {
  const at = new URL(request.url, "http://here");
  if (at.pathname === "/rpc") {
    let answer;
    try {
      const { to, session, verb, parameters } = await body(request);
      const subject = `room.talk.session.${to}`;
      answer = { ok: verb === "join" ? await join(subject, parameters.name) : await ask(subject, session, { [verb]: parameters }) };
    } catch (error) { answer = { error: error.message }; }
    return response.end(JSON.stringify(answer));
  }
  if (at.pathname === "/events") {
    response.writeHead(200, { "content-type": "text/event-stream" });
    const to = listener(at.searchParams.get("session"));
    to.send = (event) => response.write(`data: ${JSON.stringify(event)}\n\n`);
    return to.waiting.splice(0).forEach(to.send);
  }
  response.writeHead(200, { "content-type": "text/html" }).end(page);
});
// Whoever is in a call keeps its session: silence for long means that this server is gone.
setInterval(() => listeners.forEach(({ keep }) => keep()), 1000);
server.listen(0, "127.0.0.1", () => console.log(`http://127.0.0.1:${server.address().port}/`));
