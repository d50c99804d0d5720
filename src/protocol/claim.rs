//! What a node says of its own streams, on `room.<room>.stream.<stream>.<node>`.

use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::data::{Channel, ProducerKind};
use super::ids::{NodeName, Peer, ProducerId, PublicationId, RoomId, StreamName};
use super::rtp::{AppData, AppDataJson};

/// A node's word that it has a stream's publisher, or has it no more: the only truth about streams.
///
/// Of two live claims to a stream the higher ([`Claim::rank`]) wins, on every node alike.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Claim {
    /// The room.
    pub room_id: RoomId,
    /// The stream.
    pub stream: StreamName,
    /// One more than the highest that the origin had heard of this stream when it went live.
    pub term: u64,
    /// The publication that this is about.
    pub publication: PublicationId,
    /// The node where it is published: whoever says this.
    pub origin: Peer,
    /// The number of this change among all that its origin has claimed, from 1: later ones hold.
    pub revision: u64,
    /// Live, or ended and why.
    pub state: StreamState,
    /// Whether media comes from the publisher; a muted one sends none.
    pub flowing: bool,
    /// Whether the publication took the stream's name from another that was live.
    pub takeover: bool,
    /// What the publisher sends; empty once ended.
    pub producers: Vec<ClaimedProducer>,
    /// The nodes that the media passed before its origin's own; empty for a publisher of its own.
    #[serde(default)]
    pub path: Vec<NodeName>,
    /// When the publication started, by the clock of its origin: for people.
    pub started_at: DateTime<Utc>,
    /// Whether it is a participant that came by the session API: one stays without sending anything.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub participant: bool,
    /// Whether it is a moderator's that lets nobody new into the room for as long as it is there.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub locks: bool,
    /// Free for the application: what the participant said of itself.
    #[serde(default, skip_serializing_if = "AppData::is_empty")]
    pub app_data: AppData,
}

/// What decides between two claims to one stream: causal order, never a clock.
pub type Rank = (u64, PublicationId);

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
    /// A moderator of the room ended it.
    Removed,
    /// The publisher's token, or what it was allowed, has expired.
    Expired,
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

/// A producer as its origin claims it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ClaimedProducer {
    /// The producer.
    pub id: ProducerId,
    /// Audio, video or messages.
    pub kind: ProducerKind,
    /// Its codec, as `video/VP8`; empty where it sends messages.
    pub mime_type: String,
    /// Whether it is paused.
    pub paused: bool,
    /// How many layers it sends (simulcast encodings).
    pub encodings: u8,
    /// What it is, in the words of whoever made it: `camera`, `screen`; empty where nobody said.
    #[serde(default, skip_serializing_if = "str::is_empty")]
    pub label: Box<str>,
    /// Free for the application.
    #[serde(default, skip_serializing_if = "AppData::is_empty")]
    pub app_data: AppData,
    /// How its messages are delivered; none of media.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub channel: Option<Box<Channel>>,
}

/// The most producers that a claim may have.
const MAX_PRODUCERS: usize = 64;
/// The longest codec name, in bytes.
const MAX_MIME_TYPE: usize = 64;
/// The longest label of a producer, in bytes.
pub const MAX_LABEL: usize = 64;
/// The most that an application may attach to a participant or a producer, in bytes of JSON.
pub const MAX_APP_DATA: usize = 4 * 1024;
/// The longest path: a stream that passed more nodes than this is going round in circles.
pub const MAX_PATH: usize = 16;

impl Claim {
    /// Whether the stream can be watched.
    pub fn is_live(&self) -> bool {
        self.state == StreamState::Live
    }

    /// Why the stream is over; none while it is live.
    pub fn end(&self) -> Option<EndReason> {
        match self.state {
            StreamState::Live => None,
            StreamState::Ended(reason) => Some(reason),
        }
    }

    /// What decides between two live claims: the higher wins.
    pub fn rank(&self) -> Rank {
        (self.term, self.publication)
    }

    /// Whether its parts have sizes that an honest node sends.
    pub fn is_sound(&self) -> bool {
        self.producers.len() <= MAX_PRODUCERS
            && self.path.len() <= MAX_PATH
            && self.app_data.get().is_none_or(is_small)
            && self.producers.iter().all(ClaimedProducer::is_sound)
    }

    /// The same publication, over.
    #[must_use]
    pub fn ended(&self, reason: EndReason) -> Self {
        Self {
            state: StreamState::Ended(reason),
            flowing: false,
            locks: false,
            producers: Vec::new(),
            ..self.clone()
        }
    }
}

impl ClaimedProducer {
    fn is_sound(&self) -> bool {
        self.mime_type.len() <= MAX_MIME_TYPE
            && self.label.len() <= MAX_LABEL
            && self.app_data.get().is_none_or(is_small)
            && self.kind.is_data() == self.channel.is_some()
            && self.channel.as_ref().is_none_or(|channel| channel.is_sound())
    }
}

/// Whether what an application attaches is no larger than it may be ([`MAX_APP_DATA`]).
pub fn is_small(app_data: &AppDataJson) -> bool {
    app_data.is_empty() || serde_json::to_vec(app_data).is_ok_and(|bytes| bytes.len() <= MAX_APP_DATA)
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
            Self::Removed => "removed",
            Self::Expired => "expired",
            Self::Drained => "drained",
            Self::Media => "media",
            Self::Lost => "lost",
            Self::Unknown => "unknown",
        }
    }
}
