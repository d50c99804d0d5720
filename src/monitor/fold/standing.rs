//! Which processes count: at the moment that is shown.

use std::collections::{BTreeMap, HashMap};

use chrono::{DateTime, Utc};

use super::part::Part;
use super::process::Process;
use crate::monitor::view::Condition;
use crate::protocol::ids::{Incarnation, NodeName, Peer};

/// A room tells all that it has at least each sixth summary of its node; three may be lost.
const REPEATED: i32 = 18;

/// The newest process of every node, by the order of the log, and how it is. Derived, not folded, so that it
/// doesn't depend on the order that rooms' and nodes' events come in.
#[derive(Debug)]
pub(crate) struct Standing<'a> {
    now: DateTime<Utc>,
    processes: &'a BTreeMap<Incarnation, Process>,
    newest: BTreeMap<&'a NodeName, (Incarnation, &'a Process)>,
    conditions: HashMap<Incarnation, Condition>,
}

impl<'a> Standing<'a> {
    /// Looks at all processes of nodes.
    pub(crate) fn of(processes: &'a BTreeMap<Incarnation, Process>, now: DateTime<Utc>) -> Self {
        let mut newest: BTreeMap<_, (Incarnation, &Process)> = BTreeMap::new();
        // A process that serves comes before one of its name that came later and is gone again.
        let rank = |process: &Process| {
            let serves = matches!(process.condition(now), Condition::Serving | Condition::Draining);
            (serves, process.turn)
        };
        for (id, process) in processes.iter().filter(|(_, process)| process.is_node()) {
            let known = newest.entry(&process.node).or_insert((*id, process));
            if rank(known.1) <= rank(process) {
                *known = (*id, process);
            }
        }
        let conditions = newest.values().map(|(id, process)| (*id, process.condition(now))).collect();
        Self { now, processes, newest, conditions }
    }

    /// The newest process of every node, by name.
    pub(crate) fn nodes(&self) -> impl Iterator<Item = (Incarnation, &'a Process, Condition)> {
        self.newest.values().map(|(id, process)| (*id, *process, process.condition(self.now)))
    }

    /// How a process is; none where it is not its node's newest.
    pub(crate) fn condition(&self, incarnation: &Incarnation) -> Option<Condition> {
        self.conditions.get(incarnation).copied()
    }

    /// When others found a process silent; none where nobody told so.
    pub(crate) fn lost_at(&self, incarnation: &Incarnation) -> Option<DateTime<Utc>> {
        let (_, process) = self.newest.values().find(|(id, _)| id == incarnation)?;
        process.lost_at.filter(|_| process.condition(self.now) == Condition::Lost)
    }

    /// How the process is that a part of a room is of; none where it is not its node's newest, or has told
    /// nothing of the room for so long that the end there must have been lost.
    pub(crate) fn condition_of_part(&self, incarnation: &Incarnation, part: &Part) -> Option<Condition> {
        let (_, process) = self.newest.get(&part.node)?;
        let fresh = self.now - part.heard_at <= process.patience(REPEATED);
        self.condition(incarnation).filter(|_| fresh)
    }

    /// Whether what a process told of a room still holds.
    pub(crate) fn holds(&self, incarnation: &Incarnation, part: &Part) -> bool {
        matches!(self.condition_of_part(incarnation, part), Some(Condition::Serving | Condition::Draining))
    }

    /// How a node is that others lead a pipe to; none where that process has been followed by another.
    pub(crate) fn condition_of(&self, peer: &Peer) -> Option<Condition> {
        match self.newest.get(&peer.node) {
            Some((newest, process)) if *newest == peer.incarnation => Some(process.condition(self.now)),
            Some(_) if self.processes.contains_key(&peer.incarnation) => None,
            // One that has not spoken yet.
            _ => Some(Condition::Serving),
        }
    }
}
