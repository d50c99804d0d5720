//! Two publishers of one stream.

use headwater::client::{ClientError, PublishOptions, Publisher};
use headwater::config::Takeover;

use crate::support::fleet::{
    SOON, acquainted, config, heard_of, node, plays, plays_on, publish, room, start, watch,
};
use crate::support::nats::NatsServer;
use crate::support::wait::eventually;

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
