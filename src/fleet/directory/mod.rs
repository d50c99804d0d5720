//! What all nodes say of their streams, put together: a fold of claims. Pure.

mod page;
mod spot;
mod stream;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use uuid::Uuid;

use super::Notice;
use super::digest::Digest;
use crate::protocol::claim::{Claim, EndReason};
use crate::protocol::directory::{Claims, Place};
use crate::protocol::ids::{Incarnation, NodeName, Peer, PublicationId, RoomId, StreamName};
use crate::protocol::presence::Beat;
use spot::Spots;
use stream::{Held, Holding, Stream};

/// How many streams without a live claim have their terms remembered.
const TERMS: usize = 65_536;
/// How many processes of one name may claim at once.
const NAMESAKES: usize = 8;
/// How many streams a process may claim at once.
const CLAIMS: usize = 131_072;

/// A stream of a room.
pub(super) type Key = (RoomId, StreamName);

/// The live claims of all known processes, and the highest term of each stream.
#[derive(Debug, Default)]
pub struct Directory {
    streams: BTreeMap<Key, Stream>,
    processes: BTreeMap<(NodeName, Incarnation), Process>,
    /// The streams without a live claim, the oldest first.
    over: BTreeMap<u64, Over>,
    ages: u64,
    claims: usize,
    /// The name that most streams have: one text for all of them.
    main: StreamName,
}

/// What one process claims.
#[derive(Debug)]
struct Process {
    peer: Peer,
    claims: Spots,
    digest: Digest,
    /// The highest revision of which it has told itself.
    said: u64,
    /// The revision at which its own digest was ours; none before the first time.
    settled: Option<u64>,
}

/// A stream without a live claim, and which publication of it ended last.
#[derive(Debug)]
struct Over {
    stream: Key,
    ended: Option<(Incarnation, PublicationId)>,
}

/// How what we hold of a process compares to its own word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Word {
    /// We hold what it claims.
    Same,
    /// We hold something else.
    Differs,
    /// We have heard more than its word tells of: that says nothing.
    Behind,
}

impl Directory {
    /// Folds what a process says of its own stream. The stream, if more is known of it now.
    pub fn hear(&mut self, claim: Claim, now: Instant) -> Option<Key> {
        let stream = key(&claim);
        let raised = self.raise(&stream, claim.term);
        let changed = self.fold(claim, now);
        (changed || raised).then_some(stream)
    }

    /// Takes note of a claim that doesn't count: its term was heard all the same.
    pub fn hear_term(&mut self, claim: &Claim) -> Option<Key> {
        let stream = key(claim);
        self.raise(&stream, claim.term).then_some(stream)
    }

    /// Folds what another says of a process's stream: it counts only where the process itself has said nothing.
    pub fn hear_say(&mut self, claim: Claim, now: Instant) -> Option<Key> {
        let stream = key(&claim);
        let raised = self.raise(&stream, claim.term);
        let has_said = self.admit(&claim.origin).is_none_or(|process| process.settled.is_some());
        let counts = claim.is_live() && !has_said && self.held(&claim).is_none() && !self.is_over(&claim);
        let changed = counts && self.put(claim, now);
        (changed || raised).then_some(stream)
    }

    /// Folds a page of a process's own claims, of those behind `after`: what isn't among them is gone, unless
    /// it was claimed later. The streams of which more is known now.
    pub fn replace(&mut self, after: Option<&Place>, page: Claims, now: Instant) -> Vec<Key> {
        let Claims { from, beat, claims, next, .. } = page;
        let Some(process) = self.admit(&from) else { return Vec::new() };
        if process.settled.is_some_and(|settled| settled > beat.revision) {
            return Vec::new();
        }
        process.said = process.said.max(beat.revision);
        let said = process.said;
        let claims = claims.into_iter().filter(|claim| {
            same(&claim.origin, &from) && claim.is_live() && page::is_within(claim, after, next.as_ref())
        });
        let mut missing: BTreeMap<Key, Arc<Claim>> =
            self.between(&from, after, next.as_ref()).into_iter().map(|claim| (key(&claim), claim)).collect();
        let mut changed = Vec::new();
        for claim in claims {
            missing.remove(&key(&claim));
            changed.extend(self.hear(claim, now));
        }
        missing.retain(|_, held| held.revision <= beat.revision || held.revision > said);
        for (stream, held) in missing {
            // Its end was told, and not heard.
            self.remove(&held, None, EndReason::Unknown);
            changed.push(stream);
        }
        changed
    }

    /// Compares what we hold of a process to what it says of itself.
    pub fn compare(&mut self, peer: &Peer, beat: &Beat) -> Word {
        let Some(process) = self.processes.get_mut(&process(peer)) else {
            return if Digest::default().matches(beat) { Word::Same } else { Word::Differs };
        };
        if process.digest.matches(beat) {
            process.settled = process.settled.max(Some(beat.revision));
            process.said = process.said.max(beat.revision);
            Word::Same
        } else if process.said > beat.revision {
            Word::Behind
        } else {
            process.said = beat.revision;
            Word::Differs
        }
    }

    /// Whether we hold what a process says that it claims.
    pub fn knows(&self, peer: &Peer, beat: &Beat) -> bool {
        self.digest(peer).matches(beat)
    }

    /// Forgets a process and what it claimed, but no term. The streams that it had.
    pub fn forget(&mut self, peer: &Peer) -> Vec<Key> {
        let claims = self.between(peer, None, None);
        claims.iter().for_each(|claim| self.remove(claim, None, EndReason::Lost));
        self.processes.remove(&process(peer));
        claims.iter().map(|claim| key(claim)).collect()
    }

    /// All that is known of a room's streams.
    pub fn known(&self, room: &RoomId) -> Vec<Notice> {
        self.streams
            .range((room.clone(), StreamName::first())..)
            .take_while(|((of, _), _)| of == room)
            .map(|((room, name), stream)| stream.notice(room, name))
            .collect()
    }

    /// All that is known of a stream; none if nothing ever was.
    pub fn look_up(&self, room: &RoomId, stream: &StreamName) -> Option<Notice> {
        Some(self.streams.get(&(room.clone(), stream.clone()))?.notice(room, stream))
    }

    /// What a process claims in a room.
    pub fn claims_in(&self, room: &RoomId, of: &Peer) -> Vec<Arc<Claim>> {
        let Some(process) = self.processes.get(&process(of)) else { return Vec::new() };
        let claims = process.claims.from(Some(&(room.clone(), StreamName::first())));
        claims.take_while(|claim| claim.room_id == *room).cloned().collect()
    }

    /// The streams that a process claims.
    pub fn streams_of(&self, peer: &Peer) -> Vec<Key> {
        self.between(peer, None, None).iter().map(|claim| key(claim)).collect()
    }

    /// The digest of what we hold of a process.
    pub fn digest(&self, peer: &Peer) -> Digest {
        self.processes.get(&process(peer)).map_or_else(Digest::default, |process| process.digest)
    }

    /// The processes that have claimed something.
    pub fn processes(&self) -> impl Iterator<Item = &Peer> {
        self.processes.values().map(|process| &process.peer)
    }

    /// A process as it was told of; none if it never was.
    pub fn process(&self, peer: &Peer) -> Option<&Peer> {
        self.processes.get(&process(peer)).map(|process| &process.peer)
    }

    /// How many streams have a live claim.
    pub fn streams(&self) -> usize {
        self.streams.len() - self.over.len()
    }

    /// How many live claims there are.
    pub fn claims(&self) -> usize {
        self.claims
    }

    /// The process, met for the first time if need be; none where its name has too many.
    fn admit(&mut self, peer: &Peer) -> Option<&mut Process> {
        let process = process(peer);
        if !self.processes.contains_key(&process) {
            let (first, last) = (Incarnation(Uuid::nil()), Incarnation(Uuid::max()));
            let namesakes = self.processes.range((peer.node.clone(), first)..=(peer.node.clone(), last));
            if namesakes.count() >= NAMESAKES {
                return None;
            }
        }
        Some(self.processes.entry(process).or_insert_with(|| Process::new(peer.clone())))
    }

    /// Takes note of a term; whether it is the highest so far.
    fn raise(&mut self, (room, name): &Key, term: u64) -> bool {
        let name = if *name == self.main { &self.main } else { name };
        let stream = (room.clone(), name.clone());
        if let Some(known) = self.streams.get_mut(&stream) {
            let raised = term > known.term;
            known.term = known.term.max(term);
            return raised;
        }
        let age = self.bury(stream.clone(), None);
        self.streams.insert(stream, Stream { term, holding: Holding::Nothing { age, ended: None } });
        true
    }

    /// Whether it changes what is held. What a process said itself holds over what others said of it.
    fn fold(&mut self, claim: Claim, now: Instant) -> bool {
        let Some(process) = self.admit(&claim.origin) else { return false };
        process.said = process.said.max(claim.revision);
        let said = process.said;
        match self.held(&claim) {
            Some(held) if claim.is_live() => {
                let is_late = held.revision > claim.revision && held.revision <= said;
                !is_late && *held != claim && self.put(claim, now)
            }
            None if claim.is_live() => !self.is_over(&claim) && self.put(claim, now),
            Some(held) if held.publication == claim.publication => {
                self.remove(&held, Some(claim.publication), claim.end().unwrap_or(EndReason::Unknown));
                true
            }
            Some(_) => false,
            None => {
                self.mark_over(&claim);
                false
            }
        }
    }

    /// What is held of the same stream and process.
    fn held(&self, claim: &Claim) -> Option<Arc<Claim>> {
        let held = self.streams.get(&key(claim))?.holding.of(&claim.origin)?;
        Some(Arc::clone(&held.claim))
    }

    /// Whether a live claim that isn't held is a late one, of what has ended since.
    fn is_over(&self, claim: &Claim) -> bool {
        let settled = self.processes.get(&process(&claim.origin)).and_then(|process| process.settled);
        let ended = match self.streams.get(&key(claim)).map(|stream| &stream.holding) {
            Some(Holding::Nothing { age, .. }) => self.over.get(age).and_then(|over| over.ended),
            _ => None,
        };
        settled.is_some_and(|settled| settled >= claim.revision)
            || ended == Some((claim.origin.incarnation, claim.publication))
    }

    /// Holds a live claim of a known stream and process; false where that has too many.
    fn put(&mut self, mut claim: Claim, now: Instant) -> bool {
        let Some((stream, _)) = self.streams.get_key_value(&key(&claim)) else { return false };
        // One text for each name: there may be 100,000.
        let stream = stream.clone();
        (claim.room_id, claim.stream) = stream.clone();
        let Some(process) = self.processes.get_mut(&process(&claim.origin)) else { return false };
        let Some(entry) = self.streams.get_mut(&stream) else { return false };
        let mut since = now;
        match entry.holding.of(&claim.origin) {
            Some(former) => {
                process.digest.remove(&former.claim);
                if former.claim.publication == claim.publication {
                    since = former.since;
                }
            }
            None if process.claims.len() >= CLAIMS => return false,
            None => self.claims += 1,
        }
        process.digest.add(&claim);
        claim.origin = process.peer.clone();
        let claim = Arc::new(claim);
        process.claims.put(Arc::clone(&claim));
        let holding = std::mem::replace(&mut entry.holding, Holding::Nothing { age: 0, ended: None });
        if let Holding::Nothing { age, .. } = holding {
            self.over.remove(&age);
        }
        entry.holding = holding.with(Held { claim, since });
        true
    }

    /// Holds a claim no more; `ended` is the publication that its origin ended.
    fn remove(&mut self, claim: &Claim, ended: Option<PublicationId>, reason: EndReason) {
        let stream = key(claim);
        let Some(entry) = self.streams.get_mut(&stream) else { return };
        let Some(held) = entry.holding.of(&claim.origin) else { return };
        if let Some(process) = self.processes.get_mut(&process(&claim.origin)) {
            process.digest.remove(&held.claim);
            process.claims.remove(&stream);
            self.claims -= 1;
        }
        let holding = std::mem::replace(&mut entry.holding, Holding::Nothing { age: 0, ended: None });
        entry.holding = holding.without(&claim.origin);
        if let Holding::Nothing { age, ended: why } = &mut entry.holding {
            (*age, *why) = (self.ages + 1, Some(reason));
            self.bury(stream, ended.map(|publication| (claim.origin.incarnation, publication)));
        }
    }

    /// A stream whose live claim never came is over all the same: it may be on its way.
    fn mark_over(&mut self, ended: &Claim) {
        if let Some(Stream { holding: Holding::Nothing { age, .. }, .. }) = self.streams.get(&key(ended))
            && let Some(over) = self.over.get_mut(age)
        {
            over.ended = Some((ended.origin.incarnation, ended.publication));
        }
    }

    /// Remembers a stream without a live claim until younger ones need the place. Its age.
    fn bury(&mut self, stream: Key, ended: Option<(Incarnation, PublicationId)>) -> u64 {
        self.ages += 1;
        self.over.insert(self.ages, Over { stream, ended });
        if self.over.len() > TERMS
            && let Some((_, oldest)) = self.over.pop_first()
        {
            self.streams.remove(&oldest.stream);
        }
        self.ages
    }
}

impl Process {
    fn new(peer: Peer) -> Self {
        Self { peer, claims: Spots::default(), digest: Digest::default(), said: 0, settled: None }
    }
}

/// The stream of a claim.
fn key(claim: &Claim) -> Key {
    (claim.room_id.clone(), claim.stream.clone())
}

fn process(peer: &Peer) -> (NodeName, Incarnation) {
    (peer.node.clone(), peer.incarnation)
}

fn same(one: &Peer, other: &Peer) -> bool {
    one.incarnation == other.incarnation && one.node == other.node
}
