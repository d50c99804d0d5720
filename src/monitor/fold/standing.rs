//! Which processes count: at the moment that is shown.

use std::collections::{BTreeMap, HashMap};

use super::process::Process;
use crate::monitor::view::Condition;
use crate::protocol::ids::{Incarnation, NodeName, Peer};

/// The newest process of every node and how it is. Derived, not folded, so that it doesn't depend on the
/// order that rooms' and nodes' events come in.
#[derive(Debug)]
pub(crate) struct Standing<'a> {
    newest: BTreeMap<&'a NodeName, (Incarnation, &'a Process)>,
    conditions: HashMap<Incarnation, Condition>,
}

impl<'a> Standing<'a> {
    /// Looks at all processes.
    pub(crate) fn of(processes: &'a BTreeMap<Incarnation, Process>) -> Self {
        // Ascending, so that the newest of a node comes last.
        let newest: BTreeMap<_, _> =
            processes.iter().map(|(id, process)| (&process.node, (*id, process))).collect();
        let conditions = newest.values().map(|(id, process)| (*id, process.condition())).collect();
        Self { newest, conditions }
    }

    /// The newest process of every node, by name.
    pub(crate) fn nodes(&self) -> impl Iterator<Item = (Incarnation, &'a Process, Condition)> {
        self.newest.values().map(|(id, process)| (*id, *process, process.condition()))
    }

    /// How a process is; none where it is not its node's newest.
    pub(crate) fn condition(&self, incarnation: &Incarnation) -> Option<Condition> {
        self.conditions.get(incarnation).copied()
    }

    /// Whether a process serves or drains.
    pub(crate) fn alive(&self, incarnation: &Incarnation) -> bool {
        matches!(self.condition(incarnation), Some(Condition::Serving | Condition::Draining))
    }

    /// How a node is that others lead a pipe to; none where that process has been followed by another.
    pub(crate) fn condition_of(&self, peer: &Peer) -> Option<Condition> {
        match self.newest.get(&peer.node) {
            Some((newest, _)) if *newest > peer.incarnation => None,
            Some((newest, process)) if *newest == peer.incarnation => Some(process.condition()),
            _ => Some(Condition::Serving),
        }
    }
}
