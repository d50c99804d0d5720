//! The nodes that pull from this one, and what they come to: counted as it changes, so that a message costs no more
//! the more of them there are. Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};

use super::input::Ticket;
use super::{Moment, backoff};
use crate::protocol::ids::{Incarnation, Peer, PipeId, ProducerId, Region, StreamName, Token};
use crate::protocol::media::{Measured, PipeEnd, PipeFlow};
use crate::telemetry::Trace;

/// A pause in sending that is longer than this begins the wait for reports anew.
const PAUSE: Duration = Duration::from_secs(2);

/// The nodes that pull from this one, by their join.
///
/// A join that names a node proves nothing by itself: it is a further child beside the node's former one,
/// and replaces that once the node has confirmed it by taking the pipe.
#[derive(Debug, Default)]
pub(super) struct Downstream {
    children: BTreeMap<Token, Child>,
    /// The joins of each process, and those of each region.
    joins: BTreeMap<Incarnation, BTreeSet<Token>>,
    regions: BTreeMap<Region, BTreeSet<Token>>,
    /// How many children want each stream as a whole, and how many each single producer.
    wanted: Tally,
    picked: BTreeMap<(StreamName, ProducerId), u64>,
    /// How many watch each stream at those whose pipe is open, and below them.
    viewers: Tally,
    /// How many pipes are open.
    open: usize,
    /// Those that may lack something: they changed since they were last looked at. None where all may.
    due: Option<BTreeSet<Token>>,
    /// Raised whenever a child may have changed.
    changes: u64,
}

/// A node that pulls from this one.
#[derive(Debug)]
pub(super) struct Child {
    pub(super) peer: Peer,
    wanted: BTreeSet<StreamName>,
    /// Of which of them it wants single producers.
    only: BTreeMap<StreamName, BTreeSet<ProducerId>>,
    /// How many watch at it and below it, as it last said.
    viewers: BTreeMap<StreamName, u32>,
    outlet: Option<Outlet>,
    pub(super) failures: u32,
    pub(super) retry_at: Instant,
    pub(super) renewed: Instant,
    /// When it was last heard on the bus, or nobody could be; and whether it was absent when that was last looked at.
    pub(super) seen: Instant,
    pub(super) absent: bool,
    /// The number of its last join.
    pub(super) joined: u64,
    /// Who waits until it is known whether our end could be opened.
    pub(super) ticket: Option<Ticket>,
    /// The trace of the request that it came with.
    pub(super) trace: Trace,
}

/// Our end of a pipe that sends.
#[derive(Debug)]
pub(super) struct Outlet {
    pub(super) id: PipeId,
    setup: Setup,
    pub(super) opened: Instant,
    pub(super) opened_at: DateTime<Utc>,
    /// The last change that the child was told.
    pub(super) revision: u64,
    /// The last change that the child has answered.
    pub(super) answered: u64,
    /// Whether the child is being told something: one change at a time keeps their order.
    pub(super) telling: bool,
    /// What the child was told of, and whether it was told that it is paused.
    pub(super) told: BTreeMap<ProducerId, bool>,
    /// The streams of what it was told of.
    pub(super) streams: BTreeMap<ProducerId, StreamName>,
    /// What our end sends, told or not.
    pub(super) sends: BTreeSet<ProducerId>,
    /// What the child has said that it takes.
    pub(super) taken: BTreeSet<ProducerId>,
    /// What the child can't take.
    pub(super) refused: BTreeSet<ProducerId>,
    reports: u64,
    /// When a report last came back.
    pub(super) heard: Instant,
    bytes: u64,
    /// When media was last sent, and since when without a pause.
    pub(super) sent: Option<(Instant, Instant)>,
}

/// How far a pipe's set-up is.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Setup {
    /// Our end is being opened, and the child asked for its own.
    Opening,
    /// Our end listens here; the child's is awaited.
    Offered(PipeEnd),
    /// The child is being told where our end is.
    Connecting(PipeEnd),
    /// The child has taken it.
    Open,
}

/// The streams that a child wants, and the producers of those of which it wants single ones.
type Wants = (BTreeSet<StreamName>, BTreeMap<StreamName, BTreeSet<ProducerId>>);

/// How much there is of each stream; nothing is kept of one of which there is none.
#[derive(Debug, Default, PartialEq, Eq)]
struct Tally(BTreeMap<StreamName, u64>);

impl Tally {
    fn add(&mut self, stream: &StreamName, more: u64) {
        match self.0.get_mut(stream) {
            Some(count) => *count += more,
            None if more > 0 => drop(self.0.insert(stream.clone(), more)),
            None => {}
        }
    }

    fn take(&mut self, stream: &StreamName, less: u64) {
        let Some(count) = self.0.get_mut(stream) else { return };
        *count = count.saturating_sub(less);
        if *count == 0 {
            self.0.remove(stream);
        }
    }
}

impl Downstream {
    pub(super) fn is_empty(&self) -> bool {
        self.children.is_empty()
    }

    pub(super) fn get(&self, token: Token) -> Option<&Child> {
        self.children.get(&token)
    }

    pub(super) fn outlet(&self, token: Token, pipe: PipeId) -> Option<&Outlet> {
        self.get(token)?.outlet().filter(|outlet| outlet.id == pipe)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (Token, &Child)> {
        self.children.iter().map(|(token, child)| (*token, child))
    }

    pub(super) fn outlets(&self) -> impl Iterator<Item = (&Child, &Outlet)> + Clone {
        self.children.values().filter_map(|child| Some((child, child.outlet()?)))
    }

    /// The joins of one process.
    pub(super) fn of(&self, peer: &Peer) -> impl Iterator<Item = (Token, &Child)> {
        let joins = self.joins.get(&peer.incarnation).into_iter().flatten();
        joins.filter_map(|token| Some((*token, self.get(*token)?))).filter(|(_, child)| child.peer == *peer)
    }

    /// Those of one region.
    pub(super) fn in_region(&self, region: &Region) -> impl Iterator<Item = (Token, &Child)> {
        let there = self.regions.get(region).into_iter().flatten();
        there.filter_map(|token| Some((*token, self.get(*token)?)))
    }

    /// How many nodes beside this one are fed: one that joined anew counts once.
    pub(super) fn others(&self, than: &Peer) -> usize {
        self.joins.len() - usize::from(self.joins.contains_key(&than.incarnation))
    }

    /// How many pipes are open.
    pub(super) fn open(&self) -> usize {
        self.open
    }

    /// The streams that children want as a whole.
    pub(super) fn wanted(&self) -> impl Iterator<Item = &StreamName> {
        self.wanted.0.keys()
    }

    /// The single producers that children want.
    pub(super) fn picked(&self) -> impl Iterator<Item = (&StreamName, ProducerId)> {
        self.picked.keys().map(|(stream, id)| (stream, *id))
    }

    /// How many watch a stream at the nodes that pull it from this one, and below them.
    pub(super) fn viewers_of(&self, stream: &StreamName) -> u32 {
        let viewers = self.viewers.0.get(stream).copied().unwrap_or(0);
        u32::try_from(viewers).unwrap_or(u32::MAX)
    }

    /// Raised whenever a child may have changed.
    pub(super) fn changes(&self) -> u64 {
        self.changes
    }

    /// A child that is about to change: what it should have is looked at again.
    pub(super) fn get_mut(&mut self, token: Token) -> Option<&mut Child> {
        let child = self.children.get_mut(&token)?;
        self.due.iter_mut().for_each(|due| _ = due.insert(token));
        self.changes += 1;
        Some(child)
    }

    pub(super) fn outlet_mut(&mut self, token: Token) -> Option<&mut Outlet> {
        self.get_mut(token)?.outlet_mut()
    }

    /// All that sends, of which any may be about to change.
    pub(super) fn outlets_mut(&mut self) -> impl Iterator<Item = &mut Outlet> {
        self.all_due();
        self.changes += 1;
        self.children.values_mut().filter_map(|child| child.outlet.as_mut())
    }

    /// All children are looked at again.
    pub(super) fn all_due(&mut self) {
        self.due = None;
    }

    /// Which children are to be looked at, in their order; none where all are.
    pub(super) fn take_due(&mut self) -> Option<BTreeSet<Token>> {
        self.due.replace(BTreeSet::new())
    }

    /// A child that lacks something, and can't be told now.
    pub(super) fn stays_due(&mut self, token: Token) {
        self.due.iter_mut().for_each(|due| _ = due.insert(token));
    }

    pub(super) fn is_due(&self, token: Token) -> bool {
        self.due.as_ref().is_none_or(|due| due.contains(&token))
    }

    pub(super) fn insert(&mut self, token: Token, child: Child) {
        self.remove(token);
        self.joins.entry(child.peer.incarnation).or_default().insert(token);
        self.regions.entry(child.peer.region.clone()).or_default().insert(token);
        self.children.insert(token, child);
        self.stays_due(token);
        self.changes += 1;
    }

    pub(super) fn remove(&mut self, token: Token) -> Option<Child> {
        self.renew(token, BTreeSet::new(), BTreeMap::new(), BTreeMap::new());
        self.take_outlet(token);
        let child = self.children.remove(&token)?;
        self.due.iter_mut().for_each(|due| _ = due.remove(&token));
        forget(&mut self.joins, &child.peer.incarnation, token);
        forget(&mut self.regions, &child.peer.region, token);
        Some(child)
    }

    /// What a child wants from now on, and how many watch that at it and below it.
    pub(super) fn renew(
        &mut self,
        token: Token,
        wanted: BTreeSet<StreamName>,
        only: BTreeMap<StreamName, BTreeSet<ProducerId>>,
        viewers: BTreeMap<StreamName, u32>,
    ) {
        let Some(child) = self.get_mut(token) else { return };
        if (&child.wanted, &child.only) != (&wanted, &only) {
            let former =
                (std::mem::replace(&mut child.wanted, wanted), std::mem::replace(&mut child.only, only));
            let now = (child.wanted.clone(), child.only.clone());
            self.tally(&former, false);
            self.tally(&now, true);
        }
        self.recount(token, |child| child.viewers = viewers);
    }

    /// Counts what a child wants, or counts it no more.
    fn tally(&mut self, (wanted, only): &Wants, more: bool) {
        for stream in wanted {
            match only.get(stream) {
                None if more => self.wanted.add(stream, 1),
                None => self.wanted.take(stream, 1),
                Some(ids) => ids.iter().for_each(|id| self.pick(stream, *id, more)),
            }
        }
    }

    fn pick(&mut self, stream: &StreamName, id: ProducerId, more: bool) {
        let key = (stream.clone(), id);
        let count = self.picked.get(&key).copied().unwrap_or(0);
        match if more { count + 1 } else { count.saturating_sub(1) } {
            0 => _ = self.picked.remove(&key),
            count => _ = self.picked.insert(key, count),
        }
    }

    pub(super) fn set_outlet(&mut self, token: Token, outlet: Outlet) {
        self.recount(token, |child| child.outlet = Some(outlet));
    }

    pub(super) fn take_outlet(&mut self, token: Token) -> Option<Outlet> {
        self.recount(token, |child| child.outlet.take())?
    }

    /// How far the set-up of a child's pipe is.
    pub(super) fn set_up(&mut self, token: Token, setup: Setup) {
        self.recount(token, |child| {
            if let Some(outlet) = &mut child.outlet {
                outlet.setup = setup;
            }
        });
    }

    /// Changes what is counted of a child.
    fn recount<R>(&mut self, token: Token, change: impl FnOnce(&mut Child) -> R) -> Option<R> {
        self.get_mut(token)?;
        let child = self.children.get_mut(&token)?;
        if child.is_open() {
            self.open -= 1;
            for (stream, viewers) in &child.viewers {
                self.viewers.take(stream, (*viewers).into());
            }
        }
        let result = change(child);
        if child.is_open() {
            self.open += 1;
            for (stream, viewers) in &child.viewers {
                self.viewers.add(stream, (*viewers).into());
            }
        }
        Some(result)
    }

    /// Takes note of what passes over pipes to children; returns the bytes of media that were sent.
    pub(super) fn measure(&mut self, measured: &Measured, now: Instant) -> u64 {
        let outlets = self.children.values_mut().filter_map(|child| child.outlet.as_mut());
        let flows = outlets.filter_map(|outlet| Some((measured.outlets.get(&outlet.id)?, outlet)));
        flows.map(|(flow, outlet)| outlet.measure(flow, now)).sum()
    }

    /// Takes note of who is heard, where anybody can be: no lease runs out while it can't be renewed.
    pub(super) fn note_heard(&mut self, settled: bool, is_absent: impl Fn(&Peer) -> bool, now: Instant) {
        for child in self.children.values_mut() {
            child.absent = is_absent(&child.peer);
            if !settled || !child.absent {
                child.seen = now;
            }
            if !settled || child.absent {
                child.renewed = now;
            }
        }
    }

    /// Whether what is counted is what there is.
    pub(super) fn is_counted_right(&self) -> bool {
        let (mut asked, mut viewers, mut open) = (Self::default(), Tally::default(), 0);
        for child in self.children.values() {
            asked.tally(&(child.wanted.clone(), child.only.clone()), true);
            if child.is_open() {
                open += 1;
                child.viewers.iter().for_each(|(stream, count)| viewers.add(stream, (*count).into()));
            }
        }
        let joins: usize = self.joins.values().map(BTreeSet::len).sum();
        let there: usize = self.regions.values().map(BTreeSet::len).sum();
        let is_found = |(token, child): (&Token, &Child)| {
            let (joins, there) =
                (self.joins.get(&child.peer.incarnation), self.regions.get(&child.peer.region));
            joins.zip(there).is_some_and(|(joins, there)| joins.contains(token) && there.contains(token))
        };
        (&asked.wanted, &asked.picked) == (&self.wanted, &self.picked)
            && viewers == self.viewers
            && (open, joins, there) == (self.open, self.children.len(), self.children.len())
            && self.children.iter().all(is_found)
    }
}

fn forget<K: Ord>(of: &mut BTreeMap<K, BTreeSet<Token>>, key: &K, token: Token) {
    if let Some(tokens) = of.get_mut(key) {
        tokens.remove(&token);
        if tokens.is_empty() {
            of.remove(key);
        }
    }
}

impl Child {
    pub(super) fn new(peer: Peer, trace: Trace, now: Instant) -> Self {
        Self {
            peer,
            wanted: BTreeSet::new(),
            only: BTreeMap::new(),
            viewers: BTreeMap::new(),
            outlet: None,
            failures: 0,
            retry_at: now,
            renewed: now,
            seen: now,
            absent: false,
            joined: 0,
            ticket: None,
            trace,
        }
    }

    pub(super) fn wanted(&self) -> &BTreeSet<StreamName> {
        &self.wanted
    }

    pub(super) fn wants(&self, stream: &StreamName) -> bool {
        self.wanted.contains(stream)
    }

    /// Whether it wants all of a stream.
    pub(super) fn wants_whole(&self, stream: &StreamName) -> bool {
        self.wants(stream) && !self.only.contains_key(stream)
    }

    /// Whether it wants a producer of a stream.
    pub(super) fn wants_one(&self, stream: &StreamName, id: ProducerId) -> bool {
        self.wants(stream) && self.only.get(stream).is_none_or(|only| only.contains(&id))
    }

    pub(super) fn outlet(&self) -> Option<&Outlet> {
        self.outlet.as_ref()
    }

    pub(super) fn outlet_mut(&mut self) -> Option<&mut Outlet> {
        self.outlet.as_mut()
    }

    /// Whether it has taken its pipe.
    pub(super) fn is_open(&self) -> bool {
        self.outlet().is_some_and(Outlet::is_open)
    }

    /// Whether it has missed no renewal of its lease: else it may have left without being heard.
    pub(super) fn renews(&self, every: Duration, now: Instant) -> bool {
        now.saturating_duration_since(self.renewed) <= every * 2
    }

    pub(super) fn retry_later(&mut self, now: Instant) {
        self.failures = self.failures.saturating_add(1);
        self.retry_at = now + backoff(self.failures);
    }
}

impl Outlet {
    pub(super) fn new(id: PipeId, m: &Moment<'_>) -> Self {
        Self {
            id,
            setup: Setup::Opening,
            opened: m.now,
            opened_at: m.wall,
            revision: 0,
            answered: 0,
            telling: true,
            told: BTreeMap::new(),
            streams: BTreeMap::new(),
            sends: BTreeSet::new(),
            taken: BTreeSet::new(),
            refused: BTreeSet::new(),
            reports: 0,
            heard: m.now,
            bytes: 0,
            sent: None,
        }
    }

    pub(super) fn setup(&self) -> &Setup {
        &self.setup
    }

    pub(super) fn is_open(&self) -> bool {
        self.setup == Setup::Open
    }

    /// Takes note of what passes; returns the bytes of media that were sent.
    fn measure(&mut self, flow: &PipeFlow, now: Instant) -> u64 {
        let sent = flow.bytes_sent.saturating_sub(self.bytes);
        if flow.bytes_received != self.reports {
            (self.reports, self.heard) = (flow.bytes_received, now);
        }
        if flow.bytes_sent != self.bytes {
            self.bytes = flow.bytes_sent;
            let since = self.sent.filter(|(last, _)| now.saturating_duration_since(*last) <= PAUSE);
            self.sent = Some((now, since.map_or(now, |(_, since)| since)));
        }
        sent
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fleet::Fleet;
    use crate::fleet::samples::{PATIENCE, peer};
    use crate::room::core::Mint;
    use proptest::prelude::*;
    use uuid::Uuid;

    const TRACE: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    /// What may happen to one of a few children.
    #[derive(Debug, Clone)]
    enum Step {
        Joins(u128),
        Wants(u8, u32),
        Opens(bool),
        Closes,
        Goes,
    }

    fn step() -> impl Strategy<Value = (u128, Step)> {
        let step = prop_oneof![
            (1u128..3).prop_map(Step::Joins),
            (0u8..8, 0u32..5).prop_map(|(streams, viewers)| Step::Wants(streams, viewers)),
            any::<bool>().prop_map(Step::Opens),
            Just(Step::Closes),
            Just(Step::Goes),
        ];
        (0u128..4, step)
    }

    proptest! {
        #[test]
        fn what_is_counted_is_what_there_is_whatever_happens(
            steps in proptest::collection::vec(step(), 0..60),
        ) {
            let now = Instant::now();
            let fleet = Fleet::new(peer("me", 9, "r0"), PATIENCE);
            let mut mint = Mint::new(0, |_| 0);
            let m = Moment { now, wall: Utc::now(), fleet: &fleet, draining: false, log: 0, mint: &mut mint };
            let mut all = Downstream::default();
            all.take_due();
            for (n, step) in steps {
                let token = Token(Uuid::from_u128(n));
                match step {
                    Step::Joins(id) => {
                        let peer = peer(&format!("n{id}"), id, &format!("r{id}"));
                        all.insert(token, Child::new(peer, TRACE.parse().unwrap(), now));
                    }
                    Step::Wants(streams, viewers) => {
                        let names = (0u8..3).filter(|bit| streams & (1 << bit) != 0);
                        let wanted: BTreeSet<StreamName> =
                            names.map(|bit| format!("s{bit}").parse().unwrap()).collect();
                        let viewers = wanted.iter().map(|stream| (stream.clone(), viewers)).collect();
                        // Of every other stream single producers.
                        let only = wanted.iter().step_by(2).map(|stream| {
                            (stream.clone(), [ProducerId(Uuid::from_u128(n % 2))].into())
                        });
                        let only = only.collect();
                        all.renew(token, wanted, only, viewers);
                    }
                    Step::Opens(anew) => {
                        if anew {
                            all.set_outlet(token, Outlet::new(PipeId(Uuid::from_u128(n)), &m));
                        }
                        all.set_up(token, Setup::Open);
                    }
                    Step::Closes => drop(all.take_outlet(token)),
                    Step::Goes => drop(all.remove(token)),
                }
                prop_assert!(all.is_counted_right());
                prop_assert!(all.iter().any(|(other, _)| other == token) == all.is_due(token));
                all.take_due();
            }
            let peers: BTreeSet<_> = all.iter().map(|(_, child)| child.peer.incarnation).collect();
            prop_assert_eq!(all.others(&peer("me", 9, "r0")), peers.len());
            for token in all.iter().map(|(token, _)| token).collect::<Vec<_>>() {
                all.remove(token);
            }
            let nothing = all.joins.is_empty() && all.regions.is_empty() && all.open == 0;
            prop_assert!(nothing && all.wanted.0.is_empty() && all.picked.is_empty() && all.viewers.0.is_empty());
        }
    }
}
