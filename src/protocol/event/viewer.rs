//! What happens to viewers, and to who is turned away.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::protocol::ids::{RoomId, StreamName};

/// Publishers or viewers were turned away: by a room, or before they got to one (then the event is about
/// the node, so that strangers make no rooms known). The first is told at once, those that follow for the
/// same reason with their number.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Turned {
    /// The room that was asked for, where the event is about the node.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub room: Option<RoomId>,
    /// The stream that was asked for.
    pub stream: StreamName,
    /// Why, for machines: `limit`, `draining`, `unsupported`, `already_published`, `timeout`; by the node
    /// `unauthorized`, `forbidden`, `barred`, `denied`, `unverified`, `malformed` …
    pub reason: String,
    /// Why, for a person.
    pub detail: String,
    /// How many they were; room, stream and detail are those of the last.
    pub times: u64,
}

/// A viewer as events name it: made for them alone, because a session's id is a secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
#[schemars(inline)]
pub struct ViewerId(pub Uuid);

/// A viewer is served.
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

/// A viewer is gone.
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
    /// Bytes of media that it was sent, without retransmissions.
    pub bytes: u64,
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
    /// Its stream's media didn't come to this node, and no other way was found.
    Starved,
    /// The stream came back in a form that its session can't carry: another codec, or sound or picture that it
    /// had no m-line for. It may connect again.
    StreamChanged,
    /// The node stopped.
    Stopped,
    /// An operator ended its session.
    Kicked,
    /// Its token, or what it was allowed, has expired.
    Expired,
    /// A reason of a newer node.
    #[serde(other)]
    Unknown,
}

impl fmt::Display for ViewerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
