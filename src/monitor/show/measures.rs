//! Numbers for a metrics system.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::Serialize;

use super::Now;
use crate::monitor::fold::standing::Standing;
use crate::monitor::fold::{Counters, Durations, State};
use crate::monitor::view::{Condition, Moment, Totals};
use crate::protocol::ids::Region;

/// What is measured over the whole fleet.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Measures {
    /// The moment that is measured.
    pub at: Moment,
    /// By name.
    pub regions: BTreeMap<Region, RegionMeasures>,
    /// How many live streams have a deepest node of so many hops; 0 where no other node carries it.
    pub depths: BTreeMap<u8, u32>,
    /// The most open pipes between regions that one live stream comes by.
    pub max_crossings: u32,
    /// Open pipes between regions, each as often as it carries live streams.
    pub crossings: u64,
    /// How long things took since the log begins.
    pub durations: Durations,
    /// Sums over the whole fleet.
    pub totals: Totals,
}

/// What is measured of a region.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RegionMeasures {
    /// How many nodes are in which condition.
    pub nodes: BTreeMap<Condition, u32>,
    /// Live streams published here.
    pub streams: u32,
    /// Viewers connected here.
    pub viewers: u32,
    /// Bits per second that its publishers send.
    pub published: u64,
    /// Bits per second that its viewers are sent: an estimate from the samples.
    pub watched: u64,
    /// The most hops from its origin that a live stream has come here.
    pub depth: u8,
    /// What its nodes told since the log begins.
    pub counters: Counters,
}

impl State {
    /// All that is measured at a moment.
    pub fn measures(&self, now: DateTime<Utc>) -> Measures {
        let fleet = self.sums(now);
        let mut measures = Measures {
            at: fleet.at,
            regions: BTreeMap::new(),
            depths: BTreeMap::new(),
            max_crossings: 0,
            crossings: 0,
            durations: self.durations.clone(),
            totals: fleet.totals,
        };
        for (region, counters) in &self.regions {
            measures.regions.entry(region.clone()).or_default().counters = counters.clone();
        }
        for view in fleet.regions {
            let region = measures.regions.entry(view.region).or_default();
            region.streams = view.streams;
            region.viewers = view.viewers;
            region.published = view.published;
            region.watched = view.watched;
            for node in view.nodes {
                *region.nodes.entry(node.condition).or_default() += 1;
            }
        }
        self.measure_streams(&mut measures, now);
        measures
    }

    fn measure_streams(&self, measures: &mut Measures, now: DateTime<Utc>) {
        let standing = Standing::of(&self.processes, now);
        for room in self.rooms.values() {
            let now = Now::of(room, &standing);
            for (_, live) in now.live {
                let (mut depth, mut crossings) = (0, 0);
                for part in &now.parts {
                    let pipes = part.pipes.iter().filter(|pipe| pipe.here.to.region != part.region);
                    let open = pipes.filter(|pipe| pipe.here.open && pipe.carries(&live.stream));
                    crossings += open.count() as u32;
                    let Some(here) = part.streams.iter().find(|here| here.stream == live.stream) else {
                        continue;
                    };
                    let hops = u8::try_from(here.path.len()).unwrap_or(u8::MAX);
                    depth = depth.max(hops);
                    if let Some(region) = measures.regions.get_mut(&part.region) {
                        region.depth = region.depth.max(hops);
                    }
                }
                *measures.depths.entry(depth).or_default() += 1;
                measures.max_crossings = measures.max_crossings.max(crossings);
                measures.crossings += u64::from(crossings);
            }
        }
    }
}
