//! What is shown: views made from the state at the moment they are asked for.

mod fleet;
mod measures;
mod room;
mod rooms;
mod tree;

use chrono::TimeDelta;

pub(in crate::monitor) use measures::Measures;

use super::fold::part::{Part, rank};
use super::fold::room::Room;
use super::fold::standing::Standing;
use crate::protocol::event::StreamHere;

/// How long a problem is listed.
const LATELY: TimeDelta = TimeDelta::days(1);

/// What there is of a room now.
struct Now<'a> {
    /// The parts with something in them of processes that serve or drain.
    parts: Vec<&'a Part>,
    /// The live streams by name, each at its origin: where several claim one, at the one that holds.
    live: Vec<(&'a Part, &'a StreamHere)>,
}

impl<'a> Now<'a> {
    fn of(room: &'a Room, standing: &Standing<'_>) -> Self {
        let parts = room.parts.iter().filter(|(id, part)| !part.is_empty() && standing.holds(id, part));
        let parts: Vec<&Part> = parts.map(|(_, part)| part).collect();
        let mut live: Vec<(&Part, &StreamHere)> = Vec::new();
        for part in &parts {
            live.extend(part.streams.iter().filter(|here| rank(here).is_some()).map(|here| (*part, here)));
        }
        live.sort_by(|(_, a), (_, b)| a.stream.cmp(&b.stream).then(rank(b).cmp(&rank(a))));
        live.dedup_by(|(_, lower), (_, highest)| lower.stream == highest.stream);
        Self { parts, live }
    }
}
