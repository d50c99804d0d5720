//! Nodes, publishers and viewers as a test needs them.

use std::sync::Arc;
use std::time::Duration;

use headwater::client::{Clip, Player, PublishOptions, Publisher, WatchOptions};
use headwater::config::{Config, Storage};
use headwater::node::Node;
use headwater::room::RoomView;
use serde_json::Value;

use super::child::ChildNode;
use super::nats::NatsServer;
use super::wait::eventually;

/// How long anything may take that should take milliseconds, on a busy machine.
pub(crate) const SOON: Duration = Duration::from_secs(20);

/// A node's configuration: any free ports, one worker.
pub(crate) fn config(name: &str, region: &str, nats: &str) -> Config {
    let mut config = Config::default();
    config.node.name = name.parse().unwrap();
    config.node.region = region.parse().unwrap();
    config.nats.urls = vec![nats.to_owned()];
    config.nats.storage = Storage::Memory;
    config.media.workers = 1;
    config.webrtc.port = 0;
    config.http.listen.set_port(0);
    config.operators.listen.set_port(0);
    config.log.filter = Some("headwater=debug,info".to_owned());
    config
}

/// A started node that knows all streams.
pub(crate) async fn node(name: &str, region: &str, nats: &str) -> Node {
    start(config(name, region, nats)).await
}

/// A node of this configuration that knows all streams and is heard by the fleet.
pub(crate) async fn start(config: Config) -> Node {
    headwater::telemetry::log::start(&config.log).unwrap();
    let node = Node::start(config).await.expect("the node starts");
    eventually(SOON, "the node is ready", || async {
        let status = get_status(&format!("{}/readyz", node.operators_url())).await;
        (status == 200).then_some(())
    })
    .await;
    let me = node.peer().node.clone();
    eventually(SOON, "the node hears itself", || async {
        let fleet = node.context().fleet();
        fleet.node(&me).is_some().then_some(())
    })
    .await;
    node
}

/// Waits until every node hears every other.
pub(crate) async fn acquainted(nodes: &[&Node]) {
    for one in nodes {
        for other in nodes {
            eventually(SOON, "the nodes hear each other", || async {
                one.context().fleet().node(&other.peer().node).is_some().then_some(())
            })
            .await;
        }
    }
}

/// A node of its own, with NATS, and what is set of its configuration.
pub(crate) async fn one_node(set: impl FnOnce(&mut Config)) -> (NatsServer, Node) {
    let nats = NatsServer::start().await;
    let mut settings = config("origin", "west", &nats.url());
    set(&mut settings);
    let node = start(settings).await;
    (nats, node)
}

/// Where a node's publishers and viewers go: a node within the test, or a process of its own.
pub(crate) trait Address {
    fn public(&self) -> String;
}

impl Address for Node {
    fn public(&self) -> String {
        self.public_url()
    }
}

impl Address for ChildNode {
    fn public(&self) -> String {
        self.public_url()
    }
}

/// A publisher of the test clip that is connected.
pub(crate) async fn publish(node: &impl Address, room: &str) -> Publisher {
    publish_with(node, room, |_| {}).await
}

pub(crate) async fn publish_with(
    node: &impl Address,
    room: &str,
    set: impl FnOnce(&mut PublishOptions),
) -> Publisher {
    let mut options =
        PublishOptions::new(format!("{}/whip/{room}", node.public()), Arc::new(Clip::builtin()));
    set(&mut options);
    let publisher = Publisher::start(options).await.expect("the publisher is taken");
    let stats = publisher.stats();
    eventually(SOON, "the publisher connects", || {
        let connected = stats.borrow().connected();
        async move { connected.then_some(()) }
    })
    .await;
    publisher
}

/// Waits until a node names these as the ones to try for the room `news`: all that serve are heard.
pub(crate) async fn named(node: &impl Address, names: &[&str]) {
    let url = format!("{}/api/where?room=news", node.public());
    eventually(SOON, format!("{names:?} are the nodes to try"), || async {
        let said = get_json(&url).await;
        let mut known: Vec<_> =
            said["nodes"].as_array().into_iter().flatten().filter_map(|node| node["name"].as_str()).collect();
        known.sort_unstable();
        if known == names { Ok(()) } else { Err(said.to_string()) }
    })
    .await;
}

/// Waits until a node may be asked for a stream that is published elsewhere.
pub(crate) async fn heard_of(node: &impl Address, room: &str) {
    heard_within(SOON, node, room).await;
}

/// The same within a promised time.
pub(crate) async fn heard_within(limit: Duration, node: &impl Address, room: &str) {
    let url = format!("{}/api/status/{room}/main", node.public());
    eventually(limit, format!("{room} is known to be live"), || async {
        let status = get_json(&url).await;
        if status["live"].as_bool().unwrap_or(false) { Ok(()) } else { Err(status) }
    })
    .await;
}

pub(crate) async fn watch(node: &impl Address, room: &str) -> Player {
    watch_with(node, room, |_| {}).await
}

pub(crate) async fn watch_with(
    node: &impl Address,
    room: &str,
    set: impl FnOnce(&mut WatchOptions),
) -> Player {
    let mut options = WatchOptions::new(format!("{}/whep/{room}", node.public()));
    options.retry_until_live = Some(SOON);
    set(&mut options);
    Player::start(options).await.expect("the viewer is served")
}

/// Waits until a viewer has got audio and video that it could reassemble, `frames` of video at least.
pub(crate) async fn plays(player: &Player, frames: u64) {
    let report = player.report();
    eventually(SOON, "the viewer gets audio and video", || {
        let report = report.borrow().clone();
        async move {
            let plays = report.has_audio() && report.has_video() && report.video.frames >= frames;
            if plays { Ok(()) } else { Err(format!("{report:?}")) }
        }
    })
    .await;
}

/// Waits until a viewer gets further frames, more than it has now.
pub(crate) async fn plays_on(player: &Player) {
    let frames = player.report().borrow().video.frames;
    plays(player, frames + 10).await;
}

/// A publication on one node, and its viewer on another who gets it.
pub(crate) async fn seen(from: &impl Address, at: &impl Address, room: &str) -> (Publisher, Player) {
    let publisher = publish(from, room).await;
    heard_of(at, room).await;
    let viewer = watch(at, room).await;
    plays(&viewer, 3).await;
    (publisher, viewer)
}

/// What a newcomer is told who wants to watch a room's first stream: the status, and when to come again.
pub(crate) async fn knock(node: &impl Address, room: &str) -> (u16, Option<u64>) {
    knock_at(&format!("{}/whep/{room}", node.public())).await
}

/// The same of a WHEP endpoint.
pub(crate) async fn knock_at(url: &str) -> (u16, Option<u64>) {
    post(url, include_str!("../../../src/http/sdp/offers/chromium-watch.sdp")).await
}

/// Posts a description: the status, and when to come again.
pub(crate) async fn post(url: &str, offer: &str) -> (u16, Option<u64>) {
    let request = http().post(url).header("content-type", "application/sdp").body(offer.to_owned());
    let response = request.send().await.expect("an answer");
    let after = response.headers().get("retry-after").and_then(|after| after.to_str().ok()?.parse().ok());
    (response.status().as_u16(), after)
}

/// Whether a node may take newcomers, and what it says that it can do.
pub(crate) async fn readiness(operators: &str) -> (u16, Value) {
    let url = format!("{operators}/readyz");
    let Ok(response) = reqwest_get(&url).await else { return (0, Value::Null) };
    let status = response.status().as_u16();
    (status, serde_json::from_slice(&response.bytes().await.unwrap_or_default()).unwrap_or(Value::Null))
}

/// A room as a node sees it.
pub(crate) async fn room(node: &Node, room: &str) -> Option<RoomView> {
    node.rooms().inspect(room.parse().unwrap()).await
}

pub(crate) async fn get_status(url: &str) -> u16 {
    match reqwest_get(url).await {
        Ok(response) => response.status().as_u16(),
        Err(_) => 0,
    }
}

pub(crate) async fn get_json(url: &str) -> Value {
    match reqwest_get(url).await {
        Ok(response) => {
            serde_json::from_slice(&response.bytes().await.unwrap_or_default()).unwrap_or(Value::Null)
        }
        Err(_) => Value::Null,
    }
}

pub(crate) async fn get_text(url: &str) -> String {
    reqwest_get(url).await.unwrap().text().await.unwrap()
}

/// The value of a metric with these labels, as `/metrics` tells it.
pub(crate) async fn metric(node: &Node, sample: &str) -> f64 {
    value(&get_text(&format!("{}/metrics", node.operators_url())).await, sample)
}

/// The value of a metric with these labels in such a text; 0 where it is not there.
pub(crate) fn value(text: &str, sample: &str) -> f64 {
    let line = text.lines().find_map(|line| line.strip_prefix(sample)?.strip_prefix(' '));
    line.and_then(|value| value.parse().ok()).unwrap_or(0.0)
}

async fn reqwest_get(url: &str) -> reqwest::Result<reqwest::Response> {
    http().get(url).send().await
}

/// An HTTP client of plain HTTP.
pub(crate) fn http() -> reqwest::Client {
    static PROVIDER: std::sync::Once = std::sync::Once::new();
    PROVIDER.call_once(|| {
        let _ = rustls::crypto::ring::default_provider().install_default();
    });
    reqwest::Client::builder().build().expect("an http client")
}
