//! The main job: published once, watched on any other node.

use crate::support::fleet::{
    acquainted, config, heard_of, node, plays, plays_on, publish, publish_with, room, start, watch,
    watch_with,
};
use crate::support::nats::NatsServer;
use crate::support::wait::eventually;

use crate::support::fleet::SOON;

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_published_on_one_node_is_watched_on_another() {
    let nats = NatsServer::start().await;
    let origin = node("origin", "west", &nats.url()).await;
    let edge = node("edge", "east", &nats.url()).await;
    let publisher = publish(&origin, "news").await;
    heard_of(&edge, "news").await;
    let viewer = watch(&edge, "news").await;
    plays(&viewer, 10).await;
    let report = viewer.report().borrow().clone();
    assert_eq!(report.route.node.as_deref(), Some("edge"));
    assert_eq!(report.route.origin.as_deref(), Some("origin"));
    assert_eq!(report.route.hops, Some(1));
    // The viewer, the pipe and the publisher end, and the edge lets the room go.
    viewer.stop().await;
    publisher.stop().await.unwrap();
    eventually(SOON, "the edge forgets the room", || async {
        room(&edge, "news").await.is_none().then_some(())
    })
    .await;
    edge.stop().await;
    origin.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn media_crosses_into_a_region_once() {
    let nats = NatsServer::start().await;
    let origin = node("origin", "west", &nats.url()).await;
    let a = node("east-a", "east", &nats.url()).await;
    let b = node("east-b", "east", &nats.url()).await;
    acquainted(&[&origin, &a, &b]).await;
    let _publisher = publish(&origin, "news").await;
    for edge in [&a, &b] {
        heard_of(edge, "news").await;
    }
    let on_a = watch(&a, "news").await;
    let on_b = watch(&b, "news").await;
    plays(&on_a, 5).await;
    plays(&on_b, 5).await;
    let view = room(&origin, "news").await.unwrap();
    assert_eq!(view.children.len(), 1, "one pipe into the other region: {view:?}");
    let mut hops = [on_a.report().borrow().route.hops, on_b.report().borrow().route.hops];
    hops.sort_unstable();
    assert_eq!(hops, [Some(1), Some(2)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_viewer_on_the_origin_needs_no_pipe() {
    let nats = NatsServer::start().await;
    let origin = node("origin", "west", &nats.url()).await;
    let _publisher = publish(&origin, "news").await;
    let viewer = watch(&origin, "news").await;
    plays(&viewer, 5).await;
    let view = room(&origin, "news").await.unwrap();
    assert!(view.children.is_empty() && view.parents.is_empty(), "{view:?}");
    assert_eq!(viewer.report().borrow().route.hops, Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn all_layers_cross_the_pipe_and_the_edge_chooses_for_each_viewer() {
    let nats = NatsServer::start().await;
    let origin = node("origin", "west", &nats.url()).await;
    let edge = node("edge", "east", &nats.url()).await;
    let _publisher = publish_with(&origin, "news", |options| options.simulcast = true).await;
    heard_of(&edge, "news").await;
    let viewer = watch_with(&edge, "news", |options| options.counter_offer = true).await;
    plays(&viewer, 5).await;
    let view = room(&edge, "news").await.unwrap();
    let video = view.streams[0].producers.iter().find(|p| p.mime_type == "video/VP8").unwrap();
    assert_eq!(video.encodings, 3, "{view:?}");
    // How far an estimate on this machine climbs is its own affair; that there is one, and that the
    // viewer is lifted from the lowest layer by it, is ours.
    eventually(SOON, "the estimate lifts the viewer to a higher layer", || async {
        match room(&edge, "news").await {
            Some(view) if view.viewers[0].layer >= Some(1) && view.viewers[0].estimate.is_some() => Ok(()),
            view => Err(format!("{:?} {:?}", view.map(|view| view.viewers), viewer.report().borrow())),
        }
    })
    .await;
    plays_on(&viewer).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_layer_needs_no_estimate_and_a_stream_that_returns_with_layers_has_them_chosen() {
    let nats = NatsServer::start().await;
    let origin = node("origin", "west", &nats.url()).await;
    let edge = node("edge", "east", &nats.url()).await;
    let publisher = publish(&origin, "news").await;
    heard_of(&edge, "news").await;
    let viewer = watch_with(&edge, "news", |options| options.counter_offer = true).await;
    plays(&viewer, 5).await;
    let view = room(&edge, "news").await.unwrap();
    assert_eq!((view.viewers[0].estimate, view.viewers[0].layer), (None, None), "{view:?}");
    publisher.stop().await.expect("the publisher ends");
    let _publisher = publish_with(&origin, "news", |options| options.simulcast = true).await;
    eventually(SOON, "the best layer is chosen without an estimate", || async {
        match room(&edge, "news").await {
            Some(view) if view.viewers[0].layer == Some(2) && view.viewers[0].estimate.is_none() => Ok(()),
            view => Err(format!("{:?} {:?}", view.map(|view| view.viewers), viewer.report().borrow())),
        }
    })
    .await;
    plays_on(&viewer).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_streams_of_a_room_share_one_pipe() {
    let nats = NatsServer::start().await;
    let origin = node("origin", "west", &nats.url()).await;
    let edge = node("edge", "east", &nats.url()).await;
    let _first = publish(&origin, "talk/alice").await;
    let _second = publish(&origin, "talk/bob").await;
    let alice = watch(&edge, "talk/alice").await;
    plays(&alice, 5).await;
    let before = room(&edge, "talk").await.unwrap();
    assert_eq!(before.streams.len(), 1, "only what is watched is piped: {before:?}");
    let bob = watch(&edge, "talk/bob").await;
    plays(&bob, 5).await;
    let after = room(&edge, "talk").await.unwrap();
    assert_eq!(after.parents.len(), 1);
    assert_eq!(after.parents[0].pipe, before.parents[0].pipe, "the pipe is reused");
    plays_on(&alice).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn media_may_go_over_ipv6() {
    let nats = NatsServer::start().await;
    let mut nodes = Vec::new();
    for name in ["origin", "edge"] {
        let mut settings = config(name, "west", &nats.url());
        settings.webrtc.listen = vec!["::1".parse().unwrap()];
        settings.pipe.listen = "::1".parse().unwrap();
        settings.http.listen = "[::1]:0".parse().unwrap();
        nodes.push(start(settings).await);
    }
    let _publisher = publish(&nodes[0], "news").await;
    heard_of(&nodes[1], "news").await;
    let viewer = watch(&nodes[1], "news").await;
    plays(&viewer, 5).await;
}
