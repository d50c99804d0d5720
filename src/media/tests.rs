//! Rooms on a real worker, with publishers and viewers that never connect.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use tokio::sync::mpsc;
use uuid::Uuid;

use super::{Engine, MediaError, Offered, ProducerInfo, RoomMedia, Wanted, WorkerId};
use crate::config::Config;
use crate::protocol::ids::SessionId;
use crate::protocol::rtp::{DtlsParameters, MediaKind};
use crate::telemetry::Metrics;

async fn engine(workers: usize) -> (Arc<Engine>, mpsc::Receiver<WorkerId>) {
    let mut config = Config::default();
    config.media.workers = workers;
    config.webrtc.port = 0;
    let (deaths, dead) = mpsc::channel(4);
    (Arc::new(Engine::start(&config, &Arc::new(Metrics::new()), deaths).await.unwrap()), dead)
}

fn session() -> SessionId {
    SessionId(Uuid::new_v4())
}

fn dtls() -> DtlsParameters {
    let fingerprint = ["AB"; 32].join(":");
    serde_json::from_value(json!({
        "role": "client", "fingerprints": [{"algorithm": "sha-256", "value": fingerprint}]
    }))
    .unwrap()
}

fn video() -> Offered {
    let rtp_parameters = serde_json::from_value(json!({
        "codecs": [{"mimeType": "video/VP8", "payloadType": 96, "clockRate": 90000, "parameters": {},
                    "rtcpFeedback": []}],
        "headerExtensions": [], "encodings": [{"ssrc": 4242}], "rtcp": {"cname": "a", "reducedSize": true}
    }));
    Offered { kind: MediaKind::Video, rtp_parameters: rtp_parameters.unwrap() }
}

fn audio() -> Offered {
    let rtp_parameters = serde_json::from_value(json!({
        "codecs": [{"mimeType": "audio/opus", "payloadType": 111, "clockRate": 48000, "channels": 2,
                    "parameters": {}, "rtcpFeedback": []}],
        "headerExtensions": [], "encodings": [{"ssrc": 4243}], "rtcp": {"cname": "a", "reducedSize": true}
    }));
    Offered { kind: MediaKind::Audio, rtp_parameters: rtp_parameters.unwrap() }
}

fn wants_video(mime_type: &str, payload_type: u8) -> Wanted {
    let capabilities = serde_json::from_value(json!({
        "codecs": [{"kind": "video", "mimeType": mime_type, "preferredPayloadType": payload_type,
                    "clockRate": 90000, "parameters": {}, "rtcpFeedback": []}],
        "headerExtensions": []
    }));
    Wanted { mid: "0".to_owned(), kind: MediaKind::Video, capabilities: capabilities.unwrap() }
}

fn wants_audio(payload_type: u8) -> Wanted {
    let capabilities = serde_json::from_value(json!({
        "codecs": [{"kind": "audio", "mimeType": "audio/opus", "preferredPayloadType": payload_type,
                    "clockRate": 48000, "channels": 2, "parameters": {}, "rtcpFeedback": []}],
        "headerExtensions": []
    }));
    Wanted { mid: "1".to_owned(), kind: MediaKind::Audio, capabilities: capabilities.unwrap() }
}

async fn published(engine: &Arc<Engine>) -> (RoomMedia, Vec<ProducerInfo>) {
    let (events, _) = mpsc::channel(16);
    let mut room = RoomMedia::open(Arc::clone(engine), events).await.unwrap();
    let (_, producers) = room.publish(session(), vec![audio(), video()], dtls()).await.unwrap();
    (room, producers)
}

#[tokio::test]
async fn a_viewer_that_is_refused_leaves_nothing_behind() {
    let (engine, _dead) = engine(1).await;
    let (mut room, producers) = published(&engine).await;
    for _ in 0..10 {
        // Its numbers need a router of their own, and then it can't take the video.
        let wanted = vec![wants_audio(109), wants_video("video/AV1", 98)];
        let refused = room.watch(session(), wanted, Some(dtls()), &producers).await;
        assert!(matches!(refused, Err(MediaError::Unsupported(_))), "{refused:?}");
    }
    assert_eq!(room.counts().routers, 1);
    // Closing is told to the worker by a task of the library's own.
    for _ in 0..100 {
        if engine.router_count().await.unwrap() == 1 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(engine.router_count().await.unwrap(), 1);
    let wanted = vec![wants_audio(109), wants_video("video/VP8", 120)];
    room.watch(session(), wanted, Some(dtls()), &producers).await.unwrap();
    assert_eq!(room.counts().routers, 2);
}

#[tokio::test]
async fn what_is_resumed_is_resumed_in_further_routers_too() {
    let (engine, _dead) = engine(1).await;
    let (mut room, producers) = published(&engine).await;
    for producer in &producers {
        room.set_paused(producer.id, true).await.unwrap();
    }
    let wanted = vec![wants_audio(109), wants_video("video/VP8", 120)];
    room.watch(session(), wanted, Some(dtls()), &producers).await.unwrap();
    assert_eq!(room.paused_in_spreads(), [true, true], "as the stream was when the router was opened");
    for producer in &producers {
        room.set_paused(producer.id, false).await.unwrap();
    }
    assert_eq!(room.paused_in_spreads(), [false, false]);
}

#[tokio::test]
async fn a_room_on_a_replacement_is_not_on_its_predecessor() {
    let (engine, _dead) = engine(1).await;
    let (mut former, producers) = published(&engine).await;
    let [worker] = former.workers()[..] else { panic!("one worker") };
    engine.revive(worker.index).await.unwrap();
    let (later, _) = published(&engine).await;
    assert!(!later.workers().contains(&worker), "{:?} after {worker:?}", later.workers());
    assert_eq!(later.workers()[0].index, worker.index);
    // The former room takes nothing from the replacement.
    let refused = former.publish(session(), vec![video()], dtls()).await;
    assert!(matches!(refused, Err(MediaError::Worker(_))), "{refused:?}");
    let spread = former.watch(session(), vec![wants_video("video/VP8", 96)], Some(dtls()), &producers).await;
    assert!(spread.is_ok(), "it spreads to the replacement as to any other worker: {spread:?}");
}
