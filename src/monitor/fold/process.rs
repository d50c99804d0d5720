//! One process of a node, by what it and others tell.

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use super::seen::Seen;
use crate::monitor::view::Condition;
use crate::protocol::event::{Event, NodeSummary, What};
use crate::protocol::ids::{NodeName, Peer, Region};
use crate::protocol::presence::Phase;

/// How often a process tells how it is that has not said so, in milliseconds.
const EVERY: u64 = 10_000;
/// What clocks may differ by, and messages may take.
const GRACE: TimeDelta = TimeDelta::seconds(10);

/// What is known of a process: from its start to its end.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Process {
    /// The node that it is a process of.
    pub(crate) node: NodeName,
    /// Its datacenter.
    pub(crate) region: Region,
    /// When the latest of its events was stored; none where only others have told of it.
    pub(crate) heard_at: Option<DateTime<Utc>>,
    /// When others found it silent; none once it has spoken again.
    pub(crate) lost_at: Option<DateTime<Utc>>,
    /// Which of its node's processes it is, in the order that they first told of themselves; 0 before that.
    pub(crate) turn: u64,
    /// Whether it is a node: a monitor tells no more than that it had a room forgotten.
    is_node: bool,
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
            turn: 0,
            is_node: false,
            told: 0,
            stopped: false,
            summary: None,
            seen: Seen::default(),
        }
    }

    /// Takes note of an event of its own; false where it came before.
    pub(crate) fn hear(&mut self, stored: DateTime<Utc>, event: &Event) -> bool {
        if !self.seen.insert(event.id) {
            return false;
        }
        // In the order of the log, whatever the clocks say.
        (self.heard_at, self.lost_at) = (Some(stored), None);
        self.is_node |= !matches!(event.what, What::RoomForgotten(_) | What::EventsDropped(_));
        if let What::NodeStarted(summary)
        | What::NodeDraining(summary)
        | What::NodeUndrained(summary)
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

    /// How it is at a moment.
    pub(crate) fn condition(&self, now: DateTime<Utc>) -> Condition {
        let phase = self.summary.as_ref().map(|summary| summary.phase);
        if self.stopped {
            Condition::Stopped
        } else if self.lost_at.is_some() || self.is_silent(now) {
            Condition::Lost
        } else if phase == Some(Phase::Draining) {
            Condition::Draining
        } else {
            Condition::Serving
        }
    }

    /// Whether nothing at all has come from it for so long that it must be gone: the others may be gone too.
    fn is_silent(&self, now: DateTime<Utc>) -> bool {
        self.heard_at.is_some_and(|heard| now - heard > self.patience(3))
    }

    /// How long so many of its regular summaries take to be missed.
    pub(crate) fn patience(&self, summaries: i32) -> TimeDelta {
        let every = self.summary.as_ref().map_or(EVERY, |summary| summary.every_ms);
        let every = i64::try_from(every).ok().and_then(TimeDelta::try_milliseconds);
        every.and_then(|every| every.checked_mul(summaries)).unwrap_or(TimeDelta::MAX / 2) + GRACE
    }

    /// Takes note that others found it silent: only nodes are missed. Told again, it was lost when it was first told.
    pub(crate) fn lose(&mut self, stored: DateTime<Utc>) {
        (self.lost_at, self.is_node) = (self.lost_at.or(Some(stored)), true);
    }

    /// Whether it is known to be a node.
    pub(crate) fn is_node(&self) -> bool {
        self.is_node
    }

    /// The latest word by it or about it.
    pub(crate) fn latest(&self) -> Option<DateTime<Utc>> {
        self.heard_at.max(self.lost_at)
    }
}
