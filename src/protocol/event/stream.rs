//! What happens to a stream.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::protocol::claim::{ClaimedProducer, EndReason};
use crate::protocol::ids::{PublicationId, StreamName};

/// A publisher has connected: its stream is live.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct StreamStarted {
    /// The stream.
    pub stream: StreamName,
    /// Its term: of two publications that claim the stream the higher (term, publication) holds.
    #[serde(default)]
    pub term: u64,
    /// This publication of it.
    pub publication: PublicationId,
    /// What the publisher sends.
    pub producers: Vec<ClaimedProducer>,
    /// Whether it took the name from another publisher.
    pub takeover: bool,
}

/// A stream was paused or resumed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct StreamChanged {
    /// The stream.
    pub stream: StreamName,
    /// Its term: of two publications that claim the stream the higher (term, publication) holds.
    #[serde(default)]
    pub term: u64,
    /// The publication.
    pub publication: PublicationId,
    /// What the publisher sends now.
    pub producers: Vec<ClaimedProducer>,
}

/// A stream is over.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct StreamEnded {
    /// The stream.
    pub stream: StreamName,
    /// Its term: of two publications that claim the stream the higher (term, publication) holds.
    #[serde(default)]
    pub term: u64,
    /// The publication.
    pub publication: PublicationId,
    /// Why.
    pub reason: EndReason,
    /// How long it was live, in milliseconds.
    pub duration_ms: u64,
    /// Bytes of media received from the publisher.
    pub bytes: u64,
}

/// A stream has come back to viewers that had kept waiting for it.
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

/// Key frames were asked for unusually often.
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
