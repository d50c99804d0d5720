//! Maps and queues stay within their limits: nobody waits for ever, what the workers hold is what the core knows of, and
//! what the core counts is what there is.

use std::collections::BTreeSet;

use headwater::protocol::media::Counts;
use headwater::room::core::{Mint, Moment};

use crate::world::World;

/// What may wait for the log, as `config/events.rs` has it; and for a room.
const EVENTS: usize = 10_000;
const WAITING: usize = 1_024;

impl World {
    pub(super) fn law_bounded(&self) -> Result<(), String> {
        let now = self.instant();
        let mut mint = Mint::new(0, |state| *state);
        for node in self.nodes.iter().filter(|node| node.alive && !node.frozen) {
            if self.log.waiting(node.pid) > EVENTS {
                let why = format!("{} keeps {} events", node.name(), self.log.waiting(node.pid));
                return Err(why);
            }
            let wall = self.wall(node.mid);
            for (id, room) in node.open_rooms() {
                let (waiting, forgotten) = (room.waiting(), room.forgotten(self.now));
                if waiting > WAITING || forgotten > 0 {
                    let why =
                        format!("{}: {forgotten} of {waiting} who wait in {id} are forgotten", node.name());
                    return Err(why);
                }
                if !room.core.is_counted_right() {
                    return Err(format!("{}: what {id} counts of its children is not so", node.name()));
                }
                let (fleet, draining, log) = (&node.view, node.is_draining(), node.log);
                let m = Moment { now, wall, fleet, draining, log, mint: &mut mint };
                let view = room.core.view(Vec::new(), Counts::default(), |_| None, &m);
                let known: BTreeSet<_> = view.parents.iter().filter_map(|parent| parent.pipe).collect();
                let held: BTreeSet<_> = room.media.inlets.keys().copied().collect();
                if known != held {
                    let why = format!("{}: {id} has inlets {held:?} and knows of {known:?}", node.name());
                    return Err(why);
                }
                let known: BTreeSet<_> = view.children.iter().filter_map(|child| child.pipe).collect();
                let held: BTreeSet<_> = room.media.outlets.keys().copied().collect();
                if known != held {
                    let why = format!("{}: {id} has outlets {held:?} and knows of {known:?}", node.name());
                    return Err(why);
                }
                if view.viewers.len() != room.media.viewers.len() {
                    let (known, held) = (view.viewers.len(), room.media.viewers.len());
                    let why = format!("{}: {id} has {held} viewers and knows of {known}", node.name());
                    return Err(why);
                }
            }
        }
        Ok(())
    }
}
