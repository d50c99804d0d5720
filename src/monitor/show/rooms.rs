//! Rooms in a list.

use std::cmp::Reverse;
use std::collections::BTreeSet;

use chrono::{DateTime, TimeDelta, Utc};

use super::Now;
use crate::monitor::fold::State;
use crate::monitor::fold::room::Room;
use crate::monitor::fold::standing::Standing;
use crate::monitor::view::{RoomLine, RoomSort, RoomsQuery, RoomsView};
use crate::protocol::ids::RoomId;

/// How long a problem counts.
const RECENT: TimeDelta = TimeDelta::hours(1);

impl State {
    /// The rooms that match, in the order that was asked for.
    pub fn rooms(&self, query: &RoomsQuery, now: DateTime<Utc>) -> RoomsView {
        let standing = Standing::of(&self.processes, now);
        let search = query.search.to_ascii_lowercase();
        let mut rooms: Vec<RoomLine> = self
            .rooms
            .iter()
            .filter(|(id, _)| search.is_empty() || id.as_str().to_ascii_lowercase().contains(&search))
            .filter_map(|(id, room)| {
                let here = Now::of(room, &standing);
                let wanted =
                    query.node.as_ref().is_none_or(|node| here.parts.iter().any(|it| it.node == *node));
                if wanted { line(id, room, here, now) } else { None }
            })
            .filter(|line| query.live.is_none_or(|live| (line.live || line.viewers > 0) == live))
            .collect();
        // The sorts are stable and the rooms come by name.
        match query.sort {
            RoomSort::Viewers => rooms.sort_by_key(|line| Reverse(line.viewers)),
            RoomSort::Name => {}
            RoomSort::Age => rooms.sort_by_key(|line| {
                let over = (!line.live).then_some(Reverse(line.changed_at));
                (over.is_some(), line.since, over)
            }),
        }
        let total = rooms.len();
        let rooms = rooms.into_iter().skip(query.offset).take(query.limit).collect();
        RoomsView { at: self.position(), total, rooms }
    }
}

fn line(id: &RoomId, room: &Room, here: Now<'_>, now: DateTime<Utc>) -> Option<RoomLine> {
    let Now { parts, live } = here;
    let here = parts.iter().flat_map(|part| &part.streams);
    let piped = parts.iter().flat_map(|part| &part.pipes).any(|pipe| pipe.here.open);
    let depth = here.map(|here| here.path.len()).max().unwrap_or(0).max(usize::from(piped));
    let recent = now.checked_sub_signed(RECENT);
    Some(RoomLine {
        room: id.clone(),
        live: !live.is_empty(),
        streams: live.len() as u32,
        viewers: parts.iter().fold(0, |sum, part| sum.saturating_add(part.viewers)),
        nodes: parts.len() as u32,
        regions: parts.iter().map(|part| &part.region).collect::<BTreeSet<_>>().len() as u32,
        depth: u8::try_from(depth).unwrap_or(u8::MAX),
        bitrate: live.iter().fold(0, |sum, (_, here)| sum.saturating_add(here.bitrate)),
        origins: live
            .iter()
            .map(|(part, _)| &part.node)
            .collect::<BTreeSet<_>>()
            .into_iter()
            .cloned()
            .collect(),
        since: live.iter().filter_map(|(_, here)| here.started_at).min(),
        changed_at: room.changed_at()?,
        problems: room.problems.iter().rev().take_while(|it| Some(it.time) >= recent).count() as u32,
    })
}
