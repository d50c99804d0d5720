//! What happened: the events that monitoring is built from, on `room.<room>.event.<node>` and
//! `node.<node>.event`. Their attributes are those of CloudEvents 1.0 (id, type, time, source,
//! subject, data).
//!
//! An event tells what its source itself did or saw; [`RoomSummary`] and [`NodeSummary`] repeat from
//! time to time all that holds there, so that whatever was lost is repaired by the next one. No event
//! holds an address, a token, a session's id or anything else of a person.

mod node;
mod pipe;
mod room;
mod stream;
mod viewer;

use std::fmt;

use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::ids::{NodeName, Peer, RoomId};

pub use node::{EventsDropped, LimitHit, NodeLost, NodeSummary, TokenBarred, WorkerDied};
pub use pipe::{PipeClosed, PipeFailed, PipeOpened, PipeOpening, PipeRefused, PipeStarved};
pub use room::{Deed, PipeHere, Quality, RoomClosed, RoomForgotten, RoomModerated, RoomSummary, StreamHere};
pub use stream::{
    KeyFrameBurst, StreamChanged, StreamCleared, StreamEnded, StreamRecovered, StreamStarted, StreamWarning,
    Warning, WarningKind,
};
pub use viewer::{LeaveReason, Turned, ViewerId, ViewerJoined, ViewerLeft};

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

/// How much is lost with an event, least first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Weight {
    /// Nothing for long: the next of its kind tells it again.
    Repeated,
    /// One of many, as one viewer's coming.
    Single,
    /// What streams, pipes, rooms and nodes there are.
    Shape,
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
    /// A stream can't be watched well because of what its publisher sends. Told by its origin.
    #[serde(rename = "stream.warning")]
    StreamWarning(StreamWarning),
    /// What was wrong with a stream is so no more.
    #[serde(rename = "stream.cleared")]
    StreamCleared(StreamCleared),
    /// Publishers were turned away.
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
    /// A child can't take a producer.
    #[serde(rename = "pipe.refused")]
    PipeRefused(PipeRefused),
    /// A pipe's media doesn't come. Told by its receiving end.
    #[serde(rename = "pipe.starved")]
    PipeStarved(PipeStarved),
    /// A pipe was closed.
    #[serde(rename = "pipe.closed")]
    PipeClosed(PipeClosed),
    /// A viewer is served.
    #[serde(rename = "viewer.joined")]
    ViewerJoined(ViewerJoined),
    /// A viewer is gone.
    #[serde(rename = "viewer.left")]
    ViewerLeft(ViewerLeft),
    /// Viewers were turned away.
    #[serde(rename = "viewer.rejected")]
    ViewerRejected(Turned),
    /// Key frames were asked for unusually often.
    #[serde(rename = "keyframe.burst")]
    KeyFrameBurst(KeyFrameBurst),
    /// All that a node has of a room.
    #[serde(rename = "room.summary")]
    RoomSummary(RoomSummary),
    /// A moderator of a room did something. Told by the node where whoever it befell is, or else the moderator.
    #[serde(rename = "room.moderated")]
    RoomModerated(RoomModerated),
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
    /// A node takes everything again.
    #[serde(rename = "node.undrained")]
    NodeUndrained(NodeSummary),
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
    /// An operator keeps a token out for a while, or does no longer.
    #[serde(rename = "token.barred")]
    TokenBarred(TokenBarred),
    /// A media worker died.
    #[serde(rename = "worker.died")]
    WorkerDied(WorkerDied),
    /// Events could not be kept while the bus was away.
    #[serde(rename = "events.dropped")]
    EventsDropped(EventsDropped),
}

impl What {
    /// The type, as it is on the wire.
    pub fn name(&self) -> &'static str {
        match self {
            Self::StreamStarted(_) => "stream.started",
            Self::StreamChanged(_) => "stream.changed",
            Self::StreamEnded(_) => "stream.ended",
            Self::StreamRecovered(_) => "stream.recovered",
            Self::StreamWarning(_) => "stream.warning",
            Self::StreamCleared(_) => "stream.cleared",
            Self::PublisherRejected(_) => "publisher.rejected",
            Self::PipeOpening(_) => "pipe.opening",
            Self::PipeOpened(_) => "pipe.opened",
            Self::PipeFailed(_) => "pipe.failed",
            Self::PipeRefused(_) => "pipe.refused",
            Self::PipeStarved(_) => "pipe.starved",
            Self::PipeClosed(_) => "pipe.closed",
            Self::ViewerJoined(_) => "viewer.joined",
            Self::ViewerLeft(_) => "viewer.left",
            Self::ViewerRejected(_) => "viewer.rejected",
            Self::KeyFrameBurst(_) => "keyframe.burst",
            Self::RoomSummary(_) => "room.summary",
            Self::RoomModerated(_) => "room.moderated",
            Self::RoomClosed(_) => "room.closed",
            Self::RoomForgotten(_) => "room.forgotten",
            Self::NodeStarted(_) => "node.started",
            Self::NodeDraining(_) => "node.draining",
            Self::NodeUndrained(_) => "node.undrained",
            Self::NodeStopped(_) => "node.stopped",
            Self::NodeSummary(_) => "node.summary",
            Self::NodeLost(_) => "node.lost",
            Self::LimitHit(_) => "limit.hit",
            Self::TokenBarred(_) => "token.barred",
            Self::WorkerDied(_) => "worker.died",
            Self::EventsDropped(_) => "events.dropped",
        }
    }

    /// The same for so many of it; one that has no number stays as it is.
    #[must_use]
    pub fn with_times(mut self, number: u64) -> Self {
        match &mut self {
            Self::PublisherRejected(Turned { times, .. })
            | Self::ViewerRejected(Turned { times, .. })
            | Self::LimitHit(LimitHit { times, .. }) => *times = number,
            _ => {}
        }
        self
    }

    /// Whether the next of its kind tells all that this one does.
    pub fn is_summary(&self) -> bool {
        matches!(self, Self::RoomSummary(_) | Self::NodeSummary(_))
    }

    /// What is given up first where not all can be kept.
    pub fn weight(&self) -> Weight {
        match self {
            Self::RoomSummary(_) | Self::NodeSummary(_) => Weight::Repeated,
            Self::PublisherRejected(_)
            | Self::ViewerJoined(_)
            | Self::ViewerLeft(_)
            | Self::ViewerRejected(_)
            | Self::KeyFrameBurst(_)
            | Self::LimitHit(_) => Weight::Single,
            _ => Weight::Shape,
        }
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
