//! Who is whose source. Pure, and the same on every node that sees the same fleet.

use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};
use std::time::Instant;

use super::Fleet;
use crate::protocol::ids::{NodeName, Peer, Region, RoomId, StreamName};
use crate::protocol::presence::{Phase, Role};

/// The node from which `me` pulls a stream.
///
/// Within the origin's region that is the origin. In another region one node pulls from the origin
/// and all others pull from that one, so that media crosses between two regions once per stream. A
/// source that works (`current`) is kept: nothing moves only because a node came.
pub fn parent(
    room: &RoomId,
    stream: &StreamName,
    origin: &Peer,
    me: &Peer,
    current: Option<&NodeName>,
    fleet: &Fleet,
    now: Instant,
) -> NodeName {
    if let Some(current) = current {
        return current.clone();
    }
    if origin.region == me.region {
        return origin.node.clone();
    }
    match relay(room, stream, &me.region, fleet, now) {
        Some(relay) if relay != me.node => relay,
        _ => origin.node.clone(),
    }
}

/// The relay of a region for a stream: the node with the highest hash of both (rendezvous hashing),
/// so that streams spread over the region and few move when a node comes or goes.
fn relay(
    room: &RoomId,
    stream: &StreamName,
    region: &Region,
    fleet: &Fleet,
    now: Instant,
) -> Option<NodeName> {
    fleet
        .present(now)
        .filter(|node| node.peer.region == *region && node.phase == Phase::Serving)
        .filter(|node| node.roles.contains(&Role::Relay))
        .map(|node| &node.peer.node)
        .max_by_key(|node| {
            let mut hasher = DefaultHasher::new();
            (room, stream, node).hash(&mut hasher);
            (hasher.finish(), (*node).clone())
        })
        .cloned()
}

#[cfg(test)]
mod tests {
    use super::super::view::tests::presence;
    use super::*;
    use proptest::prelude::*;
    use std::time::Duration;

    fn fleet(nodes: &[(String, u8)], now: Instant) -> Fleet {
        let mut fleet = Fleet::new(Duration::from_secs(2));
        fleet.bus(true, now);
        for (node, region) in nodes {
            fleet.hear(presence(node, &format!("r{region}")), now);
        }
        fleet
    }

    proptest! {
        #[test]
        fn media_enters_a_region_once_and_every_way_leads_to_the_origin(
            regions in proptest::collection::vec(0u8..4, 1..12),
            origin in 0usize..12,
            room in "[a-z]{1,4}",
        ) {
            let now = Instant::now();
            let nodes: Vec<_> = regions.iter().enumerate().map(|(i, r)| (format!("n{i}"), *r)).collect();
            let fleet = fleet(&nodes, now);
            let peers: Vec<_> = fleet.present(now).map(|p| p.peer.clone()).collect();
            let origin = &peers[origin % peers.len()];
            let room: RoomId = room.parse().unwrap();
            let stream = StreamName::default();
            let mut entries = std::collections::BTreeMap::new();
            for me in peers.iter().filter(|me| *me != origin) {
                let mut at = me.clone();
                let mut hops = 0;
                while at.node != origin.node {
                    let up = parent(&room, &stream, origin, &at, None, &fleet, now);
                    prop_assert_ne!(&up, &at.node);
                    let up = peers.iter().find(|p| p.node == up).unwrap().clone();
                    if up.region != at.region {
                        entries.insert((at.region.clone(), at.node.clone()), up.node.clone());
                    }
                    at = up;
                    hops += 1;
                    prop_assert!(hops <= 2);
                }
            }
            let mut regions: Vec<_> = entries.keys().map(|(region, _)| region).collect();
            let all = regions.len();
            regions.dedup();
            prop_assert_eq!(regions.len(), all, "a region is entered once");
        }
    }
}
