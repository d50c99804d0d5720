//! What the events fold to, by the monitor's own fold, is what the nodes have.

use std::collections::BTreeMap;
use std::time::Duration;

use headwater::protocol::ids::{NodeName, PipeId, PublicationId, RoomId, StreamName};

use crate::world::{At, World};

/// How long nothing has been wrong, and nothing has changed, before the log must have it all.
const CALM: Duration = Duration::from_secs(12);
const STEADY: Duration = Duration::from_secs(6);

/// What a room comes to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Here {
    live: BTreeMap<StreamName, (PublicationId, NodeName)>,
    viewers: u32,
}

#[derive(Debug, Default)]
pub struct Told {
    before: (BTreeMap<RoomId, Here>, Vec<PipeId>),
    since: At,
}

impl World {
    pub(super) fn law_told(&mut self) -> Result<(), String> {
        let now = self.really();
        if now != self.laws.told.before || self.log.away > 0 {
            self.laws.told = Told { before: now, since: self.now };
            return Ok(());
        }
        // Where no node is left, nobody tells what became of the last one.
        let nobody = self.nodes.iter().all(|node| !node.alive);
        if nobody || self.calm() < CALM || self.now - self.laws.told.since < STEADY {
            return Ok(());
        }
        for (room, here) in &now.0 {
            let told = self.told_of(room);
            if told != *here {
                return Err(format!("{room} is told as {told:?}, and is {here:?}"));
            }
        }
        let pipes = self.log.state.fleet(self.clock()).totals.pipes as usize;
        if pipes != now.1.len() {
            return Err(format!("{pipes} pipes are told of, and there are {}", now.1.len()));
        }
        Ok(())
    }

    /// What the nodes have: rooms and pipes.
    fn really(&self) -> (BTreeMap<RoomId, Here>, Vec<PipeId>) {
        let mut rooms: BTreeMap<RoomId, Here> = BTreeMap::new();
        let mut pipes = Vec::new();
        for (room, stream) in self.truth.streams.keys() {
            let here = rooms.entry(room.clone()).or_default();
            if let Some(own) =
                self.truth.live(&(room.clone(), stream.clone())).max_by_key(|own| (own.term, own.id))
            {
                here.live.insert(stream.clone(), (own.id, self.nodes[own.pid].me.node.clone()));
            }
        }
        for node in self.nodes.iter().filter(|node| node.alive) {
            for (id, room) in node.open_rooms() {
                let here = rooms.entry(id.clone()).or_default();
                here.viewers += room.media.viewers.len() as u32;
                pipes.extend(room.media.outlets.keys());
            }
        }
        pipes.sort();
        (rooms, pipes)
    }

    /// What the log tells of a room.
    fn told_of(&self, room: &RoomId) -> Here {
        let Some(view) = self.log.state.room(room, self.clock()) else { return Here::default() };
        let live = view.streams.iter().filter(|tree| tree.live).filter_map(|tree| {
            let origin = tree.tree.as_ref()?;
            Some((tree.stream.clone(), (tree.publication?, origin.node.clone())))
        });
        Here { live: live.collect(), viewers: view.viewers }
    }
}
