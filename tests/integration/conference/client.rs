//! What a participant sends beside media, and what becomes of it when the room isn't answered, moves or is left.

use super::{MEDIA, Meeting, SCRIPT, joins, joins_after, meets};
use crate::support::browser::Browser;
use crate::support::fleet::{SOON, one_node};
use crate::support::page::Page;

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
