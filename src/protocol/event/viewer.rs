//! What happens to viewers, and to who is turned away.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::protocol::ids::StreamName;

/// Publishers or viewers were turned away. The first is told at once, those that follow for the same reason
/// with their number.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Turned {
    /// The stream that was asked for.
    pub stream: StreamName,
    /// Why, for machines: `limit`, `draining`, `unsupported`, `already_published`, `timeout` …
    pub reason: String,
    /// Why, for a person.
    pub detail: String,
    /// How many they were; what was asked for is what the last of them asked for.
    pub times: u32,
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
    /// The node stopped.
    Stopped,
    /// A reason of a newer node.
    #[serde(other)]
    Unknown,
}

impl fmt::Display for ViewerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
