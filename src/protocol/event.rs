//! What happened: the events that monitoring is built from, on `room.<room>.event.<node>` and
//! `node.<node>.event`. Their attributes are those of CloudEvents 1.0 (id, type, time, source,
//! subject, data).
//!
//! An event tells what its source itself did or saw; [`RoomSummary`] and [`NodeSummary`] repeat from
//! time to time all that holds there, so that whatever was lost is repaired by the next one. No event
//! holds an address, a token, a session's id or anything else of a person.

use std::fmt;

use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::announcement::{AnnouncedProducer, EndReason};
use super::ids::{NodeName, Peer, PipeId, PublicationId, RoomId, StreamName};
use super::presence::{Load, Phase, Role};

/// One event.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Event {
    /// Its number among all events of its source, from 1: the two together identify it.
    pub id: u64,
    /// When it happened, by the clock of its source.
    pub time: DateTime<Utc>,
    /// Who tells it.
    pub source: Peer,
    /// What it is about.
    pub subject: About,
    /// What happened: `type` and `data`.
    #[serde(flatten)]
    pub what: What,
}

/// What an event is about.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum About {
    /// A room.
    Room(RoomId),
    /// The source itself.
    Node(NodeName),
}

/// The kinds of events. A type is never changed so that older readers misread it; it gets a new name.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "type", content = "data")]
#[non_exhaustive]
pub enum What {
    /// A publisher has connected: its stream is live. Told by its origin, as all of `stream.*`.
    #[serde(rename = "stream.started")]
    StreamStarted(StreamStarted),
    /// A stream was paused or resumed.
    #[serde(rename = "stream.changed")]
    StreamChanged(StreamChanged),
    /// A stream is over.
    #[serde(rename = "stream.ended")]
    StreamEnded(StreamEnded),
    /// A stream has come back to viewers that had kept waiting for it. Told by their edge.
    #[serde(rename = "stream.recovered")]
    StreamRecovered(StreamRecovered),
    /// A publisher was turned away.
    #[serde(rename = "publisher.rejected")]
    PublisherRejected(Turned),
    /// A pipe is being opened. Told by its sending end, as all of `pipe.*`.
    #[serde(rename = "pipe.opening")]
    PipeOpening(PipeOpening),
    /// A pipe carries media.
    #[serde(rename = "pipe.opened")]
    PipeOpened(PipeOpened),
    /// An attempt at a pipe failed, or an open pipe did.
    #[serde(rename = "pipe.failed")]
    PipeFailed(PipeFailed),
    /// A pipe was closed.
    #[serde(rename = "pipe.closed")]
    PipeClosed(PipeClosed),
    /// A viewer is served.
    #[serde(rename = "viewer.joined")]
    ViewerJoined(ViewerJoined),
    /// A viewer is gone.
    #[serde(rename = "viewer.left")]
    ViewerLeft(ViewerLeft),
    /// A viewer was turned away.
    #[serde(rename = "viewer.rejected")]
    ViewerRejected(Turned),
    /// Key frames were asked for unusually often.
    #[serde(rename = "keyframe.burst")]
    KeyFrameBurst(KeyFrameBurst),
    /// All that a node has of a room.
    #[serde(rename = "room.summary")]
    RoomSummary(RoomSummary),
    /// A node carries nothing of a room any more.
    #[serde(rename = "room.closed")]
    RoomClosed(RoomClosed),
    /// An operator had a room's history deleted.
    #[serde(rename = "room.forgotten")]
    RoomForgotten(RoomForgotten),
    /// A node has started.
    #[serde(rename = "node.started")]
    NodeStarted(NodeSummary),
    /// A node takes nothing new.
    #[serde(rename = "node.draining")]
    NodeDraining(NodeSummary),
    /// A node has stopped: its last word.
    #[serde(rename = "node.stopped")]
    NodeStopped(NodeSummary),
    /// How a node is.
    #[serde(rename = "node.summary")]
    NodeSummary(NodeSummary),
    /// Another node has fallen silent. Told by one of the others.
    #[serde(rename = "node.lost")]
    NodeLost(NodeLost),
    /// A configured limit was reached.
    #[serde(rename = "limit.hit")]
    LimitHit(LimitHit),
    /// A media worker died.
    #[serde(rename = "worker.died")]
    WorkerDied(WorkerDied),
    /// Events could not be kept while the bus was away.
    #[serde(rename = "events.dropped")]
    EventsDropped(EventsDropped),
}

/// See [`What::StreamStarted`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct StreamStarted {
    /// The stream.
    pub stream: StreamName,
    /// This publication of it.
    pub publication: PublicationId,
    /// What the publisher sends.
    pub producers: Vec<AnnouncedProducer>,
    /// Whether it took the name from another publisher.
    pub takeover: bool,
}

/// See [`What::StreamChanged`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct StreamChanged {
    /// The stream.
    pub stream: StreamName,
    /// The publication.
    pub publication: PublicationId,
    /// What the publisher sends now.
    pub producers: Vec<AnnouncedProducer>,
}

/// See [`What::StreamEnded`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct StreamEnded {
    /// The stream.
    pub stream: StreamName,
    /// The publication.
    pub publication: PublicationId,
    /// Why.
    pub reason: EndReason,
    /// How long it was live, in milliseconds.
    pub duration_ms: u64,
    /// Bytes of media received from the publisher.
    pub bytes: u64,
}

/// See [`What::StreamRecovered`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct StreamRecovered {
    /// The stream.
    pub stream: StreamName,
    /// How long it was away, in milliseconds.
    pub gap_ms: u64,
    /// The viewers that waited.
    pub viewers: u32,
}

/// See [`What::PublisherRejected`] and [`What::ViewerRejected`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Turned {
    /// The stream that was asked for.
    pub stream: StreamName,
    /// Why, for machines: `limit`, `draining`, `unsupported`, `already_published`, `timeout` …
    pub reason: String,
    /// Why, for a person.
    pub detail: String,
}

/// See [`What::PipeOpening`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PipeOpening {
    /// The pipe.
    pub pipe: PipeId,
    /// The node that it leads to.
    pub to: Peer,
    /// Which attempt in a row, from 1.
    pub attempt: u32,
    /// Which hop from the origin it is, from 1.
    pub hop: u8,
}

/// See [`What::PipeOpened`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PipeOpened {
    /// The pipe.
    pub pipe: PipeId,
    /// The node that it leads to.
    pub to: Peer,
    /// Which attempt in a row, from 1.
    pub attempt: u32,
    /// Which hop from the origin it is, from 1.
    pub hop: u8,
    /// The streams that it carries.
    pub streams: Vec<StreamName>,
    /// How long opening it took, in microseconds.
    pub setup_us: u64,
}

/// See [`What::PipeFailed`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PipeFailed {
    /// The pipe.
    pub pipe: PipeId,
    /// The node that it was to lead to.
    pub to: Peer,
    /// Which attempt in a row, from 1.
    pub attempt: u32,
    /// Why, for machines: `timeout`, `no_responders`, `noPorts` …
    pub reason: String,
    /// Why, for a person.
    pub detail: String,
    /// How long it lasted, in milliseconds.
    pub duration_ms: u64,
}

/// See [`What::PipeClosed`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PipeClosed {
    /// The pipe.
    pub pipe: PipeId,
    /// The node that it led to.
    pub to: Peer,
    /// Why, for a person.
    pub reason: String,
    /// Whether the other end was lost, rather than taken leave of.
    pub lost: bool,
    /// How long it lasted, in milliseconds.
    pub duration_ms: u64,
    /// Bytes of media sent.
    pub bytes: u64,
}

/// A viewer as events name it: made for them alone, because a session's id is a secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
#[schemars(inline)]
pub struct ViewerId(pub Uuid);

/// See [`What::ViewerJoined`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ViewerJoined {
    /// The stream.
    pub stream: StreamName,
    /// The viewer.
    pub viewer: ViewerId,
    /// Whether the stream was here already.
    pub warm: bool,
    /// From the viewer's request to its answer, in microseconds.
    pub join_us: u64,
    /// The stream's viewers on this node now.
    pub viewers: u32,
}

/// See [`What::ViewerLeft`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ViewerLeft {
    /// The stream.
    pub stream: StreamName,
    /// The viewer.
    pub viewer: ViewerId,
    /// Why.
    pub reason: LeaveReason,
    /// How long it was here, in milliseconds.
    pub duration_ms: u64,
    /// The stream's viewers on this node now.
    pub viewers: u32,
}

/// Why a viewer is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub enum LeaveReason {
    /// It said so.
    Left,
    /// Its connection failed.
    Disconnected,
    /// It never connected.
    NeverConnected,
    /// The node stopped.
    Stopped,
    /// A reason of a newer node.
    #[serde(other)]
    Unknown,
}

/// See [`What::KeyFrameBurst`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct KeyFrameBurst {
    /// The stream.
    pub stream: StreamName,
    /// Requests that were sent upstream.
    pub requests: u32,
    /// Within how long, in milliseconds.
    pub within_ms: u64,
}

/// All that a node has of a room. The newest holds; what is not in it is not there.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RoomSummary {
    /// The streams that are here, published or piped.
    pub streams: Vec<StreamHere>,
    /// The pipes by which this node sends.
    pub pipes: Vec<PipeHere>,
    /// Viewers whose stream is on its way.
    pub waiting: u32,
}

/// A stream as a node has it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct StreamHere {
    /// Its name.
    pub stream: StreamName,
    /// Its publication; none while viewers wait for it to come back.
    pub publication: Option<PublicationId>,
    /// The nodes from the origin to this one, without this one; empty at the origin.
    pub path: Vec<NodeName>,
    /// Since when its publisher has been connected; only at the origin.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_at: Option<DateTime<Utc>>,
    /// What the publisher sends.
    pub producers: Vec<AnnouncedProducer>,
    /// Bits of media per second that arrive, from the publisher or by a pipe.
    pub bitrate: u64,
    /// Packets lost on the way here so far; 0 at the origin.
    pub lost: u64,
    /// Its viewers on this node.
    pub viewers: u32,
    /// What its viewers get.
    pub quality: Quality,
}

/// What the viewers of a stream on a node get: looked at in a sample of them.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Quality {
    /// How many viewers were looked at.
    pub sampled: u32,
    /// Bits of media per second that each is sent, on average.
    pub bitrate: u64,
    /// The least bandwidth estimate among them, in bit/s; none where no viewer gives feedback.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub least_estimate: Option<u64>,
    /// How many get each spatial layer, lowest first; empty where there are none.
    pub layers: Vec<u32>,
}

/// A pipe as its sending end has it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PipeHere {
    /// The pipe.
    pub pipe: PipeId,
    /// The node that it leads to.
    pub to: Peer,
    /// Whether it carries media.
    pub open: bool,
    /// Since when it is there.
    pub since: DateTime<Utc>,
    /// The streams that it carries.
    pub streams: Vec<StreamName>,
    /// Bits of media per second.
    pub bitrate: u64,
}

/// See [`What::RoomClosed`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RoomClosed {
    /// How long the node carried it, in milliseconds.
    pub duration_ms: u64,
}

/// See [`What::RoomForgotten`]. What came before on the room's subjects is deleted.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RoomForgotten {}

/// A node, as its events tell it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct NodeSummary {
    /// What it does.
    pub roles: Vec<Role>,
    /// Its program's version.
    pub version: String,
    /// Whether it takes new streams and viewers.
    pub phase: Phase,
    /// When it started.
    pub started_at: DateTime<Utc>,
    /// How much it carries.
    pub load: Load,
    /// Where publishers and viewers reach it.
    pub public_url: String,
}

/// See [`What::NodeLost`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct NodeLost {
    /// The node that fell silent.
    pub lost: Peer,
}

/// See [`What::LimitHit`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LimitHit {
    /// The key of the configuration, as `limits.viewers`.
    pub limit: String,
    /// How often it was hit since it was last told, this one included.
    pub times: u64,
}

/// See [`What::WorkerDied`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct WorkerDied {
    /// Its number, from 0.
    pub worker: u32,
}

/// See [`What::EventsDropped`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct EventsDropped {
    /// How many.
    pub count: u64,
}

impl What {
    /// The type, as it is on the wire.
    pub fn name(&self) -> &'static str {
        match self {
            Self::StreamStarted(_) => "stream.started",
            Self::StreamChanged(_) => "stream.changed",
            Self::StreamEnded(_) => "stream.ended",
            Self::StreamRecovered(_) => "stream.recovered",
            Self::PublisherRejected(_) => "publisher.rejected",
            Self::PipeOpening(_) => "pipe.opening",
            Self::PipeOpened(_) => "pipe.opened",
            Self::PipeFailed(_) => "pipe.failed",
            Self::PipeClosed(_) => "pipe.closed",
            Self::ViewerJoined(_) => "viewer.joined",
            Self::ViewerLeft(_) => "viewer.left",
            Self::ViewerRejected(_) => "viewer.rejected",
            Self::KeyFrameBurst(_) => "keyframe.burst",
            Self::RoomSummary(_) => "room.summary",
            Self::RoomClosed(_) => "room.closed",
            Self::RoomForgotten(_) => "room.forgotten",
            Self::NodeStarted(_) => "node.started",
            Self::NodeDraining(_) => "node.draining",
            Self::NodeStopped(_) => "node.stopped",
            Self::NodeSummary(_) => "node.summary",
            Self::NodeLost(_) => "node.lost",
            Self::LimitHit(_) => "limit.hit",
            Self::WorkerDied(_) => "worker.died",
            Self::EventsDropped(_) => "events.dropped",
        }
    }

    /// Whether the next of its kind tells all that this one does: what may be dropped first.
    pub fn is_summary(&self) -> bool {
        matches!(self, Self::RoomSummary(_) | Self::NodeSummary(_))
    }
}

impl fmt::Display for ViewerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for About {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Room(room) => write!(f, "room/{room}"),
            Self::Node(node) => write!(f, "node/{node}"),
        }
    }
}
