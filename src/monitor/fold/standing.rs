//! Which processes count: at the moment that is shown.

use std::collections::{BTreeMap, HashMap};

use chrono::{DateTime, Utc};

use super::part::Part;
use super::process::Process;
use crate::monitor::view::Condition;
use crate::protocol::ids::{Incarnation, NodeName, Peer};

/// A room tells all that it has at least each sixth summary of its node; three may be lost.
const REPEATED: i32 = 18;

/// The newest process of every node and how it is. Derived, not folded, so that it doesn't depend on the
/// order that rooms' and nodes' events come in.
#[derive(Debug)]
pub(crate) struct Standing<'a> {
    now: DateTime<Utc>,
    newest: BTreeMap<&'a NodeName, (Incarnation, &'a Process)>,
    conditions: HashMap<Incarnation, Condition>,
}

impl<'a> Standing<'a> {
    /// Looks at all processes of nodes.
    pub(crate) fn of(processes: &'a BTreeMap<Incarnation, Process>, now: DateTime<Utc>) -> Self {
        // Ascending, so that the newest of a node comes last.
        let nodes = processes.iter().filter(|(_, process)| process.is_node());
        let newest: BTreeMap<_, _> = nodes.map(|(id, process)| (&process.node, (*id, process))).collect();
        let conditions = newest.values().map(|(id, process)| (*id, process.condition(now))).collect();
        Self { now, newest, conditions }
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
            Some((newest, _)) if *newest > peer.incarnation => None,
            Some((newest, process)) if *newest == peer.incarnation => Some(process.condition(self.now)),
            _ => Some(Condition::Serving),
        }
    }
}
