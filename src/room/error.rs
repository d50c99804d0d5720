//! Why a publisher or viewer was not served.

use std::time::Duration;

use crate::protocol::media::MediaError;

/// Why a publisher or viewer was not served; nothing was kept of it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RoomError {
    /// The stream is not published now.
    #[error("the stream is not live; ask again after {}", humantime::format_duration(*.retry_after))]
    NotLive {
        /// When to ask again.
        retry_after: Duration,
    },
    /// The stream is published, but nobody who has it can be heard now.
    #[error("the stream's node can't be reached now; ask again after {}", humantime::format_duration(*.retry_after))]
    Unheard {
        /// When to ask again.
        retry_after: Duration,
    },
    /// The stream did not arrive from its source in time.
    #[error("the stream did not arrive from its source in time")]
    JoinTimeout,
    /// Someone else publishes the stream, and takeover is not allowed.
    #[error("the stream is already published, and media.takeover is 'reject'")]
    AlreadyPublished {
        /// When to ask again: by then a publisher whose media has stopped doesn't count.
        retry_after: Duration,
    },
    /// The stream was taken over a moment ago: two publishers that both come back by themselves would
    /// replace each other for ever.
    #[error(
        "another publisher has just taken this stream over; end it, or publish again after {}",
        humantime::format_duration(Duration::from_secs(.retry_after.as_secs() + 1))
    )]
    TakenOver {
        /// When it may be taken over again.
        retry_after: Duration,
    },
    /// A publisher's connection was not made.
    #[error(
        "its connection was not made within {}: can it reach what webrtc.announced (or webrtc.listen) names?",
        humantime::format_duration(Duration::from_secs(.after.as_secs().max(1)))
    )]
    NeverConnected {
        /// For how long it was waited for.
        after: Duration,
    },
    /// The node looks whether its name is free, and what is live.
    #[error("the node is starting; ask again shortly, or another")]
    Starting,
    /// The node takes nothing new.
    #[error("the node is draining; use another")]
    Draining,
    /// The node is not there for this.
    #[error("this node does not take {0}: see node.roles")]
    Role(&'static str),
    /// The room may not be here.
    #[error("this room may be published and watched in {0} alone: use a node there (rooms.residency)")]
    Residency(String),
    /// A configured limit is reached.
    #[error("limits.{0} is reached")]
    Limit(&'static str),
    /// Too many messages wait for the room.
    #[error("the room is busy; ask again shortly")]
    Busy,
    /// The viewer can't decode the stream, or the publisher's media don't fit.
    #[error("{0}")]
    Unsupported(String),
    /// An operator ended it.
    #[error("an operator ended this session")]
    Kicked,
    /// There is no such session (any more).
    #[error("there is no such session")]
    NoSession,
    /// A PATCH needs an `If-Match` header, and `http.strict_etags` is set.
    #[error("send If-Match: the session's ETag to trickle, '*' to restart ICE")]
    NoEtag,
    /// The `If-Match` header names another ICE session.
    #[error("If-Match names another ICE session than the current one")]
    StaleEtag,
    /// The session has its description already.
    #[error("this session was answered already, by another description; start a new one")]
    Answered,
    /// There is no such stream here.
    #[error("there is no such stream on this node")]
    NoStream,
    /// The media worker failed.
    #[error("media failed: {0}")]
    Media(String),
    /// The node is stopping.
    #[error("the node is stopping")]
    Stopped,
}

impl From<MediaError> for RoomError {
    fn from(error: MediaError) -> Self {
        match error {
            MediaError::Unsupported(why) => Self::Unsupported(why),
            MediaError::UnknownSession => Self::NoSession,
            MediaError::TooManyLayouts => Self::Limit("payload_layouts"),
            other => Self::Media(other.to_string()),
        }
    }
}

impl RoomError {
    /// The error as metrics name it.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::NotLive { .. } => "not_live",
            Self::JoinTimeout => "timeout",
            Self::AlreadyPublished { .. } => "already_published",
            Self::TakenOver { .. } => "taken_over",
            Self::Unheard { .. } => "unheard",
            Self::NeverConnected { .. } => "never_connected",
            Self::Starting => "starting",
            Self::Draining => "draining",
            Self::Role(_) => "role",
            Self::Residency(_) => "residency",
            Self::Limit(_) => "limit",
            Self::Busy => "busy",
            Self::Unsupported(_) => "unsupported",
            Self::Kicked => "kicked",
            Self::NoSession => "no_session",
            Self::NoEtag => "no_etag",
            Self::StaleEtag => "stale_etag",
            Self::Answered => "answered",
            Self::NoStream => "no_stream",
            Self::Media(_) => "media",
            Self::Stopped => "stopped",
        }
    }
}
