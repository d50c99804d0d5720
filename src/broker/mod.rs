//! How messages travel: the only folder that knows NATS.
//!
//! A [`Broker`] is a cheap handle. Requests go out by [`Broker::call_edge`] and
//! [`Broker::call_origin`]; what other nodes ask comes in by [`serve`]; the state of all streams
//! comes in by [`registry`] and goes out by [`Broker::announce`]; what happens goes out and comes in by
//! [`events`].

mod announce;
mod call;
mod connect;
pub mod events;
mod presence;
pub mod registry;
mod serve;

use std::sync::Arc;
use std::time::Duration;

use async_nats::jetstream::stream::StorageType;
use tokio::sync::watch;

use crate::config::{Nats, Storage};
use crate::protocol::ids::Peer;
use crate::protocol::subjects::Subjects;
use crate::telemetry::Metrics;

pub use announce::{AnnounceError, Current};
pub use call::CallError;
pub use connect::ConnectError;
pub use serve::{Inbound, InboundBody};

/// A log filter for NATS's library, which tells each event that we tell too; later filters win over it.
pub const LIBRARY_LOG: &str = "async_nats=warn";

/// The header that carries the trace (W3C Trace Context).
const TRACE_HEADER: &str = "traceparent";

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
    me: Peer,
    request_timeout: Duration,
    message_bytes: usize,
    connected: watch::Receiver<bool>,
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

    /// Sends what is buffered and closes the connection. Waits at most two seconds.
    pub async fn close(&self) {
        let drained = async {
            let _ = self.inner.client.flush().await;
            let _ = self.inner.client.drain().await;
        };
        let _ = tokio::time::timeout(Duration::from_secs(2), drained).await;
    }
}
