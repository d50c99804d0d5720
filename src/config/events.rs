//! What is kept of what happens, and the process that shows it.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::protocol::ids::NodeName;

/// What is kept of what happens.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Events {
    /// How long events are kept. The monitor applies a change.
    #[serde(with = "humantime_serde")]
    pub retention: Duration,
    /// How many bytes of events are kept; the oldest go first. The monitor applies a change.
    pub max_bytes: u64,
    /// How many events a node keeps while the bus is away; beyond that summaries are dropped first, then
    /// what viewers did, then the oldest, and all are counted.
    pub buffer: usize,
    /// How often a node tells its load, and a room its bitrates where they changed.
    #[serde(with = "humantime_serde")]
    pub summary: Duration,
}

/// The process that shows what happens.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Monitor {
    /// Its name on NATS, unique among monitors and nodes.
    pub name: NodeName,
    /// Where operators find the page and its API; `operators.token` guards it.
    pub listen: SocketAddr,
    /// Other JetStream domains than `nats.domain` whose logs are shown too.
    pub domains: Vec<NodeName>,
    /// After how many events a snapshot is stored: what a start or a look back reads at most.
    pub snapshot_every: u64,
    /// How many snapshots are kept.
    pub snapshots: usize,
    /// How long a room or node that is gone stays in the picture.
    #[serde(with = "humantime_serde")]
    pub remember: Duration,
}

impl Default for Events {
    fn default() -> Self {
        Self {
            retention: Duration::from_secs(7 * 24 * 3600),
            max_bytes: 1 << 30,
            buffer: 10_000,
            summary: Duration::from_secs(10),
        }
    }
}

impl Default for Monitor {
    fn default() -> Self {
        Self {
            name: "monitor".parse().unwrap_or_else(|_| unreachable!("a literal name")),
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 9090)),
            domains: Vec::new(),
            snapshot_every: 50_000,
            snapshots: 50,
            remember: Duration::from_secs(3600),
        }
    }
}
