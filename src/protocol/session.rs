//! What a client asks of its WHIP or WHEP session, carried from the node that it reached to the one that has the
//! session: asked on `node.<node>.session`.
//!
//! The node that has the session makes the whole answer; the other one hands it to the client as it is.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::ids::{RoomId, SessionId, StreamName};

/// The longest body of a request or an answer, in bytes: a description of many m-lines has a tenth of it.
pub const MAX_BODY: usize = 48 * 1024;
/// The longest value of a header, in bytes.
pub const MAX_HEADER: usize = 1024;

/// The most events that a listener may ask for.
pub const MAX_EVENTS: usize = 32;

/// Which session: all of it together can't be guessed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SessionAt {
    /// Its room.
    pub room_id: RoomId,
    /// Its stream.
    pub stream: StreamName,
    /// The session.
    pub session: SessionId,
}

/// Asks whether a session is there (GET).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LookAtSession {
    /// The session.
    pub at: SessionAt,
}

/// Ends a session (DELETE). One that ended a short while ago is as good.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct EndSession {
    /// The session.
    pub at: SessionAt,
}

/// Brings candidates, an ICE restart, or the answer to a counter-offer (PATCH).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PatchSession {
    /// The session.
    pub at: SessionAt,
    /// What the body is.
    pub kind: PatchKind,
    /// The ETag that the client holds for the right one (RFC 9725 section 4.3).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub if_match: Option<String>,
    /// The body.
    pub body: String,
}

/// What the body of a PATCH is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum PatchKind {
    /// `application/trickle-ice-sdpfrag`.
    Fragment,
    /// `application/sdp`.
    Answer,
}

/// An event that a viewer may be told of (draft-ietf-wish-whep, server-sent events).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum SessionEvent {
    /// The stream's media comes.
    Active,
    /// It comes no more.
    Inactive,
    /// How many watch the stream, on all nodes.
    Viewercount,
    /// The node is on its way out: the viewer is to go on elsewhere.
    Reconnect,
    /// An event of a newer node.
    #[serde(other)]
    Unknown,
}

/// Asks for a listener of a session (POST to its events).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ListenToSession {
    /// The session.
    pub at: SessionAt,
    /// What it wants to hear of.
    pub events: Vec<SessionEvent>,
}

/// Asks what a listener would hear now (GET of its events, every few seconds).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct HearSession {
    /// The session.
    pub at: SessionAt,
    /// The listener.
    pub listener: Uuid,
}

/// Ends a listener (DELETE).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct StopListening {
    /// The session.
    pub at: SessionAt,
    /// The listener.
    pub listener: Uuid,
}

/// What is asked of the node that has a session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum SessionRequest {
    /// See [`LookAtSession`].
    LookAtSession(LookAtSession),
    /// See [`EndSession`].
    EndSession(EndSession),
    /// See [`PatchSession`].
    PatchSession(PatchSession),
    /// See [`ListenToSession`].
    ListenToSession(ListenToSession),
    /// See [`HearSession`].
    HearSession(HearSession),
    /// See [`StopListening`].
    StopListening(StopListening),
}

/// What the client is answered.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SessionAnswer {
    /// The HTTP status.
    pub status: u16,
    /// The body's type; none where there is no body.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content_type: Option<String>,
    /// The new ETag, with its quotes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub etag: Option<String>,
    /// After how many seconds it may go better.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after: Option<u32>,
    /// The body.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub body: String,
}

/// Answers [`ListenToSession`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Listening {
    /// The listener.
    pub listener: Uuid,
}

/// Answers [`HearSession`]: how the session's stream is now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Heard {
    /// What the listener wants to hear of.
    pub events: Vec<SessionEvent>,
    /// Whether the stream's media comes.
    pub active: bool,
    /// Its viewers on all nodes, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub viewers: Option<u32>,
    /// Whether the node is on its way out.
    pub draining: bool,
    /// The endpoint of another node, where one has room, if it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
}

/// What a node answers about a session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum SessionReply {
    /// See [`SessionAnswer`].
    Answer(SessionAnswer),
    /// See [`Listening`].
    Listening(Listening),
    /// See [`Heard`].
    Heard(Heard),
}

impl SessionEvent {
    /// All that there are.
    pub const ALL: [Self; 4] = [Self::Active, Self::Inactive, Self::Viewercount, Self::Reconnect];

    /// Its name in the draft.
    pub fn name(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Inactive => "inactive",
            Self::Viewercount => "viewercount",
            Self::Reconnect => "reconnect",
            Self::Unknown => "unknown",
        }
    }
}

impl SessionReply {
    /// Whether the node says that there is no such session or listener.
    pub fn is_not_found(&self) -> bool {
        matches!(self, Self::Answer(answer) if answer.status == 404)
    }
}

impl SessionRequest {
    /// The message's name.
    pub fn name(&self) -> &'static str {
        match self {
            Self::LookAtSession(_) => "lookAtSession",
            Self::EndSession(_) => "endSession",
            Self::PatchSession(_) => "patchSession",
            Self::ListenToSession(_) => "listenToSession",
            Self::HearSession(_) => "hearSession",
            Self::StopListening(_) => "stopListening",
        }
    }

    /// The session.
    pub fn at(&self) -> &SessionAt {
        match self {
            Self::LookAtSession(LookAtSession { at })
            | Self::EndSession(EndSession { at })
            | Self::PatchSession(PatchSession { at, .. })
            | Self::ListenToSession(ListenToSession { at, .. })
            | Self::HearSession(HearSession { at, .. })
            | Self::StopListening(StopListening { at, .. }) => at,
        }
    }

    /// Whether its parts have sizes that an honest node sends.
    pub fn is_sound(&self) -> bool {
        match self {
            Self::PatchSession(PatchSession { if_match, body, .. }) => {
                body.len() <= MAX_BODY && if_match.as_ref().is_none_or(|tag| tag.len() <= MAX_HEADER)
            }
            Self::ListenToSession(ListenToSession { events, .. }) => events.len() <= MAX_EVENTS,
            _ => true,
        }
    }
}
