//! One process of a node, by what it and others tell.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::seen::Seen;
use crate::monitor::view::Condition;
use crate::protocol::event::{Event, NodeSummary, What};
use crate::protocol::ids::{NodeName, Peer, Region};
use crate::protocol::presence::Phase;

/// What is known of a process: from its start to its end.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Process {
    /// The node that it is a process of.
    pub(crate) node: NodeName,
    /// Its datacenter.
    pub(crate) region: Region,
    /// The latest of its events, by its own clock; none where only others have told of it.
    pub(crate) heard_at: Option<DateTime<Utc>>,
    /// When others last found it silent.
    pub(crate) lost_at: Option<DateTime<Utc>>,
    /// The event that the summary is from.
    told: u64,
    /// Whether that was its last word.
    stopped: bool,
    /// What it last told of itself.
    pub(crate) summary: Option<NodeSummary>,
    /// Its events that were folded in.
    pub(crate) seen: Seen,
}

impl Process {
    /// A process of which nothing is known yet.
    pub(crate) fn new(peer: &Peer) -> Self {
        Self {
            node: peer.node.clone(),
            region: peer.region.clone(),
            heard_at: None,
            lost_at: None,
            told: 0,
            stopped: false,
            summary: None,
            seen: Seen::default(),
        }
    }

    /// Takes note of an event of its own; false where it came before.
    pub(crate) fn hear(&mut self, event: &Event) -> bool {
        if !self.seen.insert(event.id) {
            return false;
        }
        self.heard_at = self.heard_at.max(Some(event.time));
        if let What::NodeStarted(summary)
        | What::NodeDraining(summary)
        | What::NodeStopped(summary)
        | What::NodeSummary(summary) = &event.what
            && event.id > self.told
        {
            self.told = event.id;
            self.stopped = matches!(event.what, What::NodeStopped(_)) || summary.phase == Phase::Stopped;
            self.summary = Some(summary.clone());
        }
        true
    }

    /// How it is.
    pub(crate) fn condition(&self) -> Condition {
        let phase = self.summary.as_ref().map(|summary| summary.phase);
        if self.stopped {
            Condition::Stopped
        } else if self.lost_at > self.heard_at {
            Condition::Lost
        } else if phase == Some(Phase::Draining) {
            Condition::Draining
        } else {
            Condition::Serving
        }
    }

    /// The latest word by it or about it.
    pub(crate) fn latest(&self) -> Option<DateTime<Utc>> {
        self.heard_at.max(self.lost_at)
    }
}
