//! What can go wrong for a publisher or a player.

use str0m::error::{RtcError, SdpError};

/// Why publishing or watching did not start, or did not end well.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClientError {
    /// The address given is no URL.
    #[error("{url} is not a URL: {reason}; write it like http://host:port/path")]
    Url {
        /// What was given.
        url: String,
        /// What is wrong with it.
        reason: String,
    },
    /// No HTTP answer came.
    #[error("cannot reach {url}: {reason}")]
    Unreachable {
        /// What was asked.
        url: String,
        /// The innermost cause, such as "connection refused".
        reason: String,
    },
    /// The server refused.
    #[error("{url} answered {status}{}", explain(.title, .detail))]
    Refused {
        /// What was asked.
        url: String,
        /// The HTTP status code.
        status: u16,
        /// The title of the problem (RFC 9457), or the reason phrase.
        title: String,
        /// The detail of the problem, or the beginning of the body.
        detail: Option<String>,
    },
    /// Nobody was publishing, for as long as the player was told to wait.
    #[error("{url} is not live{}", explain("", .detail))]
    NotLive {
        /// What was asked.
        url: String,
        /// The detail of the problem as the server tells it.
        detail: Option<String>,
    },
    /// The server sent this client round and round, or from https to http.
    #[error("{url} redirects too often, or to an address that is not encrypted")]
    Redirects {
        /// The last address.
        url: String,
    },
    /// The answer is not what WHIP or WHEP promise.
    #[error("{url} does not speak WHIP or WHEP: {reason}")]
    Protocol {
        /// What was asked.
        url: String,
        /// What is missing.
        reason: &'static str,
    },
    /// The session description of the server cannot be read.
    #[error("the server's session description cannot be read: {0}")]
    Sdp(#[from] SdpError),
    /// The WebRTC stack refused a session description or stopped.
    #[error("the WebRTC session failed: {0}")]
    Rtc(#[from] RtcError),
    /// No UDP socket could be opened.
    #[error("cannot open a UDP socket towards the server: {0}")]
    Socket(#[from] std::io::Error),
    /// The HTTP client could not be built.
    #[error("cannot set up HTTPS: {0}")]
    Https(String),
    /// Neither audio nor video was asked for, or the clip has none of it.
    #[error("there is nothing to send or to receive: ask for audio or video, and give a clip that has it")]
    Nothing,
    /// The server took none of the media offered.
    #[error("the server accepts none of the codecs offered ({0})")]
    Codecs(String),
}

fn explain(title: &str, detail: &Option<String>) -> String {
    let detail = detail.as_deref().unwrap_or_default();
    match (title.is_empty(), detail.is_empty()) {
        (true, true) => String::new(),
        (false, true) => format!(" {title}"),
        (true, false) => format!(": {detail}"),
        (false, false) => format!(" {title}: {detail}"),
    }
}
