//! What a server keeps of a client: a resource that takes our answer and is deleted at the end.

use std::time::Duration;

use reqwest::{Method, StatusCode, Url};
use tokio::time::timeout;

use super::http::{Http, Reply, Request, TURN};
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
        let Some(request) = self.request(Method::PATCH, Some(sdp)) else { return Ok(()) };
        let reply = self.http.send_in_turn(&request, Some(TURN)).await?;
        if reply.status.is_success() { Ok(()) } else { Err(reply.refused()) }
    }

    /// Whether a node says that the session is there, and where it would go on.
    /// A server that told no address can't be asked: its connection alone tells.
    pub(super) async fn is_there(&self) -> Result<Vec<Url>, Absent> {
        match timeout(ANSWER, self.ask(Method::GET)).await {
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
        match self.ask(Method::DELETE).await? {
            Some(reply) if reply.status.is_success() => Ok(()),
            Some(reply) if matches!(reply.status, StatusCode::NOT_FOUND | StatusCode::GONE) => Ok(()),
            Some(reply) => Err(reply.refused()),
            None => Ok(()),
        }
    }

    async fn ask(&self, method: Method) -> Result<Option<Reply>, ClientError> {
        match self.request(method, None) {
            Some(request) => self.http.send(&request).await.map(Some),
            None => Ok(None),
        }
    }

    /// A request to the session; none where the server told no address.
    fn request<'a>(&'a self, method: Method, sdp: Option<&'a str>) -> Option<Request<'a>> {
        let (url, token) = (self.url.clone()?, self.token.as_deref());
        Some(Request { method, url, token, sdp, counter_offer: false })
    }
}
