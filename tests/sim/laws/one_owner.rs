//! One publication of a stream is left, and never one that another, which was still wanted, came after: order
//! is what knew of what, whatever the clocks said.

use std::time::Duration;

use headwater::protocol::ids::PublicationId;

use crate::truth::Stream;
use crate::world::{Pid, World};

const WITHIN: Duration = Duration::from_secs(5);

impl World {
    /// After calm only one is live.
    pub(super) fn law_one_owner(&self) -> Result<(), String> {
        if self.calm() < WITHIN {
            return Ok(());
        }
        for stream in self.truth.streams.keys() {
            let old = self.truth.live(stream).filter(|own| self.now - own.since >= WITHIN);
            let names: Vec<_> = old.map(|own| (self.nodes[own.pid].name(), own.term, own.id)).collect();
            if names.len() > 1 {
                return Err(format!("{}/{} is live as {names:?}", stream.0, stream.1));
            }
        }
        Ok(())
    }

    /// A node ends its publication for another's: that must be one which doesn't come before it.
    pub fn replaced(&mut self, pid: Pid, stream: &Stream, publication: PublicationId) {
        let node = &self.nodes[pid];
        let Some(own) = self.truth.find(stream, publication) else { return };
        let notice = node.membership.look_up(&stream.0, &stream.1);
        let rivals: Vec<_> = notice.into_iter().flat_map(|notice| notice.claims).collect();
        let higher =
            rivals.iter().filter(|claim| claim.origin != node.me && claim.rank() > (own.term, own.id));
        let mut higher = higher.peekable();
        if higher.peek().is_none() {
            let why =
                format!("{} replaces {publication} of {}/{} by nothing", node.name(), stream.0, stream.1);
            return self.breaks("one owner", why);
        }
        let rightful = higher.any(|claim| !self.truth.follows(stream, publication, claim.publication));
        if !rightful {
            let why = format!("{} gives up {publication}, which came after what is left", node.name());
            self.breaks("one owner", why);
        }
    }
}
