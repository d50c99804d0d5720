//! A room.

use chrono::{DateTime, Utc};

use super::{LATELY, Now, tree};
use crate::monitor::fold::State;
use crate::monitor::fold::room::Room;
use crate::monitor::fold::standing::Standing;
use crate::monitor::view::{RoomCounters, RoomView};
use crate::protocol::ids::RoomId;

impl State {
    /// A room with the tree of each of its streams, and what went wrong in the day before `now`; none
    /// where nothing is known of it.
    pub fn room(&self, room: &RoomId, now: DateTime<Utc>) -> Option<RoomView> {
        let known = self.rooms.get(room)?;
        let standing = Standing::of(&self.processes, now);
        let streams = tree::all(known, &standing);
        let live = Now::of(known, &standing).live.into_iter();
        let alive = known.parts.iter().filter(|(id, part)| standing.holds(id, part));
        let lately = now.checked_sub_signed(LATELY);
        Some(RoomView {
            at: self.position(),
            room: room.clone(),
            live: streams.iter().any(|stream| stream.live),
            viewers: streams.iter().fold(0, |sum, stream| sum.saturating_add(stream.viewers)),
            waiting: alive.fold(0, |sum, (_, part)| sum.saturating_add(part.waiting)),
            locked_by: live.filter(|(_, here)| here.locks).map(|(_, here)| here.stream.clone()).collect(),
            streams,
            counters: counters(known),
            problems: known.problems.iter().rev().take_while(|it| Some(it.time) >= lately).cloned().collect(),
        })
    }
}

fn counters(room: &Room) -> RoomCounters {
    RoomCounters {
        viewers_joined: room.counters.viewers_joined,
        viewers_left: room.counters.viewers_left,
        viewer_seconds: room.counters.viewer_ms / 1000,
        published_bytes: room.counters.published_bytes,
        piped_bytes: room.counters.piped_bytes,
        watched_bytes: room.counters.watched_bytes,
        peak_viewers: room.peak,
        streams_started: room.counters.streams_started,
        pipes_opened: room.counters.pipes_opened,
        pipes_failed: room.counters.pipes_failed,
        recoveries: room.counters.recoveries,
    }
}
