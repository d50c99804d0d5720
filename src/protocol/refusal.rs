//! Why a node did not do what another asked.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::ids::Peer;

/// The kind of a refusal: what the asking node acts on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub enum Code {
    /// The bytes are no message of this protocol.
    Malformed,
    /// The message is larger than the node accepts.
    TooLarge,
    /// The message is of a version that the node doesn't speak.
    WrongVersion,
    /// The node doesn't carry that room.
    UnknownRoom,
    /// The room has no such stream here.
    UnknownStream,
    /// The pipe is unknown: closed meanwhile, or from before a restart.
    UnknownPipe,
    /// The pipe has no such producer.
    UnknownProducer,
    /// The room's inbox is full: ask again shortly.
    Busy,
    /// No port is left in the pipe port range.
    NoPorts,
    /// A configured limit is reached.
    Limit,
    /// The node feeds as many others as it may: `candidates` are such that have the stream from it.
    Full,
    /// The room may not be carried in the region (`rooms.residency`).
    Residency,
    /// The node takes nothing new.
    Draining,
    /// The path from the origin would lead through the asking node again.
    Loop,
    /// The media worker failed or refused.
    Media,
    /// No join with this token was made here: an edge takes a pipe from nobody whom it didn't ask.
    Unasked,
    /// The edge can't take this producer, as it lacks the codec: the others flow.
    Unsupported,
    /// The pipe must be encrypted (`pipe.srtp`).
    Insecure,
    /// The edge knows another publication of the stream as the one that holds.
    Superseded,
    /// It may not do that.
    Forbidden,
    /// What it needs isn't there yet: the reason names what comes first.
    WrongOrder,
    /// There is no such session (any more): begin another.
    UnknownSession,
    /// The session has no such connection.
    UnknownTransport,
    /// The session has no such consumer.
    UnknownConsumer,
    /// Nobody of that name is in the room.
    UnknownParticipant,
    /// Somebody else has that name, and it may not be taken over.
    NameTaken,
    /// A moderator lets nobody new in.
    Locked,
    /// What was asked for didn't come in time.
    Timeout,
    /// A code of a newer node.
    #[serde(other)]
    Unknown,
}

impl Code {
    /// Whether asking again shortly may succeed.
    pub fn passes(self) -> bool {
        matches!(self, Self::Busy | Self::NoPorts | Self::Limit | Self::Full | Self::Media)
    }

    /// The code as it is written on the wire and in metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Malformed => "malformed",
            Self::TooLarge => "tooLarge",
            Self::WrongVersion => "wrongVersion",
            Self::UnknownRoom => "unknownRoom",
            Self::UnknownStream => "unknownStream",
            Self::UnknownPipe => "unknownPipe",
            Self::UnknownProducer => "unknownProducer",
            Self::Busy => "busy",
            Self::NoPorts => "noPorts",
            Self::Limit => "limit",
            Self::Full => "full",
            Self::Residency => "residency",
            Self::Draining => "draining",
            Self::Loop => "loop",
            Self::Media => "media",
            Self::Unasked => "unasked",
            Self::Unsupported => "unsupported",
            Self::Insecure => "insecure",
            Self::Superseded => "superseded",
            Self::Forbidden => "forbidden",
            Self::WrongOrder => "wrongOrder",
            Self::UnknownSession => "unknownSession",
            Self::UnknownTransport => "unknownTransport",
            Self::UnknownConsumer => "unknownConsumer",
            Self::UnknownParticipant => "unknownParticipant",
            Self::NameTaken => "nameTaken",
            Self::Locked => "locked",
            Self::Timeout => "timeout",
            Self::Unknown => "unknown",
        }
    }
}

/// A refusal: a code to act on and a sentence to read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, thiserror::Error)]
#[serde(rename_all = "camelCase")]
#[error("{}: {reason}", code.as_str())]
pub struct Refusal {
    /// What kind it is.
    pub code: Code,
    /// What happened, for a person.
    pub reason: String,
    /// Whom to ask instead, the best first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub candidates: Vec<Peer>,
}

impl Refusal {
    /// A refusal of `code` for `reason`.
    pub fn new(code: Code, reason: impl Into<String>) -> Self {
        Self { code, reason: reason.into(), candidates: Vec::new() }
    }
}
