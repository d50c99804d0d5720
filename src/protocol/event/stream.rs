//! What happens to a stream.

use chrono::{DateTime, Utc};
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
    /// Whether it is a participant, who came by the session API and may send nothing.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub participant: bool,
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

/// What is wrong with what a publisher sends, though its stream is live.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum WarningKind {
    /// Nothing of a track has ever arrived.
    NoMedia,
    /// Packets arrive that belong to no track: another SSRC than the description's, or than before.
    UnknownPackets,
    /// Video arrives, and no key frame.
    NoKeyFrame,
    /// H.264 whose parameter sets stand in the description only.
    NoParameterSets,
    /// Pictures come in another order than they are shown in.
    BFrames,
    /// Key frames are too far apart, and not sent on request.
    KeyFrameInterval,
    /// A kind of a newer node.
    #[serde(other)]
    Unknown,
}

impl WarningKind {
    /// The kind as it is written on the wire and in metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NoMedia => "no_media",
            Self::UnknownPackets => "unknown_packets",
            Self::NoKeyFrame => "no_key_frame",
            Self::NoParameterSets => "no_parameter_sets",
            Self::BFrames => "b_frames",
            Self::KeyFrameInterval => "key_frame_interval",
            Self::Unknown => "unknown",
        }
    }
}

/// Something that is wrong with a stream now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Warning {
    /// What.
    pub kind: WarningKind,
    /// Since when, by its origin's clock.
    pub since: DateTime<Utc>,
    /// What it means and what to do, for a person.
    pub detail: String,
}

/// A live stream can't be watched well because of what its publisher sends.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct StreamWarning {
    /// The stream.
    pub stream: StreamName,
    /// Its term: of two publications that claim the stream the higher (term, publication) holds.
    pub term: u64,
    /// The publication.
    pub publication: PublicationId,
    /// What is wrong.
    pub kind: WarningKind,
    /// What it means and what to do, for a person.
    pub detail: String,
}

/// What was wrong with a stream is so no more.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct StreamCleared {
    /// The stream.
    pub stream: StreamName,
    /// Its term: of two publications that claim the stream the higher (term, publication) holds.
    pub term: u64,
    /// The publication.
    pub publication: PublicationId,
    /// What was wrong.
    pub kind: WarningKind,
    /// For how long, in milliseconds.
    pub duration_ms: u64,
}
