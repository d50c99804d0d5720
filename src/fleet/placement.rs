//! Who is whose source: the same on every node that sees the same fleet, in every build.

use std::cmp::Reverse;
use std::time::Instant;

use super::Fleet;
use super::digest::weight;
use crate::protocol::ids::{Peer, RoomId, StreamName};
use crate::protocol::presence::{Phase, Presence, Role};

/// How many relays are tried before the origin.
const RELAYS: usize = 2;

/// Whom `me` may ask for a stream of that origin, the best first, at last the origin itself.
///
/// Within the origin's region that is the origin alone. In another region the relays come first that the
/// stream's hash prefers, so that media crosses between two regions once. A relay asks only those
/// that are preferred to itself: no two wait for each other. Never `me`: empty at the origin.
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
    let rank = |peer: &Peer| (weight(room, stream, &peer.node), peer.node.clone(), peer.incarnation);
    let mut relays = Vec::new();
    if origin.region != me.region {
        // One that hasn't heard itself yet doesn't know whether others take it for a relay.
        let is_relay = fleet.process(me).is_none_or(|mine| mine.roles.contains(&Role::Relay));
        let least = is_relay.then(|| rank(me));
        relays = fleet
            .present(now)
            .filter(|node| relays_for(node, me) && !same(&node.peer, origin))
            .map(|node| (rank(&node.peer), &node.peer))
            .filter(|(rank, _)| least.as_ref().is_none_or(|least| rank > least))
            .collect();
        relays.sort_by_cached_key(|(rank, _)| Reverse(rank.clone()));
    }
    relays.into_iter().take(RELAYS).map(|(_, peer)| peer).chain([origin]).cloned().collect()
}

fn relays_for(node: &Presence, me: &Peer) -> bool {
    node.phase == Phase::Serving
        && node.roles.contains(&Role::Relay)
        && node.peer.region == me.region
        && !same(&node.peer, me)
}

fn same(one: &Peer, other: &Peer) -> bool {
    one.incarnation == other.incarnation && one.node == other.node
}

#[cfg(test)]
mod tests {
    use super::super::samples::{PATIENCE, beat, peer, presence};
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

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
