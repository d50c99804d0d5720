//! How messages travel: the only folder that knows NATS.
//!
//! A [`Broker`] is a cheap handle. Requests go out by [`Broker::call_edge`], [`Broker::call_origin`] and
//! [`Broker::get_claims`]; what other nodes ask comes in by [`Requests`]. What a node says of itself goes
//! out by [`Broker::say_present`] and [`Broker::publish_claim`]; what all say comes in by [`Hearing`]. What
//! happens goes out and comes in by [`events`].

mod asked;
mod authorize;
mod call;
mod claims;
mod connect;
mod credentials;
mod directory;
mod discovery;
mod drain;
pub mod events;
mod gate;
mod hear;
mod levels;
mod presence;
mod rtc;
mod serve;
mod session;

use std::sync::Arc;
use std::time::Duration;

use async_nats::jetstream::stream::StorageType;
use tokio::sync::watch;

use crate::config::{Nats, Storage};
use crate::protocol::ids::{NodeName, Peer};
use crate::protocol::subjects::Subjects;
use crate::telemetry::Metrics;

pub use asked::{Inbound, InboundBody};
pub use authorize::AuthorizeError;
pub use call::CallError;
pub use connect::ConnectError;
pub use drain::DrainAsked;
pub use gate::{GateHearing, GateNews};
pub use hear::Hearing;
pub use rtc::RtcInbound;
pub use serve::{Inboxes, Requests};
pub use session::SessionAsked;

/// A log filter for NATS's library, which tells each event that we tell too; later filters win over it.
pub const LIBRARY_LOG: &str = "async_nats=warn";

/// The header that carries the trace (W3C Trace Context).
const TRACE_HEADER: &str = "traceparent";

/// How long is waited before a subscription that ended is made again.
const SUBSCRIBE_AGAIN: Duration = Duration::from_millis(500);

/// A node's connection to NATS. Cloning shares it; [`Broker::close`] ends it for all.
#[derive(Debug, Clone)]
pub struct Broker {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    client: async_nats::Client,
    jetstream: async_nats::jetstream::Context,
    subjects: Subjects,
    config: Nats,
    /// Other JetStream domains whose logs are read too.
    domains: Vec<NodeName>,
    me: Peer,
    request_timeout: Duration,
    message_bytes: usize,
    connected: watch::Receiver<bool>,
    served: discovery::Served,
    metrics: Arc<Metrics>,
}

impl Broker {
    /// Whether NATS is connected, as it changes.
    pub fn connected(&self) -> watch::Receiver<bool> {
        self.inner.connected.clone()
    }

    /// Whether NATS is connected now.
    pub fn is_connected(&self) -> bool {
        *self.inner.connected.borrow()
    }

    /// Where JetStream keeps what is stored.
    fn storage(&self) -> StorageType {
        match self.inner.config.storage {
            Storage::File => StorageType::File,
            Storage::Memory => StorageType::Memory,
        }
    }

    /// Counts a message of another node.
    fn count_received(&self, message: &'static str, result: &'static str) {
        let labels = [("message", message), ("result", result)];
        self.inner.metrics.messages_received.get_or_create(&labels).inc();
    }

    /// Counts what isn't believed, because another node has no right to say it or no honest one would.
    fn count_refused(&self, reason: &'static str) {
        self.inner.metrics.refused_peers.get_or_create(&[("reason", reason)]).inc();
    }

    /// Sends what is buffered and closes the connection. Waits at most two seconds, and not for a server that
    /// is away.
    pub async fn close(&self) {
        if !self.is_connected() {
            return;
        }
        let drained = async {
            let _ = self.inner.client.flush().await;
            let _ = self.inner.client.drain().await;
        };
        let _ = tokio::time::timeout(Duration::from_secs(2), drained).await;
    }
}
