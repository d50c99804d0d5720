//! What the events come to: a pure function of them, without a clock, in memory of bounded size.
//!
//! Every source speaks for its own part of a room only, so how the events of different rooms and nodes
//! interleave doesn't matter, and each event counts once however often it comes.

mod counters;
mod forget;
mod histogram;
pub(crate) mod part;
pub(in crate::monitor) mod problems;
pub(crate) mod process;
pub(crate) mod room;
mod seen;
pub(crate) mod standing;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

pub use counters::Counters;
pub use histogram::{BOUNDS, Durations, Histogram};

use crate::monitor::view::Moment;
use crate::protocol::event::{About, Event, What};
use crate::protocol::ids::{Incarnation, Peer, Region, RoomId};
use problems::Problems;
use process::Process;
use room::Room;

/// How many problems of nodes, and how many of the whole fleet, are kept and shown.
pub(crate) const PROBLEMS: usize = 200;

/// Everything folded so far.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct State {
    at: Moment,
    pub(crate) processes: BTreeMap<Incarnation, Process>,
    pub(crate) rooms: BTreeMap<RoomId, Room>,
    /// By the region of the teller.
    pub(crate) regions: BTreeMap<Region, Counters>,
    pub(crate) durations: Durations,
    /// Those that befell nodes.
    pub(crate) problems: Problems,
    pub(crate) duplicates: u64,
    pub(crate) skipped: u64,
}

impl State {
    /// Folds in what lies at `sequence` in the log; `None` where its type or version is unknown.
    ///
    /// What was folded in before may come again: only the count of duplicates changes.
    pub fn apply(&mut self, sequence: u64, stored: DateTime<Utc>, event: Option<&Event>) {
        let new = sequence > self.at.sequence;
        if new {
            self.at = Moment { sequence, time: Some(stored) };
        }
        match event {
            Some(event) => self.fold(stored, event),
            None => self.skipped += u64::from(new),
        }
    }

    /// The last event folded in.
    pub fn position(&self) -> Moment {
        self.at.clone()
    }

    /// The time by the log's own clock: when the last event was stored.
    pub(crate) fn clock(&self) -> DateTime<Utc> {
        self.at.time.unwrap_or_default()
    }

    fn fold(&mut self, stored: DateTime<Utc>, event: &Event) {
        let source = &event.source;
        if matches!(event.subject, About::Node(_)) {
            self.take_turn(source);
        }
        let process = self.processes.entry(source.incarnation).or_insert_with(|| Process::new(source));
        if !process.hear(stored, event) {
            self.duplicates += 1;
            return;
        }
        // The word of a monitor, which is no part of the fleet.
        if let (What::RoomForgotten(_), About::Room(room)) = (&event.what, &event.subject) {
            self.rooms.remove(room);
            return;
        }
        match self.regions.get_mut(&source.region) {
            Some(counters) => counters.count(&event.what),
            None => self.regions.entry(source.region.clone()).or_default().count(&event.what),
        }
        self.durations.observe(&event.what);
        match &event.subject {
            About::Room(room) => match self.rooms.get_mut(room) {
                Some(known) => known.apply(stored, event),
                None => self.rooms.entry(room.clone()).or_default().apply(stored, event),
            },
            About::Node(_) => self.problems.note(event, PROBLEMS),
        }
        if let What::NodeLost(it) = &event.what {
            let lost = self.processes.entry(it.lost.incarnation).or_insert_with(|| Process::new(&it.lost));
            lost.lose(stored);
        }
    }

    /// A process that tells of itself for the first time follows all others of its node.
    fn take_turn(&mut self, source: &Peer) {
        if self.processes.get(&source.incarnation).is_some_and(|process| process.turn > 0) {
            return;
        }
        let others = self.processes.values().filter(|other| other.node == source.node);
        let turn = others.map(|other| other.turn).max().unwrap_or(0) + 1;
        self.processes.entry(source.incarnation).or_insert_with(|| Process::new(source)).turn = turn;
    }
}
