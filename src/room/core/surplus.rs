//! More nodes than may be fed from here, as the limits have changed: the surplus are told whom to pull from instead.
//! They go where there is room, the new way first; where there is none they stay.

use std::sync::Arc;

use super::downstream::Child;
use super::{Core, Moment};
use crate::fleet::digest::weight;
use crate::fleet::placement::{self, MAX_HOPS};
use crate::protocol::claim::Claim;
use crate::protocol::ids::{Peer, StreamName};

/// Over how many signs of life of this node the same children are surplus by `limits.outlets`: by then they have moved.
const TURN: u64 = 32;
/// What a child's lot goes on by with each turn: the golden section of all lots, so that everyone's comes up.
const STEP: u64 = 0x9E37_79B9_7F4A_7C15;

impl Core {
    /// Whom a child beyond the limits should pull a stream from, the best first; none for one that may stay.
    pub(super) fn elsewhere(&self, child: &Child, stream: &StreamName, m: &Moment<'_>) -> Vec<Peer> {
        let surplus = self.surplus(m);
        if !surplus.contains(&&child.peer) {
            return Vec::new();
        }
        let Some(source) = self.sources.get(stream) else { return Vec::new() };
        // A child that feeds others is no further away than they may be.
        let hops = source.path.len() + 2 + usize::from(feeds(&child.peer, m));
        if hops > MAX_HOPS {
            return Vec::new();
        }
        let may_feed = |peer: &&Peer| placement::may_feed(peer, m.fleet, m.now);
        let stay = self.downstream.outlets().filter(|(other, outlet)| {
            let has = outlet.is_open() && other.wanted.contains(stream) && self.has_all(outlet, stream);
            has && !surplus.contains(&&other.peer)
        });
        let stay: Vec<&Peer> = stay.map(|(other, _)| &other.peer).filter(may_feed).collect();
        let (near, far): (Vec<&Peer>, Vec<_>) =
            stay.into_iter().partition(|peer| peer.region == child.peer.region);
        let claim = self.known.holds(stream, m).map(Arc::as_ref);
        let ask = |claim: &Claim| {
            placement::candidates(&self.id, stream, &claim.origin, &child.peer, m.fleet, m.now)
        };
        let others = claim.map(ask).unwrap_or_default();
        let others = others.into_iter().filter(|peer| *peer != self.me && may_feed(&peer));
        let asker = &child.peer.node;
        let near = placement::shared(asker, near.into_iter());
        let mut named: Vec<Peer> = Vec::new();
        for peer in near.into_iter().chain(others).chain(placement::shared(asker, far.into_iter())) {
            if peer != child.peer && !named.contains(&peer) {
                named.push(peer);
            }
        }
        named
    }

    /// The nodes that this one feeds and would not take on any more. Of a room's those stay that feed others, and those
    /// that have been there for longest; of all pipes of the node as many as are too many are drawn by lot, as no room
    /// knows of the others.
    fn surplus(&self, m: &Moment<'_>) -> Vec<&Peer> {
        let open = self.downstream.outlets().filter(|(_, outlet)| outlet.is_open());
        if open.clone().count() <= self.limits.children && self.too_many(m) == 0 {
            return Vec::new();
        }
        let mut fed: Vec<_> =
            open.map(|(child, outlet)| (!feeds(&child.peer, m), outlet.opened, &child.peer)).collect();
        fed.sort_unstable_by_key(|(is_leaf, opened, peer)| (*is_leaf, *opened, peer.incarnation));
        let drawn = self.drawn(m);
        let is_surplus = |place: usize, peer: &Peer| place >= self.limits.children || drawn(peer);
        let fed = fed.into_iter().enumerate();
        fed.filter(|(place, (.., peer))| is_surplus(*place, peer)).map(|(_, (.., peer))| peer).collect()
    }

    /// How many pipes the node has beyond what it may.
    fn too_many(&self, m: &Moment<'_>) -> u64 {
        let outlets = m.fleet.process(&self.me).map_or(0, |own| u64::from(own.load.outlets));
        outlets.saturating_sub(u64::try_from(self.limits.outlets).unwrap_or(u64::MAX))
    }

    /// Whether a child's lot is among those that are drawn now: as large a part as the node has pipes too many.
    fn drawn(&self, m: &Moment<'_>) -> impl Fn(&Peer) -> bool {
        let own = m.fleet.process(&self.me);
        let outlets = own.map_or(0, |own| u64::from(own.load.outlets));
        let over = self.too_many(m);
        let turn = own.map_or(0, |own| own.beat.number / TURN);
        move |peer| {
            let lot = weight(&self.id, &StreamName::default(), &peer.node);
            let lot = lot.wrapping_add(turn.wrapping_mul(STEP));
            over > 0 && u128::from(lot) * u128::from(outlets) < u128::from(over) << u64::BITS
        }
    }
}

/// Whether a node feeds others, of any room, as it last said.
fn feeds(peer: &Peer, m: &Moment<'_>) -> bool {
    m.fleet.process(peer).is_some_and(|node| node.load.outlets > 0)
}
