//! All that a node has of a room.

use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::stream::Warning;
use crate::protocol::claim::ClaimedProducer;
use crate::protocol::ids::{NodeName, Peer, PipeId, PublicationId, StreamName};

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
