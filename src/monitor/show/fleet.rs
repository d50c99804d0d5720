//! The fleet as a whole.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};

use super::{LATELY, Now};
use crate::monitor::fold::part::published;
use crate::monitor::fold::process::Process;
use crate::monitor::fold::standing::Standing;
use crate::monitor::fold::{PROBLEMS, State};
use crate::monitor::view::{Condition, FleetView, LinkView, NodeView, Problem, RegionView, Totals};
use crate::protocol::ids::{Incarnation, Region};
use crate::protocol::presence::Load;

impl State {
    /// All regions with their nodes, what crosses between them, and what went wrong in the day before
    /// `now`.
    pub fn fleet(&self, now: DateTime<Utc>) -> FleetView {
        let mut fleet = self.sums(now);
        let lately = now.checked_sub_signed(LATELY);
        let rooms = self.rooms.values().map(|room| &room.problems);
        let mut problems: Vec<&Problem> = rooms
            .chain([&self.problems])
            .flat_map(|problems| problems.iter().rev().take_while(|it| Some(it.time) >= lately))
            .collect();
        problems.sort_unstable_by(|a, b| b.cmp(a));
        fleet.problems = problems.into_iter().take(PROBLEMS).cloned().collect();
        fleet
    }

    /// The fleet without its problems.
    pub(super) fn sums(&self, now: DateTime<Utc>) -> FleetView {
        let standing = Standing::of(&self.processes, now);
        let mut regions = BTreeMap::new();
        let mut links = BTreeMap::new();
        let mut totals = self.counted();
        let mut carried = self.carried(&standing);
        for (id, process, condition) in standing.nodes() {
            totals.nodes += u32::from(matches!(condition, Condition::Serving | Condition::Draining));
            if let Some(mut node) = node(id, process, condition) {
                // Its own word is some seconds old; what its rooms told is not.
                let cpu = node.load.cpu;
                node.load = Load { cpu, ..carried.remove(&id).unwrap_or_default() };
                of(&mut regions, &process.region).nodes.push(node);
            }
        }
        for room in self.rooms.values() {
            let Now { parts, live } = Now::of(room, &standing);
            totals.rooms += u32::from(!live.is_empty());
            totals.streams += live.len() as u32;
            for (part, here) in live {
                let region = of(&mut regions, &part.region);
                region.streams += 1;
                region.published = region.published.saturating_add(here.bitrate);
            }
            for part in parts {
                totals.viewers = totals.viewers.saturating_add(part.viewers);
                totals.pipes += part.pipes.len() as u32;
                if part.viewers > 0 {
                    let region = of(&mut regions, &part.region);
                    region.viewers = region.viewers.saturating_add(part.viewers);
                    for here in &part.streams {
                        let watched = here.quality.bitrate.saturating_mul(here.viewers.into());
                        region.watched = region.watched.saturating_add(watched);
                    }
                }
                for pipe in part.pipes.iter().map(|pipe| &pipe.here) {
                    if pipe.open && pipe.to.region != part.region {
                        let link: &mut (u32, u32, u64) =
                            links.entry((&part.region, &pipe.to.region)).or_default();
                        link.0 += 1;
                        link.1 += pipe.streams.len() as u32;
                        link.2 = link.2.saturating_add(pipe.bitrate);
                    }
                }
            }
        }
        let link = |((from, to), (pipes, streams, bitrate)): ((&Region, &Region), _)| LinkView {
            from: from.clone(),
            to: to.clone(),
            pipes,
            streams,
            bitrate,
        };
        FleetView {
            at: self.position(),
            regions: regions.into_values().collect(),
            links: links.into_iter().map(link).collect(),
            totals,
            problems: Vec::new(),
        }
    }

    /// What each process carries, as its rooms tell it.
    fn carried(&self, standing: &Standing<'_>) -> BTreeMap<Incarnation, Load> {
        let mut loads: BTreeMap<_, Load> = BTreeMap::new();
        for (id, part) in self.rooms.values().flat_map(|room| &room.parts) {
            if part.is_empty() || !standing.holds(id, part) {
                continue;
            }
            let load = loads.entry(*id).or_default();
            load.rooms += 1;
            load.viewers = load.viewers.saturating_add(part.viewers);
            load.streams += part.streams.iter().filter(|here| published(here).is_some()).count() as u32;
            load.pipes += part.pipes.len() as u32;
            load.outlets += part.pipes.len() as u32;
            for pipe in &part.pipes {
                loads.entry(pipe.here.to.incarnation).or_default().pipes += 1;
            }
        }
        loads
    }

    fn counted(&self) -> Totals {
        let mut totals = Totals { duplicates: self.duplicates, skipped: self.skipped, ..Totals::default() };
        for counters in self.regions.values() {
            totals.streams_started += counters.streams_started;
            totals.viewers_joined += counters.viewers_joined;
            totals.pipes_opened += counters.pipes_opened;
            totals.pipes_failed += counters.pipes_failed;
            totals.events += counters.events;
            totals.dropped = totals.dropped.saturating_add(counters.dropped);
        }
        totals
    }
}

fn of<'a, 'b>(regions: &'a mut BTreeMap<&'b Region, RegionView>, region: &'b Region) -> &'a mut RegionView {
    regions.entry(region).or_insert_with(|| RegionView {
        region: region.clone(),
        nodes: Vec::new(),
        streams: 0,
        viewers: 0,
        published: 0,
        watched: 0,
    })
}

fn node(incarnation: Incarnation, process: &Process, condition: Condition) -> Option<NodeView> {
    let heard_at = process.latest()?;
    let told = process.summary.as_ref();
    Some(NodeView {
        node: process.node.clone(),
        region: process.region.clone(),
        incarnation,
        condition,
        roles: told.map(|it| it.roles.clone()).unwrap_or_default(),
        version: told.map(|it| it.version.clone()).unwrap_or_default(),
        started_at: told.map_or(heard_at, |it| it.started_at),
        heard_at: process.heard_at.unwrap_or(heard_at),
        load: told.map(|it| it.load.clone()).unwrap_or_default(),
        public_url: told.map(|it| it.public_url.clone()).unwrap_or_default(),
    })
}
