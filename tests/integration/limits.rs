//! What is used up, and who does nothing.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use headwater::client::{Clip, PublishOptions, Publisher};
use headwater::config::PortRange;
use headwater::protocol::event::{Event, What};

use crate::support::chaos::ChaosProxy;
use crate::support::events::told;
use crate::support::fleet::{
    SOON, acquainted, config, heard_of, http, knock, metric, node, plays, post, publish, room, start, watch,
};
use crate::support::nats::{NatsServer, free_port};
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
    assert_eq!(metric(&origin, "headwater_connecting").await, 1.0);
    assert_eq!(metric(&origin, "headwater_streams").await, 0.0, "it is no stream yet");
    eventually(SOON, "it is dropped", || async { metric(&origin, "headwater_connecting").await == 0.0 })
        .await;
    eventually(SOON, "it is told", || async {
        let events = told(&origin, "news").await;
        let named = |event: &Event| match &event.what {
            What::PublisherRejected(turned) => turned.reason == "never_connected",
            _ => false,
        };
        if events.iter().any(named) { Ok(()) } else { Err(events) }
    })
    .await;
    assert_eq!(metric(&origin, "headwater_claims_total{result=\"sent\"}").await, 0.0);
    eventually(SOON, "the room ends", || async { room(&origin, "news").await.is_none() }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_publisher_that_vanishes_is_ended() {
    let nats = NatsServer::start().await;
    let mut settings = config("origin", "west", &nats.url());
    settings.timeouts.ice_consent = Duration::from_secs(10);
    let origin = start(settings).await;
    let mut options =
        PublishOptions::new(format!("{}/whip/news", origin.public_url()), Arc::new(Clip::builtin()));
    // It offers a video that is no clip's layer and an audio that stays silent.
    options.audio = false;
    let publisher = Publisher::start(options).await.unwrap();
    eventually(SOON, "it is live", || async {
        metric(&origin, "headwater_claims_total{result=\"sent\"}").await >= 1.0
    })
    .await;
    // Dropped without a word: nothing more is sent, and no one says goodbye.
    drop(publisher);
    eventually(2 * SOON, "it is ended", || async { metric(&origin, "headwater_streams").await == 0.0 }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn publishers_that_do_not_connect_keep_nobody_out() {
    let nats = NatsServer::start().await;
    let mut settings = config("origin", "west", &nats.url());
    settings.limits.streams_per_room = 4;
    settings.limits.streams = 4;
    let origin = start(settings).await;
    for number in 0..12 {
        let (status, _) = post(&format!("{}/whip/news/half-{number}", origin.public_url()), OFFER).await;
        assert_eq!(status, 201, "{number}");
    }
    assert!(metric(&origin, "headwater_connecting").await <= 4.0, "the oldest gave way");
    let _publisher = publish(&origin, "news").await;
    let viewer = watch(&origin, "news").await;
    plays(&viewer, 3).await;
    assert_eq!(metric(&origin, "headwater_streams").await, 1.0);
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

#[tokio::test(flavor = "multi_thread")]
async fn of_thirty_cold_joins_at_once_no_more_get_in_than_may() {
    let nats = NatsServer::start().await;
    let origin = node("origin", "west", &nats.url()).await;
    let line = ChaosProxy::start(nats.url()).await;
    let mut settings = config("edge", "east", &line.url());
    settings.limits.viewers = 5;
    let edge = start(settings).await;
    acquainted(&[&origin, &edge]).await;
    let _publisher = publish(&origin, "news").await;
    heard_of(&edge, "news").await;
    // So that all of them wait at the same time.
    line.set_latency(Duration::from_millis(150));
    let answers = join_all((0..30).map(|_| knock(&edge, "news"))).await;
    let count = |wanted: u16| answers.iter().filter(|(status, _)| *status == wanted).count();
    assert_eq!((count(201), count(503)), (5, 25), "{answers:?}");
    assert!(answers.iter().all(|(status, after)| *status == 201 || after.is_some()), "{answers:?}");
    assert_eq!(metric(&edge, "headwater_viewers").await, 5.0);
    assert_eq!(knock(&edge, "news").await.0, 503, "and later ones are told the same");
}

/// A viewer's offer of Opus and of this video codec, numbered from this payload type on.
fn offer_of(audio: &str, video: &str, payload_type: usize) -> String {
    let mut kind = None;
    let mut lines = Vec::new();
    for line in include_str!("../../src/http/sdp/offers/chromium-watch.sdp").lines() {
        if let Some(media) = line.strip_prefix("m=") {
            let (number, name, first) = match media.starts_with("audio") {
                true => (payload_type, audio, "audio"),
                false => (payload_type + 1, video, "video"),
            };
            kind = Some(format!("a=rtpmap:{number} {name}"));
            lines.push(format!("m={first} 9 UDP/TLS/RTP/SAVPF {number}"));
            continue;
        }
        let of_a_codec = ["a=rtpmap", "a=fmtp", "a=rtcp-fb"].iter().any(|prefix| line.starts_with(prefix));
        if !of_a_codec {
            lines.push(line.to_owned());
        }
        if line == "a=rtcp-mux" {
            lines.extend(kind.take());
        }
    }
    lines.into_iter().flat_map(|line| [line, "\r\n".to_owned()]).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn offers_that_come_to_nothing_leave_nothing() {
    let nats = NatsServer::start().await;
    let origin = node("origin", "west", &nats.url()).await;
    let _publisher = publish(&origin, "news").await;
    let before = room(&origin, "news").await.unwrap().counts;
    let url = format!("{}/whep/news", origin.public_url());
    for payload_type in (40..80).step_by(2) {
        let (status, _) = post(&url, &offer_of("G722/8000", "VP9/90000", payload_type)).await;
        assert_eq!(status, 422, "{payload_type}");
    }
    let after = room(&origin, "news").await.unwrap().counts;
    assert_eq!((before.routers, before.producers), (after.routers, after.producers), "{after:?}");
    // And whoever numbers payload types in a way of its own still gets in.
    let (status, _) = post(&url, &offer_of("opus/48000/2", "VP8/90000", 100)).await;
    assert_eq!(status, 201);
    plays(&watch(&origin, "news").await, 3).await;
}
