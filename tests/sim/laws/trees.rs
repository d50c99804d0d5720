//! No node feeds more others than it may, no stream takes more hops than it may, and in the end it crosses into each
//! region once.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use headwater::fleet::placement::MAX_HOPS;
use headwater::protocol::ids::{PipeId, Region};
use headwater::protocol::presence::Role;

use crate::truth::Stream;
use crate::world::{At, Pid, World};

/// How long a stream may cross into a region more than once while nothing is wrong and nothing changes.
const TWICE: Duration = Duration::from_secs(8);

/// For how long a node that failed isn't tried again, at most.
const ASIDE: Duration = Duration::from_secs(60);

/// Which nodes of a region a stream enters it by, and since when.
#[derive(Debug, Default)]
pub struct Crossings(BTreeMap<(Stream, Region), (BTreeSet<Pid>, At)>);

impl World {
    /// Limits and depth hold at every moment.
    pub(super) fn law_trees(&self) -> Result<(), String> {
        for node in self.nodes.iter().filter(|node| node.alive && !node.frozen) {
            let most = self.machines[node.mid].config.limits.children;
            for (id, room) in node.open_rooms() {
                let children = room.core.children();
                if children > most {
                    return Err(format!(
                        "{} feeds {children} nodes of {id}, and may feed {most}",
                        node.name()
                    ));
                }
                if let Some(hops) = room.core.hops().filter(|hops| *hops > MAX_HOPS) {
                    return Err(format!("{} has a stream of {id} over {hops} hops", node.name()));
                }
            }
        }
        Ok(())
    }

    pub(super) fn law_crosses_once(&mut self) -> Result<(), String> {
        let now = self.now;
        let entries = if self.calm() < TWICE { BTreeMap::new() } else { self.entries() };
        let patient = if self.calm() < TWICE + ASIDE { self.patient(&entries) } else { BTreeSet::new() };
        let known = &mut self.laws.crossings.0;
        known.retain(|key, (by, _)| entries.get(key) == Some(by));
        for (key, by) in entries {
            if patient.contains(&key) {
                continue;
            }
            let (by, since) = known.entry(key.clone()).or_insert((by, now));
            if by.len() > 1 && now - *since >= TWICE {
                let ((room, stream), region) = key;
                let names: Vec<_> = by.iter().map(|pid| self.nodes[*pid].name()).collect();
                return Err(format!("{room}/{stream} crosses into {region} by {names:?} since {since:?}"));
            }
        }
        Ok(())
    }

    /// The streams that enter a region by nodes of which one has just failed to get it from another, or from the origin.
    fn patient(&self, entries: &BTreeMap<(Stream, Region), BTreeSet<Pid>>) -> BTreeSet<(Stream, Region)> {
        let now = self.instant();
        let waits = |(of, by): (&Stream, &BTreeSet<Pid>)| {
            let (id, stream) = of;
            by.iter().any(|pid| {
                let room = self.nodes[*pid].open_rooms().find(|(other, _)| *other == id);
                let aside = |other: &Pid| {
                    room.is_some_and(|(_, room)| room.core.puts_aside(stream, &self.nodes[*other].me, now))
                };
                let live = self.truth.live(of);
                by.iter().copied().chain(live.map(|publication| publication.pid)).any(|other| aside(&other))
            })
        };
        let found = entries.iter().filter(|((stream, _), by)| waits((stream, by)));
        found.map(|(key, _)| key.clone()).collect()
    }

    /// The nodes by which each stream enters other regions than its own, where one of them could feed the others.
    fn entries(&self) -> BTreeMap<(Stream, Region), BTreeSet<Pid>> {
        let mut ends: BTreeMap<PipeId, Pid> = BTreeMap::new();
        let rooms = || {
            let nodes = self.nodes.iter().filter(|node| node.alive);
            nodes.flat_map(|node| node.open_rooms().map(move |(id, room)| (node, id, room)))
        };
        for (node, _, room) in rooms() {
            ends.extend(room.media.outlets.keys().map(|pipe| (*pipe, node.pid)));
        }
        let mut entries: BTreeMap<(Stream, Region), BTreeSet<Pid>> = BTreeMap::new();
        for (node, id, room) in rooms() {
            for (pipe, inlet) in &room.media.inlets {
                let Some(from) = ends.get(pipe) else { continue };
                if self.nodes[*from].me.region == node.me.region {
                    continue;
                }
                for producer in inlet.producers.keys().filter(|id| room.media.current.get(id) == Some(pipe)) {
                    let Some((stream, _)) = self.truth.of_producer(*producer) else { continue };
                    debug_assert_eq!(stream.0, *id);
                    entries.entry((stream.clone(), node.me.region.clone())).or_default().insert(node.pid);
                }
            }
        }
        entries.retain(|_, by| {
            let machine = |pid: &Pid| &self.machines[self.nodes[*pid].mid];
            // Where limits are narrow or a codec is lacking, there may be no other way.
            by.iter().all(|pid| machine(pid).codecs.len() == 3 && machine(pid).config.limits.children >= 100)
                && by.iter().any(|pid| machine(pid).has(Role::Relay))
        });
        entries
    }
}
