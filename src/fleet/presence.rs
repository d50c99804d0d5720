//! Giving and hearing signs of life.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use tokio::sync::{mpsc, watch};
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use super::Fleet;
use crate::broker::Broker;
use crate::broker::events::Recorder;
use crate::protocol::event::{About, NodeLost, NodeSummary, What};
use crate::protocol::ids::{Incarnation, Peer};
use crate::protocol::presence::{Load, Phase, Presence};
use crate::telemetry::Metrics;

/// How often a node gives a sign of life.
const BEAT: Duration = Duration::from_secs(1);
/// How often the rooms get a fresh view: a large fleet beats hundreds of times a second.
const VIEW: Duration = Duration::from_millis(200);
/// How long an absent node is still shown.
const REMEMBER: Duration = Duration::from_secs(60);

/// What this node says of itself.
#[derive(Debug)]
pub struct Heartbeat {
    /// The unchanging part.
    pub presence: Presence,
    /// Its phase, as it changes.
    pub phase: watch::Receiver<Phase>,
    /// Where the load is counted.
    pub metrics: Arc<Metrics>,
    /// Where it is told what becomes of the nodes.
    pub events: Recorder,
    /// How often the load is told there.
    pub summary: Duration,
    /// When the node started.
    pub started_at: DateTime<Utc>,
}

/// Beats and listens until `stop`; its last word is that it stopped.
pub async fn run(
    broker: Broker,
    mut heartbeat: Heartbeat,
    mut heard: mpsc::Receiver<Presence>,
    view: watch::Sender<Arc<Fleet>>,
    patience: Duration,
    stop: CancellationToken,
) {
    let mut fleet = Fleet::new(patience);
    let mut connected = broker.connected();
    let mut beat = tokio::time::interval(BEAT);
    beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut fresh = tokio::time::interval(VIEW);
    fresh.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut cpu = Cpu::new();
    let mut summary = tokio::time::interval(heartbeat.summary);
    summary.set_missed_tick_behavior(MissedTickBehavior::Delay);
    summary.reset();
    let mut lost = BTreeSet::new();
    heartbeat.record(What::NodeStarted);
    loop {
        tokio::select! {
            // In this order, so that a node that drains and stops at once still tells both, and a
            // talkative fleet holds up nothing.
            biased;
            // A change of phase is said at once: the fleet stops choosing this node.
            Ok(()) = heartbeat.phase.changed() => {
                broker.say_present(&heartbeat.now()).await;
                if *heartbeat.phase.borrow_and_update() == Phase::Draining {
                    heartbeat.record(What::NodeDraining);
                }
            }
            () = stop.cancelled() => break,
            _ = beat.tick() => {
                heartbeat.metrics.cpu.set(cpu.share());
                broker.say_present(&heartbeat.now()).await;
            }
            _ = summary.tick() => heartbeat.record(What::NodeSummary),
            Ok(()) = connected.changed() => {
                let up = *connected.borrow_and_update();
                fleet.bus(up, Instant::now());
                if up {
                    broker.say_present(&heartbeat.now()).await;
                }
            }
            _ = fresh.tick() => {
                let now = Instant::now();
                fleet.bus(*connected.borrow(), now);
                fleet.forget(REMEMBER, now);
                heartbeat.record_lost(&fleet, &mut lost, now);
                view.send_replace(Arc::new(fleet.clone()));
            }
            Some(presence) = heard.recv() => fleet.hear(presence, Instant::now()),
        }
    }
    let last = Presence { phase: Phase::Stopped, ..heartbeat.now() };
    broker.say_present(&last).await;
    heartbeat.record(What::NodeStopped);
}

impl Heartbeat {
    fn record(&self, what: fn(NodeSummary) -> What) {
        let Presence { peer, roles, version, phase, load, public_url } = self.now();
        let started_at = self.started_at;
        let every_ms = u64::try_from(self.summary.as_millis()).unwrap_or(u64::MAX);
        let summary = NodeSummary { roles, version, phase, started_at, load, public_url, every_ms };
        self.events.record(About::Node(peer.node), what(summary));
    }

    /// Tells of nodes that have fallen silent: one of those that are there does it for all.
    fn record_lost(&self, fleet: &Fleet, told: &mut BTreeSet<Incarnation>, now: Instant) {
        let me = &self.presence.peer;
        if fleet.present(now).map(|node| &node.peer.node).min() != Some(&me.node) {
            return;
        }
        let lost: Vec<Peer> = fleet.lost(now).cloned().collect();
        told.retain(|known| lost.iter().any(|peer| peer.incarnation == *known));
        for peer in lost {
            if told.insert(peer.incarnation) {
                tracing::warn!(node = %peer.node, "node lost");
                self.events.record(About::Node(me.node.clone()), What::NodeLost(NodeLost { lost: peer }));
            }
        }
    }

    fn now(&self) -> Presence {
        let metrics = &self.metrics;
        let count = |value: i64| u32::try_from(value).unwrap_or(0);
        let pipes = |direction| metrics.pipes.get_or_create(&[("direction", direction)]).get();
        Presence {
            phase: *self.phase.borrow(),
            load: Load {
                rooms: count(metrics.rooms.get()),
                streams: count(metrics.streams.get()),
                viewers: count(metrics.viewers.get()),
                pipes: count(pipes("in") + pipes("out")),
                #[expect(clippy::cast_possible_truncation, reason = "a share between 0 and 1")]
                cpu: metrics.cpu.get() as f32,
            },
            ..self.presence.clone()
        }
    }
}

/// The processor time of this process, read from `/proc` where there is one.
struct Cpu {
    ticks: u64,
    at: Instant,
}

/// Linux counts processor time in hundredths of a second (USER_HZ).
const TICKS_PER_SECOND: f64 = 100.0;

impl Cpu {
    fn new() -> Self {
        Self { ticks: ticks(), at: Instant::now() }
    }

    /// The share of all cores since the last call, 0 to 1.
    fn share(&mut self) -> f64 {
        let (ticks, now) = (ticks(), Instant::now());
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let used = f64::from(u32::try_from(ticks - self.ticks).unwrap_or(0)) / TICKS_PER_SECOND;
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
