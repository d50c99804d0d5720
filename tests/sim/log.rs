//! What nodes tell the log, and what the monitor's own fold makes of it.

use std::collections::{BTreeMap, VecDeque};

use headwater::monitor::fold::State;
use headwater::protocol::event::{About, Event, NodeLost, NodeSummary, What};
use headwater::protocol::ids::{Peer, RoomId};

use crate::world::{At, Pid, World};

/// As `config/events.rs` has it.
const SUMMARY: At = At::from_secs(10);

#[derive(Debug, Default)]
pub struct Log {
    /// Raised when the log was lost and begun anew.
    pub number: u64,
    pub away: u32,
    pub state: State,
    sequence: u64,
    outboxes: BTreeMap<Pid, Outbox>,
}

/// What a process has told and the log does not have yet.
#[derive(Debug, Default)]
pub struct Outbox {
    last: u64,
    waiting: VecDeque<Event>,
    told: At,
}

impl Log {
    pub fn begin_anew(&mut self) {
        self.number += 1;
        self.state = State::default();
        self.sequence = 0;
    }

    /// A process is gone with all that it has not stored.
    pub fn forget(&mut self, pid: Pid) {
        self.outboxes.remove(&pid);
    }

    pub fn waiting(&self, pid: Pid) -> usize {
        self.outboxes.get(&pid).map_or(0, |outbox| outbox.waiting.len())
    }
}

impl World {
    pub fn record(&mut self, pid: Pid, room: &RoomId, what: What) {
        self.push(pid, About::Room(room.clone()), what);
    }

    pub fn record_node(&mut self, pid: Pid, what: fn(NodeSummary) -> What) {
        let node = &self.nodes[pid];
        let presence = node.membership.presence();
        let ago = chrono::TimeDelta::from_std(self.now - node.started).unwrap();
        let summary = NodeSummary {
            roles: presence.roles,
            version: presence.version,
            phase: presence.phase,
            started_at: self.wall(node.mid) - ago,
            load: presence.load,
            public_url: presence.public_url,
            every_ms: SUMMARY.as_millis() as u64,
        };
        let about = About::Node(node.me.node.clone());
        self.push(pid, about, what(summary));
    }

    pub fn record_lost(&mut self, pid: Pid, lost: Peer) {
        let about = About::Node(self.nodes[pid].me.node.clone());
        self.push(pid, about, What::NodeLost(NodeLost { lost }));
    }

    /// A node tells how it is now and then.
    pub fn tell_summary(&mut self, pid: Pid) {
        let now = self.now;
        let outbox = self.log.outboxes.entry(pid).or_default();
        if self.nodes[pid].serving && now.saturating_sub(outbox.told) >= SUMMARY {
            outbox.told = now;
            self.record_node(pid, What::NodeSummary);
        }
    }

    fn push(&mut self, pid: Pid, subject: About, what: What) {
        let (time, source) = (self.wall(self.nodes[pid].mid), self.nodes[pid].me.clone());
        let outbox = self.log.outboxes.entry(pid).or_default();
        outbox.last += 1;
        outbox.waiting.push_back(Event { id: outbox.last, time, source, subject, what });
    }

    /// What the nodes that reach the log have told is stored.
    pub fn store(&mut self) {
        for pid in 0..self.nodes.len() {
            if self.nodes[pid].alive && !self.nodes[pid].frozen {
                self.last_store(pid);
            }
        }
    }

    pub fn last_store(&mut self, pid: Pid) {
        let mid = self.nodes[pid].mid;
        let line = &self.bus.lines[mid];
        let reaches = line.connected && line.cut + line.deaf + line.dumb + self.bus.gone == 0;
        // The log is kept in the first region.
        if !reaches || self.log.away > 0 || self.are_parted(mid, 0, false) {
            return;
        }
        self.nodes[pid].log = self.log.number;
        let clock = self.clock();
        let Some(outbox) = self.log.outboxes.get_mut(&pid) else { return };
        for event in std::mem::take(&mut outbox.waiting) {
            self.log.sequence += 1;
            self.log.state.apply(self.log.sequence, clock, Some(&event));
        }
    }
}
