//! Conferences on the page, in a real browser: everyone at another node.

use std::time::{Duration, Instant};

use headwater::config::{Action, Config, StaticToken};
use headwater::node::Node;

use crate::support::browser::Browser;
use crate::support::child::ChildNode;
use crate::support::fleet::{
    Address, SOON, acquainted, config, get_json, named, node, one_node, plays, publish, start, watch,
};
use crate::support::nats::NatsServer;
use crate::support::page::Page;
use crate::support::wait::eventually;

const MEDIA: Duration = Duration::from_secs(40);
/// The promise is three seconds; on a busy machine it may take longer, and the figures are printed.
const WAY_BACK: Duration = Duration::from_secs(15);
const SCREENSHOTS: &str = concat!(env!("CARGO_TARGET_TMPDIR"), "/screenshots");

/// Runs before the page's own scripts: its sockets can be broken, with what is answered to a verb or without, and what
/// comes of a participant's producer be asked.
const SCRIPT: &str = r"
    window.sockets = [];
    window.ownScores = [];
    window.loses = new Set();
    window.WebSocket = class extends WebSocket {
        constructor(...all) {
            super(...all);
            window.sockets.push(this);
            this.addEventListener('message', ({ data }) => {
                const { score } = JSON.parse(data).event ?? {};
                if (score?.producerId) window.ownScores.push(score);
            });
        }

        send(text) {
            super.send(text);
            const [verb] = Object.keys(JSON.parse(text).request);
            if (window.loses.delete(verb)) this.close();
        }
    };
    window.producer = (name, label) => [...window.headwater.room.participants.get(name).producers.values()]
        .find((one) => one.label === label || !label);
    window.comes = async (name, label) => {
        const { receive } = await window.headwater.room.getStats();
        const { track } = window.producer(name, label);
        return [...receive.values()].find((one) => one.type === 'inbound-rtp' && one.trackIdentifier === track.id);
    };
    window.sees = async (name, label = 'camera') => {
        const { framesDecoded, frameHeight } = await window.comes(name, label);
        const { id } = window.producer(name, label);
        const tile = document.querySelector(`[data-key='${name}'] video`) ;
        const own = document.querySelector(`[data-key='${id}'] video`);
        return framesDecoded > 10 && frameHeight > 0 && (own ?? tile).currentTime > 0.3;
    };
    window.hears = async (name) => {
        const { packetsReceived, totalAudioEnergy } = await window.comes(name, 'microphone');
        return packetsReceived > 20 && totalAudioEnergy > 0;
    };
    // What happened in the room, to look into a failure.
    window.trace = [];
    window.follow = () => {
        const names = ['state', 'participantjoined', 'participantleft', 'participantchanged', 'producer',
            'producerended', 'track', 'trackended', 'trackfailed'];
        const note = (...words) => window.trace.push([new Date().toISOString().slice(14, 23), ...words].join(' '));
        for (const name of names) {
            window.headwater.room.addEventListener(name, ({ detail: { participant, producer, track, state, problem } }) => {
                note(name, state, participant?.name, participant?.node, producer?.label, problem?.message);
                if (name === 'track') track.addEventListener('unmute', () => note('comes', participant.name, producer.label));
            });
        }
    };
    window.press = (what) => document.querySelector(`[data-do='${what}']`).click();
";

/// A page that has joined the room `news` at a node, with a drawn picture of this size.
async fn joins(browser: &Browser, node: &impl Address, name: &str, size: &str) -> Page {
    joins_after(SCRIPT, browser, node, name, size).await
}

async fn joins_after(script: &str, browser: &Browser, node: &impl Address, name: &str, size: &str) -> Page {
    let page = open(script, browser, node, name, size, "").await;
    page.wait_for("window.headwater?.state === 'live'", MEDIA).await;
    let _: () = page.eval("window.follow()").await;
    page
}

/// A page that is about to join, with a token where one is needed.
async fn open(
    script: &str,
    browser: &Browser,
    node: &impl Address,
    name: &str,
    size: &str,
    token: &str,
) -> Page {
    let query = format!("room=news&name={name}&autostart=1&source=generated&size={size}");
    let url = format!("{}/room?{query}{token}", node.public());
    let page = browser.page_after(script, &url).await;
    page.set_viewport(1280, 800).await;
    page
}

/// Three who meet, each at a node of its own, in two regions.
struct Meeting {
    pages: [Page; 3],
    _browser: Browser,
    nodes: [Node; 3],
    _nats: NatsServer,
}

impl Meeting {
    /// anna, bo and carl, who all see and hear each other; anna's picture has this size.
    async fn of(size: &str) -> Self {
        let nats = NatsServer::start().await;
        let a = node("a", "west", &nats.url()).await;
        let b = node("b", "west", &nats.url()).await;
        let c = node("c", "east", &nats.url()).await;
        acquainted(&[&a, &b, &c]).await;
        let browser = Browser::start().await;
        let anna = joins(&browser, &a, "anna", size).await;
        let bo = joins(&browser, &b, "bo", "320x180").await;
        let carl = joins(&browser, &c, "carl", "320x180").await;
        meets(&anna, &["bo", "carl"]).await;
        meets(&bo, &["anna", "carl"]).await;
        meets(&carl, &["anna", "bo"]).await;
        Self { pages: [anna, bo, carl], _browser: browser, nodes: [a, b, c], _nats: nats }
    }
}

/// Lets nobody in but who has one of these tokens.
fn guarded(config: &mut Config) {
    let token = |token: &str, actions: &[Action]| StaticToken {
        name: None,
        token: token.into(),
        actions: actions.to_vec(),
        room: None,
        stream: None,
    };
    config.auth.tokens = vec![
        token("host", &[Action::Publish, Action::Watch, Action::Moderate]),
        token("guest", &[Action::Publish, Action::Watch]),
        token("audience", &[Action::Watch]),
    ];
}

/// What happened at a page.
async fn trace(page: &Page) -> String {
    page.eval("window.trace.join('\\n')").await
}

/// Waits until a page shows and plays what these send.
async fn meets(page: &Page, names: &[&str]) {
    for name in names {
        page.wait_for(&format!("window.sees('{name}')"), MEDIA).await;
        page.wait_for(&format!("window.hears('{name}')"), MEDIA).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn people_at_three_nodes_in_two_regions_meet() {
    let meeting = Meeting::of("960x540").await;
    let [_, _, carl] = &meeting.pages;
    let where_is: String = carl.eval("document.querySelector('[data-key=anna] .badge').textContent").await;
    assert_eq!(where_is, "a · west");

    // And each is told how well what it sends comes.
    for page in &meeting.pages {
        let told = "new Set(ownScores.filter(({ score }) => score > 5).map(({ producerId }) => producerId)).size === 2";
        page.wait_for(told, MEDIA).await;
    }

    // Each gets the size that it asks for.
    let height =
        |is: &str| format!("window.comes('anna', 'camera').then(({{ frameHeight }}) => frameHeight {is})");
    let asks = |layer: u8| format!("headwater.room.setLayers(producer('anna', 'camera').id, {layer})");
    let _: () = carl.eval(&asks(0)).await;
    carl.wait_for(&height("<= 180"), MEDIA).await;
    let _: () = carl.eval(&asks(2)).await;
    carl.wait_for(&height(">= 360"), MEDIA).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_screen_is_shared_beside_the_camera_and_others_come_by_whip_and_whep() {
    let meeting = Meeting::of("320x180").await;
    let [anna, bo, carl] = &meeting.pages;
    let [_, b, c] = &meeting.nodes;

    // A screen beside the camera, and silence.
    let _: () = anna.eval("window.press('screen')").await;
    carl.wait_for("window.sees('anna', 'screen')", MEDIA).await;
    carl.wait_for("window.sees('anna', 'camera')", MEDIA).await;
    let _: () = anna.eval("window.press('microphone')").await;
    let silent = "!document.querySelector('[data-key=anna] .silent').hidden";
    for page in [bo, carl] {
        page.wait_for(silent, SOON).await;
    }
    let _: () = anna.eval("window.press('microphone')").await;
    carl.wait_for(&format!("!({silent})"), SOON).await;

    // Others come by other ways.
    let _dora = publish(c, "news/dora").await;
    bo.wait_for(
        "window.comes('dora').then(({ framesDecoded, packetsReceived }) => packetsReceived > 20)",
        MEDIA,
    )
    .await;
    bo.wait_for("document.querySelector('[data-key=dora] video').currentTime > 0.3", MEDIA).await;
    heard_of_stream(b, "bo").await;
    let viewer = watch(b, "news/bo").await;
    plays(&viewer, 10).await;
    viewer.stop().await;

    std::fs::create_dir_all(SCREENSHOTS).unwrap();
    for (page, name) in [(bo, "conference"), (anna, "conference-own")] {
        page.screenshot(format!("{SCREENSHOTS}/{name}.png")).await;
    }
    let _: () = carl.eval("window.press('leave')").await;
    anna.wait_for("!headwater.room.participants.has('carl')", SOON).await;
    anna.wait_for("!document.querySelector('[data-key=carl]')", SOON).await;
    // Who closes the page has left as well.
    let _: () = bo.eval("location.href = 'about:blank'; undefined").await;
    anna.wait_for("!headwater.room.participants.has('bo')", SOON).await;
}

/// Waits until a page is sent the messages of somebody, as whose channel is called.
async fn listens(page: &Page, name: &str, label: &str) {
    let channel = format!(
        "[...(headwater.room.participants.get('{name}')?.dataProducers.values() ?? [])].find((one) => one.label === '{label}')"
    );
    page.wait_for(&channel, MEDIA).await;
    let _: bool = page.eval(&format!("headwater.room.subscribeData({channel}.id).then(() => true)")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn people_write_to_each_other_wherever_they_are() {
    let meeting = Meeting::of("320x180").await;
    let [anna, bo, carl] = &meeting.pages;
    let [_, b, _] = &meeting.nodes;
    let says = async |page: &Page, text: &str| {
        page.wait_for("headwater.room.chat.on", SOON).await;
        let _: () = page
            .eval(&format!(
                "document.querySelector('#text').value = '{text}'; document.querySelector('#say').requestSubmit()"
            ))
            .await;
    };
    let reads = async |page: &Page, text: &str| {
        let last = "document.querySelector('#messages li:last-child p + p')?.textContent";
        page.wait_for(&format!("{last} === '{text}'"), SOON).await;
    };
    for page in [bo, carl] {
        listens(page, "anna", "chat").await;
    }
    says(anna, "Good morning").await;
    for page in [anna, bo, carl] {
        reads(page, "Good morning").await;
    }
    // Who has to go on elsewhere reads and writes there.
    b.drain().await;
    bo.wait_for("headwater.room.node !== 'b' && headwater.state === 'live'", MEDIA).await;
    anna.wait_for("headwater.room.participants.get('bo')?.node !== 'b'", SOON).await;
    listens(bo, "anna", "chat").await;
    says(anna, "Are you there?").await;
    reads(bo, "Are you there?").await;
    for page in [anna, carl] {
        listens(page, "bo", "chat").await;
    }
    says(bo, "Yes").await;
    for page in [anna, carl] {
        reads(page, "Yes").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_application_sends_data_no_faster_than_it_goes_out() {
    let (_nats, a) = one_node(|_| {}).await;
    let browser = Browser::start().await;
    let anna = joins(&browser, &a, "anna", "320x180").await;
    let bo = joins(&browser, &a, "bo", "320x180").await;
    let _: () = anna
        .eval("headwater.room.publishData({ label: 'pointer' }).then((it) => { window.pointer = it; })")
        .await;
    listens(&bo, "anna", "pointer").await;
    let _: () = bo
        .eval(
            r"window.got = [];
            headwater.room.addEventListener('data', ({ detail: { participant, dataProducer, data } }) => {
                window.got.push([participant.name, dataProducer.label, data.byteLength ?? data].join());
            });",
        )
        .await;
    let _: () = anna.eval("pointer.send('here'); pointer.send(new Uint8Array(3)).then(() => {})").await;
    bo.wait_for("window.got.join(' ') === 'anna,pointer,here anna,pointer,3'", SOON).await;
    let most: u64 = anna
        .eval(
            r"(async () => {
                let most = 0;
                for (let sent = 0; sent < 100; sent += 1) {
                    await pointer.send(new Uint8Array(1 << 16));
                    most = Math.max(most, pointer.bufferedAmount);
                }
                return most;
            })()",
        )
        .await;
    assert!(most <= (1 << 20) + (1 << 16), "{most} bytes wait in the browser");
    let _: () = anna.eval("pointer.close()").await;
    let gone = "[...headwater.room.participants.get('anna').dataProducers.values()].every(({ label }) => label === 'chat')";
    bo.wait_for(gone, SOON).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_participant_whose_node_was_killed_is_back_with_all_that_it_sends() {
    let nats = NatsServer::start().await;
    let a = ChildNode::start("a", "west", &nats.url(), &[]).await;
    let b = ChildNode::start("b", "east", &nats.url(), &[]).await;
    let mut c = ChildNode::start("c", "east", &nats.url(), &[]).await;
    named(&c, &["a", "b", "c"]).await;
    let browser = Browser::start().await;
    let anna = joins(&browser, &a, "anna", "320x180").await;
    let bo = joins(&browser, &b, "bo", "320x180").await;
    let carl = joins(&browser, &c, "carl", "320x180").await;
    meets(&anna, &["bo", "carl"]).await;
    meets(&carl, &["anna", "bo"]).await;
    let killed = Instant::now();
    c.process().kill();
    let back = "headwater.room.participants.get('carl')?.node !== 'c' && window.sees('carl')";
    anna.wait_for(back, MEDIA).await;
    let seen = killed.elapsed();
    anna.wait_for("window.hears('carl')", MEDIA).await;
    bo.wait_for(back, MEDIA).await;
    println!("killed: its participant is seen again after {seen:?}");
    assert!(seen < WAY_BACK, "{seen:?}\n{}\n---\n{}", trace(&carl).await, trace(&anna).await);
    meets(&carl, &["anna", "bo"]).await;
    carl.wait_for("window.headwater.state === 'live'", SOON).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_participant_goes_on_elsewhere_when_its_node_has_to_stop() {
    let nats = NatsServer::start().await;
    let a = ChildNode::start("a", "west", &nats.url(), &[]).await;
    let mut b = ChildNode::start("b", "west", &nats.url(), &[]).await;
    named(&b, &["a", "b"]).await;
    let browser = Browser::start().await;
    let anna = joins(&browser, &a, "anna", "320x180").await;
    let bo = joins(&browser, &b, "bo", "320x180").await;
    meets(&anna, &["bo"]).await;
    let stops = Instant::now();
    b.process().signal("TERM");
    bo.wait_for("headwater.room.node === 'a' && headwater.state === 'live'", MEDIA).await;
    anna.wait_for("headwater.room.participants.get('bo')?.node === 'a' && window.sees('bo')", MEDIA).await;
    let seen = stops.elapsed();
    println!("drained: its participant is seen again after {seen:?}");
    assert!(seen < WAY_BACK, "{seen:?}\n{}\n---\n{}", trace(&bo).await, trace(&anna).await);
    meets(&bo, &["anna"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_room_stays_locked_when_its_moderator_has_to_go_on_elsewhere() {
    let nats = NatsServer::start().await;
    let guarded = async |name: &str| {
        let mut settings = config(name, "west", &nats.url());
        guarded(&mut settings);
        start(settings).await
    };
    let a = guarded("a").await;
    let b = guarded("b").await;
    named(&b, &["a", "b"]).await;
    let browser = Browser::start().await;
    let host = open(SCRIPT, &browser, &b, "host", "320x180", "#token=host").await;
    host.wait_for("window.headwater?.state === 'live'", MEDIA).await;
    let _: () = host.eval("headwater.room.lock(true)").await;
    host.wait_for("headwater.room.locked", SOON).await;
    b.drain().await;
    host.wait_for("headwater.room.node === 'a' && headwater.room.locked", MEDIA).await;
    let late = open(SCRIPT, &browser, &a, "late", "320x180", "#token=guest").await;
    late.wait_for("/locked/.test(document.querySelector('#lobby-problem').textContent)", SOON).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_finds_a_node_full_is_let_in_at_the_next() {
    let nats = NatsServer::start().await;
    let small = async |name: &str| {
        let mut settings = config(name, "west", &nats.url());
        settings.limits.participants_per_room = 1;
        start(settings).await
    };
    let a = small("a").await;
    let b = small("b").await;
    named(&a, &["a", "b"]).await;
    named(&b, &["a", "b"]).await;
    let browser = Browser::start().await;
    let anna = joins(&browser, &a, "anna", "320x180").await;
    let bo = joins(&browser, &a, "bo", "320x180").await;
    bo.wait_for("headwater.room.node === 'b'", SOON).await;
    meets(&bo, &["anna"]).await;
    meets(&anna, &["bo"]).await;
    // Where all are full, the node's own words say so.
    let carl = open(SCRIPT, &browser, &a, "carl", "320x180", "").await;
    let said = "document.querySelector('#lobby-problem').textContent";
    carl.wait_for(&format!("{said}.includes('limits.participants_per_room is reached')"), SOON).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_muted_stays_so_whatever_else_is_turned_on() {
    let (_nats, a) = one_node(|_| {}).await;
    let browser = Browser::start().await;
    let anna = joins(&browser, &a, "anna", "320x180").await;
    let bo = joins(&browser, &a, "bo", "320x180").await;
    meets(&bo, &["anna"]).await;
    let silent = "!document.querySelector('[data-key=anna] .silent').hidden";
    let packets = "window.comes('anna', 'microphone').then(({ packetsReceived }) => packetsReceived)";
    let _: () = anna.eval("window.press('microphone')").await;
    bo.wait_for(silent, SOON).await;
    let mut heard: Vec<u64> = Vec::new();
    for (what, seen) in [
        ("camera", "!window.producer('anna', 'camera')"),
        ("camera", "window.sees('anna', 'camera')"),
        ("screen", "window.sees('anna', 'screen')"),
    ] {
        let _: () = anna.eval(&format!("window.press('{what}')")).await;
        bo.wait_for(seen, MEDIA).await;
        let own = "headwater.room.publications.find(({ label }) => label === 'microphone')";
        let live: bool = anna.eval(&format!("{own}.track.enabled || !{own}.paused")).await;
        assert!(!live, "the microphone is on after the {what}");
        heard.push(bo.eval(packets).await);
    }
    bo.wait_for(silent, SOON).await;
    assert!(heard.iter().all(|count| *count == heard[0]), "{heard:?}");
    let _: () = anna.eval("window.press('microphone')").await;
    bo.wait_for(&format!("{packets}.then((count) => count > {})", heard[0] + 20), MEDIA).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_never_came_leaves_nothing_behind() {
    let (_nats, a) = one_node(|_| {}).await;
    let browser = Browser::start().await;
    let anna = joins(&browser, &a, "anna", "320x180").await;
    let verbs = "'createWebRtcTransport', 'connectWebRtcTransport', 'produce', 'consume', 'produceData', 'consumeData'";
    let script = format!("{SCRIPT} window.loses = new Set([{verbs}]);");
    let bo = joins_after(&script, &browser, &a, "bo", "320x180").await;
    bo.wait_for("window.loses.size === 0", MEDIA).await;
    meets(&anna, &["bo"]).await;
    meets(&bo, &["anna"]).await;
    let sent = "[...headwater.room.participants.get('bo').producers.values()].map(({ label }) => label)";
    anna.wait_for(&format!("{sent}.sort().join() === 'camera,microphone'"), SOON).await;
    anna.wait_for("headwater.room.participants.get('bo').dataProducers.size === 1", SOON).await;
    listens(&anna, "bo", "chat").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_leaves_while_joining_has_left() {
    let (_nats, a) = one_node(|_| {}).await;
    let browser = Browser::start().await;
    let anna = joins(&browser, &a, "anna", "320x180").await;
    // It leaves once the node has answered, and the media isn't there yet.
    let codes: Vec<String> = anna
        .eval(
            r"import('/headwater.js').then(async ({ Room }) => {
                const room = new Room({ room: 'news', name: 'eve' });
                Object.defineProperty(room, 'node', { get: () => null, set: () => queueMicrotask(() => room.leave()) });
                const code = (promise) => promise.then(() => 'none', (problem) => problem.code);
                return [await code(room.join()), room.state, await code(room.subscribe('any')), await code(room.join())];
            })",
        )
        .await;
    assert_eq!(codes, ["left", "closed", "left", "left"]);
    anna.wait_for("!headwater.room.participants.has('eve')", SOON).await;
}

/// A track moves twice before anything has come of the first move, on a node that is played here.
const MOVES: &str = r"Promise.all([import('/assets/subscriptions.js'), import('/assets/room-socket.js')]).then(async ([{ Subscriptions }, { RoomProblem }]) => {
    const has = new Set();
    const session = { request: async (verb, { consumerId }) => {
        if (verb === 'consume') has.add('first');
        if (verb === 'closeConsumer' && !has.delete(consumerId)) throw new RoomProblem('unknownConsumer', 'none');
        return { id: 'first', kind: 'audio', rtpParameters: {} };
    } };
    const tracks = {};
    const consume = async ({ id }) => {
        tracks[id] = Object.assign(new EventTarget(), { id, muted: true });
        return { id, track: tracks[id], close() {} };
    };
    const media = { device: {}, transport: async () => ({ consume }) };
    const producer = { id: 'it', kind: 'audio', label: 'microphone', track: null };
    const subscriptions = new Subscriptions(session, 'all');
    subscriptions.start(media);
    subscriptions.add({ name: 'anna' }, producer);
    await subscriptions.subscribe('it');
    const replaced = (id, by) => {
        has.add(by);
        return subscriptions.replaced(id, { id: by, kind: 'audio', rtpParameters: {} }, 'it');
    };
    const all = [replaced('first', 'second'), replaced('second', 'third')];
    await new Promise((resolve) => { setTimeout(resolve); });
    for (const track of Object.values(tracks)) track.dispatchEvent(new Event('unmute'));
    await Promise.all(all);
    const shown = [producer.track.id, ...has];
    const fourth = replaced('third', 'fourth');
    subscriptions.unsubscribe('it');
    await fourth;
    return [...shown, producer.track, ...has];
})";

#[tokio::test(flavor = "multi_thread")]
async fn what_moves_twice_comes_by_its_newest_way_and_the_others_are_closed() {
    let (_nats, a) = one_node(|_| {}).await;
    let browser = Browser::start().await;
    let page = browser.page(&a.public_url()).await;
    let came: Vec<Option<String>> = page.eval(MOVES).await;
    assert_eq!(came, [Some("third".to_owned()), Some("third".to_owned()), None]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broken_socket_is_taken_up_again_and_nobody_notices() {
    let nats = NatsServer::start().await;
    let a = node("a", "west", &nats.url()).await;
    let browser = Browser::start().await;
    let anna = joins(&browser, &a, "anna", "320x180").await;
    let bo = joins(&browser, &a, "bo", "320x180").await;
    meets(&anna, &["bo"]).await;
    let before: Vec<String> =
        anna.eval("[producer('bo', 'camera').id, producer('bo', 'microphone').id]").await;
    let _: () = anna.eval("headwater.left = []; headwater.room.addEventListener('participantleft', ({ detail }) => headwater.left.push(detail.participant.name))").await;
    let _: () = bo.eval("window.sockets.at(-1).close()").await;
    bo.wait_for("window.sockets.length > 1 && headwater.state === 'live'", SOON).await;
    // What happened meanwhile is known, and goes on.
    let _: () = bo.eval("window.press('microphone')").await;
    anna.wait_for("!document.querySelector('[data-key=bo] .silent').hidden", SOON).await;
    let after: Vec<String> =
        anna.eval("[producer('bo', 'camera').id, producer('bo', 'microphone').id]").await;
    assert_eq!(before, after);
    let left: Vec<String> = anna.eval("headwater.left").await;
    assert!(left.is_empty(), "{left:?}");
    meets(&bo, &["anna"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn people_are_let_in_without_a_camera_and_told_that_a_name_is_taken() {
    let nats = NatsServer::start().await;
    let a = node("a", "west", &nats.url()).await;
    let browser = Browser::start().await;
    let anna = joins(&browser, &a, "anna", "320x180").await;
    let denied = format!(
        "{SCRIPT} navigator.mediaDevices.getUserMedia = async () => {{ throw new DOMException('no', 'NotAllowedError'); }};"
    );
    let page = browser.page_after(&denied, &format!("{}/room?room=news&name=anna", a.public())).await;
    let said = "document.querySelector('#lobby-note').textContent";
    page.wait_for(
        &format!("{said}.includes('You can join without a camera and without a microphone')"),
        SOON,
    )
    .await;
    let _: () = page.eval("document.querySelector('#join').click()").await;
    page.wait_for(
        "document.querySelector('#name-error').textContent.includes('is in the room already')",
        SOON,
    )
    .await;
    let _: () = page.eval("{ const name = document.querySelector('#name'); name.value = 'Bö Müller'; name.dispatchEvent(new Event('input', { bubbles: true })); document.querySelector('#join').click(); }").await;
    page.wait_for("window.headwater.state === 'live'", MEDIA).await;
    meets(&page, &["anna"]).await;
    anna.wait_for(
        "document.querySelector('[data-key=Bo-Muller] .caption b')?.textContent === 'Bö Müller'",
        SOON,
    )
    .await;
    // And with a camera alone.
    let deaf = format!(
        "{SCRIPT} {{ const open = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
        navigator.mediaDevices.getUserMedia = async (wanted) => {{ if (wanted.audio) throw new DOMException('no', 'NotFoundError'); return open(wanted); }}; }}"
    );
    let url = format!("{}/room?room=news&name=eve&autostart=1", a.public());
    let eve = browser.page_after(&deaf, &url).await;
    eve.wait_for("window.headwater?.state === 'live'", MEDIA).await;
    anna.wait_for("window.sees('eve')", MEDIA).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_moderator_mutes_removes_and_locks() {
    let (_nats, a) = one_node(guarded).await;
    let browser = Browser::start().await;
    let open = async |name: &str, token: &str| {
        open(SCRIPT, &browser, &a, name, "320x180", &format!("#token={token}")).await
    };
    let host = open("host", "host").await;
    host.wait_for("window.headwater?.state === 'live'", MEDIA).await;
    let guest = open("guest", "guest").await;
    meets(&host, &["guest"]).await;
    meets(&guest, &["host"]).await;

    // Who may only watch sends nothing, and has no buttons for it.
    let viewer = open("viewer", "audience").await;
    meets(&viewer, &["host", "guest"]).await;
    let buttons: bool = viewer.eval("document.querySelector('[data-do=camera]').hidden").await;
    assert!(buttons);
    let stranger = open("stranger", "wrong").await;
    let said = "document.querySelector('#lobby-problem').textContent";
    stranger.wait_for(&format!("/may not enter.*the bearer token is not valid/.test({said})"), SOON).await;

    let press = async |page: &Page, label: &str| {
        let button = format!(
            "[...document.querySelectorAll('#people button')].find((one) => one.getAttribute('aria-label') === '{label}')"
        );
        page.wait_for(&button, SOON).await;
        let _: () = page.eval(&format!("{button}.click()")).await;
    };
    let _: () = host.eval("window.press('people'); window.confirm = () => true; undefined").await;
    press(&host, "Mute guest").await;
    guest.wait_for("/muted you/.test(document.querySelector('#toasts').textContent)", SOON).await;
    for page in [&host, &viewer] {
        page.wait_for("!document.querySelector('[data-key=guest] .silent').hidden", SOON).await;
    }
    let _: () = guest.eval("window.press('microphone')").await;
    host.wait_for("document.querySelector('[data-key=guest] .silent').hidden", SOON).await;

    let _: () = host.eval("document.querySelector('#lock').click()").await;
    guest.wait_for("!document.querySelector('#locked').hidden", SOON).await;
    let late = open("late", "guest").await;
    late.wait_for("/locked/.test(document.querySelector('#lobby-problem').textContent)", SOON).await;
    let _: () = host.eval("document.querySelector('#lock').click()").await;
    guest.wait_for("document.querySelector('#locked').hidden", SOON).await;

    press(&host, "Remove guest from the room").await;
    guest
        .wait_for(
            "document.querySelector('#ended-title').textContent === 'You were removed from the room'",
            SOON,
        )
        .await;
    host.wait_for("!headwater.room.participants.has('guest')", SOON).await;
}

/// Waits until a node may be asked for a stream of the room.
async fn heard_of_stream(node: &impl Address, stream: &str) {
    let url = format!("{}/api/status/news/{stream}", node.public());
    eventually(SOON, format!("{stream} is known to be live"), || async {
        let status = get_json(&url).await;
        if status["live"].as_bool().unwrap_or(false) { Ok(()) } else { Err(status) }
    })
    .await;
}
