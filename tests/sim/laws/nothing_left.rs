//! When all have gone, nothing is left.

use std::collections::BTreeSet;

use headwater::protocol::ids::Peer;
use headwater::protocol::presence::Phase;

use crate::flow::CHECK;
use crate::node::Node;
use crate::room::Room;
use crate::world::World;

/// What may arrive of a viewer before a node has seen that it says anything at all.
const SPEECHLESS: u64 = CHECK * 4;

impl World {
    /// Whether a process is gone, no other has its name, and this node heard no last word of it: it may just be
    /// unheard, so that what it claimed is remembered for an hour.
    fn is_missing(&self, by: &Node, peer: &Peer) -> bool {
        let mut namesakes = self.nodes.iter().filter(|node| node.me.node == peer.node);
        let last = by.membership.fleet().process(peer);
        !namesakes.any(|node| node.alive) && last.is_none_or(|last| last.phase != Phase::Stopped)
    }

    /// Whether nobody is left but viewers that vanished before they had said anything: those stay for some minutes.
    fn has_ghosts_alone(room: &Room) -> bool {
        let media = &room.media;
        let others = media.uplinks.len() + media.outlets.len() + media.inlets.len() + room.waiting();
        !media.viewers.is_empty()
            && others == 0
            && media.viewers.values().all(|viewer| viewer.received <= SPEECHLESS)
    }

    pub(super) fn law_nothing_left(&self) -> Result<(), String> {
        let mut left = Vec::new();
        for node in self.nodes.iter().filter(|node| node.alive) {
            for (id, room) in node.open_rooms() {
                let media = &room.media;
                if Self::has_ghosts_alone(room) {
                    continue;
                }
                left.push(format!(
                    "{} has room {id}: {} publishers, {} viewers, {} pipes out, {} pipes in, {} waiting",
                    node.name(),
                    media.uplinks.len(),
                    media.viewers.len(),
                    media.outlets.len(),
                    media.inlets.len(),
                    room.waiting(),
                ));
            }
            let directory = node.membership.directory();
            for peer in directory.processes().filter(|peer| !self.is_missing(node, peer)) {
                let of = |room| directory.claims_in(room, peer).len();
                let claims: usize = self
                    .clients
                    .iter()
                    .map(|client| &client.room)
                    .collect::<BTreeSet<_>>()
                    .into_iter()
                    .map(of)
                    .sum();
                if claims > 0 {
                    left.push(format!(
                        "{} knows {claims} claims of {} {}",
                        node.name(),
                        peer.node,
                        peer.incarnation
                    ));
                }
            }
        }
        if !left.is_empty() {
            return Err(left.join("; "));
        }
        if self.bus.pending() > 0 {
            return Err(format!(
                "{} calls and jobs: {:?}",
                self.bus.pending(),
                self.bus.jobs.values().collect::<Vec<_>>()
            ));
        }
        Ok(())
    }
}
