//! Asking another node: a deadline, typed errors, and a retry where that can help.

use std::time::{Duration, Instant};

use async_nats::{HeaderMap, Request, RequestErrorKind};
use serde::de::DeserializeOwned;

use super::{Broker, TRACE_HEADER};
use crate::protocol::codec::{self, DecodeError, Reply};
use crate::protocol::edge::{EdgeCall, EdgeRequest};
use crate::protocol::ids::NodeName;
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
        node: &NodeName,
        call: C,
        trace: Trace,
    ) -> Result<C::Reply, CallError> {
        let request: EdgeRequest = call.into();
        let subject = self.inner.subjects.edge(request.room(), node);
        self.call(subject, node, request.name(), &request, trace).await
    }

    /// Asks an origin or relay.
    ///
    /// # Errors
    /// [`CallError`].
    pub async fn call_origin<C: OriginCall>(
        &self,
        node: &NodeName,
        call: C,
        trace: Trace,
    ) -> Result<C::Reply, CallError> {
        let request: OriginRequest = call.into();
        let subject = self.inner.subjects.origin(request.room(), node);
        self.call(subject, node, request.name(), &request, trace).await
    }

    async fn call<M: serde::Serialize, R: DeserializeOwned>(
        &self,
        subject: String,
        node: &NodeName,
        name: &'static str,
        message: &M,
        trace: Trace,
    ) -> Result<R, CallError> {
        let payload: bytes::Bytes =
            codec::encode(message).map_err(|error| CallError::Unsendable(error.to_string()))?.into();
        let started = Instant::now();
        let mut tries = 0;
        // Every request of the protocol is idempotent, so that asking again is always safe.
        let result = loop {
            tries += 1;
            let left = self.inner.request_timeout.saturating_sub(started.elapsed());
            let result = self.attempt(&subject, node, payload.clone(), left, trace).await;
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
        payload: bytes::Bytes,
        timeout: Duration,
        trace: Trace,
    ) -> Result<R, CallError> {
        if !self.is_connected() {
            return Err(CallError::Offline);
        }
        let mut headers = HeaderMap::new();
        headers.insert(TRACE_HEADER, trace.to_string().as_str());
        let request = Request::new().headers(headers).payload(payload).timeout(Some(timeout));
        let reply = self.inner.client.send_request(subject.to_owned(), request).await;
        let reply = reply.map_err(|error| match error.kind() {
            RequestErrorKind::NoResponders => CallError::NoResponders(node.clone()),
            RequestErrorKind::TimedOut => CallError::Timeout(node.clone()),
            _ => CallError::Unsendable(error.to_string()),
        })?;
        match codec::decode::<Reply<R>>(&reply.payload, self.inner.message_bytes)? {
            Reply::Ok(answer) => Ok(answer),
            Reply::Error(refusal) => Err(CallError::Refused(refusal)),
        }
    }
}
