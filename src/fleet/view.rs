//! Who is there, as this node hears it. Pure: time is an argument, and nothing else is a clock.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::flaps::Flaps;
use super::processes::{Processes, Seen};
use crate::protocol::ids::{NodeName, Peer, Region};
use crate::protocol::presence::{Phase, Presence};

/// How often a node gives a sign of life in a fleet of up to 1,000; see [`beat_every`].
pub const BEAT: Duration = Duration::from_secs(1);
/// The longest time between two signs of life, whoever says otherwise of itself.
const SLOWEST: Duration = Duration::from_secs(60);
/// How many processes of one name are remembered.
const NAMESAKES: usize = 8;

/// How often a node gives a sign of life where so many are there: each second, and in a larger fleet so that
/// everyone hears 1,000 a second. A node says it with each ([`Beat::every_ms`]), and patience stretches alike.
///
/// [`Beat::every_ms`]: crate::protocol::presence::Beat::every_ms
pub fn beat_every(nodes: usize) -> Duration {
    Duration::from_millis(nodes.try_into().unwrap_or(u64::MAX)).clamp(BEAT, SLOWEST)
}

/// The last sign of life of every process.
///
/// The bus is there while this node hears its own beats. Silence counts only as long as it is: who
/// can't be heard because our own connection died isn't absent.
#[derive(Debug, Clone)]
pub struct Fleet {
    me: Peer,
    /// How long a process may be silent that gives a sign of life each second.
    patience: Duration,
    processes: Processes,
    /// The longest time between two signs of life that any process says of itself.
    slowest: Duration,
    flaps: Flaps,
    /// Our own last beat that came back, and since when they have come without a gap.
    bus: Option<Bus>,
    /// Raised with each change.
    edition: u64,
}

#[derive(Debug, Clone, Copy)]
struct Bus {
    since: Instant,
    last: Instant,
    /// Since when none was missed.
    whole: Instant,
    /// How long it may be until the next one.
    every: Duration,
}

impl Bus {
    /// Whether none of its own beats was missed until now.
    fn is_whole(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.last) <= self.every * 3 / 2
    }
}

impl Fleet {
    /// A fleet as `me` sees it, in which a node may be silent for `patience` that says that it is there each second.
    pub fn new(me: Peer, patience: Duration) -> Self {
        let (processes, flaps) = (Processes::default(), Flaps::default());
        Self { me, patience, processes, slowest: BEAT, flaps, bus: None, edition: 0 }
    }

    /// Another one whenever anything of it has changed: what follows from it, and not from the time, does so still while it
    /// is the same.
    pub fn edition(&self) -> u64 {
        self.edition
    }

    /// A process gave a sign of life, this one's own among them. False for one that is late or doubled.
    pub fn hear(&mut self, presence: Arc<Presence>, now: Instant) -> bool {
        let late = |known: &Seen| presence.beat.number <= known.presence.beat.number;
        if self.processes.get(&presence.peer).is_some_and(late) {
            return false;
        }
        self.edition += 1;
        if self.is_me(&presence.peer) {
            self.excuse(now);
            let since = self.bus.filter(|_| self.hears_itself(now)).map_or(now, |bus| bus.since);
            let whole = self.bus.filter(|bus| bus.is_whole(now)).map_or(now, |bus| bus.whole);
            self.bus = Some(Bus { since, last: now, whole, every: every(&presence) });
        }
        self.note_losses_of(&presence, now);
        self.slowest = self.slowest.max(every(&presence));
        let since = self.processes.get(&presence.peer).map_or(now, |known| known.since);
        let node = presence.peer.node.clone();
        if self.processes.insert(Seen::new(presence, now, since)) {
            self.forget_namesakes(&node);
        }
        true
    }

    /// Time in which this node didn't hear itself either is no one else's silence.
    fn excuse(&mut self, now: Instant) {
        let Some(bus) = self.bus else { return };
        if !bus.is_whole(now) {
            let gap = now.saturating_duration_since(bus.last);
            for seen in self.processes.iter_mut() {
                seen.at = (seen.at + (gap - bus.every)).min(now);
            }
        }
    }

    /// Notes which processes have fallen silent without a last word, each silence once: to be said each second.
    pub fn note_losses(&mut self, now: Instant) {
        let silent = self.lost_seen(now).filter(|seen| !seen.lost).map(|seen| seen.presence.peer.clone());
        self.note_lost(silent.collect(), now);
    }

    /// Notes what a sign of life shows to have been lost: this process, if it was silent for too long, and a
    /// former one of its name that is heard no more while this one serves.
    fn note_losses_of(&mut self, presence: &Presence, now: Instant) {
        let (this, serves) = (&presence.peer, presence.phase == Phase::Serving);
        let has_missed = |seen: &Seen| {
            let silence = silence(Some(seen.at), self.bus, now);
            silence.is_some_and(|silence| silence > self.pace(Some(seen)) * 3 / 2)
        };
        let is_lost = |seen: &&Seen| match seen.presence.peer.incarnation == this.incarnation {
            true => self.is_silent(Some(seen), now),
            false => serves && has_missed(seen),
        };
        let open = self.processes.named(&this.node).filter(|seen| !seen.lost && !seen.has_stopped());
        let lost = open.filter(is_lost).map(|seen| seen.presence.peer.clone());
        self.note_lost(lost.collect(), now);
    }

    fn note_lost(&mut self, lost: Vec<Peer>, now: Instant) {
        for peer in lost {
            self.edition += 1;
            self.flaps.lost(&peer.node, now);
            if let Some(seen) = self.processes.get_mut(&peer) {
                seen.lost = true;
            }
        }
    }

    /// Whether processes of a name were lost three times within a minute, in the last five minutes: it is chosen
    /// last.
    pub fn is_flapping(&self, node: &NodeName, now: Instant) -> bool {
        self.flaps.is_flapping(node, now)
    }

    /// Whether a process has said that it is gone, or has been silent for too long.
    pub fn is_absent(&self, peer: &Peer, now: Instant) -> bool {
        if self.is_me(peer) {
            return false;
        }
        match self.processes.get(peer) {
            Some(seen) => seen.has_stopped() || self.is_silent(Some(seen), now),
            None => self.is_silent(None, now),
        }
    }

    /// The last word of a process that isn't absent.
    pub fn heard(&self, peer: &Peer, now: Instant) -> Option<&Presence> {
        let seen = self.processes.get(peer)?;
        (self.is_me(peer) || self.is_there(seen, now)).then_some(seen.presence.as_ref())
    }

    /// Whether nothing that a process claimed holds any more: it has said that it is gone, or it is
    /// silent and another of its name is there.
    pub fn is_void(&self, peer: &Peer, now: Instant) -> bool {
        let has_stopped = || self.process(peer).is_some_and(|last| last.phase == Phase::Stopped);
        let has_successor = || {
            let mut others = self.processes.named(&peer.node);
            others.any(|seen| seen.presence.peer.incarnation != peer.incarnation && self.is_there(seen, now))
        };
        self.is_absent(peer, now) && (has_stopped() || has_successor())
    }

    /// The processes that are there, draining ones included.
    pub fn present(&self, now: Instant) -> impl Iterator<Item = &Arc<Presence>> {
        self.processes.iter().filter(move |seen| self.is_there(seen, now)).map(|seen| &seen.presence)
    }

    /// Those of one region that serve and may feed others.
    pub fn relays_in(&self, region: &Region, now: Instant) -> impl Iterator<Item = &Arc<Presence>> {
        let relays = self.processes.in_region(region).filter(|seen| seen.relays);
        relays.filter(move |seen| self.is_there(seen, now)).map(|seen| &seen.presence)
    }

    /// The processes that have fallen silent without a last word.
    pub fn lost(&self, now: Instant) -> impl Iterator<Item = &Peer> {
        self.lost_seen(now).map(|seen| &seen.presence.peer)
    }

    fn lost_seen(&self, now: Instant) -> impl Iterator<Item = &Seen> {
        self.processes.iter().filter(move |seen| !seen.has_stopped() && self.is_silent(Some(seen), now))
    }

    /// Who tell of a lost process, the first before the second: of those that are there and were there before it fell
    /// silent, so that they should know of it, those with the least names.
    pub fn tellers_of(&self, lost: &Peer, now: Instant) -> impl Iterator<Item = &NodeName> {
        let last = self.processes.get(lost).map(|seen| seen.at);
        let knows =
            move |seen: &&Seen| self.is_there(seen, now) && last.is_some_and(|last| seen.since <= last);
        self.processes.iter().filter(knows).map(|seen| &seen.presence.peer.node).take(2)
    }

    /// Whether this node has heard itself for long enough to have heard every other.
    pub fn is_settled(&self, now: Instant) -> bool {
        self.hears_itself(now) && self.is_silent(None, now)
    }

    /// Whether a process has been heard since this node last missed anything: if nobody answers in its place, it has gone
    /// and isn't only slower in coming back to the bus.
    pub fn is_heard_anew(&self, peer: &Peer, now: Instant) -> bool {
        let whole = self.bus.filter(|bus| bus.is_whole(now)).map(|bus| bus.whole);
        let heard = self.processes.get(peer).map(|seen| seen.at);
        heard.zip(whole).is_some_and(|(heard, whole)| heard > whole)
    }

    /// Whether this node hears its own beats: the bus is there.
    pub fn hears_itself(&self, now: Instant) -> bool {
        self.bus.is_some_and(|bus| now.saturating_duration_since(bus.last) <= self.patience_at(bus.every))
    }

    /// The process of a name that is there; of several one that serves.
    pub fn peer(&self, node: &NodeName, now: Instant) -> Option<&Peer> {
        let there = self.processes.named(node).filter(|seen| self.is_there(seen, now));
        there
            .max_by_key(|seen| (seen.presence.phase == Phase::Serving, seen.at))
            .map(|seen| &seen.presence.peer)
    }

    /// The last word that was heard of a name.
    pub fn node(&self, node: &NodeName) -> Option<&Presence> {
        self.processes.named(node).max_by_key(|seen| seen.at).map(|seen| seen.presence.as_ref())
    }

    /// The last word of a process.
    pub fn process(&self, peer: &Peer) -> Option<&Arc<Presence>> {
        self.processes.get(peer).map(|seen| &seen.presence)
    }

    /// What a process said last that it does.
    pub fn phase(&self, peer: &Peer) -> Option<Phase> {
        self.processes.get(peer).map(|seen| seen.phase)
    }

    /// Forgets who has been absent for `after`, and losses that count no longer.
    pub fn forget(&mut self, after: Duration, now: Instant) {
        self.edition += 1;
        let mut processes = std::mem::take(&mut self.processes);
        processes.retain(|seen| match seen.presence.phase {
            Phase::Stopped => now.saturating_duration_since(seen.at) <= after,
            _ => {
                let patience = self.patience_at(self.pace(Some(seen)));
                silence(Some(seen.at), self.bus, now).is_none_or(|silence| silence <= patience + after)
            }
        });
        self.slowest = processes.iter().map(|seen| seen.every).max().unwrap_or(BEAT);
        self.processes = processes;
        self.flaps.forget(now);
    }

    fn is_me(&self, peer: &Peer) -> bool {
        peer.incarnation == self.me.incarnation && peer.node == self.me.node
    }

    fn is_there(&self, seen: &Seen, now: Instant) -> bool {
        !seen.has_stopped() && !self.is_silent(Some(seen), now)
    }

    fn is_silent(&self, last: Option<&Seen>, now: Instant) -> bool {
        let patience = self.patience_at(self.pace(last));
        silence(last.map(|seen| seen.at), self.bus, now).is_some_and(|silence| silence > patience)
    }

    /// How long two signs of life may be apart: a process's as it says, and our own by which its silence is measured.
    /// Who was never heard may be as slow as any.
    fn pace(&self, of: Option<&Seen>) -> Duration {
        let own = self.bus.map_or(BEAT, |bus| bus.every);
        own.max(of.map_or(self.slowest, |seen| seen.every))
    }

    fn patience_at(&self, pace: Duration) -> Duration {
        self.patience.saturating_mul(pace.as_millis().try_into().unwrap_or(u32::MAX)) / 1_000
    }

    /// Whoever speaks for a name can't fill the memory with processes.
    fn forget_namesakes(&mut self, node: &NodeName) {
        while self.processes.named(node).count() > NAMESAKES {
            let oldest = self.processes.named(node).min_by_key(|seen| seen.at);
            let Some(oldest) = oldest.map(|seen| seen.presence.peer.clone()) else { return };
            self.processes.remove(&oldest);
        }
    }
}

/// How long after a sign of life the next one of that process comes.
pub(super) fn every(presence: &Presence) -> Duration {
    Duration::from_millis(presence.beat.every_ms.into()).clamp(BEAT, SLOWEST)
}

/// How long a process has been silent while the bus was there; none if it never was.
fn silence(heard: Option<Instant>, bus: Option<Bus>, now: Instant) -> Option<Duration> {
    let bus = bus?;
    let heard = heard.map_or(bus.since, |heard| heard.max(bus.since));
    Some(now.min(bus.last + bus.every).saturating_duration_since(heard))
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
    fn after_a_moment_of_deafness_each_has_to_be_heard_anew() {
        let at = Timeline::new();
        let mut fleet = Fleet::new(peer("me", 1, "x"), PATIENCE);
        let other = presence("a", 2, "x");
        hearing(&mut fleet, at, 0, 1_000);
        fleet.hear(beat(other.clone(), 1), at.ms(1_100));
        assert!(fleet.is_heard_anew(&other.peer, at.ms(2_000)));
        assert!(!fleet.is_heard_anew(&other.peer, at.ms(2_600)), "this node hears nothing, not even itself");
        hearing(&mut fleet, at, 3_000, 5_000);
        assert!(!fleet.is_heard_anew(&other.peer, at.ms(5_100)), "it has not come back yet");
        fleet.hear(beat(other.clone(), 2), at.ms(5_200));
        assert!(fleet.is_heard_anew(&other.peer, at.ms(5_300)));
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
        assert_eq!(fleet.processes.iter().count(), NAMESAKES);
        assert_eq!(fleet.node(&"a".parse().unwrap()).unwrap().peer, peer("a", 999, "x"));
        hearing(&mut fleet, at, 1_000, 70_000);
        fleet.forget(Duration::from_secs(60), at.ms(70_000));
        assert_eq!(fleet.processes.iter().count(), 1, "itself");
    }

    /// A sign of life of a process that gives one each `every` milliseconds.
    fn slow(presence: &Presence, number: u64, every: u32) -> Arc<Presence> {
        let mut presence = presence.clone();
        (presence.beat.number, presence.beat.every_ms) = (number, every);
        Arc::new(presence)
    }

    #[test]
    fn a_node_hears_a_thousand_signs_of_life_a_second_however_many_nodes_there_are() {
        for (nodes, ms) in [(0, 1_000), (1_000, 1_000), (1_001, 1_001), (10_000, 10_000), (1_000_000, 60_000)]
        {
            assert_eq!(beat_every(nodes), Duration::from_millis(ms), "{nodes}");
        }
    }

    #[test]
    fn patience_stretches_with_what_a_process_says_of_itself_and_with_our_own_beat() {
        let at = Timeline::new();
        let (me, quick, slower) = (presence("me", 1, "x"), presence("a", 2, "x"), presence("b", 3, "x"));
        // An older build says nothing: each second. Another thinks that the fleet is larger than we do.
        for (own, others, silent) in [(1_000, 0, 2_500), (1_000, 4_000, 10_000), (10_000, 9_000, 25_000)] {
            let mut fleet = Fleet::new(me.peer.clone(), PATIENCE);
            fleet.hear(slow(&quick, 1, others), at.ms(0));
            for (number, ms) in (0..60_000).step_by(own as usize).enumerate() {
                fleet.hear(slow(&me, number as u64 + 1, own), at.ms(ms));
                let others_silence = |peer: &Peer| fleet.is_absent(peer, at.ms(ms));
                assert_eq!(others_silence(&quick.peer), ms > silent, "{own} {others} at {ms}");
            }
            assert!(fleet.is_absent(&slower.peer, at.ms(59_000)), "never heard");
        }
    }

    #[test]
    fn who_was_never_heard_may_be_as_slow_as_the_slowest_and_no_one_is_slower_than_a_minute() {
        let at = Timeline::new();
        let mut fleet = Fleet::new(peer("me", 1, "x"), PATIENCE);
        let (other, never) = (presence("a", 2, "x"), peer("never", 9, "x"));
        fleet.hear(slow(&other, 1, u32::MAX), at.ms(0));
        hearing(&mut fleet, at, 0, 160_000);
        assert!(!fleet.is_absent(&never, at.ms(149_000)) && !fleet.is_absent(&other.peer, at.ms(149_000)));
        assert!(fleet.is_absent(&never, at.ms(151_000)) && fleet.is_absent(&other.peer, at.ms(151_000)));
        fleet.forget(Duration::ZERO, at.ms(160_000));
        assert!(fleet.process(&other.peer).is_none());
    }

    /// Lets a fleet hear itself, and the processes of `node` from and to these seconds, and says when it flaps.
    fn flaps(lives: &[(u64, u64)], last: Phase) -> Vec<u64> {
        let (at, node) = (Timeline::new(), "a".parse().unwrap());
        let mut fleet = Fleet::new(peer("me", 1, "x"), PATIENCE);
        let mut flapping = Vec::new();
        for s in 0..400 {
            fleet.hear(beat(presence("me", 1, "x"), s + 1), at.ms(s * 1_000));
            for (process, (from, to)) in lives.iter().enumerate() {
                let phase = if s == *to { last } else { Phase::Serving };
                let presence = Presence { phase, ..presence("a", process as u128 + 2, "x") };
                if (*from..=*to).contains(&s) {
                    fleet.hear(beat(presence, s + 1), at.ms(s * 1_000 + 100));
                }
            }
            fleet.note_losses(at.ms(s * 1_000 + 900));
            fleet.forget(Duration::from_secs(60), at.ms(s * 1_000 + 900));
            if fleet.is_flapping(&node, at.ms(s * 1_000 + 950)) {
                flapping.push(s);
            }
        }
        flapping
    }

    #[test]
    fn a_name_that_is_lost_three_times_in_a_minute_flaps_for_five() {
        let restarted: Vec<_> = (0..20).map(|n| (3 * n, 3 * n + 1)).collect();
        let flapping = flaps(&restarted, Phase::Serving);
        assert_eq!(flapping.first(), Some(&9), "as soon as the third successor serves");
        assert_eq!(flapping.last(), Some(&359), "five minutes after the last loss");
        assert_eq!(flapping.len(), 351);
        // One process that comes and goes is as bad.
        let flapping = flaps(&[(0, 2), (0, 2), (10, 12), (20, 22), (30, 900)], Phase::Serving);
        assert_eq!(flapping.first(), Some(&14));
    }

    #[test]
    fn who_says_that_it_goes_does_not_flap() {
        let restarted: Vec<_> = (0..20).map(|n| (3 * n, 3 * n + 1)).collect();
        assert!(flaps(&restarted, Phase::Stopped).is_empty());
        assert!(flaps(&[(0, 2), (10, 399)], Phase::Serving).is_empty(), "once is no flapping");
        assert!(flaps(&[(0, 399), (10, 399), (20, 399)], Phase::Serving).is_empty(), "two that share a name");
    }

    #[test]
    fn a_bus_that_comes_and_goes_makes_nobody_flap() {
        let (at, other) = (Timeline::new(), presence("a", 2, "x"));
        let mut fleet = Fleet::new(peer("me", 1, "x"), PATIENCE);
        for s in (0..60).filter(|s| s % 10 < 5) {
            fleet.hear(beat(other.clone(), s + 1), at.ms(s * 1_000));
            fleet.hear(beat(presence("me", 1, "x"), s + 1), at.ms(s * 1_000 + 50));
            fleet.note_losses(at.ms(s * 1_000 + 900));
        }
        assert!(!fleet.is_flapping(&other.peer.node, at.ms(60_000)));
    }
}
