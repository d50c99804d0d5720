//! Why the monitor could not be asked.

use url::Url;

use crate::protocol::ids::RoomId;

/// Why a question to the monitor has no answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(super) enum ApiError {
    /// Nothing answers, or no longer.
    #[error(
        "no monitor answers at {url} ({reason}): start one with `headwater monitor`, or say where it is with --monitor"
    )]
    Unreachable {
        /// Where it was looked for.
        url: Url,
        /// What the network says.
        reason: String,
    },
    /// A token is needed.
    #[error("the monitor at {url} asks for a token: give it with --token or HEADWATER_TOKEN")]
    TokenNeeded {
        /// The monitor.
        url: Url,
    },
    /// The token is not the monitor's.
    #[error(
        "the monitor at {url} does not take this token: give the right one with --token or HEADWATER_TOKEN"
    )]
    TokenRefused {
        /// The monitor.
        url: Url,
    },
    /// The token can't be sent at all.
    #[error("the token holds characters that no token has: copy it again, without line breaks")]
    TokenUnreadable,
    /// Nothing is known of the room then.
    #[error("nothing is known of room {room} at that moment: see `headwater rooms --all`")]
    UnknownRoom {
        /// The room.
        room: RoomId,
    },
    /// The monitor refuses for another reason.
    #[error("the monitor at {url} answered {status} {title}")]
    Refused {
        /// The monitor.
        url: Url,
        /// The HTTP status.
        status: u16,
        /// What it says about it.
        title: String,
    },
    /// The answer is not a monitor's, or one of another version.
    #[error("{url} answered what this program can't read ({reason}): is it a monitor of the same version?")]
    Unreadable {
        /// Who answered.
        url: Url,
        /// What could not be read.
        reason: String,
    },
    /// The client can't be set up.
    #[error("an HTTP client can't be set up: {0}")]
    Client(String),
}

impl ApiError {
    /// Whether the same question may be answered in a while.
    pub(super) fn may_pass(&self) -> bool {
        match self {
            Self::Unreachable { .. } => true,
            Self::Refused { status, .. } => *status >= 500,
            _ => false,
        }
    }
}
