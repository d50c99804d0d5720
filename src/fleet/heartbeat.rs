//! How much this node carries, and what the log is told of nodes.

use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use tokio::sync::watch;

use crate::broker::events::Recorder;
use crate::protocol::event::{About, NodeLost, NodeSummary, What};
use crate::protocol::ids::{NodeName, Peer};
use crate::protocol::presence::{Load, Phase, Presence};
use crate::telemetry::Metrics;

/// Where a node's figures come from, and where they are told.
#[derive(Debug)]
pub struct Heartbeat {
    /// What the node is to do, as it changes: serve, or drain.
    pub phase: watch::Receiver<Phase>,
    /// Where the load is counted.
    pub metrics: Arc<Metrics>,
    /// Where it is told what becomes of the nodes.
    pub events: Recorder,
    /// How often the load is told there.
    pub summary: Duration,
    /// When the node started.
    pub started_at: DateTime<Utc>,
    /// How fast media goes out.
    pub rate: Rate,
}

/// How fast media goes out: of what was counted at two moments.
#[derive(Debug, Default)]
pub struct Rate {
    counted: Option<(u64, Instant)>,
    bits: u64,
}

impl Rate {
    /// Bits each second, now that so many bytes have been sent in all: over at least two seconds, as rooms count twice a
    /// second at different moments.
    fn bits_out(&mut self, bytes: u64) -> u64 {
        let now = Instant::now();
        let (before, at) = *self.counted.get_or_insert((bytes, now));
        let millis = u64::try_from(now.saturating_duration_since(at).as_millis()).unwrap_or(u64::MAX);
        if millis >= 2_000 {
            self.bits = bytes.saturating_sub(before).saturating_mul(8_000) / millis;
            self.counted = Some((bytes, now));
        }
        self.bits
    }
}

impl Heartbeat {
    /// How much the node carries now.
    pub(super) fn load(&mut self) -> Load {
        let metrics = &self.metrics;
        let count = |value: i64| u32::try_from(value).unwrap_or(0);
        let pipes = |direction| metrics.pipes.get_or_create(&[("direction", direction)]).get();
        Load {
            rooms: count(metrics.rooms.get()),
            streams: count(metrics.streams.get()),
            viewers: count(metrics.viewers.get()),
            pipes: count(pipes("in") + pipes("out")),
            outlets: count(pipes("out")),
            free_ports: Some(count(metrics.pipe_ports.get() - metrics.pipe_ports_used.get())),
            bits_out: self.rate.bits_out(metrics.bytes_sent.get()),
            #[expect(clippy::cast_possible_truncation, reason = "a share between 0 and 1")]
            cpu: metrics.cpu.get() as f32,
        }
    }

    /// Records something of this node.
    pub(super) fn record(&self, now: Presence, what: fn(NodeSummary) -> What) {
        let Presence { peer, roles, version, phase, load, public_url, .. } = now;
        let started_at = self.started_at;
        let every_ms = u64::try_from(self.summary.as_millis()).unwrap_or(u64::MAX);
        let summary = NodeSummary { roles, version, phase, started_at, load, public_url, every_ms };
        self.events.record(About::Node(peer.node), what(summary));
    }

    /// Records that another has fallen silent.
    pub(super) fn record_lost(&self, me: &NodeName, lost: Peer) {
        tracing::warn!(node = %lost.node, "node lost");
        self.events.record(About::Node(me.clone()), What::NodeLost(NodeLost { lost }));
    }
}

/// The processor time of this process, read from `/proc` where there is one.
#[derive(Debug)]
pub(super) struct Cpu {
    ticks: u64,
    at: Instant,
}

/// Linux counts processor time in hundredths of a second (USER_HZ).
const TICKS_PER_SECOND: f64 = 100.0;

impl Cpu {
    /// Counts from now on.
    pub(super) fn new() -> Self {
        Self { ticks: ticks(), at: Instant::now() }
    }

    /// The share of all cores since the last call, 0 to 1.
    pub(super) fn share(&mut self) -> f64 {
        let (ticks, now) = (ticks(), Instant::now());
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let used = ticks.saturating_sub(self.ticks);
        let used = f64::from(u32::try_from(used).unwrap_or(0)) / TICKS_PER_SECOND;
        let share = used
            / now.duration_since(self.at).as_secs_f64().max(0.001)
            / f64::from(u32::try_from(cores).unwrap_or(1));
        *self = Self { ticks, at: now };
        share.clamp(0.0, 1.0)
    }
}

fn ticks() -> u64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // The command's name may hold spaces; the fields after its closing parenthesis don't.
    let fields = stat.rsplit_once(')').map_or("", |(_, fields)| fields);
    let field =
        |index: usize| fields.split_whitespace().nth(index).and_then(|f| f.parse().ok()).unwrap_or(0_u64);
    field(11) + field(12)
}
