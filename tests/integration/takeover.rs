//! Two publishers of one stream: the last one has it, with manners, whatever clocks and sleepers say.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use headwater::client::{ClientError, Clip, Player, PublishOptions, Publisher};
use headwater::config::Takeover;
use headwater::node::Node;
use serde_json::Value;

use crate::support::child::{ChildNode, Place};
use crate::support::fleet::{
    Address, SOON, acquainted, config, get_json, heard_of, node, plays, plays_on, post, publish, room, start,
    watch,
};
use crate::support::gaps::{Gaps, NOTHING};
use crate::support::nats::NatsServer;
use crate::support::wait::{assert_holds, eventually};

const OFFER: &str = include_str!("../../src/http/sdp/offers/chromium-publish.sdp");

async fn try_publish(node: &Node, room: &str) -> Result<Publisher, ClientError> {
    let url = format!("{}/whip/{room}", node.public_url());
    Publisher::start(PublishOptions::new(url, Arc::new(Clip::builtin()))).await
}

/// Where a stream is published, as a node tells it.
async fn origin_of(node: &impl Address, room: &str) -> Value {
    get_json(&format!("{}/api/status/{room}/main", node.public())).await["origin"]["name"].clone()
}

/// Whether a node has a publisher in a room; it may have the stream as an edge all the same.
async fn publishes(node: &ChildNode, room: &str) -> bool {
    let view = node.room(room).await;
    view["streams"].as_array().into_iter().flatten().any(|stream| !stream["bitrate"].is_null())
}

/// Waits until a viewer is sent a further publication.
async fn shows_another(viewer: &Player, streams: u64) {
    eventually(SOON, "the viewer is sent the new publication", || async {
        let report = viewer.report().borrow().clone();
        if report.video.streams > streams { Ok(()) } else { Err(report) }
    })
    .await;
    plays_on(viewer).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_publisher_replaces_the_old_one_and_viewers_go_on() {
    let nats = NatsServer::start().await;
    let first = node("first", "west", &nats.url()).await;
    let second = node("second", "west", &nats.url()).await;
    let edge = node("edge", "west", &nats.url()).await;
    acquainted(&[&first, &second, &edge]).await;
    let _old = publish(&first, "news").await;
    heard_of(&edge, "news").await;
    heard_of(&second, "news").await;
    let viewer = watch(&edge, "news").await;
    plays(&viewer, 5).await;
    let _new = publish(&second, "news").await;
    eventually(SOON, "the old origin yields", || async {
        match room(&first, "news").await {
            Some(view) => view.streams.iter().all(|stream| stream.bitrate.is_none()),
            None => true,
        }
    })
    .await;
    eventually(SOON, "the edge pulls from the new origin", || async {
        let view = room(&edge, "news").await?;
        view.streams.iter().any(|stream| stream.path == ["second".parse().unwrap()]).then_some(())
    })
    .await;
    // The same connection, without renegotiation.
    plays_on(&viewer).await;
    assert!(viewer.report().borrow().video.streams >= 2, "{:?}", viewer.report().borrow().video);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_publisher_on_the_same_node_replaces_too() {
    let nats = NatsServer::start().await;
    let origin = node("origin", "west", &nats.url()).await;
    let edge = node("edge", "west", &nats.url()).await;
    let _old = publish(&origin, "news").await;
    heard_of(&edge, "news").await;
    let viewer = watch(&edge, "news").await;
    plays(&viewer, 5).await;
    let _new = publish(&origin, "news").await;
    eventually(SOON, "the edge shows the new publication", || async {
        (viewer.report().borrow().video.streams >= 2).then_some(())
    })
    .await;
    plays_on(&viewer).await;
    let view = room(&origin, "news").await.unwrap();
    assert_eq!(view.streams.len(), 1, "{view:?}");
    assert_eq!(view.counts.producers, 2, "the old publisher's are closed: {view:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_publisher_is_refused_where_takeover_is_off() {
    let nats = NatsServer::start().await;
    let mut settings = config("second", "west", &nats.url());
    settings.media.takeover = Takeover::Reject;
    let first = node("first", "west", &nats.url()).await;
    let second = start(settings).await;
    acquainted(&[&first, &second]).await;
    let _publisher = publish(&first, "news").await;
    heard_of(&second, "news").await;
    let options = PublishOptions::new(
        format!("{}/whip/news", second.public_url()),
        std::sync::Arc::new(headwater::client::Clip::builtin()),
    );
    let error = Publisher::start(options).await.expect_err("refused");
    assert!(error.to_string().contains("already published"), "{error}");
    assert!(error.to_string().contains("409"), "{error}");
    let _: ClientError = error;
}

#[tokio::test(flavor = "multi_thread")]
async fn encoders_that_reconnect_by_themselves_do_not_replace_each_other_for_ever() {
    let nats = NatsServer::start().await;
    let node = node("node", "west", &nats.url()).await;
    let first = publish(&node, "news").await;
    let viewer = watch(&node, "news").await;
    plays(&viewer, 3).await;
    let second = publish(&node, "news").await;
    shows_another(&viewer, 1).await;
    let gaps = Gaps::of(&viewer);
    let stats = first.stats();
    eventually(Duration::from_secs(5), "the first is told that it was replaced", || async {
        let stats = stats.borrow().clone();
        if stats.connected() { Err(stats) } else { Ok(()) }
    })
    .await;
    // It comes again each second, as encoders do.
    let whip = format!("{}/whip/news", node.public_url());
    assert_holds(Duration::from_secs(6), Duration::from_secs(1), "the first is told to wait", || async {
        let (status, after) = post(&whip, OFFER).await;
        let waits = status == 409 && after.is_some_and(|after| (1..=60).contains(&after));
        if waits { Ok(()) } else { Err((status, after)) }
    })
    .await;
    let error = try_publish(&node, "news").await.expect_err("refused");
    assert!(error.to_string().contains("409"), "{error}");
    assert!(gaps.longest() < NOTHING, "{:?}", gaps.longest());
    assert_eq!(viewer.report().borrow().video.streams, 2, "the viewer is shown the second all along");
    // Once the second has gone, the stream is free.
    second.stop().await.unwrap();
    let _again = publish(&node, "news").await;
    shows_another(&viewer, 2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn where_takeover_is_off_one_of_two_gets_in_and_who_has_fallen_silent_is_no_obstacle() {
    let nats = NatsServer::start().await;
    let mut settings = config("node", "west", &nats.url());
    settings.media.takeover = Takeover::Reject;
    let node = start(settings).await;
    let whip = |room: &str| format!("{}/whip/{room}", node.public_url());
    let url = whip("both");
    let mut answers = join_all([post(&url, OFFER), post(&url, OFFER)]).await;
    answers.sort_unstable();
    assert!(matches!(answers[..], [(201, _), (409, Some(1..))]), "{answers:?}");

    let publisher = publish(&node, "news").await;
    let viewer = watch(&node, "news").await;
    plays(&viewer, 3).await;
    let (status, after) = post(&whip("news"), OFFER).await;
    assert!(status == 409 && after.is_some(), "{status} {after:?}");
    // Its network is gone: nothing more comes, and no one says goodbye.
    drop(publisher);
    let again = eventually(Duration::from_secs(6), "it gets in again", || try_publish(&node, "news")).await;
    shows_another(&viewer, 1).await;
    drop(again);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_to_publish_has_the_stream_whatever_the_clocks_say() {
    let nats = NatsServer::start().await;
    let clock = |name: &str, offset: i64| {
        ChildNode::spawn(name, "west", &nats.url(), &[], &Place { clock: Some(offset), ..Place::default() })
    };
    let (ahead, behind) = (clock("ahead", 3600), clock("behind", -3600));
    ahead.ready().await;
    behind.ready().await;
    for (node, hours) in [(&ahead, 1), (&behind, -1)] {
        let log = node.log();
        let first: Value = serde_json::from_str(log.lines().next().expect("a line")).expect("JSON");
        let at: chrono::DateTime<chrono::Utc> =
            first["timestamp"].as_str().expect("a time").parse().expect("a time");
        let wrong = at - chrono::Utc::now();
        assert!((wrong.num_minutes() - 60 * hours).abs() < 5, "its clock is wrong by {wrong}");
    }
    let edge = node("edge", "east", &nats.url()).await;
    for (room, from, to, name) in [("back", &ahead, &behind, "behind"), ("forth", &behind, &ahead, "ahead")] {
        let _old = publish(from, room).await;
        heard_of(&edge, room).await;
        heard_of(to, room).await;
        let viewer = watch(&edge, room).await;
        plays(&viewer, 3).await;
        let new = publish(to, room).await;
        shows_another(&viewer, 1).await;
        let gaps = Gaps::of(&viewer);
        assert_holds(Duration::from_secs(3), Duration::from_millis(250), "the new one stays", || async {
            let (owner, gap) = (origin_of(&edge, room).await, gaps.longest());
            let stays = owner == name && new.stats().borrow().connected() && gap < NOTHING;
            if stays { Ok(()) } else { Err((owner, gap)) }
        })
        .await;
        assert!(!publishes(from, room).await, "the old one has let go");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_origin_that_slept_through_a_takeover_wakes_up_to_it() {
    let nats = NatsServer::start().await;
    let mut sleeper = ChildNode::start("sleeper", "west", &nats.url(), &[]).await;
    let second = node("second", "west", &nats.url()).await;
    let edge = node("edge", "east", &nats.url()).await;
    let _old = publish(&sleeper, "news").await;
    heard_of(&edge, "news").await;
    heard_of(&second, "news").await;
    let viewer = watch(&edge, "news").await;
    plays(&viewer, 5).await;
    let asleep = std::time::Instant::now();
    sleeper.process().signal("STOP");
    let _new = publish(&second, "news").await;
    shows_another(&viewer, 1).await;
    let gaps = Gaps::of(&viewer);
    let rest = Duration::from_secs(20).saturating_sub(asleep.elapsed());
    assert_holds(rest, Duration::from_secs(1), "the new one plays", || async {
        let gap = gaps.longest();
        if gap < NOTHING { Ok(()) } else { Err(gap) }
    })
    .await;
    sleeper.process().signal("CONT");
    eventually(SOON, "the sleeper lets go", || async {
        let owner = origin_of(&sleeper, "news").await;
        if owner == "second" && !publishes(&sleeper, "news").await { Ok(()) } else { Err(owner) }
    })
    .await;
    assert_holds(Duration::from_secs(3), Duration::from_millis(250), "one owner is left", || async {
        let owners = [
            origin_of(&sleeper, "news").await,
            origin_of(&second, "news").await,
            origin_of(&edge, "news").await,
        ];
        let gap = gaps.longest();
        let one = owners.iter().all(|owner| owner == "second") && gap < NOTHING;
        if one { Ok(()) } else { Err((owners, gap)) }
    })
    .await;
    assert_eq!(viewer.report().borrow().video.streams, 2, "it is shown the new one all along");
}
