//! The nodes that pull from this one: they join, renew, leave and are lost.

use super::children::{Child, Outlet};
use super::effect::{Answer, Effect, Figure};
use super::input::{Failure, Ticket};
use super::liveness::{Bus, OutletFacts};
use super::wishes::Part;
use super::{Core, Moment};
use crate::fleet::placement::{self, MAX_HOPS};
use crate::protocol::edge::ClosePipe;
use crate::protocol::ids::{Peer, ProducerId, StreamName, Token};
use crate::protocol::origin::{CarriedProducer, CarriedStream, Join, Joined, Leave, PipeHeld};
use crate::protocol::refusal::{Code, Refusal};
use crate::telemetry::Trace;
use std::collections::{BTreeMap, BTreeSet};

/// How many others a child is told of that could feed it.
const MOST_INSTEAD: usize = 3;

/// What a child may lack.
#[derive(Debug, Clone, Copy)]
enum Lack {
    Pipe,
    Change,
}

impl Core {
    /// An edge joins, or renews its join. The answer only says yes; the pipe is opened meanwhile.
    pub(super) fn join(&mut self, ticket: Ticket, join: Join, trace: Trace, m: &mut Moment<'_>) {
        let token = join.token;
        if let Err(refusal) = self.may_join(&join, m) {
            if matches!(refusal.code, Code::UnknownStream | Code::Loop | Code::Unsupported) {
                // The edge closes its end when it hears that; so does this one.
                self.let_go(token, "nothing that it wants is here", m);
            }
            return self.out.push(Effect::Answer(ticket, Answer::Joined(Err(refusal))));
        }
        if self.downstream.get(token).is_none() {
            self.close_unconfirmed(&join.from, m);
            self.downstream.insert(token, Child::new(join.from, trace, m.now));
        }
        let Some(child) = self.downstream.get_mut(token) else { return };
        if join.number <= child.joined {
            return self.answer_again(ticket, token, m);
        }
        (child.joined, child.renewed) = (join.number, m.now);
        // An edge that lost its end needs a new pipe.
        let lost = join.pipe.is_none() && child.is_open();
        for stream in &join.streams {
            match join.only.get(stream) {
                None => self.audience.wishes.note(stream, Part::Whole, m.now),
                Some(ids) => {
                    ids.iter().for_each(|id| self.audience.wishes.note(stream, Part::One(*id), m.now));
                }
            }
        }
        self.downstream.renew(token, join.streams, join.only, join.viewers);
        if lost {
            self.close_outlet(token, "the edge has lost its end", false, m);
        }
        if let Some(held) = &join.pipe {
            self.take_over(token, held);
        }
        let open = self.downstream.get(token).is_some_and(|child| child.outlet().is_some());
        if open {
            self.answer_joined(ticket, token, m);
        } else {
            if let Some(child) = self.downstream.get_mut(token) {
                child.ticket = Some(ticket);
            }
            self.open_pipe(token, m);
        }
    }

    pub(super) fn may_join(&self, join: &Join, m: &Moment<'_>) -> Result<(), Refusal> {
        let known = self.downstream.get(join.token);
        if known.is_some_and(|child| child.peer != join.from) {
            return Err(Refusal::new(Code::Unasked, "that join is another node's"));
        }
        if self.stop_by.is_some() || (m.draining && known.is_none()) {
            return Err(Refusal::new(Code::Draining, "this node takes no new edges"));
        }
        if !self.config.rooms.allow(&self.id, &join.from.region) {
            return Err(Refusal::new(
                Code::Residency,
                "the room may not go to that region (rooms.residency)",
            ));
        }
        if known.is_none() && self.downstream.others(&join.from) >= self.limits.children {
            return Err(self.full(&join.from, &join.streams, "limits.children is reached", m));
        }
        let here = |stream| self.sources.get(stream).is_some() || self.known.holds(stream, m).is_some();
        if !join.streams.iter().any(here) {
            return Err(Refusal::new(Code::UnknownStream, "none of these streams is live here"));
        }
        // What this node can't take it can't pass on: another parent may.
        let partial = |stream| self.sources.get(stream).is_some_and(|source| !source.refused.is_empty());
        if join.streams.iter().all(partial) {
            return Err(Refusal::new(Code::Unsupported, "this node lacks a codec of these streams"));
        }
        if known.is_none() && join.streams.iter().all(|stream| self.is_far(stream)) {
            let why = "these streams have come as many hops as they may";
            return Err(Refusal::new(Code::Full, why));
        }
        let loops = |stream| self.sources.get(stream).is_some_and(|s| s.path.contains(&join.from.node));
        if join.from.node == self.me.node || join.streams.iter().all(loops) {
            return Err(Refusal::new(Code::Loop, "these streams come from the asking node"));
        }
        Ok(())
    }

    /// No further node is fed from here: those that are may feed it. Those that have one of the streams come first, and
    /// those of the asking node's region, then of this one.
    pub(super) fn full(
        &self,
        asker: &Peer,
        streams: &BTreeSet<StreamName>,
        why: &str,
        m: &Moment<'_>,
    ) -> Refusal {
        let here: Vec<_> = streams.iter().filter(|stream| !self.is_far(stream)).collect();
        let open = self.downstream.iter().map(|(_, child)| child).filter(|child| child.is_open());
        let mut fed: Vec<_> = open
            .filter(|child| child.peer != *asker && placement::may_feed(&child.peer, m.fleet, m.now))
            .map(|child| {
                let region = &child.peer.region;
                let near = if *region == asker.region { 0 } else { 1 + u8::from(*region != self.me.region) };
                ((!here.iter().any(|stream| child.wants(stream)), near), &child.peer)
            })
            .collect();
        let best = fed.iter().map(|(rank, _)| *rank).min();
        fed.retain(|(rank, _)| Some(*rank) == best);
        let candidates = placement::shared(&asker.node, fed.into_iter().map(|(_, peer)| peer));
        Refusal { candidates, ..Refusal::new(Code::Full, why) }
    }

    /// Whether a stream has come as many hops as it may: it is watched here, and not sent on.
    fn is_far(&self, stream: &StreamName) -> bool {
        self.sources.get(stream).is_some_and(|source| source.path.len() >= MAX_HOPS)
    }

    /// Whom a child should pull a stream from instead: so that it crosses to another region once, or as this node is to
    /// feed fewer.
    fn instead(&self, child: &Child, stream: &StreamName, m: &Moment<'_>) -> Vec<Peer> {
        let nearer = self.first_there(child, stream, m);
        if nearer.is_empty() { self.elsewhere(child, stream, m) } else { nearer }
    }

    /// Which of the children in another region should feed this one, so that a stream crosses to there once: those that
    /// have had all of it for longer, of those that may feed others, the first first.
    fn first_there(&self, child: &Child, stream: &StreamName, m: &Moment<'_>) -> Vec<Peer> {
        if child.peer.region == self.me.region {
            return Vec::new();
        }
        let near = self.downstream.in_region(&child.peer.region);
        let there = near.filter_map(|(_, other)| Some((other, other.outlet()?)));
        let there = there.filter(|(other, outlet)| {
            outlet.is_open() && other.wants(stream) && self.has_all(other, outlet, stream)
        });
        let may = there.filter(|(other, _)| placement::may_feed(&other.peer, m.fleet, m.now));
        let mut may: Vec<_> = may.map(|(other, outlet)| (outlet.opened, &other.peer)).collect();
        may.sort_by_key(|(opened, peer)| (*opened, peer.incarnation));
        let before = may.into_iter().map(|(_, peer)| peer).take_while(|peer| **peer != child.peer);
        before.take(MOST_INSTEAD).cloned().collect()
    }

    /// Whether a child has taken all that there is of a stream, as far as it wants that.
    pub(super) fn has_all(&self, child: &Child, outlet: &Outlet, stream: &StreamName) -> bool {
        let source = self.sources.get(stream).filter(|source| source.is_complete());
        source.is_some_and(|source| {
            let mut wanted = source.producers.iter().filter(|own| child.wants_one(stream, own.id));
            wanted.all(|own| outlet.taken.contains(&own.id))
        })
    }

    /// A node that joins anew gives up its former attempt, if that was never confirmed.
    fn close_unconfirmed(&mut self, peer: &Peer, m: &Moment<'_>) {
        let unconfirmed = self.downstream.of(peer).filter(|(_, child)| !child.is_open());
        for token in unconfirmed.map(|(token, _)| token).collect::<Vec<_>>() {
            self.record_over(token, "the edge joined anew", false, m);
            self.abandon_child(token, "the edge joined anew");
        }
    }

    /// What the edge says it has is what it was told: what was lost on the way is repaired by the plan. Only what
    /// it said before it answered a later change is passed over.
    fn take_over(&mut self, token: Token, held: &PipeHeld) {
        let Some(desired) = self.downstream.get(token).map(|child| self.desired_of(child)) else {
            return;
        };
        let Some(outlet) = self.downstream.outlet_mut(token) else { return };
        if outlet.id == held.pipe_id && outlet.telling && held.revision >= outlet.revision {
            // It has heard all that it is being told: what it has is no longer refused, whatever comes late.
            let has = held.producers.iter().map(|producer| producer.id);
            outlet.taken.extend(has.filter(|id| outlet.sends.contains(id)).collect::<Vec<_>>());
        }
        if outlet.id == held.pipe_id && !outlet.telling && held.revision >= outlet.answered {
            // What it has may be what was sent before: only what it took as it is sent now isn't told again.
            let is_known = |id| outlet.taken.contains(id) || !desired.contains_key(id);
            let known = held.producers.iter().filter(|producer| is_known(&producer.id));
            outlet.told = known.map(|producer| (producer.id, producer.paused)).collect();
            outlet.refused = held.refused.iter().copied().collect();
        }
    }

    pub(super) fn answer_joined(&mut self, ticket: Ticket, token: Token, m: &Moment<'_>) {
        let Some(child) = self.downstream.get(token) else { return };
        let Some(outlet) = child.outlet() else { return };
        let joined =
            Joined { pipe_id: outlet.id, revision: outlet.revision, streams: self.carried(child, m) };
        // The answer tells what is paused as well: should it be lost, the next renewal shows that.
        let told: Vec<_> = joined.streams.iter().flat_map(|carried| &carried.producers).cloned().collect();
        if let Some(outlet) = self.downstream.outlet_mut(token) {
            for producer in told.iter().filter(|_| !outlet.telling) {
                outlet.told.entry(producer.id).and_modify(|paused| *paused = producer.paused);
            }
        }
        self.out.push(Effect::Answer(ticket, Answer::Joined(Ok(joined))));
    }

    /// A join that came late or twice changes nothing.
    fn answer_again(&mut self, ticket: Ticket, token: Token, m: &Moment<'_>) {
        let child = self.downstream.get(token);
        if child.is_some_and(|child| child.outlet().is_some() && child.ticket.is_none()) {
            return self.answer_joined(ticket, token, m);
        }
        let refusal = Refusal::new(Code::Busy, "that join is being answered");
        self.out.push(Effect::Answer(ticket, Answer::Joined(Err(refusal))));
    }

    fn carried(&self, child: &Child, m: &Moment<'_>) -> Vec<CarriedStream> {
        let carried = self.sources.iter().filter(|(stream, _)| child.wants(stream));
        carried
            .map(|(stream, source)| CarriedStream {
                stream: stream.clone(),
                publication: source.publication,
                path: source.path.clone(),
                viewers: self.viewers_of(stream).unwrap_or_default(),
                instead: self.instead(child, stream, m),
                producers: source
                    .producers
                    .iter()
                    .filter(|producer| child.wants_one(stream, producer.id))
                    .map(|producer| CarriedProducer {
                        id: producer.id,
                        paused: producer.paused,
                        // What should come here and doesn't is no muted stream: another parent may have it.
                        flowing: self.sources.is_flowing(producer.id, m.now)
                            || self.upstream.is_promised(stream, m.now),
                    })
                    .collect(),
            })
            .collect()
    }

    pub(super) fn leave(&mut self, ticket: Ticket, leave: &Leave, m: &mut Moment<'_>) {
        if self.downstream.get(leave.token).is_some_and(|child| child.peer == leave.from) {
            tracing::info!(child = %leave.from.node, reason = leave.reason, "edge left");
            self.let_go(leave.token, "the edge left", m);
        }
        self.out.push(Effect::Answer(ticket, Answer::Left));
    }

    /// Forgets a child that knows it: it needs no telling.
    fn let_go(&mut self, token: Token, why: &'static str, m: &Moment<'_>) {
        let outlet = self.downstream.get(token).and_then(Child::outlet);
        if let Some(pipe) = outlet.map(|outlet| outlet.id) {
            self.record_over(token, why, false, m);
            self.out.push(Effect::CloseOutlet(pipe));
        }
        if let Some(ticket) = self.downstream.remove(token).and_then(|child| child.ticket) {
            let refusal = Refusal::new(Code::UnknownStream, why);
            self.out.push(Effect::Answer(ticket, Answer::Joined(Err(refusal))));
        }
    }

    /// How many producers of a stream a child is sent, once all that it wants of it is here; none where nothing is.
    pub(super) fn told_of(&self, child: &Child, stream: &StreamName) -> Option<u8> {
        let source = self.sources.get(stream)?;
        let of = match child.wants_whole(stream) {
            true => source.of,
            false => source.producers.iter().filter(|own| child.wants_one(stream, own.id)).count(),
        };
        Some(u8::try_from(of).unwrap_or(u8::MAX))
    }

    /// What a child should have, and whether it is paused.
    pub(super) fn desired_of(&self, child: &Child) -> BTreeMap<ProducerId, bool> {
        self.producers_for(child).collect()
    }

    fn producers_for(&self, child: &Child) -> impl Iterator<Item = (ProducerId, bool)> {
        let wanted = self.sources.iter().filter(move |(stream, source)| {
            child.wants(stream) && !source.path.contains(&child.peer.node) && source.path.len() < MAX_HOPS
        });
        let producers =
            wanted.flat_map(|(stream, source)| source.producers.iter().map(move |own| (stream, own)));
        let producers = producers.filter(|(stream, own)| child.wants_one(stream, own.id)).map(|(_, own)| own);
        let all = producers.map(|producer| (producer.id, producer.paused));
        all.take(self.limits.producers_per_pipe)
    }

    /// Whether a child is told of, and sent, just what it should have: most are at most times.
    fn has_its_own(&self, child: &Child, outlet: &Outlet) -> bool {
        let (mut desired, mut count) = (self.producers_for(child), 0);
        let as_told = desired.all(|(id, paused)| {
            count += 1;
            outlet.told.get(&id) == Some(&paused) && outlet.sends.contains(&id)
        });
        as_told && outlet.told.len() == count && outlet.sends.len() == count && outlet.refused.is_empty()
    }

    /// What a child lacks, if anything.
    fn lack(&self, child: &Child) -> Option<Lack> {
        match child.outlet() {
            None if child.ticket.is_none() && self.producers_for(child).next().is_some() => Some(Lack::Pipe),
            Some(outlet) if outlet.is_open() && !outlet.telling && !self.has_its_own(child, outlet) => {
                Some(Lack::Change)
            }
            _ => None,
        }
    }

    /// Opens what pipes are missing and tells children what changed: those that changed themselves, and all of them where
    /// what is here did.
    pub(super) fn plan_children(&mut self, m: &mut Moment<'_>) {
        if std::mem::replace(&mut self.planned.children, self.sources.changes()) != self.sources.changes() {
            self.downstream.all_due();
        }
        let due = self.downstream.take_due();
        let lacks = |(token, child): (Token, &Child)| {
            // Who isn't heard is told once it is heard again.
            let waits = || m.now < child.retry_at || self.bus_of(&child.peer, m) == Bus::Silent;
            self.lack(child).map(|lack| (token, lack, waits()))
        };
        let lacking: Vec<_> = match due {
            None => self.downstream.iter().filter_map(lacks).collect(),
            Some(due) => {
                let due = due.into_iter().filter_map(|token| Some((token, self.downstream.get(token)?)));
                due.filter_map(lacks).collect()
            }
        };
        let (mut opened, mut changed) = (Vec::new(), Vec::new());
        for (token, lack, waits) in lacking {
            match lack {
                _ if waits => self.downstream.stays_due(token),
                Lack::Pipe => opened.push(token),
                Lack::Change => changed.push(token),
            }
        }
        for token in opened {
            self.open_pipe(token, m);
        }
        for token in changed {
            self.change_pipe(token);
        }
    }

    /// Whether what is counted of children is what there is, and nobody who lacks something was forgotten. For tests.
    pub fn is_counted_right(&self) -> bool {
        let forgotten = |(token, child): (Token, &Child)| {
            let lacks = match (self.lack(child), child.outlet()) {
                (Some(Lack::Change), Some(outlet)) => !self.changes(child, outlet).is_empty(),
                (lack, _) => lack.is_some(),
            };
            lacks && !self.downstream.is_due(token)
        };
        self.downstream.is_counted_right() && !self.downstream.iter().any(forgotten)
    }

    /// Closes the pipes of children that are lost.
    pub(super) fn end_lost_children(&mut self, m: &mut Moment<'_>) {
        let (connect, lease) = (self.config.timeouts.pipe_connect, self.config.timeouts.lease);
        let settled = m.fleet.is_settled(m.now) && m.fleet.hears_itself(m.now);
        self.downstream.note_heard(settled, |peer| m.fleet.is_absent(peer, m.now), m.now);
        let is_lost = |child: &Child| {
            let bus = match child.absent {
                true => self.bus_of(&child.peer, m),
                false => Bus::Heard,
            };
            let Some(outlet) = child.outlet() else {
                // Nothing of its streams is here yet: it stays as long as it is there and renews.
                return bus != Bus::Heard || m.now.saturating_duration_since(child.renewed) > lease;
            };
            let facts = OutletFacts {
                connected: outlet.is_open(),
                opened: outlet.opened,
                heard: outlet.heard,
                sent: outlet.sent,
                renewed: child.renewed,
                seen: child.seen,
                idle: bus == Bus::Silent && self.producers_for(child).next().is_none(),
                settled,
                bus,
            };
            facts.is_lost(connect, lease, m.now)
        };
        let lost = self.downstream.iter().filter(|(_, child)| is_lost(child));
        for token in lost.map(|(token, _)| token).collect::<Vec<_>>() {
            if let Some(child) = self.downstream.get(token) {
                tracing::warn!(child = %child.peer.node, "edge lost");
            }
            self.close_outlet(token, "the edge was lost", true, m);
            self.downstream.remove(token);
        }
    }

    /// Closes our end of a child's pipe, then tells the child, and the log.
    pub(super) fn close_outlet(&mut self, token: Token, why: &'static str, lost: bool, m: &Moment<'_>) {
        self.record_over(token, why, lost, m);
        self.abandon_outlet(token, why);
    }

    pub(super) fn abandon_outlet(&mut self, token: Token, why: &'static str) {
        let Some(outlet) = self.downstream.take_outlet(token) else { return };
        let Some(peer) = self.downstream.get(token).map(|child| child.peer.clone()) else { return };
        self.out.push(Effect::CloseOutlet(outlet.id));
        let close = ClosePipe { room_id: self.id.clone(), token, pipe_id: outlet.id, reason: why.to_owned() };
        self.out.push(Effect::TellClosed(peer, close));
    }

    fn abandon_child(&mut self, token: Token, why: &'static str) {
        self.abandon_outlet(token, why);
        if let Some(child) = self.downstream.remove(token)
            && let Some(ticket) = child.ticket
        {
            let refusal = Refusal::new(Code::Unasked, why);
            self.out.push(Effect::Answer(ticket, Answer::Joined(Err(refusal))));
        }
    }

    /// An attempt at a pipe failed, or an open pipe did.
    pub(super) fn pipe_failed(&mut self, token: Token, failure: &Failure, m: &mut Moment<'_>) {
        let Some(child) = self.downstream.get_mut(token) else { return };
        tracing::warn!(child = %child.peer.node, %failure, "pipe failed");
        self.out.push(Effect::Count(Figure::PipeSetup(failure.kind(), None)));
        self.record_failed(token, failure, m);
        let forgotten = match failure {
            Failure::Gone => true,
            // The edge knows nothing of this join (any more): if it wants something, it joins again.
            Failure::Refused(refusal) => {
                matches!(refusal.code, Code::Unasked | Code::UnknownPipe | Code::UnknownRoom)
            }
            _ => false,
        };
        if forgotten {
            self.abandon_child(token, "the edge did not ask for it");
        } else {
            self.abandon_outlet(token, "the pipe failed");
            if let Some(child) = self.downstream.get_mut(token) {
                child.retry_later(m.now);
            }
        }
    }

    /// A child has taken a pipe: it did ask. Its former pipes are over.
    pub(super) fn confirm(&mut self, token: Token, m: &Moment<'_>) {
        let Some(peer) = self.downstream.get(token).map(|child| child.peer.clone()) else { return };
        let former = self.downstream.of(&peer).map(|(former, _)| former).filter(|former| *former != token);
        for former in former.collect::<Vec<_>>() {
            self.close_outlet(former, "the edge joined anew", false, m);
            self.downstream.remove(former);
        }
    }

    /// Closes all pipes to children.
    pub(super) fn end_children(&mut self, m: &Moment<'_>) {
        for token in self.downstream.iter().map(|(token, _)| token).collect::<Vec<_>>() {
            self.close_outlet(token, "the node stops", false, m);
            self.downstream.remove(token);
        }
    }
}
