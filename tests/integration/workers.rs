//! More than one worker per node, and viewers that number payload types in their own way.

use crate::support::fleet::{SOON, config, heard_of, http, metric, node, plays, publish, room, start, watch};
use crate::support::nats::NatsServer;
use crate::support::wait::eventually;

const CHROMIUM: &str = include_str!("../../src/http/sdp/offers/chromium-watch.sdp");
const FIREFOX: &str = include_str!("../../src/http/sdp/offers/firefox-watch.sdp");

#[tokio::test(flavor = "multi_thread")]
async fn viewers_spread_over_the_workers_and_each_is_fed_once() {
    let nats = NatsServer::start().await;
    let origin = node("origin", "west", &nats.url()).await;
    let mut settings = config("edge", "east", &nats.url());
    settings.media.workers = 3;
    settings.media.spread_slack = 1;
    let edge = start(settings).await;
    let _publisher = publish(&origin, "news").await;
    heard_of(&edge, "news").await;
    let mut viewers = Vec::new();
    for _ in 0..9 {
        viewers.push(watch(&edge, "news").await);
    }
    for viewer in &viewers {
        plays(viewer, 3).await;
    }
    let view = room(&edge, "news").await.unwrap();
    assert_eq!(view.workers.len(), 3, "home and one more router on each other worker: {view:?}");
    let loads = edge.context().engine.loads();
    assert!(loads.iter().all(|load| (2..=4).contains(load)), "{loads:?}");
    for viewer in viewers {
        viewer.stop().await;
    }
    eventually(SOON, "the further routers are let go", || async {
        room(&edge, "news").await.is_none_or(|view| view.workers.len() == 1)
    })
    .await;
    assert_eq!(edge.context().engine.loads(), [0, 0, 0]);
}

async fn answer_to(node: &headwater::node::Node, offer: &'static str) -> String {
    let response = http()
        .post(format!("{}/whep/news", node.public_url()))
        .header("content-type", "application/sdp")
        .body(offer)
        .send()
        .await
        .unwrap();
    let status = response.status();
    let text = response.text().await.unwrap();
    assert_eq!(status, 201, "{text}");
    text
}

#[tokio::test(flavor = "multi_thread")]
async fn every_browser_is_answered_in_its_own_payload_types() {
    let nats = NatsServer::start().await;
    let origin = node("origin", "west", &nats.url()).await;
    let _publisher = publish(&origin, "news").await;
    let chromium = answer_to(&origin, CHROMIUM).await;
    assert!(
        chromium.contains("a=rtpmap:96 VP8/90000") && chromium.contains("a=rtpmap:111 opus"),
        "{chromium}"
    );
    assert_eq!(room(&origin, "news").await.unwrap().counts.routers, 1, "served by the home router");
    let firefox = answer_to(&origin, FIREFOX).await;
    assert!(firefox.contains("a=rtpmap:120 VP8/90000") && firefox.contains("a=rtpmap:109 opus"), "{firefox}");
    let again = answer_to(&origin, FIREFOX).await;
    assert!(again.contains("a=rtpmap:120 VP8/90000"), "{again}");
    let view = room(&origin, "news").await.unwrap();
    assert_eq!(view.counts.routers, 2, "one more router for all viewers of that browser: {view:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_rooms_of_a_dead_worker_end_and_open_again_on_demand() {
    let nats = NatsServer::start().await;
    let origin = node("origin", "west", &nats.url()).await;
    let edge = node("edge", "east", &nats.url()).await;
    let _publisher = publish(&origin, "news").await;
    heard_of(&edge, "news").await;
    let viewer = watch(&edge, "news").await;
    plays(&viewer, 3).await;
    // A worker's thread can't be killed alone: what its death sets off is.
    let worker = edge.context().engine.workers()[0];
    edge.rooms().worker_died(worker).await;
    edge.context().engine.revive(worker.index).await.unwrap();
    eventually(SOON, "the room ends", || async { metric(&edge, "headwater_viewers").await == 0.0 }).await;
    let again = watch(&edge, "news").await;
    plays(&again, 3).await;
}
