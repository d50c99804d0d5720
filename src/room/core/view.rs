//! A room as operators see it.

use chrono::{DateTime, Utc};
use serde::Serialize;

use super::sources::{Source, Via};
use super::{Core, Moment};
use crate::protocol::ids::{NodeName, Peer, PipeId, ProducerId, PublicationId, RoomId, RouterId, StreamName};
use crate::protocol::media::{Counts, PipeFlow, ViewerFlow};
use crate::protocol::rtp::MediaKind;

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
}

/// A producer on this node.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ProducerView {
    /// Its id, the same on every node.
    pub id: ProducerId,
    /// Audio or video.
    pub kind: MediaKind,
    /// Its codec.
    pub mime_type: String,
    /// Simulcast layers.
    pub encodings: u8,
    /// Whether it is paused.
    pub paused: bool,
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
    /// The stream.
    pub stream: StreamName,
    /// Whether it is connected.
    pub connected: bool,
    /// How long it has been here, in seconds.
    pub age_s: u64,
    /// Bits of media per second that it is sent.
    pub bitrate: u64,
    /// Bits per second that its connection could take; none without an estimate.
    pub estimate: Option<u64>,
    /// The layer of its video, where there are several.
    pub layer: Option<u8>,
}

/// What a node has of a stream: from counters that are kept, so that asking costs nothing.
#[derive(Debug, Clone, Copy)]
pub struct StreamHereView {
    /// Nodes between the origin and this one; none while it is not here.
    pub hops: Option<usize>,
    /// Its viewers here.
    pub viewers: u32,
}

impl Core {
    /// What is here of a stream.
    pub fn status(&self, stream: &StreamName) -> StreamHereView {
        let hops = self.sources.get(stream).filter(|source| source.is_complete()).map(|s| s.path.len());
        StreamHereView { hops, viewers: self.audience.of(stream) }
    }

    /// The room as it is decided; `flow` tells what a viewer is sent, `counts` and `workers` what the media
    /// holds.
    pub fn view(
        &self,
        workers: Vec<usize>,
        counts: Counts,
        flow: impl Fn(crate::protocol::ids::SessionId) -> ViewerFlow,
        m: &Moment<'_>,
    ) -> RoomView {
        let viewer = |(session, viewer): (&crate::protocol::ids::SessionId, &super::Viewer)| {
            let flow = flow(*session);
            ViewerView {
                stream: viewer.stream.clone(),
                connected: viewer.connected,
                age_s: m.now.saturating_duration_since(viewer.since).as_secs(),
                bitrate: flow.bitrate,
                estimate: flow.estimate,
                layer: flow.layer,
            }
        };
        RoomView {
            room: self.id.clone(),
            router: self.router,
            workers,
            streams: self.sources.iter().map(|(stream, source)| self.stream_view(stream, source)).collect(),
            parents: self.parent_views(),
            children: self.child_views(),
            viewers: self.audience.iter().map(viewer).collect(),
            waiting: self.audience.waiting(),
            counts,
        }
    }

    fn stream_view(&self, stream: &StreamName, source: &Source) -> StreamView {
        let producers = source.producers.iter().map(|producer| ProducerView {
            id: producer.id,
            kind: producer.kind,
            mime_type: producer.mime_type.clone(),
            encodings: producer.encodings,
            paused: producer.paused,
        });
        let own = (source.via == Via::Publisher).then(|| self.publications.get(stream)).flatten();
        StreamView {
            stream: stream.clone(),
            publication: source.publication,
            path: source.path.clone(),
            producers: producers.collect(),
            viewers: usize::try_from(self.audience.of(stream)).unwrap_or(usize::MAX),
            bitrate: own.map(|own| own.bitrate),
            term: self.known.rank(stream, source.publication).map(|(term, _)| term),
        }
    }

    fn parent_views(&self) -> Vec<ParentView> {
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
                failures: parent.failures,
            }
        };
        parents.map(view).collect()
    }

    fn child_views(&self) -> Vec<ChildView> {
        let view = |child: &super::downstream::Child| {
            let outlet = child.outlet.as_ref();
            let flow = outlet.and_then(|outlet| self.measured.outlets.get(&outlet.id));
            ChildView {
                peer: child.peer.clone(),
                streams: child.wanted.iter().cloned().collect(),
                pipe: outlet.map(|outlet| outlet.id),
                connected: outlet.is_some_and(super::outlet::Outlet::is_open),
                opened_at: outlet.map(|outlet| outlet.opened_at),
                flow: flow.copied().unwrap_or_default(),
            }
        };
        self.downstream.children.values().map(view).collect()
    }
}
