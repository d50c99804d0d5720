//! The last sign of life of each process, found by process, by name and by region.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::protocol::ids::{Incarnation, NodeName, Peer, Region};
use crate::protocol::presence::{Phase, Presence, Role};

/// One process: several may go by one name.
type Process = (NodeName, Incarnation);

/// What was last heard of a process.
#[derive(Debug, Clone)]
pub(super) struct Seen {
    pub(super) presence: Arc<Presence>,
    pub(super) at: Instant,
    /// When it was first heard.
    pub(super) since: Instant,
    /// Whether its silence was noted as a loss.
    pub(super) lost: bool,
    /// How long after a sign of life the next one comes.
    pub(super) every: Duration,
    /// Of its last word what is looked at all the time: that itself is elsewhere in memory.
    node: NodeName,
    pub(super) phase: Phase,
    pub(super) relays: bool,
}

impl Seen {
    pub(super) fn new(presence: Arc<Presence>, at: Instant, since: Instant) -> Self {
        let every = super::view::every(&presence);
        let (node, phase) = (presence.peer.node.clone(), presence.phase);
        let relays = phase == Phase::Serving && presence.roles.contains(&Role::Relay);
        Self { presence, at, since, lost: false, every, node, phase, relays }
    }

    pub(super) fn has_stopped(&self) -> bool {
        self.phase == Phase::Stopped
    }
}

/// All processes. A copy shares where they are: that changes only when one comes or goes.
#[derive(Debug, Clone, Default)]
pub(super) struct Processes {
    seen: Vec<Seen>,
    places: Arc<Places>,
}

/// Which of all are a process, have a name, are in a region: who looks for one doesn't go through the whole fleet.
#[derive(Debug, Clone, Default)]
struct Places {
    processes: HashMap<Incarnation, usize>,
    /// Those who say of themselves that they are what another one is that has another name.
    doubles: HashMap<Process, usize>,
    names: BTreeMap<NodeName, Vec<usize>>,
    regions: BTreeMap<Region, Vec<usize>>,
}

impl Processes {
    pub(super) fn get(&self, peer: &Peer) -> Option<&Seen> {
        self.seen.get(self.place(peer)?)
    }

    pub(super) fn get_mut(&mut self, peer: &Peer) -> Option<&mut Seen> {
        let at = self.place(peer)?;
        self.seen.get_mut(at)
    }

    fn place(&self, peer: &Peer) -> Option<usize> {
        let has_its_name = |at: &usize| self.seen.get(*at).is_some_and(|it| it.node == peer.node);
        let first = self.places.processes.get(&peer.incarnation).copied().filter(has_its_name);
        first.or_else(|| self.places.doubles.get(&process(peer)).copied())
    }

    /// All of them, in the order of their names.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Seen> {
        self.places.names.values().flatten().filter_map(|at| self.seen.get(*at))
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Seen> {
        self.seen.iter_mut()
    }

    pub(super) fn named(&self, node: &NodeName) -> impl Iterator<Item = &Seen> {
        self.places.names.get(node).into_iter().flatten().filter_map(|at| self.seen.get(*at))
    }

    pub(super) fn in_region(&self, region: &Region) -> impl Iterator<Item = &Seen> {
        self.places.regions.get(region).into_iter().flatten().filter_map(|at| self.seen.get(*at))
    }

    /// Takes a process's last word in; whether it is the first.
    pub(super) fn insert(&mut self, seen: Seen) -> bool {
        let peer = seen.presence.peer.clone();
        match self.get_mut(&peer) {
            Some(known) if known.presence.peer.region == peer.region => {
                *known = seen;
                return false;
            }
            Some(_) => self.remove(&peer),
            None => {}
        }
        let at = self.seen.len();
        self.seen.push(seen);
        Arc::make_mut(&mut self.places).add(&peer, at);
        true
    }

    pub(super) fn remove(&mut self, peer: &Peer) {
        let Some(at) = self.place(peer) else { return };
        let places = Arc::make_mut(&mut self.places);
        let last = self.seen.len().saturating_sub(1);
        // The last one takes its place.
        if let (Some(gone), Some(moved)) = (self.seen.get(at), self.seen.last()) {
            places.remove(&gone.presence.peer, at);
            if at != last {
                places.remove(&moved.presence.peer, last);
                places.add(&moved.presence.peer, at);
            }
            self.seen.swap_remove(at);
        }
    }

    pub(super) fn retain(&mut self, keep: impl Fn(&Seen) -> bool) {
        let gone = self.seen.iter().filter(|seen| !keep(seen)).map(|seen| seen.presence.peer.clone());
        for peer in gone.collect::<Vec<_>>() {
            self.remove(&peer);
        }
    }
}

impl Places {
    fn add(&mut self, peer: &Peer, at: usize) {
        match self.processes.entry(peer.incarnation) {
            Entry::Vacant(free) => drop(free.insert(at)),
            Entry::Occupied(_) => drop(self.doubles.insert(process(peer), at)),
        }
        self.names.entry(peer.node.clone()).or_default().push(at);
        self.regions.entry(peer.region.clone()).or_default().push(at);
    }

    fn remove(&mut self, peer: &Peer, at: usize) {
        match self.processes.get(&peer.incarnation) == Some(&at) {
            true => drop(self.processes.remove(&peer.incarnation)),
            false => drop(self.doubles.remove(&process(peer))),
        }
        take_out(&mut self.names, &peer.node, at);
        take_out(&mut self.regions, &peer.region, at);
    }
}

fn take_out<K: Ord>(places: &mut BTreeMap<K, Vec<usize>>, key: &K, at: usize) {
    let Some(there) = places.get_mut(key) else { return };
    there.retain(|place| *place != at);
    if there.is_empty() {
        places.remove(key);
    }
}

fn process(peer: &Peer) -> Process {
    (peer.node.clone(), peer.incarnation)
}

#[cfg(test)]
mod tests {
    use super::super::samples::{beat, presence};
    use super::*;
    use proptest::prelude::*;

    fn seen(name: u8, process: u128, region: u8) -> Seen {
        let presence = presence(&format!("n{name}"), process + 1, &format!("r{region}"));
        let now = Instant::now();
        Seen::new(beat(presence, 1), now, now)
    }

    fn ids<'a>(of: impl Iterator<Item = &'a Seen>) -> Vec<Process> {
        let mut ids: Vec<_> = of.map(|seen| process(&seen.presence.peer)).collect();
        ids.sort();
        ids
    }

    proptest! {
        #[test]
        fn each_is_found_by_process_name_and_region_whoever_comes_and_goes(
            steps in proptest::collection::vec((any::<bool>(), 0u8..4, 0u128..3, 0u8..3), 0..60),
        ) {
            let mut all = Processes::default();
            let mut model: BTreeMap<Process, Seen> = BTreeMap::new();
            for (comes, name, id, region) in steps {
                let seen = seen(name, id, region);
                let key = process(&seen.presence.peer);
                if comes {
                    model.insert(key, seen.clone());
                    all.insert(seen);
                } else {
                    model.remove(&key);
                    all.remove(&seen.presence.peer);
                }
                prop_assert_eq!(all.seen.len(), model.len());
                prop_assert!(all.iter().map(|seen| &seen.presence.peer.node).is_sorted());
                prop_assert_eq!(ids(all.iter()), ids(model.values()));
                for seen in model.values() {
                    let peer = &seen.presence.peer;
                    prop_assert_eq!(&all.get(peer).unwrap().presence.peer, peer);
                    let named = model.values().filter(|other| other.presence.peer.node == peer.node);
                    prop_assert_eq!(ids(all.named(&peer.node)), ids(named));
                    let near = model.values().filter(|other| other.presence.peer.region == peer.region);
                    prop_assert_eq!(ids(all.in_region(&peer.region)), ids(near));
                }
            }
            all.retain(|seen| seen.presence.peer.region.as_str() == "r0");
            let kept = model.values().filter(|seen| seen.presence.peer.region.as_str() == "r0");
            prop_assert_eq!(ids(all.iter()), ids(kept));
        }
    }
}
