//! Who was turned away, and why: as metric and in the log.

use std::net::IpAddr;
use std::time::Duration;

use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;

use crate::telemetry::metrics::One;

/// How often a reason stands in the log at most.
const EVERY: Duration = Duration::from_secs(10);

/// Why someone is turned away.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Reason {
    /// `limits.connections`.
    Connections,
    /// `limits.connections_per_address`.
    ConnectionsPerAddress,
    /// It was waited for the longest, of more than a quarter of `limits.connections`.
    Silent,
    /// `timeouts.http_header`.
    Header,
    /// `timeouts.http_body`.
    Body,
    /// `limits.requests_per_address`.
    Requests,
    /// `limits.sessions_per_address`.
    Sessions,
    /// The system has no file for it.
    Files,
}

impl Reason {
    /// As metrics have it: what stands behind `limits.` or `timeouts.`, where it is one of those.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Connections => "connections",
            Self::ConnectionsPerAddress => "connections_per_address",
            Self::Silent => "silent",
            Self::Header => "http_header",
            Self::Body => "http_body",
            Self::Requests => "requests_per_address",
            Self::Sessions => "sessions_per_address",
            Self::Files => "files",
        }
    }
}

/// Counts and tells who was turned away.
#[derive(Debug)]
pub(super) struct Turned {
    counts: Family<One, Counter>,
    /// What may be told: none if there could be no pace, which there is.
    tells: Option<DefaultKeyedRateLimiter<Reason>>,
}

impl Turned {
    pub(super) fn new(counts: Family<One, Counter>) -> Self {
        Self { counts, tells: Quota::with_period(EVERY).map(RateLimiter::keyed) }
    }

    pub(super) fn away(&self, reason: Reason, client: Option<IpAddr>) {
        let reason_name = reason.name();
        let count = self.counts.get_or_create_owned(&[("reason", reason_name)]);
        count.inc();
        if self.tells.as_ref().is_some_and(|tells| tells.check_key(&reason).is_ok()) {
            let so_far = count.get();
            tracing::warn!(reason = reason_name, ?client, so_far, "turned away at the door");
        }
    }
}
