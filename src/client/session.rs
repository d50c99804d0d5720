//! What a server keeps of a client: a resource that takes our answer and is deleted at the end.

use std::time::Duration;

use reqwest::{Method, StatusCode, Url};
use tokio::time::timeout;

use super::http::{Http, Reply, Request};
use super::{ClientError, links};

/// How long a node may take to say that a session is there.
const ANSWER: Duration = Duration::from_millis(800);

/// Why a session is not there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Absent {
    /// A node says that it isn't. Its server may have ended it, and then the connection closes as well.
    Unknown,
    /// Nobody answers.
    Silent,
}

impl Absent {
    /// How long the connection's end may take to arrive.
    pub(super) fn last_word(self) -> Duration {
        match self {
            Self::Unknown => Duration::from_millis(250),
            Self::Silent => Duration::ZERO,
        }
    }
}

/// A WHIP or WHEP session that the server keeps until it is deleted.
#[derive(Debug, Clone)]
pub(super) struct Session {
    http: Http,
    url: Option<Url>,
    token: Option<String>,
}

impl Session {
    pub(super) fn new(http: &Http, token: Option<&str>, reply: &Reply) -> Session {
        Session { http: http.clone(), url: reply.location(), token: token.map(str::to_owned) }
    }

    /// Sends our SDP answer to a counter-offer.
    pub(super) async fn answer(&self, sdp: &str) -> Result<(), ClientError> {
        match self.request(Method::PATCH, Some(sdp)).await? {
            Some(reply) if !reply.status.is_success() => Err(reply.refused()),
            _ => Ok(()),
        }
    }

    /// Whether a node says that the session is there, and where it would go on.
    /// A server that told no address can't be asked: its connection alone tells.
    pub(super) async fn is_there(&self) -> Result<Vec<Url>, Absent> {
        match timeout(ANSWER, self.request(Method::GET, None)).await {
            Ok(Ok(Some(reply))) if reply.status == StatusCode::NOT_FOUND => Err(Absent::Unknown),
            Ok(Ok(Some(reply))) => Ok(links::ways(&reply)),
            Ok(Ok(None)) => Ok(Vec::new()),
            Ok(Err(error)) => {
                tracing::debug!(%error, "the session's node does not answer");
                Err(Absent::Silent)
            }
            Err(_) => Err(Absent::Silent),
        }
    }

    /// Ends the session; one that is already gone is as good.
    pub(super) async fn delete(&self) -> Result<(), ClientError> {
        match self.request(Method::DELETE, None).await? {
            Some(reply) if reply.status.is_success() => Ok(()),
            Some(reply) if matches!(reply.status, StatusCode::NOT_FOUND | StatusCode::GONE) => Ok(()),
            Some(reply) => Err(reply.refused()),
            None => Ok(()),
        }
    }

    async fn request(&self, method: Method, sdp: Option<&str>) -> Result<Option<Reply>, ClientError> {
        let Some(url) = self.url.clone() else {
            return Ok(None);
        };
        let token = self.token.as_deref();
        let request = Request { method, url, token, sdp, counter_offer: false };
        self.http.send(&request).await.map(Some)
    }
}
