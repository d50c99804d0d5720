//! What every room of a node shares: handles only, none of them behind a lock.

use std::sync::Arc;

use tokio::sync::watch;
use tokio_util::task::TaskTracker;

use crate::broker::Broker;
use crate::broker::events::Recorder;
use crate::config::{Config, Limits};
use crate::fleet::{Fleet, FleetHandle};
use crate::media::Engine;
use crate::protocol::ids::Peer;
use crate::protocol::presence::Phase;
use crate::telemetry::Metrics;

/// What a room needs of its node.
#[derive(Debug)]
pub struct Context {
    /// This node.
    pub me: Peer,
    /// Its configuration, as it was at the start.
    pub config: Arc<Config>,
    /// How much it takes now.
    pub limits: watch::Receiver<Limits>,
    /// The way to other nodes.
    pub broker: Broker,
    /// Where what happens is told.
    pub events: Recorder,
    /// The workers.
    pub engine: Arc<Engine>,
    /// The metrics.
    pub metrics: Arc<Metrics>,
    /// The directory of streams.
    pub directory: FleetHandle,
    /// Who else is there.
    pub fleet: watch::Receiver<Arc<Fleet>>,
    /// Whether the node takes anything new.
    pub phase: watch::Receiver<Phase>,
    /// The owner of the jobs.
    pub tracker: TaskTracker,
}

impl Context {
    /// The fleet as it is seen now.
    pub fn fleet(&self) -> Arc<Fleet> {
        Arc::clone(&self.fleet.borrow())
    }

    /// Whether the node takes nothing new.
    pub fn is_draining(&self) -> bool {
        *self.phase.borrow() != Phase::Serving
    }
}
