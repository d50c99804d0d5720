//! Key frames: asked for through every hop, and merged at each.

use std::time::Duration;

use futures_util::future::join_all;

use crate::support::fleet::{SOON, acquainted, heard_of, metric, node, plays, publish, watch};
use crate::support::nats::NatsServer;
use crate::support::wait::eventually;

#[tokio::test(flavor = "multi_thread")]
async fn a_request_travels_up_every_hop_and_bursts_are_merged() {
    let nats = NatsServer::start().await;
    let origin = node("origin", "west", &nats.url()).await;
    let a = node("east-a", "east", &nats.url()).await;
    let b = node("east-b", "east", &nats.url()).await;
    acquainted(&[&origin, &a, &b]).await;
    let publisher = publish(&origin, "news").await;
    for edge in [&a, &b] {
        heard_of(edge, "news").await;
    }
    let asked = publisher.stats().borrow().key_frame_requests;
    let first = (watch(&a, "news").await, watch(&b, "news").await);
    plays(&first.0, 1).await;
    plays(&first.1, 1).await;
    let publisher_asked = || publisher.stats().borrow().key_frame_requests - asked;
    eventually(SOON, "the publisher is asked", || {
        let asked = publisher_asked();
        async move { asked >= 1 }
    })
    .await;
    for edge in [&a, &b] {
        assert!(metric(edge, "headwater_key_frame_requests_total{hop=\"pipe\"}").await >= 1.0);
    }
    // Each of thirty further viewers needs a key frame at once; the hops ask for a few.
    let before = publisher_asked();
    let started = std::time::Instant::now();
    let crowd = join_all((0..30).map(|i| watch(if i % 2 == 0 { &a } else { &b }, "news"))).await;
    for viewer in &crowd {
        plays(viewer, 1).await;
    }
    let took = started.elapsed();
    // One each 500 ms (media.key_frame_delay) at most, and one that goes out at once.
    let most = u64::try_from(took.as_millis() / Duration::from_millis(500).as_millis()).unwrap() + 2;
    let more = publisher_asked() - before;
    assert!(more <= most, "{more} requests for 30 viewers in {took:?}, at most {most} expected");
}
