//! Leaving out what is long over, so that memory stays bounded.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};

use super::State;
use super::standing::Standing;
use crate::monitor::view::Condition;
use crate::protocol::ids::NodeName;

impl State {
    /// Drops what was over before a moment: rooms that carry nothing live, streams and processes that
    /// are gone, and the memory for duplicates of those not heard of since.
    pub fn forget(&mut self, before: DateTime<Utc>) {
        self.forget_rooms(before);
        self.forget_processes(before);
    }

    fn forget_rooms(&mut self, before: DateTime<Utc>) {
        let standing = Standing::of(&self.processes, self.clock());
        self.rooms.retain(|_, room| {
            for part in room.parts.values_mut() {
                part.ended.retain(|ended| ended.ended_at >= before);
            }
            room.drop_parts(|id, part| {
                part.heard_at < before
                    && part.ended.is_empty()
                    && (part.is_empty() || !standing.holds(id, part))
            });
            let live = room.parts.iter().any(|(id, part)| standing.holds(id, part) && !part.is_empty());
            live || room.changed_at() >= Some(before)
        });
    }

    fn forget_processes(&mut self, before: DateTime<Utc>) {
        let mut latest: BTreeMap<NodeName, DateTime<Utc>> = BTreeMap::new();
        for process in self.processes.values() {
            if let Some(at) = process.latest() {
                let known = latest.entry(process.node.clone()).or_insert(at);
                *known = at.max(*known);
            }
        }
        let standing = Standing::of(&self.processes, self.clock());
        let gone: Vec<_> = self
            .processes
            .iter()
            .filter(|(id, process)| match standing.condition(id) {
                None => process.latest() < Some(before),
                // Were the newest dropped first, an older one would seem to be back.
                Some(Condition::Stopped | Condition::Lost) => {
                    latest.get(&process.node).is_none_or(|at| *at < before)
                }
                Some(_) => false,
            })
            .map(|(id, _)| *id)
            .collect();
        for id in gone {
            self.processes.remove(&id);
        }
        for process in self.processes.values_mut().filter(|process| process.heard_at < Some(before)) {
            process.seen.clear();
        }
    }
}
