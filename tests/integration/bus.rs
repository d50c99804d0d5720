//! NATS is gone, for a while or from the start.

use std::time::Duration;

use headwater::node::Node;

use crate::support::chaos::ChaosProxy;
use crate::support::fleet::{
    SOON, acquainted, config, get_status, heard_of, knock, node, plays, plays_on, publish, readiness, room,
    watch,
};
use crate::support::nats::NatsServer;
use crate::support::wait::{assert_holds, eventually};

/// Waits until a node says whether it can be joined by others; it is ready all the time.
async fn joins(node: &Node, joins: bool) {
    eventually(SOON, format!("joins is {joins}"), || async {
        let (status, body) = readiness(&node.operators_url()).await;
        if (status, body["joins"].as_bool()) == (200, Some(joins)) { Ok(()) } else { Err((status, body)) }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_existing_viewer_loses_nothing_while_nats_is_cut_off() {
    let nats = NatsServer::start().await;
    let to_origin = ChaosProxy::start(nats.url()).await;
    let to_edge = ChaosProxy::start(nats.url()).await;
    let origin = node("origin", "west", &to_origin.url()).await;
    let edge = node("edge", "east", &to_edge.url()).await;
    acquainted(&[&origin, &edge]).await;
    let _publisher = publish(&origin, "news").await;
    heard_of(&edge, "news").await;
    let viewer = watch(&edge, "news").await;
    plays(&viewer, 10).await;
    let before = viewer.report().borrow().clone();
    let pipe = room(&edge, "news").await.unwrap().parents[0].pipe;
    to_origin.cut().await;
    to_edge.cut().await;
    for node in [&origin, &edge] {
        joins(node, false).await;
    }
    // Alive and ready all the same: killing it would take its viewers down, and it can serve more of them.
    assert_holds(Duration::from_secs(10), Duration::from_millis(500), "media flows", || async {
        let age = viewer.report().borrow().last_packet_age_ms;
        let alive = get_status(&format!("{}/healthz", edge.operators_url())).await;
        let (ready, _) = readiness(&edge.operators_url()).await;
        let well = age.is_some_and(|age| age < 1000) && (alive, ready) == (200, 200);
        if well { Ok(()) } else { Err((age, alive, ready)) }
    })
    .await;
    to_origin.restore();
    to_edge.restore();
    for node in [&origin, &edge] {
        joins(node, true).await;
    }
    plays_on(&viewer).await;
    let after = viewer.report().borrow().clone();
    assert_eq!(after.lost, before.lost, "not one packet is lost for it");
    assert_eq!(after.video.streams, before.video.streams, "the same stream all along");
    let view = room(&edge, "news").await.unwrap();
    assert_eq!(view.parents[0].pipe, pipe, "the same pipe all along");
    // And new viewers are served again, on both.
    for node in [&origin, &edge] {
        plays(&watch(node, "news").await, 3).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_waits_for_nats_and_says_so() {
    let mut nats = NatsServer::start().await;
    let url = nats.url();
    nats.stop();
    let settings = config("lonely", "west", &url);
    let lonely = Node::start(settings).await.expect("it starts without NATS");
    assert_eq!(get_status(&format!("{}/healthz", lonely.operators_url())).await, 200);
    // It can reach no one, so it is alone, and serves.
    joins(&lonely, false).await;
    assert_eq!(knock(&lonely, "news").await.0, 409, "nothing is known to be live");
    let _publisher = publish(&lonely, "news").await;
    plays(&watch(&lonely, "news").await, 3).await;
    nats.restart().await;
    joins(&lonely, true).await;
    let other = node("other", "east", &url).await;
    heard_of(&other, "news").await;
    plays(&watch(&other, "news").await, 3).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_directory_survives_a_restart_of_nats_and_newcomers_get_it() {
    let mut nats = NatsServer::start().await;
    let origin = node("origin", "west", &nats.url()).await;
    let edge = node("edge", "east", &nats.url()).await;
    let _publisher = publish(&origin, "news").await;
    heard_of(&edge, "news").await;
    let before = watch(&edge, "news").await;
    plays(&before, 3).await;
    let pipe = room(&edge, "news").await.unwrap().parents[0].pipe;
    // Nothing of it is kept by the server.
    nats.wipe();
    nats.restart().await;
    let late = node("late", "east", &nats.url()).await;
    heard_of(&late, "news").await;
    plays(&watch(&late, "news").await, 3).await;
    plays(&watch(&edge, "news").await, 3).await;
    plays_on(&before).await;
    assert_eq!(room(&edge, "news").await.unwrap().parents[0].pipe, pipe, "the pipe has not been touched");
}
