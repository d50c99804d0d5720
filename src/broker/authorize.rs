//! Asking a service of the operator's own whether a session may start.

use async_nats::{HeaderMap, StatusCode};
use futures_util::StreamExt;

use super::Broker;
use crate::protocol::admission::{Authorize, Verdict};
use crate::protocol::codec::{self, DecodeError, Form};

/// Why nobody said whether a session may start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AuthorizeError {
    /// NATS is not connected.
    #[error("nats is not connected")]
    Offline,
    /// No service listens on the subject.
    #[error("nobody answers on {0}")]
    NoResponders(String),
    /// The answer is none.
    #[error("the answer on {0} can't be read: {1}")]
    Unreadable(String, DecodeError),
    /// The question can't be sent.
    #[error("the question can't be sent: {0}")]
    Unsendable(String),
}

impl Broker {
    /// Asks on `auth.<action>`, and waits for as long as the caller does. The answer is a message of the
    /// protocol, or for services without its codec JSON: `{"allow": true}`.
    ///
    /// # Errors
    /// [`AuthorizeError`].
    pub async fn authorize(&self, question: &Authorize) -> Result<Verdict, AuthorizeError> {
        if !self.is_connected() {
            return Err(AuthorizeError::Offline);
        }
        let unsendable = |error: &dyn std::fmt::Display| AuthorizeError::Unsendable(error.to_string());
        let subject = self.inner.subjects.authorize(question.action);
        let payload = codec::encode(question).map_err(|error| unsendable(&error))?;
        let client = &self.inner.client;
        let inbox = client.new_inbox();
        let mut replies = client.subscribe(inbox.clone()).await.map_err(|error| unsendable(&error))?;
        client
            .publish_with_reply_and_headers(subject.clone(), inbox, HeaderMap::new(), payload.into())
            .await
            .map_err(|error| unsendable(&error))?;
        while let Some(reply) = replies.next().await {
            if reply.status == Some(StatusCode::NO_RESPONDERS) && reply.payload.is_empty() {
                return Err(AuthorizeError::NoResponders(subject));
            }
            match verdict(&reply.payload, self.inner.message_bytes) {
                Some(Ok(verdict)) => return Ok(verdict),
                Some(Err(error)) => return Err(AuthorizeError::Unreadable(subject, error)),
                None => {}
            }
        }
        // The connection was closed.
        Err(AuthorizeError::Offline)
    }
}

/// What a reply says; none for JSON that is no verdict, such as the acknowledgement of a JetStream stream that
/// captures the subject.
fn verdict(payload: &[u8], limit: usize) -> Option<Result<Verdict, DecodeError>> {
    if Form::of(payload) == Form::Json {
        return serde_json::from_slice(payload).ok().map(Ok);
    }
    Some(codec::decode(payload, limit))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_verdict_comes_as_a_message_or_as_json() {
        let allow = Verdict { allow: true, reason: None, expires_at: None };
        let read = |payload: &[u8]| verdict(payload, 1024).map(Result::unwrap);
        assert_eq!(read(br#"{"allow":true}"#), Some(allow.clone()));
        assert_eq!(read(&codec::encode(&allow).unwrap()), Some(allow));
        assert_eq!(read(br#"{"stream":"AUDIT","seq":7}"#), None, "no verdict, however it came here");
        let denied =
            read(br#" {"allow":false,"reason":"not paid","expiresAt":"2026-01-02T03:04:05Z"}"#).unwrap();
        assert_eq!((denied.allow, denied.reason.as_deref()), (false, Some("not paid")));
        assert!(verdict(b"yes", 1024).unwrap().is_err());
    }
}
