//! More nodes than may be fed from here, as the limits have changed: the surplus are told whom to pull from instead.
//! They go where there is room, the new way first; where there is none they stay.

use std::cmp::Ordering;
use std::sync::Arc;

use super::children::Child;
use super::{Core, Moment};
use crate::config::Limits;
use crate::fleet::digest::weight;
use crate::fleet::placement::{self, MAX_HOPS};
use crate::protocol::claim::Claim;
use crate::protocol::ids::{Peer, StreamName};

/// Over how many signs of life of this node the same children are surplus by `limits.outlets` or `limits.bits_out`: by
/// then they have moved.
const TURN: u64 = 32;
/// By what part of `limits.bits_out` a node may be above it before it sends children away.
const LEEWAY: u64 = 10;
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
            let has = outlet.is_open() && other.wants(stream) && self.has_all(other, outlet, stream);
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
        let excess = Excess::of(&self.me, &self.limits, m);
        if self.downstream.open() <= self.limits.children && excess.is_none() {
            return Vec::new();
        }
        let open = self.downstream.outlets().filter(|(_, outlet)| outlet.is_open());
        let mut fed: Vec<_> =
            open.map(|(child, outlet)| (!feeds(&child.peer, m), outlet.opened, &child.peer)).collect();
        fed.sort_unstable_by_key(|(is_leaf, opened, peer)| (*is_leaf, *opened, peer.incarnation));
        let drawn = |peer: &Peer| {
            let lot = weight(&self.id, &StreamName::default(), &peer.node);
            excess.as_ref().is_some_and(|excess| excess.draws(lot))
        };
        let is_surplus = |place: usize, peer: &Peer| place >= self.limits.children || drawn(peer);
        let fed = fed.into_iter().enumerate();
        fed.filter(|(place, (.., peer))| is_surplus(*place, peer)).map(|(_, (.., peer))| peer).collect()
    }
}

/// What a node carries beyond what it may: the part of its pipes that are too many.
#[derive(Debug, Clone, Copy)]
struct Excess {
    over: u64,
    of: u64,
    turn: u64,
}

impl Excess {
    /// By what this node last said of itself; none while it is within its limits.
    fn of(me: &Peer, limits: &Limits, m: &Moment<'_>) -> Option<Self> {
        let own = m.fleet.process(me).filter(|own| own.load.outlets > 0)?;
        let turn = own.beat.number / TURN;
        let (most, outlets) =
            (u64::try_from(limits.outlets).unwrap_or(u64::MAX), u64::from(own.load.outlets));
        let pipes = Self { over: outlets.saturating_sub(most), of: outlets, turn };
        let bits = own.load.bits_out;
        // Streams vary: who is at its limit takes nothing more, and what it has stays.
        let is_over = limits.bits_out > 0 && bits > limits.bits_out.saturating_add(limits.bits_out / LEEWAY);
        let over = if is_over { bits - limits.bits_out } else { 0 };
        let bits = Self { over, of: bits, turn };
        [pipes, bits].into_iter().filter(|excess| excess.over > 0).max_by(Self::compare)
    }

    /// Which is the larger part.
    fn compare(&self, other: &Self) -> Ordering {
        let product = |one: u64, other: u64| u128::from(one) * u128::from(other);
        product(self.over, other.of).cmp(&product(other.over, self.of))
    }

    /// Whether a lot is among those that are drawn now: as large a part of all lots as is too many.
    fn draws(&self, lot: u64) -> bool {
        let lot = lot.wrapping_add(self.turn.wrapping_mul(STEP));
        u128::from(lot) * u128::from(self.of) < u128::from(self.over) << u64::BITS
    }
}

/// Whether a node feeds others, of any room, as it last said.
fn feeds(peer: &Peer, m: &Moment<'_>) -> bool {
    m.fleet.process(peer).is_some_and(|node| node.load.outlets > 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fleet::Fleet;
    use crate::fleet::samples::{PATIENCE, beat, presence};
    use crate::protocol::presence::Load;
    use crate::room::core::Mint;
    use std::time::Instant;

    /// How many of 1,000 lots are drawn at a node with this load and these limits.
    fn drawn(load: Load, limits: &Limits) -> usize {
        let now = Instant::now();
        let mut me = presence("n", 1, "r");
        me.load = load;
        let mut fleet = Fleet::new(me.peer.clone(), PATIENCE);
        fleet.hear(beat(me.clone(), 1), now);
        let mut mint = Mint::new(0, |_| 0);
        let m =
            Moment { now, wall: chrono::Utc::now(), fleet: &fleet, draining: false, log: 0, mint: &mut mint };
        let excess = Excess::of(&me.peer, limits, &m);
        let lot = |n: usize| {
            weight(&"r".parse().unwrap(), &StreamName::default(), &format!("n{n}").parse().unwrap())
        };
        (0..1_000).filter(|n| excess.is_some_and(|excess| excess.draws(lot(*n)))).count()
    }

    #[test]
    fn as_large_a_part_goes_as_is_too_many_and_none_for_a_little_more_than_the_bits_that_may_go_out() {
        let limits = |outlets: usize, bits_out: u64| Limits { outlets, bits_out, ..Limits::default() };
        let load = |outlets: u32, bits_out: u64| Load { outlets, bits_out, ..Load::default() };
        let near = |drawn: usize, expected: usize| drawn.abs_diff(expected) < 50;
        assert_eq!(drawn(load(20, 9_000), &limits(20, 0)), 0, "no limit of bits");
        assert!(near(drawn(load(20, 0), &limits(15, 0)), 250));
        assert_eq!(drawn(load(20, 1_090), &limits(20, 1_000)), 0, "streams vary");
        assert!(near(drawn(load(20, 2_000), &limits(20, 1_000)), 500));
        assert!(near(drawn(load(20, 2_000), &limits(5, 1_000)), 750), "the larger part");
        assert_eq!(drawn(load(0, 2_000), &limits(5, 1_000)), 0, "viewers alone");
    }
}
