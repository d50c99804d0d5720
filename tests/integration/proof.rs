//! Whatever arrives is life, and that something is connected proves nothing.

use std::time::Duration;

use headwater::protocol::event::{Event, LeaveReason, WarningKind, What};
use headwater::protocol::ids::SessionId;
use serde_json::{Value, json};
use str0m::format::Codec;
use uuid::Uuid;

use crate::support::events::told;
use crate::support::fleet::{
    Address, SOON, acquainted, config, get_json, heard_of, http, knock, node, plays, publish, room, start,
    watch,
};
use crate::support::nats::NatsServer;
use crate::support::raw::{Raw, Script};
use crate::support::wait::{assert_holds, eventually};

/// The shortest that may be configured.
const CONSENT: Duration = Duration::from_secs(10);
/// Longer than that, and than it takes to look.
const LONG: Duration = Duration::from_secs(17);

fn whip(node: &impl Address, name: &str) -> String {
    format!("{}/whip/{name}", node.public())
}

async fn status(node: &impl Address, name: &str) -> Value {
    get_json(&format!("{}/api/status/{name}/main", node.public())).await
}

async fn is_live(node: &impl Address, name: &str) {
    eventually(SOON, format!("{name} is live"), || async {
        let status = status(node, name).await;
        if status["live"] == true { Ok(()) } else { Err(status) }
    })
    .await;
}

/// Waits until a stream has this warning, or has it no more.
async fn warns(node: &impl Address, name: &str, kind: &str, yes: bool) -> Value {
    eventually(2 * SOON, format!("{name} has the warning {kind}: {yes}"), || async {
        let status = status(node, name).await;
        let warnings = status["warnings"].as_array().cloned().unwrap_or_default();
        let warning = warnings.iter().find(|warning| warning["kind"] == kind).cloned();
        if warning.is_some() == yes { Ok(warning.unwrap_or_default()) } else { Err(status) }
    })
    .await
}

async fn delete(session: &str) -> u16 {
    http().delete(session).send().await.unwrap().status().as_u16()
}

#[tokio::test(flavor = "multi_thread")]
async fn media_and_reports_are_life_without_checks_and_so_is_a_viewer_that_never_reports() {
    let nats = NatsServer::start().await;
    let mut settings = config("origin", "west", &nats.url());
    settings.timeouts.ice_consent = CONSENT;
    let origin = start(settings).await;
    // Media alone; reports alone, and a viewer of that; a viewer's reports alone, and one that never reports.
    let media = Raw::publish(
        &whip(&origin, "media"),
        Codec::Vp8,
        Script { checks: false, reports: false, ..Script::default() },
    )
    .await;
    let muted = Raw::publish(&whip(&origin, "muted"), Codec::Vp8, Script::default()).await;
    is_live(&origin, "media").await;
    is_live(&origin, "muted").await;
    let viewer = |name: &str| format!("{}/whep/{name}", origin.public_url());
    let reports = Raw::watch(&viewer("media"), Script { checks: false, ..Script::default() }).await;
    let checks = Raw::watch(&viewer("media"), Script { reports: false, ..Script::default() }).await;
    let of_muted = Raw::watch(&viewer("muted"), Script::default()).await;
    for viewer in [&reports, &checks, &of_muted] {
        eventually(SOON, "each viewer gets media", || async {
            let heard = viewer.heard();
            if heard.packets > 10 { Ok(()) } else { Err(heard) }
        })
        .await;
    }
    muted.change(|script| script.video = false);
    eventually(SOON, "it is shown as muted", || async {
        let status = status(&origin, "muted").await;
        if status["muted"] == true && status["live"] == true { Ok(()) } else { Err(status) }
    })
    .await;
    assert_holds(LONG, Duration::from_millis(500), "all of them stay", || async {
        for (name, viewers) in [("media", 2), ("muted", 1)] {
            let status = status(&origin, name).await;
            if status["live"] != true || status["viewersHere"] != viewers {
                return Err(format!("{name}: {status}"));
            }
        }
        Ok(())
    })
    .await;
    let view = room(&origin, "muted").await.unwrap();
    assert!(view.streams[0].muted && view.streams[0].producers[0].muted, "{view:?}");
    assert!(view.streams[0].producers[0].proof.first_key_frame_ms.is_some(), "{view:?}");
    assert!(view.viewers[0].proof.first_packet_ms.is_some(), "{view:?}");
    // It goes on where it was.
    muted.change(|script| script.video = true);
    let before = of_muted.heard().packets;
    eventually(SOON, "the muted one's viewer gets media again", || async {
        let heard = of_muted.heard();
        if heard.packets > before + 10 { Ok(()) } else { Err(heard) }
    })
    .await;
    // From whom nothing comes at all is dead: a publisher and a viewer.
    media.change(|script| script.video = false);
    reports.change(|script| script.reports = false);
    eventually(2 * SOON, "the dead are found", || async {
        let status = status(&origin, "media").await;
        if status["live"] == false && status["viewersHere"] == 1 { Ok(()) } else { Err(status) }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_publisher_sends_wrongly_is_told_until_it_is_right() {
    let nats = NatsServer::start().await;
    let mut settings = config("origin", "west", &nats.url());
    settings.timeouts.publisher_silence = Duration::from_secs(5);
    let origin = start(settings).await;
    let publish = async |name: &str, codec: Codec, script: Script| {
        let raw = Raw::publish(&whip(&origin, name), codec, script).await;
        is_live(&origin, name).await;
        raw
    };
    let nothing = publish("nothing", Codec::Vp8, Script { video: false, ..Script::default() }).await;
    let keyless = publish("keyless", Codec::Vp8, Script { key_frames: None, ..Script::default() }).await;
    let disordered = publish("disordered", Codec::Vp8, Script { b_frames: true, ..Script::default() }).await;
    let other = publish("other", Codec::Vp8, Script { packets: 4, ..Script::default() }).await;
    let good = publish("good", Codec::Vp8, Script::default()).await;
    let script = Script { packets: 2, ..Script::default() };
    let _h264 = Raw::publish_with(&whip(&origin, "h264"), Codec::H264, script, |offer| {
        offer.replace(
            "profile-level-id=42e01f",
            "profile-level-id=42e01f;sprop-parameter-sets=Z0LgH5WoFAFuQA==,aM48gA==",
        )
    })
    .await;
    eventually(SOON, "the video flows", || async {
        let view = room(&origin, "other").await;
        let first =
            view.as_ref().and_then(|view| view.streams.first()?.producers.first()?.proof.first_key_frame_ms);
        first.ok_or(view)
    })
    .await;
    other.change(|script| script.other_ssrc = true);

    let warning = warns(&origin, "disordered", "b_frames", true).await;
    assert!(warning["detail"].as_str().is_some_and(|detail| detail.contains("bframes=0")), "{warning}");
    assert!(warning["since"].is_string(), "{warning}");
    warns(&origin, "keyless", "no_key_frame", true).await;
    warns(&origin, "nothing", "no_media", true).await;
    // By one of two kinds, whether the description keeps its parameter sets or not.
    eventually(2 * SOON, "what H.264 lacks is told", || async {
        let status = status(&origin, "h264").await;
        let warnings = status["warnings"].as_array().cloned().unwrap_or_default();
        let says = |it: &Value| it["detail"].as_str().is_some_and(|it| it.contains("config-interval=-1"));
        if warnings.iter().any(says) { Ok(()) } else { Err(status) }
    })
    .await;
    // A publisher of whose packets none can be used is ended, so that it connects again.
    eventually(2 * SOON, "it is told, and ended", || async {
        let events = told(&origin, "other").await;
        let warned = |event: &Event| matches!(&event.what, What::StreamWarning(it) if it.kind == WarningKind::UnknownPackets);
        let ended = |event: &Event| matches!(&event.what, What::StreamEnded(it) if it.reason.as_str() == "silent");
        if events.iter().any(warned) && events.iter().any(ended) { Ok(()) } else { Err(events) }
    })
    .await;
    let operators = room(&origin, "keyless").await.unwrap();
    assert_eq!(operators.streams[0].warnings[0].kind, WarningKind::NoKeyFrame, "{operators:?}");

    nothing.change(|script| script.video = true);
    keyless.change(|script| script.key_frames = Some(25));
    disordered.change(|script| script.b_frames = false);
    warns(&origin, "nothing", "no_media", false).await;
    warns(&origin, "keyless", "no_key_frame", false).await;
    let events = eventually(SOON, "that it is over is told", || async {
        let events = told(&origin, "keyless").await;
        let over = |event: &Event| matches!(&event.what, What::StreamCleared(it) if it.kind == WarningKind::NoKeyFrame);
        if events.iter().any(over) { Ok(events) } else { Err(events) }
    })
    .await;
    let begun = events.iter().filter(|event| matches!(event.what, What::StreamWarning(_))).count();
    assert_eq!(begun, 1, "told once: {events:?}");
    assert_eq!(status(&origin, "good").await["warnings"], json!([]));
    drop(good);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_overtaken_publisher_is_closed_at_once_and_may_still_say_that_it_goes() {
    let nats = NatsServer::start().await;
    let origin = node("origin", "west", &nats.url()).await;
    let old = Raw::publish(&whip(&origin, "news"), Codec::Vp8, Script::default()).await;
    is_live(&origin, "news").await;
    let before = old.heard().alerts;
    let new = Raw::publish(&whip(&origin, "news"), Codec::Vp8, Script::default()).await;
    eventually(Duration::from_secs(3), "the old one is told by DTLS", || async {
        let heard = old.heard();
        if heard.alerts > before { Ok(()) } else { Err(heard) }
    })
    .await;
    let replaced = eventually(SOON, "the event says so", || async {
        let events = told(&origin, "news").await;
        let replaced =
            |event: &Event| matches!(&event.what, What::StreamEnded(it) if it.reason.as_str() == "replaced");
        if events.iter().any(replaced) { Ok(true) } else { Err(events) }
    })
    .await;
    assert!(replaced);
    assert_eq!(delete(&old.session).await, 200);
    assert_eq!(delete(&old.session).await, 200, "as often as it likes");
    assert_eq!(status(&origin, "news").await["live"], true, "the new one goes on");
    assert_eq!(delete(&new.session).await, 200);
    assert_eq!(delete(&new.session).await, 200);
    let never =
        new.session.rsplit_once('/').unwrap().0.to_owned() + "/" + &SessionId(Uuid::new_v4()).to_string();
    assert_eq!(delete(&never).await, 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_viewer_whose_media_never_comes_is_ended_and_the_next_is_told_so() {
    let nats = NatsServer::start().await;
    let origin = node("origin", "west", &nats.url()).await;
    let mut settings = config("edge", "east", &nats.url());
    // Nothing listens there, and there is no other way.
    settings.pipe.announced = Some("127.0.0.9".parse().unwrap());
    settings.timeouts.pipe_connect = Duration::from_secs(3);
    settings.timeouts.join = Duration::from_secs(3);
    let edge = start(settings).await;
    acquainted(&[&origin, &edge]).await;
    let _publisher = publish(&origin, "news").await;
    plays(&watch(&origin, "news").await, 1).await;
    heard_of(&edge, "news").await;
    let viewer = Raw::watch(&format!("{}/whep/news", edge.public_url()), Script::default()).await;
    eventually(2 * SOON, "its session is ended, and why is told", || async {
        let events = told(&origin, "news").await;
        let starved = |event: &Event| matches!(event.what, What::PipeStarved(_));
        let ended =
            |event: &Event| matches!(&event.what, What::ViewerLeft(it) if it.reason == LeaveReason::Starved);
        if events.iter().any(starved) && events.iter().any(ended) { Ok(()) } else { Err(events) }
    })
    .await;
    assert_eq!(viewer.heard().packets, 0);
    eventually(Duration::from_secs(3), "it is told by DTLS", || async {
        let heard = viewer.heard();
        if heard.alerts > 0 { Ok(()) } else { Err(heard) }
    })
    .await;
    let (status, after) = knock(&edge, "news").await;
    assert_eq!(status, 503, "nobody is told that media comes which doesn't");
    assert!(after.is_some());
}
