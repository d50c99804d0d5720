//! The NATS services API: `nats micro ls`, `info` and `stats` show the fleet.
//!
//! The library's own service would put its endpoints into a queue group (see [`super::serve`]), so only its
//! types are used.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_nats::service::{Info, PingResponse, Stats, endpoint};
use async_nats::{Message, SubscribeError, Subscriber};
use chrono::{DateTime, Utc};
use futures_util::StreamExt;
use futures_util::stream::{SelectAll, select_all};

use super::Broker;

/// The service's name.
const NAME: &str = "headwater";

/// What is asked of a node, as the services API counts it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Endpoint {
    Edge,
    Origin,
    Directory,
    Gate,
    Drain,
    Session,
    Rtc,
}

const ENDPOINTS: [Endpoint; 7] = [
    Endpoint::Edge,
    Endpoint::Origin,
    Endpoint::Directory,
    Endpoint::Gate,
    Endpoint::Drain,
    Endpoint::Session,
    Endpoint::Rtc,
];

/// What was served so far, and since when.
#[derive(Debug)]
pub(super) struct Served {
    since: DateTime<Utc>,
    edge: Count,
    origin: Count,
    directory: Count,
    gate: Count,
    drain: Count,
    session: Count,
    rtc: Count,
}

#[derive(Debug, Default)]
struct Count {
    requests: AtomicU64,
    errors: AtomicU64,
    nanos: AtomicU64,
}

impl Served {
    pub(super) fn new() -> Self {
        Self {
            since: Utc::now(),
            edge: Count::default(),
            origin: Count::default(),
            directory: Count::default(),
            gate: Count::default(),
            drain: Count::default(),
            session: Count::default(),
            rtc: Count::default(),
        }
    }

    /// Counts an answer.
    pub(super) fn count(&self, endpoint: Endpoint, took: Duration, ok: bool) {
        let count = self.of(endpoint);
        count.requests.fetch_add(1, Ordering::Relaxed);
        count.errors.fetch_add(u64::from(!ok), Ordering::Relaxed);
        count.nanos.fetch_add(u64::try_from(took.as_nanos()).unwrap_or(0), Ordering::Relaxed);
    }

    fn of(&self, endpoint: Endpoint) -> &Count {
        match endpoint {
            Endpoint::Edge => &self.edge,
            Endpoint::Origin => &self.origin,
            Endpoint::Directory => &self.directory,
            Endpoint::Gate => &self.gate,
            Endpoint::Drain => &self.drain,
            Endpoint::Session => &self.session,
            Endpoint::Rtc => &self.rtc,
        }
    }
}

/// Subscriptions to what is asked of all services, of all of this name, and of this one.
#[derive(Debug)]
pub(super) struct Discovery(SelectAll<Subscriber>);

impl Discovery {
    pub(super) async fn next(&mut self) -> Option<Message> {
        self.0.next().await
    }
}

impl Broker {
    pub(super) async fn discoverable(&self) -> Result<Discovery, SubscribeError> {
        let client = &self.inner.client;
        let id = self.inner.me.incarnation;
        Ok(Discovery(select_all([
            client.subscribe("$SRV.*").await?,
            client.subscribe(format!("$SRV.*.{NAME}")).await?,
            client.subscribe(format!("$SRV.*.{NAME}.{id}")).await?,
        ])))
    }

    /// Answers a question of the services API; verbs that it hasn't stay without an answer.
    pub(super) async fn answer_discovery(&self, question: &Message) {
        let Some(to) = question.reply.clone() else { return };
        let answer = match question.subject.split('.').nth(1) {
            Some("PING") => serde_json::to_vec(&self.pong()),
            Some("INFO") => serde_json::to_vec(&self.service_info()),
            Some("STATS") => serde_json::to_vec(&self.service_stats()),
            _ => return,
        };
        match answer {
            Ok(bytes) => drop(self.inner.client.publish(to, bytes.into()).await),
            Err(error) => tracing::error!(%error, "the service's description can't be written"),
        }
    }

    fn pong(&self) -> PingResponse {
        let Info { name, id, version, metadata, .. } = self.service_info();
        PingResponse { kind: "io.nats.micro.v1.ping_response".to_owned(), name, id, version, metadata }
    }

    fn service_info(&self) -> Info {
        let me = &self.inner.me;
        Info {
            kind: "io.nats.micro.v1.info_response".to_owned(),
            name: NAME.to_owned(),
            id: me.incarnation.to_string(),
            description: "WebRTC with back to source".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            metadata: HashMap::from([
                ("node".to_owned(), me.node.to_string()),
                ("region".to_owned(), me.region.to_string()),
                ("incarnation".to_owned(), me.incarnation.to_string()),
            ]),
            endpoints: ENDPOINTS.map(|endpoint| self.endpoint_info(endpoint)).to_vec(),
        }
    }

    fn endpoint_info(&self, endpoint: Endpoint) -> endpoint::Info {
        let (subjects, me) = (&self.inner.subjects, &self.inner.me.node);
        let (name, subject) = match endpoint {
            Endpoint::Edge => ("edge", subjects.edges_of(me)),
            Endpoint::Origin => ("origin", subjects.origins_of(me)),
            Endpoint::Directory => ("directory", subjects.directory(me)),
            Endpoint::Gate => ("gate", subjects.gate(me)),
            Endpoint::Drain => ("drain", subjects.drain(me)),
            Endpoint::Session => ("session", subjects.session(me)),
            Endpoint::Rtc => ("rtc", subjects.rtc_of(me)),
        };
        endpoint::Info { name: name.to_owned(), subject, ..endpoint::Info::default() }
    }

    fn service_stats(&self) -> Stats {
        let Info { name, id, version, .. } = self.service_info();
        let stats = |endpoint| {
            let endpoint::Info { name, subject, .. } = self.endpoint_info(endpoint);
            let count = self.inner.served.of(endpoint);
            let requests = count.requests.load(Ordering::Relaxed);
            let nanos = count.nanos.load(Ordering::Relaxed);
            endpoint::Stats {
                name,
                subject,
                requests: usize::try_from(requests).unwrap_or(usize::MAX),
                errors: usize::try_from(count.errors.load(Ordering::Relaxed)).unwrap_or(usize::MAX),
                processing_time: Duration::from_nanos(nanos),
                average_processing_time: Duration::from_nanos(nanos.checked_div(requests).unwrap_or(0)),
                ..endpoint::Stats::default()
            }
        };
        Stats {
            kind: "io.nats.micro.v1.stats_response".to_owned(),
            name,
            id,
            version,
            started: self.inner.served.since,
            endpoints: ENDPOINTS.map(stats).to_vec(),
        }
    }
}
