//! Where a viewer or publisher may go: the nodes to try, the best first. Pure.

use std::cmp::Reverse;
use std::sync::Arc;
use std::time::Instant;

use serde::Serialize;
use url::{Host, Url};

use super::Fleet;
use super::digest::weight;
use crate::protocol::admission::Action;
use crate::protocol::ids::{NodeName, Peer, Region, RoomId, StreamName};
use crate::protocol::presence::Presence;

/// The most nodes that are named.
pub(super) const MOST: usize = 16;
/// A node with less than this share of its viewers' places left is chosen after those with more.
const NEARLY_FULL: f64 = 0.1;

/// A node that a client may try.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Place {
    /// The node.
    pub node: NodeName,
    /// Its datacenter.
    pub region: Region,
    /// Where clients reach it, without a slash at the end.
    pub url: String,
}

/// What is looked for, and from where.
#[derive(Debug, Clone, Copy)]
pub struct Wanted<'a> {
    /// To watch or to publish.
    pub action: Action,
    /// The room.
    pub room: &'a RoomId,
    /// The stream.
    pub stream: &'a StreamName,
    /// The node that is asked: its callers are near it.
    pub near: &'a Peer,
    /// Where the stream is published, as far as that is known.
    pub origin: Option<&'a Peer>,
    /// The regions that may have the room (`rooms.residency`); none is all.
    pub only_in: Option<&'a [Region]>,
}

/// The nodes to try, the best first, at most 16: such as serve, have the role, have room and say where they are
/// reached. Nodes that are reached by one address are one place.
///
/// First comes the caller's region, then for a viewer that of the origin, then the rest. Among these a viewer is sent to
/// the origin, where the stream is already, and else by the stream's hash, so that its viewers gather on few nodes while
/// those have places left.
pub fn nearby(wanted: Wanted<'_>, fleet: &Fleet, now: Instant) -> Vec<Place> {
    let here = fleet.process(wanted.near).map(|presence| presence.public_url.as_str());
    let fits = |node: &&Arc<Presence>| match wanted.action {
        Action::Publish => node.has_room_for_streams(),
        Action::Watch | Action::Moderate => {
            // What a node has that is no origin isn't known: one that can get nothing more is not named.
            let has_it = wanted.origin.is_some_and(|origin| *origin == node.peer);
            node.has_room_for_viewers() && (has_it || node.has_room_for_inlets())
        }
    };
    let allowed = |node: &&Arc<Presence>| wanted.only_in.is_none_or(|only| only.contains(&node.peer.region));
    let known = |node: &&Arc<Presence>| leads_somewhere(&node.public_url, here);
    let fitting = fleet.present(now).filter(fits).filter(allowed).filter(known);
    let mut ranked: Vec<_> = fitting.map(|node| (rank(wanted, node), node)).collect();
    ranked.sort_by(|(one, _), (other, _)| one.cmp(other));
    let mut places: Vec<Place> = Vec::new();
    for (_, node) in ranked {
        let url = node.public_url.trim_end_matches('/');
        let is_new = || !places.iter().any(|place| place.node == node.peer.node || place.url == url);
        if places.len() < MOST && is_new() {
            let (name, region) = (node.peer.node.clone(), node.peer.region.clone());
            places.push(Place { node: name, region, url: url.to_owned() });
        }
    }
    places
}

/// Whether a client that has reached the node at `here` can reach this address: a node without `http.public_url` names
/// its listener, which is good on one machine at most.
fn leads_somewhere(url: &str, here: Option<&str>) -> bool {
    let is_loopback = |host: &Host<&str>| match host {
        Host::Ipv4(ip) => ip.is_loopback(),
        Host::Ipv6(ip) => ip.is_loopback(),
        Host::Domain(name) => *name == "localhost",
    };
    let Ok(parsed) = Url::parse(url) else { return false };
    match parsed.host() {
        Some(Host::Ipv4(ip)) if ip.is_unspecified() => false,
        Some(Host::Ipv6(ip)) if ip.is_unspecified() => false,
        Some(host) if is_loopback(&host) => {
            let here = here.and_then(|here| Url::parse(here).ok());
            here.as_ref().and_then(Url::host).is_some_and(|host| is_loopback(&host))
        }
        host => host.is_some(),
    }
}

/// The less, the better.
fn rank(wanted: Wanted<'_>, node: &Presence) -> impl Ord + use<> {
    let peer = &node.peer;
    let origin = wanted.origin.filter(|_| wanted.action == Action::Watch);
    let distance = match origin {
        _ if peer.region == wanted.near.region => 0,
        Some(origin) if peer.region == origin.region => 1,
        _ => 2,
    };
    let nearly_full = wanted.action == Action::Watch && left(node) < NEARLY_FULL;
    let is_origin = origin.is_some_and(|origin| origin.node == peer.node);
    let hash = weight(wanted.room, wanted.stream, &peer.node);
    // Of two processes of one name the one that has been there longer.
    (distance, nearly_full, !is_origin, Reverse(hash), peer.node.clone(), Reverse(node.beat.number))
}

/// The share of its viewers' places that a node has left; 1 where they have no limit.
fn left(node: &Presence) -> f64 {
    node.limits.viewers.map_or(1.0, |limit| 1.0 - f64::from(node.load.viewers) / f64::from(limit.max(1)))
}

#[cfg(test)]
mod tests {
    use super::super::samples::{PATIENCE, beat, peer, presence};
    use super::*;
    use crate::protocol::presence::{Phase, Role};
    use proptest::prelude::*;

    fn node(number: u128, region: &str) -> Presence {
        let name = format!("n{number}");
        Presence { public_url: format!("https://{name}.example.com/"), ..presence(&name, number, region) }
    }

    fn fleet(nodes: &[Presence], now: Instant) -> Fleet {
        let mut fleet = Fleet::new(peer("n1", 1, "west"), PATIENCE);
        for node in nodes {
            fleet.hear(beat(node.clone(), 1), now);
        }
        fleet
    }

    fn names(nodes: &[Presence], action: Action, origin: Option<&Peer>) -> Vec<String> {
        let now = Instant::now();
        let (room, stream) = ("news".parse().unwrap(), StreamName::default());
        let near = peer("n1", 1, "west");
        let wanted = Wanted { action, room: &room, stream: &stream, near: &near, origin, only_in: None };
        let fleet = fleet(nodes, now);
        let east = ["east".parse().unwrap()];
        let resident = nearby(Wanted { only_in: Some(&east), ..wanted }, &fleet, now);
        assert!(resident.iter().all(|place| place.region == east[0]), "{resident:?}");
        nearby(wanted, &fleet, now).iter().map(|place| place.node.to_string()).collect()
    }

    #[test]
    fn the_caller_s_region_comes_first_then_the_origin_s() {
        let nodes = [node(1, "west"), node(2, "east"), node(3, "north"), node(4, "west"), node(5, "east")];
        let origin = peer("n5", 5, "east");
        let ranked = names(&nodes, Action::Watch, Some(&origin));
        assert_eq!(ranked.len(), 5);
        assert!(
            ranked[..2].contains(&"n1".to_owned()) && ranked[..2].contains(&"n4".to_owned()),
            "{ranked:?}"
        );
        assert_eq!(ranked[2..], ["n5", "n2", "n3"]);
        let publishing = names(&nodes, Action::Publish, Some(&origin));
        assert_eq!(publishing[..2], ranked[..2]);
    }

    #[test]
    fn who_drains_is_full_or_has_not_the_role_is_not_named() {
        let mut nodes = [node(1, "west"), node(2, "west"), node(3, "west"), node(4, "west")];
        nodes[0].phase = Phase::Draining;
        (nodes[1].limits.viewers, nodes[1].load.viewers) = (Some(10), 10);
        nodes[2].roles = vec![Role::Origin];
        assert_eq!(names(&nodes, Action::Watch, None), ["n4"]);
        nodes[3].roles = vec![Role::Edge];
        let mut publishing = names(&nodes, Action::Publish, None);
        publishing.sort();
        assert_eq!(publishing, ["n2", "n3"]);
        // Nearly full comes after all of its region that are not.
        (nodes[3].limits.viewers, nodes[3].load.viewers) = (Some(100), 95);
        nodes[1].load.viewers = 1;
        assert_eq!(names(&nodes, Action::Watch, None), ["n2", "n4"]);
    }

    #[test]
    fn a_node_that_told_a_limit_which_is_reached_is_not_named() {
        type Fill = fn(&mut Presence);
        let full: [(Action, Fill); 8] = [
            (Action::Publish, |node| (node.limits.streams, node.load.streams) = (Some(3), 3)),
            (Action::Publish, |node| (node.limits.rooms, node.load.rooms) = (Some(3), 4)),
            (Action::Publish, |node| (node.limits.bits_out, node.load.bits_out) = (Some(3), 3)),
            (Action::Publish, |node| node.limits.streams = Some(0)),
            (Action::Watch, |node| (node.limits.viewers, node.load.viewers) = (Some(3), 3)),
            (Action::Watch, |node| (node.limits.rooms, node.load.rooms) = (Some(3), 3)),
            (Action::Watch, |node| (node.limits.bits_out, node.load.bits_out) = (Some(3), 3)),
            (Action::Watch, |node| node.load.free_ports = Some(0)),
        ];
        for (number, (action, fill)) in full.into_iter().enumerate() {
            let mut nodes = [node(1, "west"), node(2, "west")];
            fill(&mut nodes[0]);
            assert_eq!(names(&nodes, action, None), ["n2"], "{number}");
        }
        // Its own streams an origin can show with no pipe and in no further room; a viewer's place it needs all the same.
        let (mut nodes, origin) = ([node(1, "west"), node(2, "west")], peer("n1", 1, "west"));
        nodes[0].load.free_ports = Some(0);
        (nodes[0].limits.rooms, nodes[0].load.rooms) = (Some(3), 3);
        (nodes[0].limits.streams, nodes[0].load.streams) = (Some(1), 1);
        assert_eq!(names(&nodes, Action::Watch, Some(&origin)), ["n1", "n2"]);
        (nodes[0].limits.viewers, nodes[0].load.viewers) = (Some(3), 3);
        assert_eq!(names(&nodes, Action::Watch, Some(&origin)), ["n2"]);
    }

    #[test]
    fn an_address_that_leads_nowhere_is_not_named_and_one_name_is_one_place() {
        let mut nodes = [node(1, "west"), node(2, "west"), node(3, "west"), node(4, "west")];
        nodes[1].public_url = "http://0.0.0.0:8080".to_owned();
        nodes[2].public_url = "http://127.0.0.1:8080".to_owned();
        nodes[3].public_url = String::new();
        assert_eq!(names(&nodes, Action::Watch, None), ["n1"]);
        // On one machine that is where they are.
        nodes[0].public_url = "http://localhost:8081".to_owned();
        assert_eq!(names(&nodes, Action::Watch, None).len(), 2);
        for node in &mut nodes {
            node.public_url = "https://live.example.com".to_owned();
        }
        assert_eq!(names(&nodes, Action::Watch, None).len(), 1);
    }

    proptest! {
        #[test]
        fn whoever_is_named_may_be_asked_and_none_nearer_comes_after(
            drawn in proptest::collection::vec((0u8..3, 0u32..12, any::<bool>(), any::<bool>()), 0..40),
        ) {
            let nodes: Vec<_> = drawn.iter().enumerate().map(|(n, (region, viewers, drains, edge))| {
                let mut node = node(n as u128 + 1, ["west", "east", "north"][usize::from(*region)]);
                node.phase = if *drains { Phase::Draining } else { Phase::Serving };
                node.roles = if *edge { vec![Role::Edge] } else { vec![Role::Origin, Role::Relay] };
                (node.limits.viewers, node.load.viewers) = (Some(10), *viewers);
                node
            }).collect();
            let origin = peer("n2", 2, "east");
            let ranked = names(&nodes, Action::Watch, Some(&origin));
            let of = |name: &String| nodes.iter().find(|node| node.peer.node.as_str() == name).unwrap();
            let far = |name: &String| match of(name).peer.region.as_str() { "west" => 0, "east" => 1, _ => 2 };
            prop_assert!(ranked.iter().all(|name| of(name).has_room_for_viewers()));
            prop_assert!(ranked.is_sorted_by_key(far));
            let willing = nodes.iter().filter(|node| node.has_room_for_viewers()).count();
            prop_assert_eq!(ranked.len(), willing.min(MOST));
        }
    }
}
