//! Whom to ask for a stream: who comes next, who is put aside for a while, and whom a full node named.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::upstream::Streams;
use super::{Core, Moment, backoff};
use crate::fleet::placement;
use crate::protocol::claim::Claim;
use crate::protocol::ids::{Incarnation, Peer, StreamName};
use crate::protocol::presence::Phase;

/// The longest that a candidate is put aside.
const ASIDE: Duration = Duration::from_secs(60);
/// A candidate that failed longer ago than this begins with a clean record.
const FORGIVEN: Duration = Duration::from_secs(120);
/// How long those that a full node named are asked, and how many.
const NAMED: Duration = Duration::from_secs(30);
const MOST_NAMED: usize = 16;
/// For how long those whom placement names stay so while nothing is heard of the fleet: who falls silent is seen soon.
const PLACED: Duration = Duration::from_millis(200);

/// What is known of those who may be asked.
#[derive(Debug, Default)]
pub(super) struct Candidates {
    /// Those that failed for a stream, and until when they are not asked again.
    aside: BTreeMap<(StreamName, Incarnation), Aside>,
    /// Those that full nodes named, the last first, and until when that is good.
    named: BTreeMap<StreamName, (Vec<Peer>, Instant)>,
    /// Whom placement last named for a stream: in a large fleet that is no work for each message.
    placed: BTreeMap<StreamName, Placed>,
}

/// Whom placement named: for this origin, in this fleet, then.
#[derive(Debug)]
struct Placed {
    origin: Peer,
    edition: u64,
    at: Instant,
    peers: Vec<Peer>,
}

#[derive(Debug)]
struct Aside {
    until: Instant,
    failed: Instant,
    failures: u32,
}

impl Candidates {
    pub(super) fn is_aside(&self, stream: &StreamName, id: Incarnation, now: Instant) -> bool {
        self.aside.get(&(stream.clone(), id)).is_some_and(|aside| now < aside.until)
    }

    /// Whether a candidate beside which there is no other may be asked again.
    fn is_patient(&self, stream: &StreamName, id: Incarnation, now: Instant) -> bool {
        let aside = self.aside.get(&(stream.clone(), id));
        aside.is_none_or(|aside| now >= aside.failed + backoff(aside.failures))
    }

    /// Whether a candidate has failed more than once.
    fn has_failed(&self, stream: &StreamName, id: Incarnation) -> bool {
        self.aside.get(&(stream.clone(), id)).is_some_and(|aside| aside.failures > 1)
    }

    /// Has a candidate wait before it is asked for a stream again: longer each time, the origin (`last`)
    /// never long, as there is nobody else.
    pub(super) fn put_aside(&mut self, stream: &StreamName, id: Incarnation, last: bool, now: Instant) {
        let key = (stream.clone(), id);
        let aside = self.aside.entry(key).or_insert(Aside { until: now, failed: now, failures: 0 });
        if now.saturating_duration_since(aside.failed) > FORGIVEN {
            aside.failures = 0;
        }
        aside.failures = aside.failures.saturating_add(1);
        aside.failed = now;
        let doubled = Duration::from_secs(2) * 2_u32.pow(aside.failures.saturating_sub(1).min(5));
        aside.until = now + if last { backoff(aside.failures) } else { doubled.min(ASIDE) };
    }

    /// A node that had no room named others that have these streams.
    pub(super) fn name(&mut self, streams: &Streams, peers: &[Peer], now: Instant) {
        for stream in streams.iter().filter(|_| !peers.is_empty()) {
            let (named, until) = self.named.entry(stream.clone()).or_insert((Vec::new(), now));
            named.retain(|known| !peers.contains(known));
            named.splice(0..0, peers.iter().cloned());
            named.truncate(MOST_NAMED);
            *until = now + NAMED;
        }
    }

    pub(super) fn named(&self, stream: &StreamName, now: Instant) -> impl Iterator<Item = &Peer> {
        let named = self.named.get(stream).filter(|(_, until)| now < *until);
        named.into_iter().flat_map(|(named, _)| named)
    }

    /// Forgets the records of candidates that have long been forgiven, and names that are old.
    pub(super) fn forgive(&mut self, now: Instant) {
        self.aside
            .retain(|_, aside| now.saturating_duration_since(aside.failed.max(aside.until)) <= FORGIVEN);
        self.named.retain(|_, (_, until)| now < *until);
        self.placed.retain(|_, placed| now < placed.at + PLACED);
    }

    fn placed(&self, stream: &StreamName, origin: &Peer, m: &Moment<'_>) -> Option<&Vec<Peer>> {
        let holds = |placed: &&Placed| {
            m.now < placed.at + PLACED && placed.edition == m.fleet.edition() && placed.origin == *origin
        };
        self.placed.get(stream).filter(holds).map(|placed| &placed.peers)
    }
}

impl Core {
    /// Which node a stream should come from: what works is kept.
    pub(super) fn desired_parent(&mut self, stream: &StreamName, m: &Moment<'_>) -> Option<Peer> {
        let best = self.known.holds(stream, m).filter(|claim| claim.origin != self.me);
        let current =
            self.sources.get(stream).zip(self.sources.pipe_of(stream)).and_then(|(source, pipe)| {
                let parent = self.upstream.of_pipe(pipe)?;
                let id = parent.peer.incarnation;
                let stuck = !source.is_complete() && self.upstream.candidates.is_aside(stream, id, m.now);
                (!stuck).then_some((source.publication, &parent.peer))
            });
        if let Some((publication, peer)) = current {
            // What works is kept, whatever the bus says of its node, unless a higher claim is heard.
            let rank = self.known.rank(stream, publication);
            let overtaken = best.is_some_and(|best| {
                best.publication != publication && rank.is_none_or(|rank| best.rank() > rank)
            });
            if !overtaken {
                return Some(peer.clone());
            }
        }
        let origin = best?.origin.clone();
        let placed = self.placed(stream, origin, m);
        let candidates = self.candidates(stream, placed, m);
        let is_aside = |peer: &&Peer| self.upstream.candidates.is_aside(stream, peer.incarnation, m.now);
        // One that is being tried already is tried to its end.
        let tried = candidates.iter().find(|peer| {
            let parent = self.upstream.parents.get(&peer.incarnation);
            parent.is_some_and(|parent| parent.asked.contains_key(stream)) && !is_aside(peer)
        });
        let next = candidates.iter().find(|peer| !is_aside(peer));
        // The origin never waits for long, though it failed as something else before.
        let patient = |origin: &&Peer| self.upstream.candidates.is_patient(stream, origin.incarnation, m.now);
        let beyond = || self.beyond(stream, &candidates, m).into_iter().find(|peer| !is_aside(&peer));
        tried.or(next).cloned().or_else(beyond).or_else(|| candidates.last().filter(patient).cloned())
    }

    /// Whom to ask where the origin itself has failed again and again: relays that may have found a way, of this region
    /// those to which this node is preferred, and of others.
    fn beyond(&self, stream: &StreamName, candidates: &[Peer], m: &Moment<'_>) -> Vec<Peer> {
        let failed = |origin: &Peer| self.upstream.candidates.has_failed(stream, origin.incarnation);
        let Some(origin) = candidates.last().filter(|origin| failed(origin)) else { return Vec::new() };
        let others = placement::others(&self.id, stream, origin, &self.me, m.fleet, m.now);
        let new = |peer: &Peer| !candidates.contains(peer) && !self.comes_from_here(stream, peer, m.now);
        others.into_iter().filter(new).collect()
    }

    /// Whom placement names for a stream of that origin.
    fn placed(&mut self, stream: &StreamName, origin: Peer, m: &Moment<'_>) -> Vec<Peer> {
        if let Some(peers) = self.upstream.candidates.placed(stream, &origin, m) {
            return peers.clone();
        }
        let peers = placement::candidates(&self.id, stream, &origin, &self.me, m.fleet, m.now);
        let placed = Placed { origin, edition: m.fleet.edition(), at: m.now, peers: peers.clone() };
        self.upstream.candidates.placed.insert(stream.clone(), placed);
        peers
    }

    /// Whom to ask for a stream, the best first, at last its origin: those that full nodes named, and then those that
    /// placement does.
    pub(super) fn candidates(&self, stream: &StreamName, placed: Vec<Peer>, m: &Moment<'_>) -> Vec<Peer> {
        let serves = |peer: &&Peer| {
            let there = m.fleet.phase(peer) == Some(Phase::Serving);
            there && !m.fleet.is_absent(peer, m.now) && **peer != self.me && !placed.contains(peer)
        };
        let named = self.upstream.candidates.named(stream, m.now).filter(serves);
        let named: Vec<_> = named.cloned().collect();
        named.into_iter().chain(placed).collect()
    }

    /// Puts a parent aside for streams that it doesn't deliver: the next candidate is asked by the plan.
    pub(super) fn fail_candidate(&mut self, id: Incarnation, streams: &[StreamName], m: &mut Moment<'_>) {
        for stream in streams {
            // What comes another way meanwhile isn't in a hurry.
            let last = self.is_last_candidate(stream, id, m) && !self.moves_to(stream, id);
            self.upstream.candidates.put_aside(stream, id, last, m.now);
            if let Some(parent) = self.upstream.parents.get_mut(&id) {
                parent.asked.remove(stream);
            }
        }
    }

    pub(super) fn is_last_candidate(&self, stream: &StreamName, id: Incarnation, m: &Moment<'_>) -> bool {
        self.known.holds(stream, m).is_none_or(|claim: &std::sync::Arc<Claim>| claim.origin.incarnation == id)
    }
}
