//! How a viewer's edge gets the media: counted on the wire.

use std::time::Duration;

use futures_util::future::join_all;

use crate::support::chaos::ChaosProxy;
use crate::support::fleet::{acquainted, config, heard_of, metric, node, plays, publish, room, start, watch};
use crate::support::nats::NatsServer;

const FOUR: [&str; 4] =
    ["getRemoteRouterInfo", "createRemotePipeTransport", "connectRemotePipeTransport", "createPipeProducer"];

async fn received(node: &headwater::node::Node, message: &str) -> f64 {
    let sample = format!("headwater_messages_received_total{{message=\"{message}\",result=\"ok\"}}");
    metric(node, &sample).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_join_takes_two_round_trips() {
    let nats = NatsServer::start().await;
    let origin = node("origin", "west", &nats.url()).await;
    // Only the edge's messages are late, by as much in each direction.
    let proxy = ChaosProxy::start(nats.url()).await;
    let edge = node("edge", "east", &proxy.url()).await;
    acquainted(&[&origin, &edge]).await;
    let _publisher = publish(&origin, "news").await;
    heard_of(&edge, "news").await;
    let one_way = Duration::from_millis(200);
    proxy.set_latency(one_way);
    proxy.forget();
    let viewer = watch(&edge, "news").await;
    // What the answer took: a new parent is soon asked again whether there is a nearer one.
    let (published, delivered) = (proxy.published(), proxy.delivered());
    let joins = proxy.published_on("room.news.origin.origin");
    let pipe = proxy.delivered_on("room.news.edge.edge");
    plays(&viewer, 3).await;
    // join →, ← round trip 1 →, ← round trip 2: four one-way times. A third round trip would be six.
    let trips = viewer.report().borrow().answer_ms.unwrap() / 1000.0 / one_way.as_secs_f64();
    assert_eq!(trips.floor(), 4.0, "{:?}", viewer.report().borrow().answer_ms);
    assert_eq!(joins, 1, "one join: {published:?}");
    assert_eq!(pipe, 5, "the four messages, one for each producer: {delivered:?}");
    for message in FOUR {
        let expected = if message == "createPipeProducer" { 2.0 } else { 1.0 };
        assert_eq!(received(&edge, message).await, expected, "{message}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn fifty_viewers_at_once_share_one_join() {
    let nats = NatsServer::start().await;
    let origin = node("origin", "west", &nats.url()).await;
    let edge = node("edge", "east", &nats.url()).await;
    acquainted(&[&origin, &edge]).await;
    let _publisher = publish(&origin, "news").await;
    heard_of(&edge, "news").await;
    let viewers = join_all((0..50).map(|_| watch(&edge, "news"))).await;
    for viewer in &viewers {
        plays(viewer, 1).await;
    }
    for message in &FOUR[..3] {
        assert_eq!(received(&edge, message).await, 1.0, "{message}");
    }
    let view = room(&edge, "news").await.unwrap();
    assert_eq!((view.viewers.len(), view.parents.len()), (50, 1));
    assert_eq!(room(&origin, "news").await.unwrap().children.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idle_edge_lets_go_after_its_grace_period() {
    let nats = NatsServer::start().await;
    let mut settings = config("origin", "west", &nats.url());
    settings.timeouts.room_idle = Duration::from_secs(1);
    let origin = start(settings).await;
    let mut settings = config("edge", "east", &nats.url());
    settings.timeouts.pipe_idle = Duration::from_secs(2);
    settings.timeouts.room_idle = Duration::from_secs(1);
    let edge = start(settings).await;
    let publisher = publish(&origin, "news").await;
    heard_of(&edge, "news").await;
    let viewer = watch(&edge, "news").await;
    plays(&viewer, 3).await;
    viewer.stop().await;
    let left = std::time::Instant::now();
    crate::support::wait::eventually(Duration::from_secs(20), "the pipe ends", || async {
        room(&origin, "news").await.is_some_and(|view| view.children.is_empty())
    })
    .await;
    let after = left.elapsed();
    assert!(after >= Duration::from_secs(2), "not before its grace period: {after:?}");
    crate::support::wait::eventually(Duration::from_secs(20), "the edge's room ends", || async {
        room(&edge, "news").await.is_none()
    })
    .await;
    publisher.stop().await.unwrap();
    crate::support::wait::eventually(Duration::from_secs(20), "the origin's room ends", || async {
        room(&origin, "news").await.is_none()
    })
    .await;
}
