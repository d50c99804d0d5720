//! What this node knows of the fleet. Pure: time is an argument.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::protocol::ids::{NodeName, Peer};
use crate::protocol::presence::{Phase, Presence};

/// The last sign of life of every node.
#[derive(Debug, Clone, Default)]
pub struct Fleet {
    nodes: BTreeMap<NodeName, Seen>,
    /// Since when the bus is connected; none while it isn't.
    bus_up_since: Option<Instant>,
    patience: Duration,
}

/// A node's last sign of life.
#[derive(Debug, Clone)]
pub struct Seen {
    /// What it said.
    pub presence: Presence,
    /// When it was heard.
    pub at: Instant,
}

impl Fleet {
    /// A fleet in which a node may be silent for `patience`.
    pub fn new(patience: Duration) -> Self {
        Self { patience, ..Self::default() }
    }

    /// A node gave a sign of life.
    pub fn hear(&mut self, presence: Presence, now: Instant) {
        self.nodes.insert(presence.peer.node.clone(), Seen { presence, at: now });
    }

    /// The bus came up or went down.
    pub fn bus(&mut self, up: bool, now: Instant) {
        self.bus_up_since = up.then(|| self.bus_up_since.unwrap_or(now));
    }

    /// Forgets nodes that have been absent for `after`.
    pub fn forget(&mut self, after: Duration, now: Instant) {
        let patience = self.patience;
        let up = self.bus_up_since;
        self.nodes.retain(|_, seen| silent(seen.at, up, now).is_none_or(|silent| silent <= patience + after));
    }

    /// Whether a node has said that it is gone, or has been silent for too long.
    ///
    /// While the bus is down no one is absent: silence means nothing then.
    pub fn is_absent(&self, peer: &Peer, now: Instant) -> bool {
        match self.nodes.get(&peer.node) {
            Some(seen) if seen.presence.peer.incarnation != peer.incarnation => {
                // A newer process took the name; an older one's late word proves nothing.
                seen.presence.peer.incarnation > peer.incarnation
            }
            Some(seen) => seen.presence.phase == Phase::Stopped || self.is_silent(seen, now),
            None => self.bus_up_since.is_some_and(|up| now.duration_since(up) > self.patience),
        }
    }

    /// The nodes that are there, draining ones included.
    pub fn present(&self, now: Instant) -> impl Iterator<Item = &Presence> {
        self.nodes
            .values()
            .filter(move |seen| seen.presence.phase != Phase::Stopped && !self.is_silent(seen, now))
            .map(|seen| &seen.presence)
    }

    /// The nodes that have fallen silent without a last word.
    pub fn lost(&self, now: Instant) -> impl Iterator<Item = &Peer> {
        self.nodes
            .values()
            .filter(move |seen| seen.presence.phase != Phase::Stopped && self.is_silent(seen, now))
            .map(|seen| &seen.presence.peer)
    }

    /// Whether the bus has been up long enough to have heard every node.
    pub fn is_settled(&self, now: Instant) -> bool {
        self.bus_up_since.is_some_and(|up| now.duration_since(up) > self.patience)
    }

    /// A node's last word.
    pub fn node(&self, name: &NodeName) -> Option<&Presence> {
        self.nodes.get(name).map(|seen| &seen.presence)
    }

    fn is_silent(&self, seen: &Seen, now: Instant) -> bool {
        silent(seen.at, self.bus_up_since, now).is_some_and(|silent| silent > self.patience)
    }
}

/// How long a node has been silent on a working bus; none while the bus is down.
fn silent(heard: Instant, bus_up_since: Option<Instant>, now: Instant) -> Option<Duration> {
    bus_up_since.map(|up| now.saturating_duration_since(heard.max(up)))
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::protocol::ids::Incarnation;
    use crate::protocol::presence::{Load, Role};
    use uuid::Uuid;

    pub(crate) fn presence(node: &str, region: &str) -> Presence {
        Presence {
            peer: Peer {
                node: node.parse().unwrap(),
                incarnation: Incarnation(Uuid::from_u128(1)),
                region: region.parse().unwrap(),
            },
            roles: vec![Role::Origin, Role::Edge, Role::Relay],
            version: "0".to_owned(),
            phase: Phase::Serving,
            load: Load::default(),
            public_url: String::new(),
        }
    }

    #[test]
    fn silence_counts_only_while_the_bus_is_up() {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let mut fleet = Fleet::new(Duration::from_secs(2));
        fleet.bus(true, at(0));
        let node = presence("a", "x");
        fleet.hear(node.clone(), at(0));
        assert!(!fleet.is_absent(&node.peer, at(1_900)));
        assert!(fleet.is_absent(&node.peer, at(2_100)));
        fleet.bus(false, at(2_100));
        assert!(!fleet.is_absent(&node.peer, at(60_000)));
        fleet.bus(true, at(60_000));
        assert!(!fleet.is_absent(&node.peer, at(61_000)), "it gets time to be heard again");
        assert!(fleet.is_absent(&node.peer, at(62_100)));
    }

    #[test]
    fn a_restarted_node_is_not_its_former_self() {
        let now = Instant::now();
        let mut fleet = Fleet::new(Duration::from_secs(2));
        let former = presence("a", "x");
        let mut newer = former.clone();
        newer.peer.incarnation = Incarnation(Uuid::from_u128(2));
        fleet.hear(newer.clone(), now);
        assert!(fleet.is_absent(&former.peer, now));
        assert!(!fleet.is_absent(&newer.peer, now));
    }
}
