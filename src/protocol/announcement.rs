//! The announcement of a stream, on `room.<room>.stream.<stream>`: the registry and its log.

use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::ids::{Peer, ProducerId, PublicationId, RoomId, StreamName};
use super::rtp::MediaKind;
use super::schema;

/// The whole state of a stream. The last one on its subject holds; its JetStream sequence number is
/// the stream's epoch, and writing it expects the epoch that the writer knew.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Announcement {
    /// The room.
    pub room_id: RoomId,
    /// The stream.
    pub stream: StreamName,
    /// The publication that this is about.
    pub publication: PublicationId,
    /// The node where it is published.
    pub origin: Peer,
    /// Live, or ended and why.
    pub state: StreamState,
    /// What the publisher sends; empty once ended.
    pub producers: Vec<AnnouncedProducer>,
    /// When the publication started.
    pub started_at: DateTime<Utc>,
}

/// Whether a stream can be watched.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum StreamState {
    /// It can.
    Live,
    /// It is over.
    Ended(EndReason),
}

/// Why a stream ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub enum EndReason {
    /// The publisher said so.
    Unpublished,
    /// The publisher's connection failed.
    Disconnected,
    /// The publisher sent nothing for too long.
    Silent,
    /// Another publisher took the stream's name.
    Replaced,
    /// An operator ended it.
    Closed,
    /// The origin drained.
    Drained,
    /// The media worker failed.
    Media,
    /// The origin vanished.
    Lost,
    /// A reason of a newer node.
    #[serde(other)]
    Unknown,
}

/// A producer as it is announced.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AnnouncedProducer {
    /// The producer.
    pub id: ProducerId,
    /// Audio or video.
    #[schemars(schema_with = "schema::media_kind")]
    pub kind: MediaKind,
    /// Its codec, as `video/VP8`.
    pub mime_type: String,
    /// Whether it is paused.
    pub paused: bool,
    /// How many layers it sends (simulcast encodings).
    pub encodings: u8,
}

impl Announcement {
    /// Whether the stream can be watched.
    pub fn is_live(&self) -> bool {
        self.state == StreamState::Live
    }

    /// The same publication, over.
    #[must_use]
    pub fn ended(&self, reason: EndReason) -> Self {
        Self { state: StreamState::Ended(reason), producers: Vec::new(), ..self.clone() }
    }
}

impl EndReason {
    /// The reason as it is written on the wire and in logs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unpublished => "unpublished",
            Self::Disconnected => "disconnected",
            Self::Silent => "silent",
            Self::Replaced => "replaced",
            Self::Closed => "closed",
            Self::Drained => "drained",
            Self::Media => "media",
            Self::Lost => "lost",
            Self::Unknown => "unknown",
        }
    }
}
