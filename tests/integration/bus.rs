//! NATS is gone, for a while or from the start.

use std::time::Duration;

use crate::support::chaos::ChaosProxy;
use crate::support::fleet::{
    SOON, acquainted, config, get_status, heard_of, http, node, plays, plays_on, publish, room, watch,
};
use crate::support::nats::NatsServer;
use crate::support::wait::{assert_holds, eventually};

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
    eventually(SOON, "the nodes notice", || async {
        get_status(&format!("{}/readyz", edge.operators_url())).await == 503
            && get_status(&format!("{}/readyz", origin.operators_url())).await == 503
    })
    .await;
    // Alive all the same: killing it would take its viewers down.
    assert_holds(Duration::from_secs(10), Duration::from_millis(500), "media flows", || async {
        let age = viewer.report().borrow().last_packet_age_ms;
        let alive = get_status(&format!("{}/healthz", edge.operators_url())).await == 200;
        if age.is_some_and(|age| age < 1000) && alive { Ok(()) } else { Err(format!("{age:?}")) }
    })
    .await;
    to_origin.restore();
    to_edge.restore();
    eventually(SOON, "the nodes are ready again", || async {
        get_status(&format!("{}/readyz", edge.operators_url())).await == 200
            && get_status(&format!("{}/readyz", origin.operators_url())).await == 200
    })
    .await;
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
    let lonely = headwater::node::Node::start(settings).await.expect("it starts without NATS");
    assert_eq!(get_status(&format!("{}/healthz", lonely.operators_url())).await, 200);
    assert_eq!(get_status(&format!("{}/readyz", lonely.operators_url())).await, 503);
    let response = http()
        .post(format!("{}/whep/news", lonely.public_url()))
        .header("content-type", "application/sdp")
        .body(include_str!("../../src/http/sdp/offers/chromium-watch.sdp"))
        .send()
        .await
        .unwrap();
    assert_eq!(response.status(), 409, "nothing is known to be live");
    nats.restart().await;
    eventually(SOON, "the node is ready", || async {
        get_status(&format!("{}/readyz", lonely.operators_url())).await == 200
    })
    .await;
    // What is published while it was down is announced and served.
    let _publisher = publish(&lonely, "news").await;
    plays(&watch(&lonely, "news").await, 3).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_registry_that_was_lost_is_written_again() {
    let mut nats = NatsServer::start().await;
    let origin = node("origin", "west", &nats.url()).await;
    let edge = node("edge", "east", &nats.url()).await;
    let _publisher = publish(&origin, "news").await;
    heard_of(&edge, "news").await;
    let before = watch(&edge, "news").await;
    plays(&before, 3).await;
    let pipe = room(&edge, "news").await.unwrap().parents[0].pipe;
    // The announcements are kept in memory: a restart of the server loses them.
    nats.restart().await;
    let late = node("late", "east", &nats.url()).await;
    heard_of(&late, "news").await;
    plays(&watch(&late, "news").await, 3).await;
    plays(&watch(&edge, "news").await, 3).await;
    plays_on(&before).await;
    assert_eq!(room(&edge, "news").await.unwrap().parents[0].pipe, pipe, "the pipe has not been touched");
}
