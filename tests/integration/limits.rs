//! What is used up, and who does nothing.

use std::sync::Arc;
use std::time::Duration;

use headwater::client::{Clip, PublishOptions, Publisher};
use headwater::config::PortRange;

use crate::support::child::free_port;
use crate::support::fleet::{
    SOON, acquainted, config, heard_of, http, metric, node, plays, publish, room, start, watch,
};
use crate::support::nats::NatsServer;
use crate::support::wait::eventually;

const OFFER: &str = include_str!("../../src/http/sdp/offers/chromium-publish.sdp");

#[tokio::test(flavor = "multi_thread")]
async fn a_used_up_port_range_refuses_by_name_and_recovers() {
    let nats = NatsServer::start().await;
    let origin = node("origin", "west", &nats.url()).await;
    let mut settings = config("edge", "east", &nats.url());
    let port = free_port();
    settings.pipe.ports = PortRange { first: port, last: port };
    settings.timeouts.pipe_idle = Duration::from_secs(1);
    settings.timeouts.join = Duration::from_secs(3);
    let edge = start(settings).await;
    acquainted(&[&origin, &edge]).await;
    let _one = publish(&origin, "one").await;
    let _two = publish(&origin, "two").await;
    heard_of(&edge, "one").await;
    heard_of(&edge, "two").await;
    let first = watch(&edge, "one").await;
    plays(&first, 3).await;
    let url = format!("{}/whep/two", edge.public_url());
    let response = http()
        .post(&url)
        .header("content-type", "application/sdp")
        .body(include_str!("../../src/http/sdp/offers/chromium-watch.sdp"))
        .send()
        .await
        .unwrap();
    assert_eq!(response.status(), 503);
    assert!(response.headers().contains_key("retry-after"));
    let refused =
        "headwater_messages_received_total{message=\"createRemotePipeTransport\",result=\"noPorts\"}";
    assert!(metric(&edge, refused).await >= 1.0);
    // The port comes back when the first pipe ends.
    first.stop().await;
    let second = watch(&edge, "two").await;
    plays(&second, 3).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_publisher_that_never_connects_is_dropped_and_was_never_live() {
    let nats = NatsServer::start().await;
    let mut settings = config("origin", "west", &nats.url());
    settings.timeouts.connect = Duration::from_secs(1);
    settings.timeouts.room_idle = Duration::from_secs(1);
    let origin = start(settings).await;
    let response = http()
        .post(format!("{}/whip/news", origin.public_url()))
        .header("content-type", "application/sdp")
        .body(OFFER)
        .send()
        .await
        .unwrap();
    assert_eq!(response.status(), 201);
    assert_eq!(metric(&origin, "headwater_streams").await, 1.0);
    eventually(SOON, "it is dropped", || async { metric(&origin, "headwater_streams").await == 0.0 }).await;
    assert_eq!(metric(&origin, "headwater_announcements_total{result=\"ok\"}").await, 0.0);
    eventually(SOON, "the room ends", || async { room(&origin, "news").await.is_none() }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_publisher_that_sends_nothing_is_ended() {
    let nats = NatsServer::start().await;
    let mut settings = config("origin", "west", &nats.url());
    settings.timeouts.publisher_silence = Duration::from_secs(1);
    let origin = start(settings).await;
    let mut options =
        PublishOptions::new(format!("{}/whip/news", origin.public_url()), Arc::new(Clip::builtin()));
    // It offers a video that is no clip's layer and an audio that stays silent.
    options.audio = false;
    let publisher = Publisher::start(options).await.unwrap();
    eventually(SOON, "it is live", || async {
        metric(&origin, "headwater_announcements_total{result=\"ok\"}").await >= 1.0
    })
    .await;
    // Dropped without a word: nothing more is sent, and no one says goodbye.
    drop(publisher);
    eventually(SOON, "it is ended", || async { metric(&origin, "headwater_streams").await == 0.0 }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_node_says_so() {
    let nats = NatsServer::start().await;
    let mut settings = config("origin", "west", &nats.url());
    settings.limits.viewers = 1;
    settings.limits.streams = 1;
    let origin = start(settings).await;
    let _publisher = publish(&origin, "news").await;
    let viewer = watch(&origin, "news").await;
    plays(&viewer, 1).await;
    for (path, offer) in
        [("whep/news", include_str!("../../src/http/sdp/offers/chromium-watch.sdp")), ("whip/other", OFFER)]
    {
        let response = http()
            .post(format!("{}/{path}", origin.public_url()))
            .header("content-type", "application/sdp")
            .body(offer)
            .send()
            .await
            .unwrap();
        assert_eq!(response.status(), 503, "{path}");
        assert!(response.headers().contains_key("retry-after"), "{path}");
        let text = response.text().await.unwrap();
        assert!(text.contains("limits."), "{path}: {text}");
    }
}
