//! A node that lacks a codec of a stream: what it can't take is refused alone, and told.

use headwater::config::Codec;
use headwater::protocol::event::What;

use crate::support::events::told;
use crate::support::fleet::{
    SOON, acquainted, config, heard_of, knock, node, publish, publish_with, room, start, watch,
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
