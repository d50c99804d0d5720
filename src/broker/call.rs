//! Asking another node: a deadline, typed errors, and a retry where that can help.

use std::time::{Duration, Instant};

use async_nats::{HeaderMap, StatusCode};
use bytes::Bytes;
use futures_util::StreamExt;
use serde::de::DeserializeOwned;
use tokio::time::timeout;

use super::{Broker, TRACE_HEADER};
use crate::protocol::codec::{self, Addressed, DecodeError, Form, Reply};
use crate::protocol::edge::{EdgeCall, EdgeRequest};
use crate::protocol::ids::{NodeName, Peer};
use crate::protocol::origin::{OriginCall, OriginRequest};
use crate::protocol::refusal::Refusal;
use crate::telemetry::Trace;

/// A node that just came up may not be heard of everywhere yet (interest travels asynchronously).
const NO_RESPONDERS_RETRY: Duration = Duration::from_millis(100);
/// A busy node is asked again after this, and after twice that.
const BUSY_RETRY: Duration = Duration::from_millis(50);
const TRIES: u32 = 3;

/// Why another node gave no answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CallError {
    /// No one listens there: the node is gone.
    #[error("node {0} is not there (no responders)")]
    NoResponders(NodeName),
    /// The node did not answer in time.
    #[error("node {0} did not answer in time")]
    Timeout(NodeName),
    /// NATS is not connected.
    #[error("nats is not connected")]
    Offline,
    /// The node refused.
    #[error("refused: {0}")]
    Refused(#[from] Refusal),
    /// The answer can't be read.
    #[error("unreadable answer: {0}")]
    Unreadable(#[from] DecodeError),
    /// The request can't be sent.
    #[error("request can't be sent: {0}")]
    Unsendable(String),
}

impl CallError {
    /// The error as metrics name it.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::NoResponders(_) => "no_responders",
            Self::Timeout(_) => "timeout",
            Self::Offline => "offline",
            Self::Refused(refusal) => refusal.code.as_str(),
            Self::Unreadable(_) => "unreadable",
            Self::Unsendable(_) => "unsendable",
        }
    }
}

impl Broker {
    /// Asks an edge.
    ///
    /// # Errors
    /// [`CallError`].
    pub async fn call_edge<C: EdgeCall>(
        &self,
        to: &Peer,
        call: C,
        trace: Trace,
    ) -> Result<C::Reply, CallError> {
        let request: EdgeRequest = call.into();
        let (subject, name) = (self.inner.subjects.edge(request.room(), &to.node), request.name());
        let addressed = Addressed { to: to.incarnation, request };
        self.call(subject, &to.node, name, &addressed, trace).await
    }

    /// Asks an origin or relay.
    ///
    /// # Errors
    /// [`CallError`].
    pub async fn call_origin<C: OriginCall>(
        &self,
        to: &Peer,
        call: C,
        trace: Trace,
    ) -> Result<C::Reply, CallError> {
        let request: OriginRequest = call.into();
        let (subject, name) = (self.inner.subjects.origin(request.room(), &to.node), request.name());
        let addressed = Addressed { to: to.incarnation, request };
        self.call(subject, &to.node, name, &addressed, trace).await
    }

    pub(super) async fn call<M: serde::Serialize, R: DeserializeOwned>(
        &self,
        subject: String,
        node: &NodeName,
        name: &'static str,
        message: &M,
        trace: Trace,
    ) -> Result<R, CallError> {
        let payload: Bytes =
            codec::encode(message).map_err(|error| CallError::Unsendable(error.to_string()))?.into();
        let started = Instant::now();
        let mut tries = 0;
        // Every request of the protocol is idempotent, so that asking again is always safe.
        let result = loop {
            tries += 1;
            let left = self.inner.request_timeout.saturating_sub(started.elapsed());
            let attempt = self.attempt(&subject, node, payload.clone(), trace);
            let result =
                timeout(left, attempt).await.unwrap_or_else(|_| Err(CallError::Timeout(node.clone())));
            let pause = match &result {
                Err(CallError::NoResponders(_)) if tries == 1 => NO_RESPONDERS_RETRY,
                Err(CallError::Refused(refusal)) if refusal.code.passes() && tries < TRIES => {
                    BUSY_RETRY * tries
                }
                _ => break result,
            };
            if pause >= left {
                break result;
            }
            tokio::time::sleep(pause).await;
        };
        let metrics = &self.inner.metrics;
        let outcome = result.as_ref().map_or_else(CallError::kind, |_| "ok");
        metrics.messages_sent.get_or_create(&[("message", name), ("result", outcome)]).inc();
        metrics.reply_seconds.get_or_create(&[("message", name)]).observe(started.elapsed().as_secs_f64());
        result
    }

    async fn attempt<R: DeserializeOwned>(
        &self,
        subject: &str,
        node: &NodeName,
        payload: Bytes,
        trace: Trace,
    ) -> Result<R, CallError> {
        if !self.is_connected() {
            return Err(CallError::Offline);
        }
        let unsendable = |error: &dyn std::fmt::Display| CallError::Unsendable(error.to_string());
        let mut headers = HeaderMap::new();
        headers.insert(TRACE_HEADER, trace.to_string().as_str());
        let client = &self.inner.client;
        // An inbox of its own, as the first to reply may not be the node: a JetStream stream of someone
        // else that captures the subject acknowledges what it stores to the same inbox.
        let inbox = client.new_inbox();
        let mut replies = client.subscribe(inbox.clone()).await.map_err(|error| unsendable(&error))?;
        client
            .publish_with_reply_and_headers(subject.to_owned(), inbox, headers, payload)
            .await
            .map_err(|error| unsendable(&error))?;
        while let Some(reply) = replies.next().await {
            if reply.status == Some(StatusCode::NO_RESPONDERS) && reply.payload.is_empty() {
                return Err(CallError::NoResponders(node.clone()));
            }
            if is_acknowledgement(&reply.payload) {
                continue;
            }
            return match codec::decode::<Reply<R>>(&reply.payload, self.inner.message_bytes)? {
                Reply::Ok(answer) => Ok(answer),
                Reply::Error(refusal) => Err(CallError::Refused(refusal)),
            };
        }
        // The connection was closed.
        Err(CallError::Offline)
    }
}

/// Whether a payload is JSON, as JetStream's acknowledgements are and no message of ours.
fn is_acknowledgement(payload: &[u8]) -> bool {
    Form::of(payload) == Form::Json
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::edge::Done;

    #[test]
    fn an_acknowledgement_is_told_from_a_reply() {
        assert!(is_acknowledgement(br#"{"stream":"AUDIT","seq":7}"#));
        assert!(is_acknowledgement(br#"{"error":{"code":503}}"#));
        for reply in
            [Reply::Ok(Done {}), Reply::Error(Refusal::new(crate::protocol::refusal::Code::Busy, "{"))]
        {
            assert!(!is_acknowledgement(&codec::encode(&reply).unwrap()));
        }
        assert!(!is_acknowledgement(b""));
    }
}
