//! A pipe whose media flows, and whose both ends live, closes only for rule 5's reasons.

use std::time::Duration;

use headwater::fleet::placement::MAX_HOPS;
use headwater::protocol::ids::{PipeId, ProducerId, RoomId};
use headwater::room::core::Effect;

use crate::room::Room;
use crate::truth::Publication;
use crate::world::{At, Pid, World};

/// Reports that have been away for longer say nothing of the other end.
const REPORTS: Duration = Duration::from_secs(9);
/// How long after a fault everyone has been heard again.
const SETTLES: Duration = Duration::from_secs(5);

impl World {
    /// Looks at what a room is about to cut.
    pub fn cut_by(&mut self, pid: Pid, id: &RoomId, room: &Room, effect: &Effect) {
        let received = |pipe: &PipeId, only: Option<ProducerId>| {
            let inlet = room.media.inlets.get(pipe);
            let producers = inlet.into_iter().flat_map(|inlet| &inlet.producers);
            let flowing = producers
                .filter(|(id, got)| got.arrived.is_steady(self.now) && only.is_none_or(|only| only == **id));
            // Nothing comes of a muted stream: then the peer's signs of life must be gone, if the bus is there.
            let flowing =
                flowing.filter(|(_, got)| got.arrived.is_heard(self.now) || self.misses_nobody(pid));
            flowing.map(|(id, _)| *id).collect::<Vec<_>>()
        };
        let sent = |pipe: &PipeId, only: Option<ProducerId>| {
            let Some(outlet) = room.media.outlets.get(pipe).filter(|outlet| outlet.open) else {
                return Vec::new();
            };
            if self.now.saturating_sub(outlet.reported) > REPORTS {
                return Vec::new();
            }
            let flowing = outlet.arrived.iter().filter(|(id, flow)| {
                flow.is_steady(self.now)
                    && flow.is_heard(self.now)
                    && outlet.sends.contains_key(id)
                    && only.is_none_or(|only| only == **id)
            });
            flowing.map(|(id, _)| *id).collect()
        };
        let (pipe, producers, receives) = match effect {
            Effect::StopReceiving(pipe, producer) => (pipe, received(pipe, Some(*producer)), true),
            Effect::CloseInlet(pipe) => (pipe, received(pipe, None), true),
            Effect::StopSending(pipe, producer) => (pipe, sent(pipe, Some(*producer)), false),
            Effect::CloseOutlet(pipe) => (pipe, sent(pipe, None), false),
            _ => return,
        };
        for producer in producers {
            if !self.may_end(pid, id, room, *pipe, producer, receives) {
                let end = if receives { "in" } else { "out" };
                let why = format!(
                    "{} cuts {producer} of {id}, which flows {end} by {pipe}",
                    self.nodes[pid].name()
                );
                return self.breaks("stays", why);
            }
        }
    }

    /// Whether a node has no reason to take a pipe's other end for lost: nothing is wrong, or it hears nothing at all
    /// and heard all until then.
    fn misses_nobody(&self, pid: Pid) -> bool {
        let mid = self.nodes[pid].mid;
        if self.bus.lines[mid].loss > 0 {
            return false;
        }
        let Some(still) = self.bus.lines[mid].still_since else { return self.calm() > SETTLES };
        let before = |bad: At| bad + SETTLES < still;
        let others = self.bus.lines.iter().enumerate().filter(|(other, _)| *other != mid);
        before(self.bus.parted_until) && others.map(|(_, line)| line.bad_until).all(before)
    }

    fn may_end(
        &self,
        pid: Pid,
        id: &RoomId,
        room: &Room,
        pipe: PipeId,
        producer: ProducerId,
        receives: bool,
    ) -> bool {
        // The stream's end or replacement.
        let Some((stream, publication)) = self.truth.of_producer(producer) else { return true };
        if publication.ended.is_some() || self.truth.is_disputed(stream) {
            return true;
        }
        // A node that goes, or a worker that died.
        if self.nodes[pid].is_draining() || room.media.dead {
            return true;
        }
        let wanted = |room: &Room| {
            let media = &room.media;
            media.viewers.values().any(|viewer| viewer.shows.values().any(|shown| *shown == producer))
                || media.outlets.values().any(|outlet| outlet.sends.contains_key(&producer))
        };
        // Nobody here wants it any more, or the stream never came in full and is looked for elsewhere.
        if receives && (!wanted(room) || !Self::is_whole(room, publication)) {
            return true;
        }
        let taken = room.media.inlets.get(&pipe).and_then(|inlet| inlet.producers.get(&producer));
        let taken = taken.map(|received| received.ssrc);
        // It comes over more nodes than before, and has come as many hops as it may.
        if !receives && room.core.hops() >= Some(MAX_HOPS) {
            return true;
        }
        // It has been moved to another pipe, and comes by that.
        let moved = |room: &Room| room.media.current.get(&producer).is_some_and(|by| *by != pipe);
        if receives && moved(room) {
            return true;
        }
        // The other end: gone, going, stopped, without that pipe, or with nobody who wants it.
        let other = self.nodes.iter().filter(|node| node.pid != pid && node.alive).find_map(|node| {
            let room = node.rooms.get(id)?.as_ref()?;
            let has = match receives {
                // Sent anew, with another SSRC, what was taken before gets nothing any more.
                true => {
                    let sends = room.media.outlets.get(&pipe).and_then(|outlet| outlet.sends.get(&producer));
                    sends.is_some_and(|ssrc| taken.is_none_or(|taken| taken == *ssrc))
                }
                false => {
                    room.media.inlets.get(&pipe).is_some_and(|inlet| inlet.producers.contains_key(&producer))
                }
            };
            has.then_some((node, room))
        });
        match other {
            None => true,
            Some((node, room)) => {
                // Who wants it again only now may have asked for less until a moment ago.
                let asks = || {
                    let only = room.asked.get(&pipe).and_then(|asked| asked.get(&stream.1));
                    only.is_none_or(|only| only.contains(&producer))
                };
                let lacks = || !wanted(room) || !Self::is_whole(room, publication);
                node.is_draining()
                    || node.frozen
                    || room.media.dead
                    || (!receives && (!asks() || lacks() || moved(room)))
            }
        }
    }

    /// Whether a node receives all of a publication.
    fn is_whole(room: &Room, publication: &Publication) -> bool {
        let has = |id| room.media.inlets.values().any(|inlet| inlet.producers.contains_key(id));
        publication.sends.iter().all(|(id, _)| has(id))
    }
}
