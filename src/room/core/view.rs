//! A room as operators see it.

use std::time::Instant;

use chrono::{DateTime, Utc};
use serde::Serialize;

use super::participants::Attendant;
use super::sources::{Source, Traffic, Via};
use super::{Core, Moment};
use crate::protocol::data::ProducerKind;
use crate::protocol::event::{ViewerId, Warning};
use crate::protocol::ids::{NodeName, Peer, PipeId, ProducerId, PublicationId, RoomId, RouterId, StreamName};
use crate::protocol::media::{AdaptState, Adapted, Counts, Layers, PipeFlow, ViewerFlow};

/// A room on this node.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RoomView {
    /// The room.
    pub room: RoomId,
    /// Its home router.
    pub router: RouterId,
    /// The workers that it is on, its home first.
    pub workers: Vec<usize>,
    /// The streams that are here.
    pub streams: Vec<StreamView>,
    /// The nodes that send to this one.
    pub parents: Vec<ParentView>,
    /// The nodes that this one sends to.
    pub children: Vec<ChildView>,
    /// The viewers.
    pub viewers: Vec<ViewerView>,
    /// Viewers whose stream is on its way.
    pub waiting: usize,
    /// Whether a moderator lets nobody new in.
    pub locked: bool,
    /// Who is here by the session API.
    pub participants: Vec<ParticipantView>,
    /// What the room holds in the workers.
    pub counts: Counts,
}

/// A stream on this node.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct StreamView {
    /// Its name.
    pub stream: StreamName,
    /// Its publication.
    pub publication: PublicationId,
    /// The nodes from the origin to this one, without this one; empty at the origin.
    pub path: Vec<NodeName>,
    /// Its producers.
    pub producers: Vec<ProducerView>,
    /// Its viewers here.
    pub viewers: usize,
    /// Bits of media per second from its publisher; none at an edge.
    pub bitrate: Option<u64>,
    /// The term of its claim, as far as it is known.
    pub term: Option<u64>,
    /// Whether its publisher's connection lives and no media comes from it, as its origin says.
    pub muted: bool,
    /// What is wrong with it now, the oldest first; only at its origin.
    pub warnings: Vec<Warning>,
}

/// What proves that media comes by a way. Times are in milliseconds.
#[derive(Debug, Clone, Copy, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Proof {
    /// For how long it has been expected; none where it isn't yet.
    pub expected_ms: Option<u64>,
    /// How long the first packet took; none where none has come.
    pub first_packet_ms: Option<u64>,
    /// How long the first key frame took; none where none was seen, and of audio.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first_key_frame_ms: Option<u64>,
    /// How long ago the last packet came, give or take how often it is measured.
    pub last_packet_ms: Option<u64>,
}

impl Proof {
    pub(super) fn new(
        expected: Instant,
        first: Option<Instant>,
        last: Option<Instant>,
        now: Instant,
    ) -> Self {
        Self {
            expected_ms: Some(millis(expected, now)),
            first_packet_ms: first.map(|at| millis(expected, at)),
            first_key_frame_ms: None,
            last_packet_ms: last.map(|at| millis(at, now)),
        }
    }

    fn of(traffic: &Traffic, now: Instant) -> Self {
        let key_frame = traffic.key_frame.map(|at| millis(traffic.expected, at));
        let proof = Self::new(traffic.expected, traffic.first, traffic.last, now);
        Self { first_key_frame_ms: key_frame, ..proof }
    }
}

fn millis(from: Instant, to: Instant) -> u64 {
    u64::try_from(to.saturating_duration_since(from).as_millis()).unwrap_or(u64::MAX)
}

/// A producer on this node.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ProducerView {
    /// Its id, the same on every node.
    pub id: ProducerId,
    /// Audio, video or messages.
    pub kind: ProducerKind,
    /// Its codec.
    pub mime_type: String,
    /// Simulcast layers.
    pub encodings: u8,
    /// Whether it is paused.
    pub paused: bool,
    /// Whether it is not paused, and nothing of it comes.
    pub muted: bool,
    /// What has come of it.
    pub proof: Proof,
}

/// A node that sends to this one.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ParentView {
    /// The node.
    pub node: NodeName,
    /// The pipe, once there is one.
    pub pipe: Option<PipeId>,
    /// Whether it is connected.
    pub connected: bool,
    /// Since when.
    pub opened_at: Option<DateTime<Utc>>,
    /// What flows.
    pub flow: PipeFlow,
    /// What has come by it.
    pub proof: Proof,
    /// Failed joins in a row.
    pub failures: u32,
}

/// A node that this one sends to.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ChildView {
    /// The node.
    pub peer: Peer,
    /// The streams that it wants.
    pub streams: Vec<StreamName>,
    /// The pipe, once there is one.
    pub pipe: Option<PipeId>,
    /// Whether it is connected.
    pub connected: bool,
    /// Since when.
    pub opened_at: Option<DateTime<Utc>>,
    /// What flows.
    pub flow: PipeFlow,
}

/// A viewer on this node. Its session id is a secret, so it has none here.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ViewerView {
    /// What events call it, and operators end it by.
    pub viewer: ViewerId,
    /// The stream.
    pub stream: StreamName,
    /// Whether it is connected.
    pub connected: bool,
    /// How long it has been here, in seconds.
    pub age_s: u64,
    /// Bits of media per second that it is sent; none where that was not asked for, as of many viewers only some are.
    pub bitrate: Option<u64>,
    /// Bits per second that its connection could take; none without an estimate.
    pub estimate: Option<u64>,
    /// The layer of its video, where there are several.
    pub layer: Option<u8>,
    /// What it was sent since it has connected.
    pub proof: Proof,
    /// How its layers are chosen from its receiver reports; none where there is one, or where the estimate chooses.
    pub adapts: Option<AdaptView>,
}

/// A participant on this node. What it sends is a stream of its name.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ParticipantView {
    /// Its name.
    pub name: StreamName,
    /// How many producers of others it is sent, or has asked for.
    pub consumers: usize,
    /// Those of them that don't come.
    pub lacks: Vec<LackView>,
}

/// What a participant asked for that doesn't come.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct LackView {
    /// The stream.
    pub stream: StreamName,
    /// The producer.
    pub producer: ProducerId,
    /// For how long, in milliseconds.
    pub for_ms: u64,
}

/// How a viewer's layers are chosen.
#[derive(Debug, Clone, Copy, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct AdaptView {
    /// The layers that are wanted; those that are sent follow with the next key frame.
    pub preferred: Layers,
    /// The best that the publisher sends now; none while nothing comes.
    pub best: Option<Layers>,
    /// What the choice is doing.
    pub state: AdaptState,
    /// The part of the packets that was lost lately (0 to 1).
    pub loss: f64,
    /// How long packets wait in front of its link, in milliseconds; none where it doesn't tell.
    pub queue_ms: Option<u64>,
}

impl From<Adapted> for AdaptView {
    fn from(adapted: Adapted) -> Self {
        let Adapted { preferred, best, state, loss, queue } = adapted;
        let queue_ms = queue.map(|queue| u64::try_from(queue.as_millis()).unwrap_or(u64::MAX));
        Self { preferred, best, state, loss, queue_ms }
    }
}

/// What a node has of a stream: from counters that are kept, so that asking costs nothing.
#[derive(Debug, Clone)]
pub struct StreamHereView {
    /// Nodes between the origin and this one; none while it is not here.
    pub hops: Option<usize>,
    /// Its viewers here.
    pub viewers: u32,
    /// What is wrong with it now, the oldest first; empty but at its origin.
    pub warnings: Vec<Warning>,
    /// Its viewers on all nodes; none while it is not here.
    pub everywhere: Option<u32>,
}

impl Core {
    /// What is here of a stream.
    pub fn status(&self, stream: &StreamName) -> StreamHereView {
        let hops = self.sources.get(stream).filter(|source| source.is_complete()).map(|s| s.path.len());
        let own = self.publications.get(stream);
        let warnings = own.map(|own| own.health.warnings()).unwrap_or_default();
        let (viewers, everywhere) = (self.audience.of(stream), self.viewers_of(stream));
        StreamHereView { hops, viewers, warnings, everywhere }
    }

    /// The room as it is decided; `flow` tells what a viewer is sent, where that was asked for, `counts` and `workers` what the media
    /// holds.
    pub fn view(
        &self,
        workers: Vec<usize>,
        counts: Counts,
        flow: impl Fn(crate::protocol::ids::SessionId) -> Option<ViewerFlow>,
        m: &Moment<'_>,
    ) -> RoomView {
        let viewer = |(session, viewer): (&crate::protocol::ids::SessionId, &super::Viewer)| {
            let flow = flow(*session);
            ViewerView {
                viewer: viewer.id,
                stream: viewer.stream.clone(),
                connected: viewer.connected,
                age_s: m.now.saturating_duration_since(viewer.since).as_secs(),
                bitrate: flow.map(|flow| flow.bitrate),
                estimate: flow.and_then(|flow| flow.estimate),
                layer: flow.and_then(|flow| flow.layer),
                proof: self.lives.get(session).map(|life| life.proof(m.now)).unwrap_or_default(),
                adapts: flow.and_then(|flow| flow.adapted).map(AdaptView::from),
            }
        };
        RoomView {
            room: self.id.clone(),
            router: self.router,
            workers,
            streams: self
                .sources
                .iter()
                .map(|(stream, source)| self.stream_view(stream, source, m))
                .collect(),
            parents: self.parent_views(m.now),
            children: self.child_views(),
            viewers: self.audience.iter().map(viewer).collect(),
            waiting: self.audience.waiting(),
            locked: self.is_locked(m),
            participants: self.participants.iter().map(|(_, it)| participant_view(it, m.now)).collect(),
            counts,
        }
    }

    fn stream_view(&self, stream: &StreamName, source: &Source, m: &Moment<'_>) -> StreamView {
        let producers = source.producers.iter().map(|producer| ProducerView {
            muted: !producer.paused && !self.sources.has_flowed_lately(producer.id, m.now),
            proof: self.sources.traffic(producer.id).map(|it| Proof::of(it, m.now)).unwrap_or_default(),
            id: producer.id,
            kind: producer.kind,
            mime_type: producer.mime_type.clone(),
            encodings: producer.encodings,
            paused: producer.paused,
        });
        let own = (source.via == Via::Publisher).then(|| self.publications.get(stream)).flatten();
        let flows = match own {
            Some(own) => Some(own.is_flowing(m.now)),
            None => self.known.is_flowing(stream, source.publication),
        };
        StreamView {
            muted: flows == Some(false) && !source.producers.is_empty(),
            warnings: own.map(|own| own.health.warnings()).unwrap_or_default(),
            stream: stream.clone(),
            publication: source.publication,
            path: source.path.clone(),
            producers: producers.collect(),
            viewers: usize::try_from(self.audience.of(stream)).unwrap_or(usize::MAX),
            bitrate: own.map(|own| own.bitrate),
            term: self.known.rank(stream, source.publication).map(|(term, _)| term),
        }
    }

    fn parent_views(&self, now: Instant) -> Vec<ParentView> {
        let parents = self.upstream.parents.values();
        let view = |parent: &super::upstream::Parent| {
            let inlet = parent.inlet.as_ref();
            let flow = inlet.and_then(|inlet| self.measured.inlets.get(&inlet.id));
            ParentView {
                node: parent.peer.node.clone(),
                pipe: inlet.map(|inlet| inlet.id),
                connected: inlet.is_some_and(|inlet| inlet.connected),
                opened_at: inlet.map(|inlet| inlet.opened_at),
                flow: flow.copied().unwrap_or_default(),
                proof: inlet
                    .map(|inlet| Proof::new(inlet.opened, inlet.first, inlet.last, now))
                    .unwrap_or_default(),
                failures: parent.failures,
            }
        };
        parents.map(view).collect()
    }

    fn child_views(&self) -> Vec<ChildView> {
        let view = |child: &super::children::Child| {
            let outlet = child.outlet();
            let flow = outlet.and_then(|outlet| self.measured.outlets.get(&outlet.id));
            ChildView {
                peer: child.peer.clone(),
                streams: child.wanted().iter().cloned().collect(),
                pipe: outlet.map(|outlet| outlet.id),
                connected: outlet.is_some_and(super::children::Outlet::is_open),
                opened_at: outlet.map(|outlet| outlet.opened_at),
                flow: flow.copied().unwrap_or_default(),
            }
        };
        self.downstream.iter().map(|(_, child)| view(child)).collect()
    }
}

fn participant_view(attendant: &Attendant, now: Instant) -> ParticipantView {
    let lack = |(stream, producer, since): (&StreamName, ProducerId, Instant)| LackView {
        stream: stream.clone(),
        producer,
        for_ms: millis(since, now),
    };
    let consuming = &attendant.consuming;
    ParticipantView {
        name: attendant.name.clone(),
        consumers: consuming.len(),
        lacks: consuming.lacked().map(lack).collect(),
    }
}
