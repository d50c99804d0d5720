//! What happens to a pipe.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::protocol::ids::{Peer, PipeId, ProducerId, StreamName};

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

/// A child can't take a producer: the others flow.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PipeRefused {
    /// The pipe.
    pub pipe: PipeId,
    /// The node that can't take it.
    pub to: Peer,
    /// The stream that it belongs to, if that is still here.
    pub stream: Option<StreamName>,
    /// The producer.
    pub producer: ProducerId,
    /// Why, for machines: `unsupported` …
    pub reason: String,
    /// Why, for a person.
    pub detail: String,
}

/// A pipe's media doesn't come though its parent gets and sends it, or no messages can pass. Told by the receiving end, which
/// tries another way.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PipeStarved {
    /// The pipe.
    pub pipe: PipeId,
    /// The node that it comes from.
    pub from: Peer,
    /// The streams that it should bring.
    pub streams: Vec<StreamName>,
    /// Where the other end said that it sends from: what a firewall or `pipe.announced` has to fit.
    pub address: Option<String>,
    /// For how long nothing came, in milliseconds.
    pub silent_ms: u64,
}
