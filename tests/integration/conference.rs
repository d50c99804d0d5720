//! Conferences on the page, in a real browser: everyone at another node.

use std::time::{Duration, Instant};

use headwater::config::{Action, StaticToken};

use crate::support::browser::Browser;
use crate::support::child::ChildNode;
use crate::support::fleet::{
    Address, SOON, acquainted, get_json, named, node, one_node, plays, publish, watch,
};
use crate::support::nats::NatsServer;
use crate::support::page::Page;
use crate::support::wait::eventually;

const MEDIA: Duration = Duration::from_secs(40);
/// The promise is three seconds; on a busy machine it may take longer, and the figures are printed.
const WAY_BACK: Duration = Duration::from_secs(15);
const SCREENSHOTS: &str = concat!(env!("CARGO_TARGET_TMPDIR"), "/screenshots");

/// Runs before the page's own scripts: its sockets can be broken, and what comes of a participant's producer be asked.
const SCRIPT: &str = r"
    window.sockets = [];
    window.WebSocket = class extends WebSocket {
        constructor(...all) {
            super(...all);
            window.sockets.push(this);
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
    let query = format!("room=news&name={name}&autostart=1&source=generated&size={size}");
    let page = browser.page_after(SCRIPT, &format!("{}/room?{query}", node.public())).await;
    page.set_viewport(1280, 800).await;
    page.wait_for("window.headwater?.state === 'live'", MEDIA).await;
    let _: () = page.eval("window.follow()").await;
    page
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
    let nats = NatsServer::start().await;
    let a = node("a", "west", &nats.url()).await;
    let b = node("b", "west", &nats.url()).await;
    let c = node("c", "east", &nats.url()).await;
    acquainted(&[&a, &b, &c]).await;
    let browser = Browser::start().await;
    let anna = joins(&browser, &a, "anna", "960x540").await;
    let bo = joins(&browser, &b, "bo", "320x180").await;
    let carl = joins(&browser, &c, "carl", "320x180").await;
    meets(&anna, &["bo", "carl"]).await;
    meets(&bo, &["anna", "carl"]).await;
    meets(&carl, &["anna", "bo"]).await;
    let where_is: String = carl.eval("document.querySelector('[data-key=anna] .badge').textContent").await;
    assert_eq!(where_is, "a · west");

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
    let nats = NatsServer::start().await;
    let a = node("a", "west", &nats.url()).await;
    let b = node("b", "west", &nats.url()).await;
    let c = node("c", "east", &nats.url()).await;
    acquainted(&[&a, &b, &c]).await;
    let browser = Browser::start().await;
    let anna = joins(&browser, &a, "anna", "320x180").await;
    let bo = joins(&browser, &b, "bo", "320x180").await;
    let carl = joins(&browser, &c, "carl", "320x180").await;
    meets(&carl, &["anna", "bo"]).await;

    // A screen beside the camera, and silence.
    let _: () = anna.eval("window.press('screen')").await;
    carl.wait_for("window.sees('anna', 'screen')", MEDIA).await;
    carl.wait_for("window.sees('anna', 'camera')", MEDIA).await;
    let _: () = anna.eval("window.press('microphone')").await;
    let silent = "!document.querySelector('[data-key=anna] .silent').hidden";
    for page in [&bo, &carl] {
        page.wait_for(silent, SOON).await;
    }
    let _: () = anna.eval("window.press('microphone')").await;
    carl.wait_for(&format!("!({silent})"), SOON).await;

    // Others come by other ways.
    let _dora = publish(&c, "news/dora").await;
    bo.wait_for(
        "window.comes('dora').then(({ framesDecoded, packetsReceived }) => packetsReceived > 20)",
        MEDIA,
    )
    .await;
    bo.wait_for("document.querySelector('[data-key=dora] video').currentTime > 0.3", MEDIA).await;
    heard_of_stream(&b, "bo").await;
    let viewer = watch(&b, "news/bo").await;
    plays(&viewer, 10).await;
    viewer.stop().await;

    std::fs::create_dir_all(SCREENSHOTS).unwrap();
    for (page, name) in [(&bo, "conference"), (&anna, "conference-own")] {
        page.screenshot(format!("{SCREENSHOTS}/{name}.png")).await;
    }
    let _: () = carl.eval("window.press('leave')").await;
    anna.wait_for("!headwater.room.participants.has('carl')", SOON).await;
    anna.wait_for("!document.querySelector('[data-key=carl]')", SOON).await;
    // Who closes the page has left as well.
    let _: () = bo.eval("location.href = 'about:blank'; undefined").await;
    anna.wait_for("!headwater.room.participants.has('bo')", SOON).await;
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
    println!("drained: its participant is seen again after {:?}", stops.elapsed());
    meets(&bo, &["anna"]).await;
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
}

#[tokio::test(flavor = "multi_thread")]
async fn a_moderator_mutes_removes_and_locks() {
    let token = |token: &str, actions: &[Action]| StaticToken {
        name: None,
        token: token.into(),
        actions: actions.to_vec(),
        room: None,
        stream: None,
    };
    let (_nats, a) = one_node(|config| {
        config.auth.tokens = vec![
            token("host", &[Action::Publish, Action::Watch, Action::Moderate]),
            token("guest", &[Action::Publish, Action::Watch]),
            token("audience", &[Action::Watch]),
        ];
    })
    .await;
    let browser = Browser::start().await;
    let open = async |name: &str, token: &str, more: &str| {
        let query = format!("room=news&name={name}&source=generated&size=320x180{more}");
        let url = format!("{}/room?{query}#token={token}", a.public_url());
        let page = browser.page_after(SCRIPT, &url).await;
        page.set_viewport(1280, 800).await;
        page
    };
    let host = open("host", "host", "&autostart=1").await;
    host.wait_for("window.headwater?.state === 'live'", MEDIA).await;
    let guest = open("guest", "guest", "&autostart=1").await;
    meets(&host, &["guest"]).await;
    meets(&guest, &["host"]).await;

    // Who may only watch sends nothing, and has no buttons for it.
    let viewer = open("viewer", "audience", "&autostart=1").await;
    meets(&viewer, &["host", "guest"]).await;
    let buttons: bool = viewer.eval("document.querySelector('[data-do=camera]').hidden").await;
    assert!(buttons);
    let stranger = open("stranger", "wrong", "&autostart=1").await;
    stranger
        .wait_for("/may not enter/.test(document.querySelector('#lobby-problem').textContent)", SOON)
        .await;

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
    let late = open("late", "guest", "&autostart=1").await;
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
