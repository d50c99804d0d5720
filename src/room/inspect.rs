//! A room as operators see it.

use chrono::{DateTime, Utc};
use serde::Serialize;

use super::state::{Room, Via};
use crate::media::{Counts, PipeFlow};
use crate::protocol::ids::{NodeName, Peer, PipeId, ProducerId, PublicationId, RoomId, RouterId, StreamName};
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
    /// The epoch of its announcement, as far as it is known.
    pub epoch: Option<u64>,
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

/// A stream as everyone may see it.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct StreamStatus {
    /// Whether it can be watched.
    pub live: bool,
    /// The node where it is published.
    pub origin: Option<Peer>,
    /// Nodes between the origin and this one; none while it is not here.
    pub hops: Option<usize>,
    /// Its viewers on this node.
    pub viewers: usize,
    /// Since when it is published.
    pub since: Option<DateTime<Utc>>,
}

impl Room {
    pub(super) async fn inspect(&self) -> RoomView {
        let mut viewers = Vec::with_capacity(self.viewers.len());
        for (session, viewer) in &self.viewers {
            let flow = self.media.viewer_flow(*session).await.unwrap_or_default();
            viewers.push(ViewerView {
                stream: viewer.stream.clone(),
                connected: viewer.connected,
                age_s: viewer.since.elapsed().as_secs(),
                bitrate: flow.bitrate,
                estimate: flow.estimate,
                layer: flow.layer,
            });
        }
        RoomView {
            room: self.id.clone(),
            router: self.media.router_id(),
            workers: self.media.workers(),
            streams: self.stream_views(),
            parents: self.parent_views(),
            children: self.child_views(),
            viewers,
            waiting: self.waiting.len(),
            counts: self.media.counts(),
        }
    }

    fn stream_views(&self) -> Vec<StreamView> {
        let view = |(stream, source): (&StreamName, &super::state::Source)| StreamView {
            stream: stream.clone(),
            publication: source.publication,
            path: source.path.clone(),
            producers: source
                .producers
                .iter()
                .map(|producer| ProducerView {
                    id: producer.id,
                    kind: producer.kind,
                    mime_type: producer.mime_type.clone(),
                    encodings: producer.encodings,
                    paused: producer.paused,
                })
                .collect(),
            viewers: self.viewers.values().filter(|viewer| viewer.stream == *stream).count(),
            bitrate: (source.via == Via::Publisher)
                .then(|| self.publications.get(stream).map(|publication| publication.bitrate))
                .flatten(),
            epoch: self.registry.get(stream).map(|known| known.epoch),
        };
        self.sources.iter().map(view).collect()
    }

    fn parent_views(&self) -> Vec<ParentView> {
        let view = |(node, parent): (&NodeName, &super::state::Parent)| {
            let pipe = parent.pipe.as_ref();
            let flow = pipe.and_then(|pipe| self.measured.inlets.get(&pipe.id));
            ParentView {
                node: node.clone(),
                pipe: pipe.map(|pipe| pipe.id),
                connected: pipe.is_some_and(|pipe| pipe.connected),
                opened_at: pipe.map(|pipe| pipe.opened_at),
                flow: flow.copied().unwrap_or_default(),
                failures: parent.failures,
            }
        };
        self.parents.iter().map(view).collect()
    }

    fn child_views(&self) -> Vec<ChildView> {
        let view = |child: &super::state::Child| {
            let pipe = child.pipe.as_ref();
            let flow = pipe.and_then(|pipe| self.measured.outlets.get(&pipe.id));
            ChildView {
                peer: child.peer.clone(),
                streams: child.wanted.iter().cloned().collect(),
                pipe: pipe.map(|pipe| pipe.id),
                connected: pipe.is_some_and(|pipe| pipe.connected),
                opened_at: pipe.map(|pipe| pipe.opened_at),
                flow: flow.copied().unwrap_or_default(),
            }
        };
        self.children.values().map(view).collect()
    }
}
