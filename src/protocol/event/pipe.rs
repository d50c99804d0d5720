//! What happens to a pipe.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::protocol::ids::{Peer, PipeId, StreamName};

/// A pipe is being opened.
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

/// A pipe carries media.
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

/// An attempt at a pipe failed, or an open pipe did.
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

/// A pipe was closed.
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
