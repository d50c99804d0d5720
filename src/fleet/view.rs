//! Who is there, as this node hears it. Pure: time is an argument, and nothing else is a clock.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use uuid::Uuid;

use crate::protocol::ids::{Incarnation, NodeName, Peer};
use crate::protocol::presence::{Phase, Presence};

/// How often a node gives a sign of life.
pub const BEAT: Duration = Duration::from_secs(1);
/// How many processes of one name are remembered.
const NAMESAKES: usize = 8;

/// The last sign of life of every process.
///
/// The bus is there while this node hears its own beats. Silence counts only as long as it is: who
/// can't be heard because our own connection died isn't absent.
#[derive(Debug, Clone)]
pub struct Fleet {
    me: Peer,
    patience: Duration,
    processes: BTreeMap<Process, Seen>,
    /// Our own last beat that came back, and since when they have come without a gap.
    bus: Option<Bus>,
}

/// One process: several may go by one name.
type Process = (NodeName, Incarnation);

#[derive(Debug, Clone)]
struct Seen {
    presence: Arc<Presence>,
    at: Instant,
    /// When it was first heard.
    since: Instant,
}

#[derive(Debug, Clone, Copy)]
struct Bus {
    since: Instant,
    last: Instant,
}

impl Fleet {
    /// A fleet as `me` sees it, in which a node may be silent for `patience`.
    pub fn new(me: Peer, patience: Duration) -> Self {
        Self { me, patience, processes: BTreeMap::new(), bus: None }
    }

    /// A process gave a sign of life, this one's own among them. False for one that is late or doubled.
    pub fn hear(&mut self, presence: Arc<Presence>, now: Instant) -> bool {
        let process = process(&presence.peer);
        let late = |known: &Seen| presence.beat.number <= known.presence.beat.number;
        if self.processes.get(&process).is_some_and(late) {
            return false;
        }
        if self.is_me(&presence.peer) {
            self.excuse(now);
            let since = self.bus.filter(|_| self.hears_itself(now)).map_or(now, |bus| bus.since);
            self.bus = Some(Bus { since, last: now });
        }
        let known = self.processes.get(&process);
        let is_new = known.is_none();
        let since = known.map_or(now, |known| known.since);
        self.processes.insert(process.clone(), Seen { presence, at: now, since });
        if is_new {
            self.forget_namesakes(&process.0);
        }
        true
    }

    /// Time in which this node didn't hear itself either is no one else's silence.
    fn excuse(&mut self, now: Instant) {
        let Some(gap) = self.bus.map(|bus| now.saturating_duration_since(bus.last)) else { return };
        if gap > BEAT * 3 / 2 {
            for seen in self.processes.values_mut() {
                seen.at = (seen.at + (gap - BEAT)).min(now);
            }
        }
    }

    /// Whether a process has said that it is gone, or has been silent for too long.
    pub fn is_absent(&self, peer: &Peer, now: Instant) -> bool {
        match self.processes.get(&process(peer)) {
            _ if self.is_me(peer) => false,
            Some(seen) => seen.presence.phase == Phase::Stopped || self.is_silent(Some(seen.at), now),
            None => self.is_silent(None, now),
        }
    }

    /// Whether nothing that a process claimed holds any more: it has said that it is gone, or it is
    /// silent and another of its name is there.
    pub fn is_void(&self, peer: &Peer, now: Instant) -> bool {
        let has_stopped = || self.process(peer).is_some_and(|last| last.phase == Phase::Stopped);
        let has_successor = || {
            self.namesakes(&peer.node)
                .any(|(other, seen)| *other != process(peer) && self.is_there(seen, now))
        };
        self.is_absent(peer, now) && (has_stopped() || has_successor())
    }

    /// The processes that are there, draining ones included.
    pub fn present(&self, now: Instant) -> impl Iterator<Item = &Arc<Presence>> {
        self.processes.values().filter(move |seen| self.is_there(seen, now)).map(|seen| &seen.presence)
    }

    /// The processes that have fallen silent without a last word.
    pub fn lost(&self, now: Instant) -> impl Iterator<Item = &Peer> {
        self.processes
            .values()
            .filter(move |seen| seen.presence.phase != Phase::Stopped && self.is_silent(Some(seen.at), now))
            .map(|seen| &seen.presence.peer)
    }

    /// Who tell of a lost process, the first before the second: of those that are there and were there before it fell
    /// silent, so that they should know of it, those with the least names.
    pub fn tellers_of(&self, lost: &Peer, now: Instant) -> impl Iterator<Item = &NodeName> {
        let last = self.processes.get(&process(lost)).map(|seen| seen.at);
        let knows =
            move |seen: &&Seen| self.is_there(seen, now) && last.is_some_and(|last| seen.since <= last);
        // Processes are in the order of their names.
        self.processes.values().filter(knows).map(|seen| &seen.presence.peer.node).take(2)
    }

    /// Whether this node has heard itself for long enough to have heard every other.
    pub fn is_settled(&self, now: Instant) -> bool {
        self.hears_itself(now) && self.is_silent(None, now)
    }

    /// Whether this node hears its own beats: the bus is there.
    pub fn hears_itself(&self, now: Instant) -> bool {
        self.bus.is_some_and(|bus| now.saturating_duration_since(bus.last) <= self.patience)
    }

    /// The process of a name that is there; of several one that serves.
    pub fn peer(&self, node: &NodeName, now: Instant) -> Option<&Peer> {
        let there = self.namesakes(node).map(|(_, seen)| seen).filter(|seen| self.is_there(seen, now));
        there
            .max_by_key(|seen| (seen.presence.phase == Phase::Serving, seen.at))
            .map(|seen| &seen.presence.peer)
    }

    /// The last word that was heard of a name.
    pub fn node(&self, node: &NodeName) -> Option<&Presence> {
        self.namesakes(node).max_by_key(|(_, seen)| seen.at).map(|(_, seen)| seen.presence.as_ref())
    }

    /// The last word of a process.
    pub fn process(&self, peer: &Peer) -> Option<&Arc<Presence>> {
        self.processes.get(&process(peer)).map(|seen| &seen.presence)
    }

    /// Forgets who has been absent for `after`.
    pub fn forget(&mut self, after: Duration, now: Instant) {
        let (bus, patience) = (self.bus, self.patience);
        self.processes.retain(|_, seen| match seen.presence.phase {
            Phase::Stopped => now.saturating_duration_since(seen.at) <= after,
            _ => silence(Some(seen.at), bus, now).is_none_or(|silence| silence <= patience + after),
        });
    }

    fn is_me(&self, peer: &Peer) -> bool {
        peer.incarnation == self.me.incarnation && peer.node == self.me.node
    }

    fn is_there(&self, seen: &Seen, now: Instant) -> bool {
        seen.presence.phase != Phase::Stopped && !self.is_silent(Some(seen.at), now)
    }

    fn is_silent(&self, heard: Option<Instant>, now: Instant) -> bool {
        silence(heard, self.bus, now).is_some_and(|silence| silence > self.patience)
    }

    fn namesakes(&self, node: &NodeName) -> impl Iterator<Item = (&Process, &Seen)> {
        let (first, last) = (Incarnation(Uuid::nil()), Incarnation(Uuid::max()));
        self.processes.range((node.clone(), first)..=(node.clone(), last))
    }

    /// Whoever speaks for a name can't fill the memory with processes.
    fn forget_namesakes(&mut self, node: &NodeName) {
        while self.namesakes(node).count() > NAMESAKES {
            let oldest =
                self.namesakes(node).min_by_key(|(_, seen)| seen.at).map(|(process, _)| process.clone());
            oldest.map(|oldest| self.processes.remove(&oldest));
        }
    }
}

fn process(peer: &Peer) -> Process {
    (peer.node.clone(), peer.incarnation)
}

/// How long a process has been silent while the bus was there; none if it never was.
fn silence(heard: Option<Instant>, bus: Option<Bus>, now: Instant) -> Option<Duration> {
    let bus = bus?;
    let heard = heard.map_or(bus.since, |heard| heard.max(bus.since));
    Some(now.min(bus.last + BEAT).saturating_duration_since(heard))
}

#[cfg(test)]
mod tests {
    use super::super::samples::{PATIENCE, Timeline, beat, peer, presence};
    use super::*;

    /// A fleet that has heard its own beats each second from `from` to `to`.
    fn hearing(fleet: &mut Fleet, at: Timeline, from: u64, to: u64) {
        for ms in (from..=to).step_by(1_000) {
            fleet.hear(beat(presence("me", 1, "x"), ms / 1_000 + 1), at.ms(ms));
        }
    }

    #[test]
    fn silence_counts_only_while_this_node_hears_itself() {
        let at = Timeline::new();
        let mut fleet = Fleet::new(peer("me", 1, "x"), PATIENCE);
        let other = presence("a", 2, "x");
        fleet.hear(beat(other.clone(), 1), at.ms(0));
        assert!(!fleet.is_absent(&other.peer, at.ms(60_000)), "it hears nothing at all");
        hearing(&mut fleet, at, 0, 2_000);
        assert!(!fleet.is_absent(&other.peer, at.ms(2_400)));
        assert!(fleet.is_absent(&other.peer, at.ms(2_600)));
        let late = presence("b", 3, "x");
        fleet.hear(beat(late.clone(), 1), at.ms(2_000));
        assert!(!fleet.is_absent(&late.peer, at.ms(60_000)), "our own beats ended as its did");
        assert!(!fleet.hears_itself(at.ms(60_000)));
        hearing(&mut fleet, at, 60_000, 62_000);
        assert!(!fleet.is_absent(&late.peer, at.ms(62_400)), "it gets time to be heard again");
        assert!(!fleet.is_settled(at.ms(62_400)));
        assert!(fleet.is_absent(&late.peer, at.ms(62_600)));
        assert!(fleet.is_settled(at.ms(62_600)));
        fleet.hear(beat(late.clone(), 2), at.ms(62_700));
        assert!(!fleet.is_absent(&late.peer, at.ms(62_700)), "heard again, it is there at once");
    }

    #[test]
    fn a_moment_of_deafness_is_not_the_silence_of_others() {
        let at = Timeline::new();
        let mut fleet = Fleet::new(peer("me", 1, "x"), PATIENCE);
        let (me, other) = (presence("me", 1, "x"), presence("a", 2, "x"));
        fleet.hear(beat(me.clone(), 1), at.ms(0));
        fleet.hear(beat(other.clone(), 1), at.ms(0));
        // For two seconds not even our own beats come, and then ours come first.
        fleet.hear(beat(me.clone(), 3), at.ms(2_000));
        assert!(!fleet.is_absent(&other.peer, at.ms(2_900)));
        hearing(&mut fleet, at, 3_000, 4_000);
        assert!(fleet.is_absent(&other.peer, at.ms(4_900)));
    }

    #[test]
    fn who_was_never_heard_is_absent_once_settled() {
        let at = Timeline::new();
        let mut fleet = Fleet::new(peer("me", 1, "x"), PATIENCE);
        let never = peer("never", 9, "x");
        hearing(&mut fleet, at, 0, 3_000);
        assert!(!fleet.is_absent(&never, at.ms(2_000)));
        assert!(fleet.is_absent(&never, at.ms(2_600)));
        assert!(!fleet.is_absent(&peer("me", 1, "x"), at.ms(90_000)), "oneself never is");
    }

    #[test]
    fn a_former_process_is_void_once_it_is_silent_whatever_the_order_of_ids() {
        for (former, successor) in [(2, 3), (3, 2)] {
            let at = Timeline::new();
            let mut fleet = Fleet::new(peer("me", 1, "x"), PATIENCE);
            let (former, successor) = (presence("a", former, "x"), presence("a", successor, "x"));
            fleet.hear(beat(former.clone(), 1), at.ms(0));
            hearing(&mut fleet, at, 0, 3_000);
            for ms in [1_000, 2_000, 3_000] {
                fleet.hear(beat(successor.clone(), ms / 1_000), at.ms(ms));
            }
            assert!(!fleet.is_void(&former.peer, at.ms(2_400)), "it may just drain");
            assert!(fleet.is_void(&former.peer, at.ms(3_000)));
            assert!(!fleet.is_void(&successor.peer, at.ms(3_000)));
            assert_eq!(fleet.peer(&former.peer.node, at.ms(3_000)), Some(&successor.peer));
        }
    }

    #[test]
    fn a_last_word_is_the_last() {
        let at = Timeline::new();
        let mut fleet = Fleet::new(peer("me", 1, "x"), PATIENCE);
        let node = presence("a", 2, "x");
        fleet.hear(beat(node.clone(), 4), at.ms(0));
        fleet.hear(beat(Presence { phase: Phase::Stopped, ..node.clone() }, 5), at.ms(1));
        assert!(!fleet.hear(beat(node.clone(), 4), at.ms(2)), "doubled and late");
        assert!(fleet.is_absent(&node.peer, at.ms(2)) && fleet.is_void(&node.peer, at.ms(2)));
        assert_eq!(fleet.present(at.ms(2)).count() + fleet.lost(at.ms(2)).count(), 0);
    }

    #[test]
    fn processes_of_one_name_are_bounded_and_the_absent_forgotten() {
        let at = Timeline::new();
        let mut fleet = Fleet::new(peer("me", 1, "x"), PATIENCE);
        for process in 2..1_000 {
            fleet.hear(beat(presence("a", process, "x"), 1), at.ms(process as u64));
        }
        assert_eq!(fleet.processes.len(), NAMESAKES);
        assert_eq!(fleet.node(&"a".parse().unwrap()).unwrap().peer, peer("a", 999, "x"));
        hearing(&mut fleet, at, 1_000, 70_000);
        fleet.forget(Duration::from_secs(60), at.ms(70_000));
        assert_eq!(fleet.processes.len(), 1, "itself");
    }
}
