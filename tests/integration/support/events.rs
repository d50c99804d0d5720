//! Events: one of each kind, and the log as it stands.

use headwater::broker::events::{Logged, Start};
use headwater::node::Node;
use headwater::protocol::claim::{ClaimedProducer, EndReason};
use headwater::protocol::data::ProducerKind;
use headwater::protocol::event::{
    About, Deed, Event, EventsDropped, KeyFrameBurst, LeaveReason, LimitHit, NodeLost, NodeSummary,
    PipeClosed, PipeFailed, PipeHere, PipeOpened, PipeOpening, PipeRefused, PipeStarved, Quality, RoomClosed,
    RoomForgotten, RoomModerated, RoomSummary, StreamChanged, StreamCleared, StreamEnded, StreamHere,
    StreamRecovered, StreamStarted, StreamWarning, TokenBarred, Turned, ViewerId, ViewerJoined, ViewerLeft,
    Warning, WarningKind, What, WorkerDied,
};
use headwater::protocol::ids::{Peer, PipeId, ProducerId, PublicationId};
use headwater::protocol::presence::{Load, Phase, Role};
use uuid::Uuid;

/// One event of each kind.
pub(crate) fn one_of_each(peer: &Peer, uuid: fn(u128) -> Uuid) -> Vec<What> {
    let stream = || "main".parse().unwrap();
    let publication = PublicationId(uuid(5));
    let (pipe, to, viewer) = (PipeId(uuid(3)), peer.clone(), ViewerId(uuid(6)));
    let producers = vec![ClaimedProducer {
        id: ProducerId(uuid(4)),
        kind: ProducerKind::Video,
        mime_type: "video/VP8".to_owned(),
        paused: false,
        encodings: 3,
        label: Box::default(),
        app_data: Default::default(),
        channel: None,
    }];
    let at = "2026-01-02T03:04:05Z".parse().unwrap();
    let turned = || Turned {
        room: None,
        stream: stream(),
        reason: "limit".to_owned(),
        detail: "limits.viewers is reached".to_owned(),
        times: 37,
    };
    let detail = "video arrives, and no key frame came within 10 s";
    let kind = WarningKind::NoKeyFrame;
    let warning = || Warning { kind, since: at, detail: detail.to_owned() };
    let node = NodeSummary {
        roles: vec![Role::Origin, Role::Edge, Role::Relay],
        version: "0.1.0".to_owned(),
        phase: Phase::Serving,
        started_at: at,
        load: Load { rooms: 1, streams: 2, viewers: 3, pipes: 4, cpu: 0.5, ..Load::default() },
        public_url: "https://west-1.example.com".to_owned(),
        every_ms: 10_000,
    };
    let quality =
        Quality { sampled: 2, bitrate: 900_000, least_estimate: Some(1_200_000), layers: vec![0, 1, 1] };
    let here = StreamHere {
        stream: stream(),
        term: 7,
        publication: Some(publication),
        path: vec!["west-1".parse().unwrap()],
        started_at: Some(at),
        producers: producers.clone(),
        bitrate: 1_000_000,
        lost: 7,
        viewers: 2,
        muted: true,
        participant: true,
        locks: true,
        warnings: vec![warning()],
        quality,
    };
    let there =
        PipeHere { pipe, to: to.clone(), open: true, since: at, streams: vec![stream()], bitrate: 1_000_000 };
    vec![
        What::StreamStarted(StreamStarted {
            stream: stream(),
            term: 7,
            publication,
            producers: producers.clone(),
            takeover: false,
            participant: true,
        }),
        What::StreamChanged(StreamChanged { stream: stream(), term: 7, publication, producers }),
        What::StreamEnded(StreamEnded {
            stream: stream(),
            term: 7,
            publication,
            reason: EndReason::Unpublished,
            duration_ms: 60_000,
            bytes: 1_000_000,
        }),
        What::StreamRecovered(StreamRecovered { stream: stream(), gap_ms: 2_500, viewers: 2 }),
        What::StreamWarning(StreamWarning {
            stream: stream(),
            term: 7,
            publication,
            kind,
            detail: detail.to_owned(),
        }),
        What::StreamCleared(StreamCleared {
            stream: stream(),
            term: 7,
            publication,
            kind,
            duration_ms: 4_500,
        }),
        What::PublisherRejected(turned()),
        What::PipeOpening(PipeOpening { pipe, to: to.clone(), attempt: 1, hop: 1 }),
        What::PipeOpened(PipeOpened {
            pipe,
            to: to.clone(),
            attempt: 1,
            hop: 1,
            streams: vec![stream()],
            setup_us: 2_500,
        }),
        What::PipeFailed(PipeFailed {
            pipe,
            to: to.clone(),
            attempt: 2,
            reason: "timeout".to_owned(),
            detail: "node west-1 did not answer in time".to_owned(),
            duration_ms: 2_000,
        }),
        What::PipeRefused(PipeRefused {
            pipe,
            to: to.clone(),
            stream: Some(stream()),
            producer: ProducerId(uuid(4)),
            reason: "unsupported".to_owned(),
            detail: "video/AV1 is none of this node's codecs".to_owned(),
        }),
        What::PipeStarved(PipeStarved {
            pipe,
            from: to.clone(),
            streams: vec![stream()],
            address: Some("192.0.2.7:40000".to_owned()),
            silent_ms: 3_200,
        }),
        What::PipeClosed(PipeClosed {
            pipe,
            to,
            reason: "the edge left".to_owned(),
            lost: false,
            duration_ms: 60_000,
            bytes: 1_000_000,
        }),
        What::ViewerJoined(ViewerJoined {
            stream: stream(),
            viewer,
            warm: false,
            join_us: 4_000,
            viewers: 1,
        }),
        What::ViewerLeft(ViewerLeft {
            stream: stream(),
            viewer,
            reason: LeaveReason::Left,
            duration_ms: 30_000,
            bytes: 4_500_000,
            viewers: 0,
        }),
        What::ViewerRejected(turned()),
        What::KeyFrameBurst(KeyFrameBurst { stream: stream(), requests: 14, within_ms: 9_000 }),
        What::RoomSummary(RoomSummary { streams: vec![here], pipes: vec![there], waiting: 1 }),
        What::RoomModerated(RoomModerated {
            by: "chair".parse().unwrap(),
            deed: Deed::Muted,
            participant: Some(stream()),
            producer: Some(ProducerId(uuid(4))),
        }),
        What::RoomClosed(RoomClosed { duration_ms: 90_000 }),
        What::RoomForgotten(RoomForgotten {}),
        What::NodeStarted(node.clone()),
        What::NodeDraining(node.clone()),
        What::NodeUndrained(node.clone()),
        What::NodeStopped(node.clone()),
        What::NodeSummary(node),
        What::NodeLost(NodeLost { lost: peer.clone() }),
        What::LimitHit(LimitHit { limit: "limits.viewers".to_owned(), times: 3 }),
        What::TokenBarred(TokenBarred {
            by: "id".to_owned(),
            token: Some("t-42".to_owned()),
            until: at,
            lifted: false,
        }),
        What::WorkerDied(WorkerDied { worker: 0 }),
        What::EventsDropped(EventsDropped { count: 12 }),
    ]
}

/// All that the log holds, as a node can read it.
pub(crate) async fn logged(node: &Node) -> Vec<Logged> {
    let Ok(mut reading) = node.context().broker.read_events(Start::Sequence(1), None).await else {
        return Vec::new();
    };
    let mut events = Vec::new();
    while let Ok(Some(event)) = reading.next_stored().await {
        events.push(event);
    }
    events
}

/// What the log tells of a room, without summaries.
pub(crate) async fn told(node: &Node, room: &str) -> Vec<Event> {
    let about = About::Room(room.parse().unwrap());
    let events = logged(node).await.into_iter().filter_map(|logged| logged.event);
    events.filter(|event| event.subject == about && !event.what.is_summary()).collect()
}
