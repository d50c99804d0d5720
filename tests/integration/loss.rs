//! Nodes die, and who watched goes on.

use std::time::{Duration, Instant};

use crate::support::child::ChildNode;
use crate::support::fleet::{
    SOON, acquainted, get_json, heard_of, knock, metric, node, plays, plays_on, publish, room, watch,
};
use crate::support::nats::NatsServer;
use crate::support::wait::eventually;

#[tokio::test(flavor = "multi_thread")]
async fn viewers_outlive_the_origin_and_go_on_when_the_stream_returns_elsewhere() {
    let nats = NatsServer::start().await;
    let mut origin = ChildNode::start("origin", "west", &nats.url(), &[]).await;
    let edge = node("edge", "east", &nats.url()).await;
    let other = node("other", "west", &nats.url()).await;
    acquainted(&[&edge, &other]).await;
    let _publisher = publish(&origin, "news").await;
    heard_of(&edge, "news").await;
    let viewer = watch(&edge, "news").await;
    plays(&viewer, 5).await;
    origin.process().kill();
    let killed = Instant::now();
    eventually(SOON, "the edge notices", || async {
        room(&edge, "news").await.is_some_and(|view| view.streams.is_empty())
    })
    .await;
    let noticed = killed.elapsed();
    // The promise is three seconds; the rest is for a busy machine's own delays.
    assert!(noticed < Duration::from_secs(5), "{noticed:?}");
    let view = room(&edge, "news").await.unwrap();
    assert!(view.viewers[0].connected, "the viewer stays: {view:?}");
    let _again = publish(&other, "news").await;
    eventually(SOON, "the viewer is sent the new publication", || async {
        (viewer.report().borrow().video.streams >= 2).then_some(())
    })
    .await;
    plays_on(&viewer).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn children_of_a_dead_relay_find_another_parent() {
    let nats = NatsServer::start().await;
    let origin = node("origin", "west", &nats.url()).await;
    let _publisher = publish(&origin, "news").await;
    // Only the children run here: whichever of them is the relay is a process that can be killed.
    let mut east: Vec<(String, ChildNode)> = Vec::new();
    for name in ["east-a", "east-b"] {
        east.push((name.to_owned(), ChildNode::start(name, "east", &nats.url(), &[]).await));
    }
    let mut viewers = Vec::new();
    for (name, node) in &east {
        let status = format!("{}/api/status/news/main", node.public_url());
        eventually(SOON, "the stream is known", || async {
            get_json(&status).await["live"].as_bool().unwrap_or(false)
        })
        .await;
        let fleet = format!("{}/api/fleet", node.operators_url());
        eventually(SOON, "the fleet is known", || async {
            get_json(&fleet).await.as_array().is_some_and(|nodes| nodes.len() == 3)
        })
        .await;
        let mut options = headwater::client::WatchOptions::new(format!("{}/whep/news", node.public_url()));
        options.retry_until_live = Some(SOON);
        viewers.push((name.clone(), headwater::client::Player::start(options).await.expect("served")));
    }
    for (_, viewer) in &viewers {
        plays(viewer, 3).await;
    }
    let relay = room(&origin, "news").await.unwrap().children[0].peer.node.to_string();
    east.iter_mut().find(|(name, _)| *name == relay).unwrap().1.process().kill();
    let (_, survivor) = viewers.iter().find(|(name, _)| *name != relay).unwrap();
    eventually(SOON, "the other node pulls from the origin", || async {
        let view = room(&origin, "news").await?;
        view.children
            .iter()
            .any(|child| child.peer.node.to_string() != relay && child.connected)
            .then_some(())
    })
    .await;
    plays_on(survivor).await;
    assert!(survivor.report().borrow().connected_ms.is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_edge_that_vanishes_costs_the_origin_nothing() {
    let nats = NatsServer::start().await;
    let origin = node("origin", "west", &nats.url()).await;
    let mut edge = ChildNode::start("edge", "east", &nats.url(), &[]).await;
    let _publisher = publish(&origin, "news").await;
    let mut options = headwater::client::WatchOptions::new(format!("{}/whep/news", edge.public_url()));
    options.retry_until_live = Some(SOON);
    let viewer = headwater::client::Player::start(options).await.expect("served");
    plays(&viewer, 3).await;
    edge.process().kill();
    eventually(SOON, "the origin closes its end", || async {
        room(&origin, "news").await.is_some_and(|view| view.children.is_empty())
    })
    .await;
    let local = watch(&origin, "news").await;
    plays(&local, 3).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_nodes_streams_count_as_unheard_until_its_name_is_taken_again() {
    let nats = NatsServer::start().await;
    let mut origin = ChildNode::start("origin", "west", &nats.url(), &[]).await;
    let edge = node("edge", "east", &nats.url()).await;
    let _publisher = publish(&origin, "news").await;
    heard_of(&edge, "news").await;
    origin.process().kill();
    let status = format!("{}/api/status/news/main", edge.public_url());
    eventually(SOON, "the stream counts as unheard", || async {
        let status = get_json(&status).await;
        if status["unheard"] == true && status["live"] == false { Ok(()) } else { Err(status) }
    })
    .await;
    // Nobody has written its end: who comes is told to come again.
    let (told, after) = knock(&edge, "news").await;
    assert!(matches!(told, 409 | 503) && after.is_some(), "{told} {after:?}");
    // Another process of the name is another life: what its former self claimed is void.
    let _successor = ChildNode::start("origin", "west", &nats.url(), &[]).await;
    eventually(SOON, "the directory forgets the stream", || async {
        let status = get_json(&status).await;
        let known = metric(&edge, "headwater_directory_streams").await;
        if status["unheard"] == false && known == 0.0 { Ok(()) } else { Err((status, known)) }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stopped_node_drains_ends_its_streams_and_exits_cleanly() {
    let nats = NatsServer::start().await;
    let more = [("HEADWATER_TIMEOUTS__DRAIN", "2s")];
    let mut origin = ChildNode::start("origin", "west", &nats.url(), &more).await;
    let edge = node("edge", "east", &nats.url()).await;
    let _publisher = publish(&origin, "news").await;
    heard_of(&edge, "news").await;
    origin.process().signal("TERM");
    let ready = format!("{}/readyz", origin.operators_url());
    eventually(SOON, "it says that it drains", || async {
        crate::support::fleet::get_status(&ready).await == 503
    })
    .await;
    let status = eventually(SOON, "it exits", || {
        let exited = origin.process().exited();
        async move { exited }
    })
    .await;
    assert!(status.success(), "{status}");
    eventually(SOON, "its streams are known to be over", || async {
        metric(&edge, "headwater_directory_streams").await == 0.0
    })
    .await;
}
