//! All that a node has of a room.

use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::stream::Warning;
use crate::protocol::claim::ClaimedProducer;
use crate::protocol::ids::{NodeName, Peer, PipeId, ProducerId, PublicationId, StreamName};

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
    /// The term of its publication; 0 where that isn't known.
    #[serde(default)]
    pub term: u64,
    /// Its publication; none while viewers wait for it to come back.
    pub publication: Option<PublicationId>,
    /// The nodes from the origin to this one, without this one; empty at the origin.
    pub path: Vec<NodeName>,
    /// Since when its publisher has been connected; only at the origin.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_at: Option<DateTime<Utc>>,
    /// What the publisher sends.
    pub producers: Vec<ClaimedProducer>,
    /// Bits of media per second that arrive, from the publisher or by a pipe.
    pub bitrate: u64,
    /// Packets lost on the way here so far; 0 at the origin.
    pub lost: u64,
    /// Its viewers on this node.
    pub viewers: u32,
    /// Whether its publisher's connection lives and no media comes from it; only at the origin.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub muted: bool,
    /// Whether it is what a participant sends, who came by the session API; only at the origin.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub participant: bool,
    /// Whether that participant is a moderator who lets nobody new into the room; only at the origin.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub locks: bool,
    /// What is wrong with it now; only at the origin.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<Warning>,
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

/// A moderator of a room did something.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RoomModerated {
    /// The moderator.
    pub by: StreamName,
    /// What.
    pub deed: Deed,
    /// Whom it befell, if anybody.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub participant: Option<StreamName>,
    /// The producer that it befell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub producer: Option<ProducerId>,
}

/// What a moderator does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub enum Deed {
    /// It lets nobody new in, for as long as it is there.
    Locked,
    /// It does no longer.
    Unlocked,
    /// It pauses a producer, until the participant resumes that.
    Muted,
    /// It ends a participant's session.
    Removed,
    /// A deed of a newer node.
    #[serde(other)]
    Unknown,
}

/// A node carries nothing of a room any more.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RoomClosed {
    /// How long the node carried it, in milliseconds.
    pub duration_ms: u64,
}

/// An operator had a room's history deleted. What came before on the room's subjects is deleted.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RoomForgotten {}
