//! A viewer's way on: told by events, followed when its node leaves, found when its node dies.

use std::fs::{self, File};
use std::process::Stdio;
use std::sync::Arc;
use std::time::{Duration, Instant};

use eventsource_stream::Eventsource;
use futures_util::StreamExt;
use headwater::client::{Clip, PublishOptions, Republishing, Roaming, WatchOptions};
use headwater::node::Node;
use headwater::protocol::presence::Role;
use reqwest::Response;
use tempfile::TempDir;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::support::browser::Browser;
use crate::support::child::ChildNode;
use crate::support::fleet::{Address, SOON, acquainted, config, heard_of, http, named, publish, room, start};
use crate::support::nats::NatsServer;
use crate::support::process::Process;
use crate::support::wait::eventually;

const WATCH: &str = include_str!("../../src/http/sdp/offers/chromium-watch.sdp");
/// The promise is three seconds; on a busy machine it may take longer, and the figures are printed.
const WAY_BACK: Duration = Duration::from_secs(6);
const EDGE: &[(&str, &str)] = &[("HEADWATER_NODE__ROLES", "[\"edge\"]")];

async fn origin(nats: &NatsServer) -> Node {
    let mut settings = config("o", "west", &nats.url());
    settings.node.roles = vec![Role::Origin, Role::Relay];
    start(settings).await
}

async fn edge(nats: &NatsServer, name: &str) -> Node {
    let mut settings = config(name, "west", &nats.url());
    settings.node.roles = vec![Role::Edge];
    settings.timeouts.drain = Duration::from_secs(20);
    // A session that is only asked about never connects.
    settings.timeouts.connect = Duration::from_secs(60);
    start(settings).await
}

/// Begins to watch, and returns when video has come.
async fn roam(node: &impl Address, counter_offer: bool) -> Roaming {
    let mut options = WatchOptions::new(format!("{}/whep/news", node.public()));
    options.retry_until_live = Some(SOON);
    options.counter_offer = counter_offer;
    let viewer = Roaming::start(options).await.expect("the viewer is served");
    moved(&viewer, 0, SOON).await;
    viewer
}

/// Waits until a viewer has got pictures after so many moves.
async fn moved(viewer: &Roaming, moves: u32, limit: Duration) {
    let report = viewer.report();
    eventually(limit, format!("pictures come after {moves} moves"), || {
        let report = report.borrow().clone();
        async move {
            if report.moves == moves && report.video.frames >= 5 {
                Ok(())
            } else {
                Err(format!("{report:?}"))
            }
        }
    })
    .await;
}

/// The events of a stream, as they come.
struct Heard {
    events: mpsc::Receiver<(String, String)>,
    _reading: JoinSet<()>,
}

impl Heard {
    async fn at(url: &str) -> Self {
        let response = http().get(url).send().await.unwrap();
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        let (sender, events) = mpsc::channel(64);
        let mut reading = JoinSet::new();
        reading.spawn(async move {
            let mut stream = response.bytes_stream().eventsource();
            while let Some(Ok(event)) = stream.next().await {
                let _ = sender.send((event.event, event.data)).await;
            }
        });
        Self { events, _reading: reading }
    }

    async fn next(&mut self) -> Option<(String, String)> {
        tokio::time::timeout(SOON, self.events.recv()).await.expect("an event, or the end")
    }

    /// Reads on until this comes.
    async fn hears(&mut self, event: &str, data: &str) {
        loop {
            let next = self.next().await;
            let (name, said) = next.unwrap_or_else(|| panic!("it ended before {event} {data}"));
            if (name.as_str(), said.as_str()) == (event, data) {
                return;
            }
        }
    }

    async fn ends(&mut self) {
        while self.next().await.is_some() {}
    }
}

async fn ask(method: &str, url: &str, body: &'static str) -> Response {
    let method = reqwest::Method::from_bytes(method.as_bytes()).unwrap();
    http().request(method, url).header("content-type", "application/json").body(body).send().await.unwrap()
}

/// Opens a viewer's session by its bare offer: its address, and where its events are asked for.
async fn session(node: &Node) -> (String, String) {
    let request = http().post(format!("{}/whep/news", node.public_url()));
    let posted = request.header("content-type", "application/sdp").body(WATCH).send().await.unwrap();
    assert_eq!(posted.status(), 201);
    let session = posted.headers()["location"].to_str().unwrap().to_owned();
    let links = posted.headers().get_all("link").iter().map(|link| link.to_str().unwrap());
    let extension = "; rel=\"urn:ietf:params:whep:ext:core:server-sent-events\"; \
                     events=\"active,inactive,viewercount,reconnect\"";
    let events = links.filter_map(|link| link.strip_prefix('<')?.split_once('>'));
    let (events, _) = events.into_iter().find(|(_, rest)| *rest == extension).expect("the extension is told");
    assert_eq!(events, format!("{session}/events"));
    (session.clone(), events.to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_viewer_hears_of_its_stream_by_way_of_any_node() {
    let nats = NatsServer::start().await;
    let (o, a, b) = (origin(&nats).await, edge(&nats, "a").await, edge(&nats, "b").await);
    acquainted(&[&o, &a, &b]).await;
    let publisher = publish(&o, "news").await;
    heard_of(&a, "news").await;
    let (session, events) = session(&a).await;
    let open = async |node: &Node, body: &'static str| {
        let opened = ask("POST", &format!("{}{events}", node.public_url()), body).await;
        assert_eq!(opened.status(), 201);
        opened.headers()["location"].to_str().unwrap().to_owned()
    };
    // Opened and read by way of either node.
    let (all, some) = (open(&b, "").await, open(&a, r#"["viewercount","layers"]"#).await);
    let mut here = Heard::at(&format!("{}{all}", a.public_url())).await;
    let mut there = Heard::at(&format!("{}{all}", b.public_url())).await;
    let mut picky = Heard::at(&format!("{}{some}", a.public_url())).await;
    here.hears("active", "{}").await;
    there.hears("active", "{}").await;
    here.hears("viewercount", r#"{"viewercount":1}"#).await;
    assert_eq!(picky.next().await.unwrap().0, "viewercount");

    let second = self::session(&a).await;
    here.hears("viewercount", r#"{"viewercount":2}"#).await;
    there.hears("viewercount", r#"{"viewercount":2}"#).await;
    assert_eq!(picky.next().await.unwrap().1, r#"{"viewercount":2}"#);

    // Nobody listens to what isn't there, nor with what can't be read.
    for (method, path, body, status) in [
        ("POST", events.replace("/main/", "/other/"), "", 404),
        ("POST", events.clone(), "{", 400),
        ("GET", format!("{events}/{}", uuid::Uuid::new_v4()), "", 404),
        ("GET", format!("{events}/x"), "", 404),
        ("DELETE", some.clone(), "", 200),
        ("DELETE", some.clone(), "", 404),
        ("GET", some, "", 404),
    ] {
        for node in [&b, &a].into_iter().skip(usize::from(status == 200)) {
            let answer = ask(method, &format!("{}{path}", node.public_url()), body).await;
            assert_eq!(answer.status(), status, "{method} {path} {body}");
        }
    }
    picky.ends().await;

    publisher.stop().await.unwrap();
    here.hears("inactive", "{}").await;
    // Who has gone hears no more.
    let ended = ask("DELETE", &format!("{}{session}", b.public_url()), "").await;
    assert_eq!(ended.status(), 200);
    here.ends().await;
    there.ends().await;
    assert_eq!(ask("GET", &format!("{}{all}", a.public_url()), "").await.status(), 404);
    drop(second);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_viewer_goes_to_another_node_before_its_own_has_left() {
    let nats = NatsServer::start().await;
    let (o, a, b) = (origin(&nats).await, edge(&nats, "a").await, edge(&nats, "b").await);
    acquainted(&[&o, &a, &b]).await;
    let _publisher = publish(&o, "news").await;
    heard_of(&a, "news").await;
    named(&a, &["a", "b"]).await;
    named(&b, &["a", "b"]).await;
    let (_, events) = session(&b).await;
    let listening = ask("POST", &format!("{}{events}", b.public_url()), r#"["reconnect"]"#).await;
    let location = listening.headers()["location"].to_str().unwrap().to_owned();
    let mut told = Heard::at(&format!("{}{location}", a.public_url())).await;
    let browser = Browser::start().await;
    let page = browser.page(&format!("{}/watch?room=news&autostart=1", b.public_url())).await;
    let viewer = roam(&b, true).await;
    page.wait_for("window.headwater.stats?.framesRendered > 20", SOON).await;
    let _: () = page.eval(GAPS).await;
    let began = Instant::now();
    let drained = async {
        b.drain().await;
        began.elapsed()
    };
    let follows = async {
        moved(&viewer, 1, SOON).await;
        let report = viewer.report().borrow().clone();
        assert_eq!(report.route.node.as_deref(), Some("a"), "{report:?}");
        told.hears("reconnect", &format!("{{\"url\":\"{}/whep/news/main\"}}", a.public_url())).await;
        page.wait_for("window.headwater.stats?.node === 'a'", SOON).await;
        page.wait_for("window.gaps.after > 20", SOON).await;
        // The one who knows no events goes when it must.
        let _ = ask("DELETE", &format!("{}{}", b.public_url(), events.replace("/events", "")), "").await;
    };
    let (left, ()) = tokio::join!(drained, follows);
    let gap: f64 = page.eval("window.gaps.longest").await;
    println!("drained: {left:?} until all had left; the page's longest gap between pictures {gap:.0} ms");
    assert!(left < Duration::from_secs(19), "nobody waits for the deadline: {left:?}");
    assert!(gap < 3_000.0, "{gap}");
    assert!(room(&b, "news").await.is_none_or(|room| room.viewers.is_empty()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_publisher_goes_on_at_another_node_and_stays_ended_where_that_is_meant() {
    let nats = NatsServer::start().await;
    let at_once = &[("HEADWATER_MEDIA__TAKEOVER_PAUSE", "0s")];
    let mut a = ChildNode::start("a", "west", &nats.url(), at_once).await;
    let b = ChildNode::start("b", "west", &nats.url(), at_once).await;
    named(&a, &["a", "b"]).await;
    let options = PublishOptions::new(format!("{}/whip/news", a.public_url()), Arc::new(Clip::builtin()));
    let publisher = Republishing::start(options).await.expect("the publisher is taken");
    let stats = publisher.stats();
    eventually(SOON, "the publisher connects", || {
        let connected = stats.borrow().connected();
        async move { connected.then_some(()) }
    })
    .await;
    let killed = Instant::now();
    a.process().kill();
    eventually(SOON, "it sends to the other one", || {
        let stats = stats.borrow().clone();
        async move {
            let goes_on = stats.route.node.as_deref() == Some("b") && stats.connected();
            if goes_on { Ok(()) } else { Err(format!("{stats:?}")) }
        }
    })
    .await;
    println!("killed: published again after {:?}", killed.elapsed());
    let viewer = roam(&b, false).await;
    // Someone else takes the name over: it does not fight back.
    let _other = publish(&b, "news").await;
    let mut ended = publisher.stats();
    let closed = async { while ended.changed().await.is_ok() {} };
    tokio::time::timeout(SOON, closed).await.expect("it has ended");
    assert!(publisher.stats().borrow().reason.is_some());
    viewer.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_publisher_goes_on_at_another_node_when_its_own_one_has_to_stop() {
    let nats = NatsServer::start().await;
    let short = [("HEADWATER_TIMEOUTS__DRAIN", "1s")];
    let mut a = ChildNode::start("a", "west", &nats.url(), &short).await;
    let b = ChildNode::start("b", "west", &nats.url(), &[]).await;
    named(&a, &["a", "b"]).await;
    let program = publishing(&format!("{}/whip/news", a.public_url()));
    heard_of(&b, "news").await;
    let viewer = roam(&b, false).await;
    let frames = || viewer.report().borrow().video.frames;
    a.process().signal("TERM");
    eventually(SOON, "the node has stopped", || {
        let exited = a.process().exited();
        async move { exited }
    })
    .await;
    let (stopped, before) = (Instant::now(), frames());
    // Its viewer elsewhere keeps its session, and has pictures again.
    eventually(WAY_BACK, "the viewer has pictures again", || {
        let comes = frames() > before + 5;
        async move { comes.then_some(()) }
    })
    .await;
    println!("its node stopped: pictures again {:?} later", stopped.elapsed());
    assert_eq!(viewer.report().borrow().moves, 0);
    assert!(program.said().contains("going on at another one"), "{}", program.said());
    viewer.stop().await;
}

/// `headwater publish`, and what it says.
struct Publishing {
    _process: Process,
    folder: TempDir,
}

impl Publishing {
    fn said(&self) -> String {
        fs::read_to_string(self.folder.path().join("said")).unwrap()
    }
}

fn publishing(url: &str) -> Publishing {
    let folder = tempfile::tempdir().unwrap();
    let said = File::create(folder.path().join("said")).unwrap();
    let process = Process::spawn(env!("CARGO_BIN_EXE_headwater"), |command| {
        command.args(["publish", url]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(said);
    });
    Publishing { _process: process.expect("it starts"), folder }
}

/// Counts pictures, and the longest time between two, in whichever element shows them.
const GAPS: &str = r"
    window.gaps = { last: performance.now(), longest: 0, after: 0 };
    const { video } = document.querySelector('headwater-player');
    const seen = () => {
        const now = performance.now();
        window.gaps.longest = Math.max(window.gaps.longest, now - window.gaps.last);
        window.gaps.last = now;
        window.gaps.after += 1;
        video.requestVideoFrameCallback(seen);
    };
    video.requestVideoFrameCallback(seen);
    undefined
";

#[tokio::test(flavor = "multi_thread")]
async fn viewers_have_pictures_again_after_their_node_was_killed() {
    let nats = NatsServer::start().await;
    let o = origin(&nats).await;
    let _publisher = publish(&o, "news").await;
    let mut a = ChildNode::start("a", "west", &nats.url(), EDGE).await;
    let b = edge(&nats, "b").await;
    heard_of(&a, "news").await;
    named(&a, &["a", "b"]).await;
    let browser = Browser::start().await;
    let page = browser.page(&format!("{}/watch?room=news&autostart=1", a.public_url())).await;
    let (viewer, counter) = (roam(&a, false).await, roam(&a, true).await);
    page.wait_for("window.headwater.stats?.framesRendered > 20", SOON).await;
    let _: () = page.eval(GAPS).await;
    page.wait_for("window.gaps.after > 5", SOON).await;
    let killed = Instant::now();
    a.process().kill();
    let back = async |viewer: &Roaming| {
        moved(viewer, 1, WAY_BACK).await;
        killed.elapsed()
    };
    let (plain, offered) = tokio::join!(back(&viewer), back(&counter));
    page.wait_for("window.headwater.stats?.node === 'b' && window.gaps.after > 40", SOON).await;
    let gap: f64 = page.eval("window.gaps.longest").await;
    println!(
        "killed: five pictures after {plain:?}, by counter-offer {offered:?}; the page's gap {gap:.0} ms"
    );
    assert!(gap < WAY_BACK.as_secs_f64() * 1_000.0, "{gap}");
    assert_eq!(viewer.report().borrow().route.node.as_deref(), Some("b"));
    viewer.stop().await;
    counter.stop().await;
    drop(page);
    eventually(SOON, "nobody is left", || async {
        room(&b, "news").await.is_none_or(|room| room.viewers.is_empty())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_s_publisher_goes_on_at_another_node() {
    let nats = NatsServer::start().await;
    let mut a = ChildNode::start("a", "west", &nats.url(), &[]).await;
    let b = ChildNode::start("b", "west", &nats.url(), &[]).await;
    named(&a, &["a", "b"]).await;
    let browser = Browser::start().await;
    let page = browser
        .page(&format!("{}/publish?room=news&autostart=1&source=generated&size=640x360", a.public_url()))
        .await;
    page.wait_for("window.headwater.state === 'live'", SOON).await;
    let killed = Instant::now();
    a.process().kill();
    page.wait_for("window.headwater.stats?.node === 'b'", SOON).await;
    let again = killed.elapsed();
    // It can be watched there: by who comes, and by who was there.
    let viewer = roam(&b, false).await;
    println!("killed: a page publishes at another node after {again:?}");
    viewer.stop().await;
}
