//! What a server keeps of a client: a resource that takes our answer and is deleted at the end.

use reqwest::{Method, StatusCode, Url};

use super::ClientError;
use super::http::{Http, Reply, Request};

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
