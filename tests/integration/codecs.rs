//! Codecs that a node lacks, and streams that come back in another one.

use headwater::client::Player;
use headwater::config::Codec;
use headwater::protocol::event::{LeaveReason, What};

use crate::support::clips::undecodable;
use crate::support::events::told;
use crate::support::fleet::{
    SOON, acquainted, config, heard_of, knock, node, plays, publish, publish_with, room, start, watch,
};
use crate::support::nats::NatsServer;
use crate::support::wait::eventually;

#[tokio::test(flavor = "multi_thread")]
async fn a_producer_that_an_edge_cannot_take_is_refused_alone() {
    let nats = NatsServer::start().await;
    let origin = node("origin", "west", &nats.url()).await;
    let mut settings = config("edge", "east", &nats.url());
    settings.media.codecs = vec![Codec::Opus, Codec::H264];
    let edge = start(settings).await;
    acquainted(&[&origin, &edge]).await;
    let _both = publish(&origin, "both").await;
    let _picture = publish_with(&origin, "picture", |options| options.audio = false).await;
    for name in ["both", "picture"] {
        heard_of(&edge, name).await;
    }
    // The clip's video is VP8: its sound is heard all the same.
    let viewer = watch(&edge, "both").await;
    let report = viewer.report();
    eventually(SOON, "the viewer gets the sound", || {
        let report = report.borrow().clone();
        async move { if report.has_audio() { Ok(()) } else { Err(format!("{report:?}")) } }
    })
    .await;
    assert!(!report.borrow().has_video());
    let pipe = room(&edge, "both").await.unwrap().parents[0].pipe;
    // Nothing is left of the other stream, and that is an answer, not a matter of waiting.
    assert_eq!(knock(&edge, "picture").await.0, 422);
    let refused = eventually(SOON, "it is told", || async {
        let events = told(&origin, "both").await;
        let refused = events.into_iter().find_map(|event| match event.what {
            What::PipeRefused(refused) => Some(refused),
            _ => None,
        });
        refused.ok_or("not yet")
    })
    .await;
    assert_eq!((refused.to.node.as_str(), refused.reason.as_str()), ("edge", "unsupported"));
    // It is told once, and the pipe has gone on.
    assert_eq!(room(&edge, "both").await.unwrap().parents[0].pipe, pipe);
    assert_eq!(told(&origin, "both").await.iter().filter(|e| e.what.name() == "pipe.refused").count(), 1);
}

/// Waits until further packets of video have arrived.
async fn receives_on(viewer: &Player, what: &str) {
    let report = viewer.report();
    let before = report.borrow().video.packets;
    eventually(SOON, what, || {
        let packets = report.borrow().video.packets;
        async move { if packets > before + 20 { Ok(()) } else { Err(packets) } }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_viewer_goes_on_as_its_answer_allows_or_is_ended_and_told() {
    let nats = NatsServer::start().await;
    let node = node("origin", "west", &nats.url()).await;
    let first = publish(&node, "news").await;
    let viewer = watch(&node, "news").await;
    plays(&viewer, 10).await;
    first.stop().await.unwrap();

    // VP9 stands in its answer too, with the number that it chose.
    let vp9 = publish_with(&node, "news", |options| options.clip = undecodable(*b"VP90")).await;
    receives_on(&viewer, "the viewer gets VP9 on the same session").await;
    assert_eq!(room(&node, "news").await.unwrap().viewers.len(), 1);
    vp9.stop().await.unwrap();

    // It numbers H264 otherwise than the router that serves it.
    let _h264 = publish_with(&node, "news", |options| options.clip = undecodable(*b"H264")).await;
    let reason = eventually(SOON, "the viewer is ended, and told", || async {
        let events = told(&node, "news").await;
        let left = events.into_iter().find_map(|event| match event.what {
            What::ViewerLeft(left) => Some(left.reason),
            _ => None,
        });
        left.ok_or("not yet")
    })
    .await;
    assert_eq!(reason, LeaveReason::StreamChanged);
    let again = watch(&node, "news").await;
    receives_on(&again, "who connects again gets H264").await;
}
