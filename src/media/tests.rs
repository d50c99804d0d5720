//! Rooms on a real worker, with publishers and viewers that never connect.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use tokio::sync::mpsc;
use uuid::Uuid;

use super::{Engine, MediaError, Medium, ProducerInfo, RoomMedia, WorkerId};
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

fn video() -> Medium {
    let rtp_parameters = serde_json::from_value(json!({
        "codecs": [{"mimeType": "video/VP8", "payloadType": 96, "clockRate": 90000, "parameters": {},
                    "rtcpFeedback": []}],
        "headerExtensions": [], "encodings": [{"ssrc": 4242}], "rtcp": {"cname": "a", "reducedSize": true}
    }));
    Medium::sent("1".to_owned(), MediaKind::Video, rtp_parameters.unwrap())
}

fn audio() -> Medium {
    let rtp_parameters = serde_json::from_value(json!({
        "codecs": [{"mimeType": "audio/opus", "payloadType": 111, "clockRate": 48000, "channels": 2,
                    "parameters": {}, "rtcpFeedback": []}],
        "headerExtensions": [], "encodings": [{"ssrc": 4243}], "rtcp": {"cname": "a", "reducedSize": true}
    }));
    Medium::sent("0".to_owned(), MediaKind::Audio, rtp_parameters.unwrap())
}

fn wants_video(mime_type: &str, payload_type: u8) -> Medium {
    let capabilities = serde_json::from_value(json!({
        "codecs": [{"kind": "video", "mimeType": mime_type, "preferredPayloadType": payload_type,
                    "clockRate": 90000, "parameters": {}, "rtcpFeedback": []}],
        "headerExtensions": []
    }));
    Medium::taken("0".to_owned(), MediaKind::Video, capabilities.unwrap())
}

fn wants_audio(payload_type: u8) -> Medium {
    let capabilities = serde_json::from_value(json!({
        "codecs": [{"kind": "audio", "mimeType": "audio/opus", "preferredPayloadType": payload_type,
                    "clockRate": 48000, "channels": 2, "parameters": {}, "rtcpFeedback": []}],
        "headerExtensions": []
    }));
    Medium::taken("1".to_owned(), MediaKind::Audio, capabilities.unwrap())
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
        let refused =
            room.watch(session(), vec![wants_video("video/AV1", 98)], Some(dtls()), &producers).await;
        assert!(matches!(refused, Err(MediaError::Unsupported(_))), "{refused:?}");
        // Its number stands for two codecs at once.
        let wanted = vec![wants_audio(98), wants_video("video/VP8", 98)];
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

/// Capabilities of a player: codecs by name and payload type, with an RTX for each video codec if there is room.
fn player(audio: u8, video: &[(&str, u8)]) -> Vec<Medium> {
    let codecs: Vec<_> = video
        .iter()
        .map(|(mime_type, payload_type)| {
            json!({"kind": "video", "mimeType": mime_type, "preferredPayloadType": payload_type, "clockRate": 90000,
                   "parameters": {"packetization-mode": 1}, "rtcpFeedback": []})
        })
        .collect();
    let capabilities = serde_json::from_value(json!({"codecs": codecs, "headerExtensions": []}));
    vec![wants_audio(audio), Medium::taken("0".to_owned(), MediaKind::Video, capabilities.unwrap())]
}

#[tokio::test]
async fn every_numbering_is_served_and_routers_are_shared_by_what_is_sent() {
    let (engine, _dead) = engine(1).await;
    let (mut room, producers) = published(&engine).await;
    let mut viewers = Vec::new();
    // Each is what mediasoup would give to the RTX of another codec.
    for (first, second) in
        [(96, 100), (100, 101), (101, 100), (35, 100), (102, 103), (34, 0), (63, 127), (127, 96)]
    {
        let wanted =
            player(111, &[("video/VP8", first), ("video/H264", second), ("video/VP9", 100 + first % 27)]);
        let id = session();
        let (_, media) = room.watch(id, wanted, Some(dtls()), &producers).await.unwrap();
        let sent = media.iter().map(|medium| medium.agreed.codecs[0].payload_type()).collect::<Vec<_>>();
        assert_eq!(sent, [111, first]);
        viewers.push(id);
    }
    // Who numbers the stream's codecs alike shares a router, whatever the numbers of others are.
    let before = room.counts().routers;
    let wanted = player(111, &[("video/VP8", 100), ("video/H264", 99), ("video/AV1", 98)]);
    let id = session();
    room.watch(id, wanted, Some(dtls()), &producers).await.unwrap();
    viewers.push(id);
    assert_eq!(room.counts().routers, before);
    // Ninety that number in ninety ways are served too.
    for number in 0..90 {
        let id = session();
        let wanted = player(35 + number % 10, &[("video/VP8", 96 + number / 10)]);
        room.watch(id, wanted, Some(dtls()), &producers).await.unwrap();
        viewers.push(id);
    }
    for id in viewers {
        room.unwatch(id).await;
    }
    assert_eq!(room.counts().routers, 1, "a router closes with its last viewer");
}

#[tokio::test]
async fn a_viewer_goes_on_with_what_its_answer_carries_and_no_further() {
    let (engine, _dead) = engine(1).await;
    let (mut room, producers) = published(&engine).await;
    let id = session();
    // Numbered as the home router does: all of it stands in the answer.
    let wanted = player(111, &[("video/VP8", 96), ("video/H264", 106), ("video/AV1", 35)]);
    let (_, media) = room.watch(id, wanted, Some(dtls()), &producers).await.unwrap();
    let agreed: Vec<_> = media[1].agreed.codecs.iter().map(|codec| codec.payload_type()).collect();
    assert_eq!(agreed, [96, 106]);
    let returned = |mime_type: &str| {
        let mut medium = video();
        medium.agreed = serde_json::from_value(json!({
            "codecs": [{"mimeType": mime_type, "payloadType": 45, "clockRate": 90000,
                        "parameters": {"packetization-mode": 1, "profile-level-id": "640028"}, "rtcpFeedback": []}],
            "headerExtensions": [], "encodings": [{"ssrc": 777}], "rtcp": {"cname": "a", "reducedSize": true}
        }))
        .unwrap();
        medium
    };
    let (h264, av1) = (returned("video/H264"), returned("video/AV1"));
    let (_, producers) = room.publish(session(), vec![h264], dtls()).await.unwrap();
    room.show(id, &producers).await.unwrap();
    let (_, producers) = room.publish(session(), vec![av1], dtls()).await.unwrap();
    let refused = room.show(id, &producers).await;
    assert!(matches!(refused, Err(MediaError::Unsupported(_))), "{refused:?}");
}

#[tokio::test]
async fn a_kind_that_is_lacking_has_its_place() {
    let (engine, _dead) = engine(1).await;
    let (events, _) = mpsc::channel(16);
    let mut room = RoomMedia::open(Arc::clone(&engine), events).await.unwrap();
    let (_, sound) = room.publish(session(), vec![audio()], dtls()).await.unwrap();
    for wanted in [player(111, &[("video/VP8", 96)]), player(109, &[("video/VP8", 120)])] {
        let id = session();
        let (_, media) = room.watch(id, wanted, Some(dtls()), &sound).await.unwrap();
        assert_eq!(media.iter().map(|medium| medium.agreed.codecs.len()).collect::<Vec<_>>(), [1, 1]);
        assert_eq!(room.counts().consumers, 1);
        let (_, picture) = room.publish(session(), vec![video()], dtls()).await.unwrap();
        room.show(id, &picture).await.unwrap();
        assert_eq!(room.counts().consumers, 2);
        room.unwatch(id).await;
    }
}
