//! A pipe's media doesn't arrive though NATS is fine: another way is found, and it is told.

use std::time::{Duration, Instant};

use headwater::client::Player;
use headwater::protocol::event::What;
use serde_json::Value;

use crate::support::child::ChildNode;
use crate::support::events::told;
use crate::support::fleet::{SOON, acquainted, config, heard_of, node, plays, publish, room, start, watch};
use crate::support::nats::{NatsServer, Recipe};
use crate::support::netns::{Net, Traffic};
use crate::support::wait::eventually;

/// "A few seconds": what is noticed within three takes another set-up.
const FEW: Duration = Duration::from_secs(8);

/// Waits until a viewer has had a gap and gets pictures again.
async fn finds_another_way(viewer: &Player, since: Instant, limit: Duration, what: &str) {
    eventually(Duration::from_secs(4), format!("the gap of {what}"), || async {
        let age = viewer.report().borrow().video.last_packet_age_ms;
        if age > Some(700) { Ok(()) } else { Err(age) }
    })
    .await;
    let frames = viewer.report().borrow().video.frames;
    eventually(limit.saturating_sub(since.elapsed()), format!("another way for {what}"), || async {
        let report = viewer.report().borrow().clone();
        let back = report.video.frames > frames + 5 && report.last_packet_age_ms < Some(500);
        if back { Ok(()) } else { Err(report) }
    })
    .await;
}

/// Waits until a node tells that the media from another doesn't come: in the log of events and in its own.
async fn is_told(reader: &headwater::node::Node, edge: &ChildNode, name: &str, from: &str) {
    eventually(SOON, format!("{name} tells that nothing comes from {from}"), || async {
        let events = told(reader, "news").await;
        let starved = events.iter().any(|event| match &event.what {
            What::PipeStarved(starved) => {
                event.source.node.as_str() == name
                    && starved.from.node.as_str() == from
                    && starved.silent_ms > 0
            }
            _ => false,
        });
        let names: Vec<_> = events.iter().map(|event| event.what.name()).collect();
        if starved { Ok(()) } else { Err(names) }
    })
    .await;
    let log = edge.log();
    let warned = log.lines().any(|line| line.contains("WARN") && line.contains(from));
    assert!(warned, "{name} warns of {from}: {log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pipe_whose_media_is_dropped_is_replaced_by_another_way() {
    let Some(net) = Net::start() else { return };
    let bus = net.host();
    let recipe = Recipe { ip: bus.ip.into(), launcher: bus.launcher(), ..Recipe::default() };
    let nats = NatsServer::of(recipe).await;
    let hosts = [net.host(), net.host(), net.host()];
    let names = ["east-a", "east-b", "east-c"];
    let west = net.host();
    let origin = ChildNode::on(&west, "origin", "west", &nats.url(), &[]).await;
    let mut nodes = Vec::new();
    for (host, name) in hosts.iter().zip(names) {
        nodes.push(ChildNode::on(host, name, "east", &nats.url(), &[]).await);
    }
    // Carries nothing: it reads the log.
    let reader = node("reader", "elsewhere", &nats.url()).await;
    let _publisher = publish(&origin, "news").await;
    let mut viewers = Vec::new();
    for node in &nodes {
        heard_of(node, "news").await;
        let viewer = watch(node, "news").await;
        plays(&viewer, 3).await;
        viewers.push(viewer);
    }
    // One of the three is the relay: the origin sends to it alone.
    let children = origin.room("news").await["children"].clone();
    let children: Vec<_> =
        children.as_array().unwrap().iter().map(|child| child["peer"]["node"].clone()).collect();
    assert_eq!(children.len(), 1, "{children:?}");
    let relay = names.iter().position(|name| children[0] == *name).unwrap();
    let [edge, other] = [(relay + 1) % 3, (relay + 2) % 3];

    // Between the relay and one edge, both ways: the edge finds the origin or the other edge.
    net.cut(Traffic::Udp, &[&hosts[relay]], &[&hosts[edge]]);
    let began = Instant::now();
    finds_another_way(&viewers[edge], began, FEW, "the edge").await;
    is_told(&reader, &nodes[edge], names[edge], names[relay]).await;
    for untouched in [relay, other] {
        let gap = viewers[untouched].report().borrow().video.freeze_ms;
        assert!(gap < 1_000, "{}: {gap} ms", names[untouched]);
    }
    net.heal();

    // From the origin to the relay, one way: all that comes by it finds another way, and it, too.
    let starving = fed_by(&origin, &names).await;
    let (name, host) = (names[starving], &hosts[starving]);
    net.cut_one_way(Traffic::Udp, &[&west], &[host]);
    let began = Instant::now();
    finds_another_way(&viewers[starving], began, 2 * FEW, name).await;
    is_told(&reader, &nodes[starving], name, "origin").await;
    for viewer in &viewers {
        plays_soon(viewer).await;
    }
    net.heal();
    drop((origin, nodes, reader, nats));
}

/// The number of a node that the origin sends to.
async fn fed_by(origin: &ChildNode, names: &[&str]) -> usize {
    // A second copy into the region goes within seconds.
    let view = eventually_one(origin).await;
    let fed = |name: &&str| {
        let children = view["children"].as_array().into_iter().flatten();
        children.map(|child: &Value| &child["peer"]["node"]).any(|node| node == *name)
    };
    names.iter().position(fed).expect("the origin sends to one of them")
}

/// The origin's room, once it sends to one node alone.
async fn eventually_one(origin: &ChildNode) -> Value {
    eventually(SOON, "one copy crosses into the region", || async {
        let view = origin.room("news").await;
        let children = view["children"].as_array().map_or(0, Vec::len);
        if children == 1 { Ok(()) } else { Err(view) }
    })
    .await;
    origin.room("news").await
}

async fn plays_soon(viewer: &Player) {
    eventually(FEW, "the viewer plays", || async {
        let age = viewer.report().borrow().video.last_packet_age_ms;
        if age < Some(500) { Ok(()) } else { Err(age) }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_relay_with_a_wrong_address_is_passed_over() {
    let nats = NatsServer::start().await;
    let origin = node("origin", "west", &nats.url()).await;
    let mut settings = config("relay", "east", &nats.url());
    // Nothing listens there.
    settings.pipe.announced = Some("127.0.0.9".parse().unwrap());
    let relay = start(settings).await;
    let mut settings = config("edge", "east", &nats.url());
    settings.node.roles.retain(|role| *role != headwater::protocol::presence::Role::Relay);
    let edge = start(settings).await;
    acquainted(&[&origin, &relay, &edge]).await;
    let _publisher = publish(&origin, "news").await;
    heard_of(&edge, "news").await;
    let asked = Instant::now();
    let viewer = watch(&edge, "news").await;
    plays(&viewer, 3).await;
    let took = asked.elapsed();
    assert!(took < 2 * FEW, "the next candidate is the origin: {took:?}");
    let view = room(&edge, "news").await.unwrap();
    assert!(view.parents.iter().any(|parent| parent.node == origin.peer().node), "{view:?}");
    // It has not been asked for ever.
    let told = eventually(SOON, "it is told", || async {
        let events = told(&origin, "news").await;
        let failed = |event: &&headwater::protocol::event::Event| {
            matches!(event.what, What::PipeFailed(_) | What::PipeStarved(_))
        };
        let failed = events.iter().filter(failed).count();
        if failed > 0 { Ok(failed) } else { Err(events.iter().map(|e| e.what.name()).collect::<Vec<_>>()) }
    })
    .await;
    assert!(told < 12, "{told} times");
}
