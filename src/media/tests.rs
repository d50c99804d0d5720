//! Rooms on a real worker, with publishers and viewers that never connect.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use tokio::sync::{mpsc, watch};
use uuid::Uuid;

use super::{Carried, Engine, LINGER, MediaError, Medium, Piped, ProducerInfo, RoomMedia, WorkerId};
use crate::config::Config;
use crate::protocol::ids::{PipeId, SessionId};
use crate::protocol::rtp::{DtlsParameters, MediaKind};
use crate::telemetry::Metrics;

async fn engine(workers: usize) -> (Arc<Engine>, mpsc::Receiver<WorkerId>) {
    let mut config = Config::default();
    config.media.workers = workers;
    config.webrtc.port = 0;
    let (deaths, dead) = mpsc::channel(4);
    let limits = watch::channel(config.limits).1;
    (Arc::new(Engine::start(&config, limits, &Arc::new(Metrics::new()), deaths).await.unwrap()), dead)
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

/// Two routers and two pipes between them, and what comes by the first of these.
struct Piping {
    parent: RoomMedia,
    child: RoomMedia,
    pipes: [PipeId; 2],
    sources: Vec<ProducerInfo>,
}

impl Piping {
    async fn new(engine: &Arc<Engine>) -> Self {
        let (mut parent, sources) = published(engine).await;
        let (events, _) = mpsc::channel(16);
        let mut child = RoomMedia::open(Arc::clone(engine), events).await.unwrap();
        let pipes = [PipeId(Uuid::new_v4()), PipeId(Uuid::new_v4())];
        for pipe in pipes {
            let out = parent.open_outlet(pipe).await.unwrap();
            let end = child.open_inlet(pipe, out.srtp.is_some(), true).await.unwrap();
            parent.connect_outlet(pipe, &end).await.unwrap();
            child.connect_inlet(pipe, &out).await.unwrap();
        }
        let mut piping = Self { parent, child, pipes, sources };
        piping.bring(0).await;
        piping
    }

    /// Sends all on a pipe, and takes it.
    async fn bring(&mut self, pipe: usize) -> Vec<Piped> {
        let mut sent = Vec::new();
        for source in &self.sources {
            let piped = self.parent.send(self.pipes[pipe], source.id).await.unwrap();
            let info = self.child.receive(self.pipes[pipe], &piped).await.unwrap();
            assert_eq!(info.id, source.id, "other nodes know it by the same id");
            sent.push(piped);
        }
        sent
    }

    async fn viewer(&mut self, video: u8) -> SessionId {
        let id = session();
        let wanted = player(111, &[("video/VP8", video)]);
        self.child.watch(id, wanted, Some(dtls()), &self.sources).await.unwrap();
        id
    }
}

#[tokio::test]
async fn two_pipes_bring_the_same_and_one_of_them_is_meant() {
    let (engine, _dead) = engine(1).await;
    let mut piping = Piping::new(&engine).await;
    piping.bring(1).await;
    piping.bring(1).await;
    let [first, second] = piping.pipes;
    let ids: Vec<_> = piping.sources.iter().map(|source| source.id).collect();
    let coming = |measured: &super::Measured| measured.coming.keys().copied().collect::<Vec<_>>();
    let by = |pipe| {
        let mut all: Vec<_> = ids.iter().map(|id| (pipe, *id)).collect();
        all.sort_unstable();
        all
    };
    let child = &mut piping.child;
    assert_eq!(child.counts().producers, 4);
    let measured = child.measure().await;
    assert_eq!((measured.producers.len(), coming(&measured)), (2, by(second)));
    child.switch(second, &ids);
    assert_eq!(coming(&child.measure().await), by(first));
    // What nobody brings can't be meant.
    child.switch(PipeId(Uuid::new_v4()), &ids);
    assert_eq!(coming(&child.measure().await), by(first));
    // All that comes of it pauses, whichever is meant then.
    child.set_paused(ids[0], true).await.unwrap();
    child.close_inlet(second);
    let measured = child.measure().await;
    assert_eq!((measured.producers.len(), measured.coming.len(), child.counts().producers), (2, 0, 2));
    let piped = piping.parent.send(first, ids[0]).await.unwrap();
    let info = child.receive(first, &Piped { paused: true, ..piped }).await.unwrap();
    assert!(info.paused);
    for id in &ids {
        child.stop_receiving(first, *id);
    }
    assert!(matches!(child.set_paused(ids[0], true).await, Err(MediaError::UnknownProducer)));
    assert_eq!(child.counts().producers, 0);
}

#[tokio::test]
async fn who_is_shown_another_way_is_sent_both_until_it_begins_and_never_for_ever() {
    let (engine, _dead) = engine(1).await;
    let mut piping = Piping::new(&engine).await;
    // At home, and in a further router.
    let viewers = [piping.viewer(96).await, piping.viewer(120).await];
    piping.bring(1).await;
    let ids: Vec<_> = piping.sources.iter().map(|source| source.id).collect();
    let [first, second] = piping.pipes;
    let Piping { child, sources, .. } = &mut piping;
    let before = child.counts();
    // To and fro before anything has begun, which is nothing in the end.
    for pipe in [second, first, second, second] {
        child.switch(pipe, &ids);
        for viewer in viewers {
            child.show(viewer, sources).await.unwrap();
        }
        child.look().await;
        let consumers = if pipe == second { 8 } else { 4 };
        assert_eq!(child.counts().consumers, consumers, "{:?}", child.counts());
    }
    // Nobody has connected, so nothing ever begins.
    let begin = std::time::Instant::now();
    while child.counts().consumers > 4 {
        assert!(begin.elapsed() < 3 * LINGER, "{:?}", child.counts());
        tokio::time::sleep(Duration::from_millis(50)).await;
        child.look().await;
    }
    assert!(begin.elapsed() > LINGER / 2, "{:?}", begin.elapsed());
    child.close_inlet(first);
    assert_eq!(child.counts().consumers, 4, "they are sent the other one");
    assert_eq!(child.paused_in_spreads().len(), 2, "nothing stands for what is gone");
    let after = child.counts();
    assert_eq!((after.routers, after.producers), (before.routers, before.producers - 2));
}

#[tokio::test]
async fn where_the_new_way_ends_first_the_former_goes_on() {
    let (engine, _dead) = engine(1).await;
    let mut piping = Piping::new(&engine).await;
    let viewer = piping.viewer(96).await;
    piping.bring(1).await;
    let ids: Vec<_> = piping.sources.iter().map(|source| source.id).collect();
    let [first, second] = piping.pipes;
    let Piping { child, sources, .. } = &mut piping;
    child.switch(second, &ids);
    child.show(viewer, sources).await.unwrap();
    assert_eq!(child.counts().consumers, 4);
    child.close_inlet(second);
    assert_eq!(child.counts().consumers, 2);
    child.show(viewer, sources).await.unwrap();
    assert_eq!(child.counts().consumers, 2, "it is shown what it is sent already");
    child.close_inlet(first);
    assert_eq!(child.counts().consumers, 0);
}

#[tokio::test]
async fn what_a_pipe_brings_anew_takes_the_place_of_what_came_before() {
    let (engine, _dead) = engine(1).await;
    let mut piping = Piping::new(&engine).await;
    let viewer = piping.viewer(96).await;
    let sent = piping.bring(0).await;
    assert_eq!(piping.child.counts().producers, 2, "the same again is the same");
    // As when the parent's own source has changed: with other SSRCs.
    let mut anew = sent.clone();
    for (ssrc, piped) in (1..).zip(&mut anew) {
        let Carried::Media(_, rtp) = &mut piped.carried else { panic!("media") };
        for encoding in &mut rtp.encodings {
            (encoding.ssrc, encoding.rtx) = (Some(ssrc), None);
        }
    }
    let pipe = piping.pipes[0];
    let Piping { child, sources, .. } = &mut piping;
    for piped in &anew {
        child.receive(pipe, piped).await.unwrap();
    }
    child.look().await;
    assert_eq!(child.counts().producers, 4, "a viewer is still sent the former");
    assert_eq!(child.measure().await.producers.len(), 2);
    child.show(viewer, sources).await.unwrap();
    assert_eq!(child.counts().consumers, 4);
    let begin = std::time::Instant::now();
    while child.counts().producers > 2 {
        assert!(begin.elapsed() < 3 * LINGER, "{:?}", child.counts());
        tokio::time::sleep(Duration::from_millis(50)).await;
        child.look().await;
    }
    assert_eq!(child.counts().consumers, 2);
    child.stop_receiving(pipe, sources[0].id);
    assert_eq!((child.counts().producers, child.counts().consumers), (1, 1));
}
