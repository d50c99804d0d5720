//! Who is whose source: the same on every node that sees the same fleet, in every build.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::time::Instant;

use super::Fleet;
use super::digest::{spread, weights};
use crate::protocol::ids::{Incarnation, NodeName, Peer, Region, RoomId, StreamName};
use crate::protocol::presence::{Phase, Presence, Role};

/// How many relays are tried before the origin.
const RELAYS: usize = 2;
/// How many times as much as the average a relay may feed before others are preferred to it, in quarters; and how many
/// pipes are never too many.
const BOUND_QUARTERS: u32 = 5;
const FEW: u32 = 8;
/// How many others a full node names.
const SHARED: usize = 4;
/// The most hops that a stream may take from its origin: a node that is so many away feeds no other.
pub const MAX_HOPS: usize = 4;

/// How a node does as a source; less is better.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Tier {
    /// It has room.
    Ready,
    /// It feeds far more than the others, or comes and goes all the time.
    Last,
    /// It has no room.
    Full,
}

/// Whom `me` may ask for a stream of that origin, the best first, at last the origin itself.
///
/// Within the origin's region that is the origin alone: one that is full names those that have the stream from it.
/// In another region the relays come first that the stream's hash prefers, so that media crosses between two regions
/// once; one that feeds far more than the average, or is being lost all the time, comes after the others. A relay asks
/// only those that are preferred to itself: no two wait for each other. Draining and full relays are not asked. Never
/// `me`: empty at the origin.
pub fn candidates(
    room: &RoomId,
    stream: &StreamName,
    origin: &Peer,
    me: &Peer,
    fleet: &Fleet,
    now: Instant,
) -> Vec<Peer> {
    if same(me, origin) {
        return Vec::new();
    }
    let mut relays: Vec<&Peer> = Vec::new();
    if origin.region != me.region {
        let here: Vec<&Presence> = fleet
            .relays_in(&me.region, now)
            .map(AsRef::as_ref)
            .filter(|node| !same(&node.peer, origin))
            .collect();
        let bound = bound(&here);
        let own = match fleet.process(me) {
            Some(mine) => may_relay(mine).then(|| tier(mine, bound, fleet, now)),
            // One that hasn't heard itself yet doesn't know whether others take it for a relay.
            None => Some(Tier::Ready),
        };
        let weight = weights(room, stream);
        let own = own.map(|tier| rank(tier, weight(&me.node), me));
        let others = here.into_iter().filter(|node| !same(&node.peer, me));
        let willing = others.map(|node| (tier(node, bound, fleet, now), &node.peer));
        let mut ranked: Vec<_> = willing
            .filter(|(tier, _)| *tier < Tier::Full)
            .map(|(tier, peer)| (rank(tier, weight(&peer.node), peer), peer))
            .filter(|(rank, _)| own.is_none_or(|own| *rank < own))
            .collect();
        // Of very many only the first ones are put in order.
        if ranked.len() > RELAYS {
            ranked.select_nth_unstable_by_key(RELAYS, |(rank, _)| *rank);
            ranked.truncate(RELAYS);
        }
        ranked.sort_unstable_by_key(|(rank, _)| *rank);
        relays = ranked.into_iter().map(|(_, peer)| peer).collect();
    }
    relays.into_iter().chain([origin]).cloned().collect()
}

/// How much a node is preferred for a stream; less is better.
fn rank(tier: Tier, weight: u64, peer: &Peer) -> (Tier, Reverse<u64>, &NodeName, Incarnation) {
    (tier, Reverse(weight), &peer.node, peer.incarnation)
}

/// Whom `me` may ask where the origin can't be reached: other relays, as they may have found a way. First those of this
/// node's region, then of each other region the ones that the stream's hash prefers there, which are the first to have it;
/// in the same region as the origin last.
pub fn others(
    room: &RoomId,
    stream: &StreamName,
    origin: &Peer,
    me: &Peer,
    fleet: &Fleet,
    now: Instant,
) -> Vec<Peer> {
    let weight = weights(room, stream);
    let mut regions: BTreeMap<&Region, Vec<_>> = BTreeMap::new();
    for peer in fleet.present(now).map(|node| &node.peer) {
        if !same(peer, me) && !same(peer, origin) && may_feed(peer, fleet, now) {
            let weight = Reverse(weight(&peer.node));
            regions.entry(&peer.region).or_default().push((weight, peer));
        }
    }
    let mut ranked = Vec::new();
    for (region, mut relays) in regions {
        relays.sort_unstable_by_key(|(weight, _)| *weight);
        let distance = if *region == me.region { 0 } else { 1 + u8::from(*region == origin.region) };
        let most = if distance == 0 { usize::MAX } else { RELAYS };
        let relays = relays.into_iter().take(most).enumerate();
        ranked.extend(relays.map(|(place, (weight, peer))| ((distance, place, weight), peer)));
    }
    ranked.sort_unstable_by_key(|(rank, _)| *rank);
    ranked.into_iter().map(|(_, peer)| peer.clone()).collect()
}

/// Which of these that have a stream `asker` should pull it from, the best first: each asker another one, so that they
/// share the work.
pub fn shared<'a>(asker: &NodeName, of: impl Iterator<Item = &'a Peer>) -> Vec<Peer> {
    let mut ranked: Vec<_> = of.map(|peer| (spread(asker, &peer.node), peer)).collect();
    ranked.sort_unstable_by_key(|(weight, _)| Reverse(*weight));
    ranked.into_iter().take(SHARED).map(|(_, peer)| peer.clone()).collect()
}

/// Whether a node may be the source of others, and has room for one more.
pub fn may_feed(peer: &Peer, fleet: &Fleet, now: Instant) -> bool {
    fleet.heard(peer, now).is_some_and(|node| may_relay(node) && node.has_room_for_children())
}

fn may_relay(node: &Presence) -> bool {
    node.phase == Phase::Serving && node.roles.contains(&Role::Relay)
}

fn tier(node: &Presence, bound: u32, fleet: &Fleet, now: Instant) -> Tier {
    if !node.has_room_for_children() {
        Tier::Full
    } else if node.load.outlets > bound || fleet.is_flapping(&node.peer.node, now) {
        Tier::Last
    } else {
        Tier::Ready
    }
}

/// How many nodes a relay may feed before others are preferred to it (consistent hashing with bounded loads).
fn bound(relays: &[&Presence]) -> u32 {
    let all = relays.iter().fold(0_u32, |sum, node| sum.saturating_add(node.load.outlets));
    let count = u32::try_from(relays.len()).unwrap_or(u32::MAX).max(1);
    FEW.max(all.saturating_mul(BOUND_QUARTERS).div_ceil(count.saturating_mul(4)))
}

fn same(one: &Peer, other: &Peer) -> bool {
    one.incarnation == other.incarnation && one.node == other.node
}

#[cfg(test)]
mod tests {
    use super::super::samples::{PATIENCE, beat, peer, presence};
    use super::*;
    use proptest::prelude::*;
    use std::sync::Arc;

    /// Each node's own view of the same nodes: (region, whether it relays).
    fn views(nodes: &[(u8, bool)], now: Instant) -> Vec<(Peer, Fleet)> {
        let presences: Vec<_> = nodes
            .iter()
            .enumerate()
            .map(|(n, (region, relays))| {
                let mut presence = presence(&format!("n{n}"), n as u128 + 1, &format!("r{region}"));
                presence.roles.retain(|role| *relays || *role != Role::Relay);
                beat(presence, 1)
            })
            .collect();
        let view = |me: &Peer| {
            let mut fleet = Fleet::new(me.clone(), PATIENCE);
            presences.iter().for_each(|presence| {
                fleet.hear(presence.clone(), now);
            });
            fleet
        };
        presences.iter().map(|presence| (presence.peer.clone(), view(&presence.peer))).collect()
    }

    #[test]
    fn every_build_prefers_the_same_relays() {
        let now = Instant::now();
        let views = views(&[(0, true), (1, true), (1, true), (1, true), (1, false)], now);
        let (origin, _) = &views[0];
        let (room, stream) = ("ch-11".parse().unwrap(), StreamName::default());
        let names = |n: usize| -> Vec<String> {
            let (me, fleet) = &views[n];
            let peers = candidates(&room, &stream, origin, me, fleet, now);
            peers.iter().map(|peer| peer.node.to_string()).collect()
        };
        assert_eq!(
            [names(1), names(2), names(3), names(4)],
            [vec!["n2", "n0"], vec!["n0"], vec!["n2", "n1", "n0"], vec!["n2", "n1", "n0"]]
        );
        assert!(names(0).is_empty(), "the origin asks no one");
    }

    #[test]
    fn where_the_origin_is_out_of_reach_relays_of_the_region_come_first_and_two_of_each_other_one() {
        let now = Instant::now();
        let nodes = [
            (0, true),
            (0, true),
            (1, true),
            (1, true),
            (1, false),
            (2, true),
            (2, true),
            (2, true),
            (2, false),
            (3, false),
            (0, false),
        ];
        let views = views(&nodes, now);
        let (room, stream) = ("ch-11".parse().unwrap(), StreamName::default());
        let origin = &views[0].0;
        for (me, fleet) in views.iter().filter(|(me, _)| me != origin) {
            let named = others(&room, &stream, origin, me, fleet, now);
            assert!(!named.contains(me) && !named.contains(origin), "{named:?}");
            let of = |region: &str| named.iter().filter(|peer| peer.region.as_str() == region).count();
            let own = me.region.as_str();
            let expected = |region: &str, all: usize, relays: bool| {
                if own == region { all - usize::from(relays) } else { all.min(2) }
            };
            let relays = fleet.process(me).unwrap().roles.contains(&Role::Relay);
            assert_eq!(of("r0"), expected("r0", 1, relays), "{named:?}");
            assert_eq!(of("r1"), expected("r1", 2, relays), "{named:?}");
            assert_eq!(of("r2"), expected("r2", 3, relays), "{named:?}");
            let far = |peer: &Peer| match peer.region.as_str() {
                region if region == own => 0,
                "r0" => 2,
                _ => 1,
            };
            assert!(named.is_sorted_by_key(far), "{named:?}");
            // The first of a region is whom the region itself asks first: who asks there asks one that has it.
            let first = named.iter().find(|peer| peer.region.as_str() == "r2" && own != "r2");
            let (edge, edges_view) = &views[8];
            let asked = candidates(&room, &stream, origin, edge, edges_view, now);
            assert!(first.is_none_or(|first| *first == asked[0]), "{first:?} {asked:?}");
        }
    }

    #[test]
    fn draining_and_lost_relays_are_not_asked() {
        let now = Instant::now();
        let mut views = views(&[(0, true), (1, true), (1, false)], now);
        let (origin, relay) = (views[0].0.clone(), views[1].0.clone());
        let (me, fleet) = &mut views[2];
        let (room, stream) = ("r".parse().unwrap(), StreamName::default());
        assert_eq!(candidates(&room, &stream, &origin, me, fleet, now), [relay.clone(), origin.clone()]);
        let draining = Presence { phase: Phase::Draining, ..presence("n1", 2, "r1") };
        fleet.hear(beat(draining, 2), now);
        assert_eq!(candidates(&room, &stream, &origin, me, fleet, now), [origin]);
        let unheard = peer("n9", 9, "r9");
        assert_eq!(candidates(&room, &stream, &unheard, me, fleet, now), [unheard]);
    }

    fn loaded(node: &str, process: u128, outlets: u32) -> Arc<Presence> {
        let mut presence = presence(node, process, "r1");
        presence.load.outlets = outlets;
        presence.limits.outlets = Some(100);
        beat(presence, 2)
    }

    #[test]
    fn full_relays_are_not_asked_and_loaded_ones_come_last() {
        let now = Instant::now();
        let mut views = views(&[(0, true), (1, true), (1, true), (1, false)], now);
        let origin = views[0].0.clone();
        let (me, fleet) = &mut views[3];
        let (room, stream) = ("ch-11".parse().unwrap(), StreamName::default());
        let names = |fleet: &Fleet| -> Vec<String> {
            let peers = candidates(&room, &stream, &origin, me, fleet, now);
            peers.iter().map(|peer| peer.node.to_string()).collect()
        };
        assert_eq!(names(fleet), ["n2", "n1", "n0"]);
        fleet.hear(loaded("n2", 3, 60), now);
        assert_eq!(names(fleet), ["n1", "n2", "n0"], "it feeds far more than the other");
        fleet.hear(
            {
                let mut full = (*loaded("n2", 3, 100)).clone();
                full.beat.number = 3;
                Arc::new(full)
            },
            now,
        );
        assert_eq!(names(fleet), ["n1", "n0"]);
    }

    #[test]
    fn those_that_are_sent_on_share_the_work() {
        let fed: Vec<Peer> = (0..4).map(|n| peer(&format!("n{n}"), n + 1, "r")).collect();
        let mut firsts = BTreeMap::new();
        for asker in 0..400 {
            let asker = format!("a{asker}").parse().unwrap();
            let named = shared(&asker, fed.iter());
            assert_eq!(named.len(), SHARED);
            *firsts.entry(named[0].node.clone()).or_insert(0) += 1;
        }
        assert!(firsts.len() == 4 && firsts.values().all(|times| *times > 60), "{firsts:?}");
    }

    proptest! {
        #[test]
        fn media_enters_a_region_once_and_every_way_leads_to_the_origin(
            nodes in proptest::collection::vec((0u8..4, any::<bool>()), 1..12),
            origin in 0usize..12,
            choices in proptest::collection::vec(0usize..3, 12),
            room in "[a-z]{1,4}",
        ) {
            let now = Instant::now();
            let views = views(&nodes, now);
            let origin = &views[origin % views.len()].0;
            let (room, stream) = (room.parse().unwrap(), StreamName::default());
            let ask = |me: &Peer, choice: usize| {
                let (_, fleet) = views.iter().find(|(peer, _)| peer == me).unwrap();
                let candidates = candidates(&room, &stream, origin, me, fleet, now);
                assert!(candidates.len() <= RELAYS + 1 && !candidates.contains(me));
                assert_eq!(candidates.last(), Some(origin));
                candidates[choice.min(candidates.len() - 1)].clone()
            };
            let mut entries: BTreeMap<_, Vec<_>> = BTreeMap::new();
            for (me, _) in views.iter().filter(|(me, _)| me != origin) {
                let first = ask(me, 0);
                if first.region != me.region {
                    entries.entry(me.region.clone()).or_default().push(me.clone());
                }
                let (mut at, mut hops) = (me.clone(), 0);
                while at != *origin {
                    at = ask(&at, 0);
                    hops += 1;
                    prop_assert!(hops <= 2);
                }
                // Whatever each one chooses, nobody waits for itself.
                let (mut at, mut hops) = (me.clone(), 0);
                while at != *origin {
                    at = ask(&at, choices[views.iter().position(|(peer, _)| *peer == at).unwrap()]);
                    hops += 1;
                    prop_assert!(hops <= views.len());
                }
            }
            for (region, by) in entries {
                let relays = |(peer, fleet): &(Peer, Fleet)| {
                    peer.region == region && fleet.process(peer).unwrap().roles.contains(&Role::Relay)
                };
                prop_assert!(by.len() == 1 || !views.iter().any(relays), "{} is entered by {:?}", region, by);
            }
        }
    }
}
