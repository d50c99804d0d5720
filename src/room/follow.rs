//! An edge's side of joining: which parents to ask, and what their answers mean.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use super::message::JobDone;
use super::plan::{ParentAction, ParentFacts, backoff, parent_actions};
use super::state::{Parent, Room, Via};
use crate::broker::CallError;
use crate::fleet::placement;
use crate::protocol::ids::{NodeName, PublicationId, StreamName};
use crate::protocol::origin::{Join, Joined, Leave};
use crate::protocol::refusal::Code;
use crate::telemetry::Trace;

impl Room {
    /// Asks the parents of the streams that are wanted here and leaves those of which none is.
    pub(super) fn plan_parents(&mut self, now: Instant) {
        let idle = self.ctx.config.timeouts.pipe_idle;
        for stream in self.wanted_now() {
            self.wanted_at.insert(stream, now);
        }
        self.wanted_at.retain(|_, at| now.duration_since(*at) < idle);
        let desired = self.desired_parents(now);
        let facts: BTreeMap<_, _> = self
            .parents
            .iter()
            .map(|(node, parent)| {
                let facts = ParentFacts {
                    asked: parent.asked.clone(),
                    in_flight: parent.in_flight,
                    next_join: parent.next_join,
                    since: parent.since,
                };
                (node.clone(), facts)
            })
            .collect();
        for action in parent_actions(&desired, &facts, idle, now) {
            match action {
                ParentAction::Join(node, streams) => self.ask_to_join(node, streams, now),
                ParentAction::Leave(node) => self.ask_to_leave(node, now),
            }
        }
    }

    fn wanted_now(&self) -> BTreeSet<StreamName> {
        let viewers = self.viewers.values().map(|viewer| &viewer.stream);
        let waiting = self.waiting.iter().map(|waiting| &waiting.request.stream);
        let children = self.children.values().flat_map(|child| &child.wanted);
        viewers.chain(waiting).chain(children).cloned().collect()
    }

    /// Which node each wanted stream should come from.
    fn desired_parents(&self, now: Instant) -> BTreeMap<NodeName, BTreeSet<StreamName>> {
        let mut desired: BTreeMap<_, BTreeSet<_>> = BTreeMap::new();
        if self.stop_by.is_some() {
            return desired;
        }
        let fleet = self.ctx.fleet();
        for stream in self.wanted_at.keys() {
            if self.publications.contains_key(stream) {
                continue;
            }
            let Some(known) = self.registry.get(stream) else {
                // A registry that has forgotten the stream says nothing: its origin writes it anew.
                if let Some(node) = self.parent_of_source(stream, None) {
                    desired.entry(node.clone()).or_default().insert(stream.clone());
                }
                continue;
            };
            let announced = &known.announcement;
            if !announced.is_live() || announced.origin.node == self.ctx.me.node {
                continue;
            }
            // What works is kept, whatever the bus says of its node.
            let current = self.parent_of_source(stream, Some(announced.publication));
            if current.is_none() && fleet.is_absent(&announced.origin, now) {
                continue;
            }
            let node =
                placement::parent(&self.id, stream, &announced.origin, &self.ctx.me, current, &fleet, now);
            desired.entry(node).or_default().insert(stream.clone());
        }
        desired
    }

    /// The parent that a stream comes from now, if it is of this publication.
    fn parent_of_source(&self, stream: &StreamName, publication: Option<PublicationId>) -> Option<&NodeName> {
        let source = self.sources.get(stream)?;
        if publication.is_some_and(|publication| source.publication != publication) {
            return None;
        }
        let Via::Pipe(pipe) = source.via else { return None };
        self.parents
            .iter()
            .find(|(_, parent)| parent.pipe.as_ref().is_some_and(|own| own.id == pipe))
            .map(|(node, _)| node)
    }

    /// One join at a time per parent, however many viewers wait.
    fn ask_to_join(&mut self, node: NodeName, streams: BTreeSet<StreamName>, now: Instant) {
        let trace = self
            .waiting
            .iter()
            .find(|waiting| streams.contains(&waiting.request.stream))
            .map_or_else(Trace::start, |waiting| waiting.request.trace);
        let parent = self.parents.entry(node.clone()).or_insert_with(|| Parent::new(now));
        parent.in_flight = true;
        parent.leaving = false;
        let join = Join {
            room_id: self.id.clone(),
            from: self.ctx.me.clone(),
            streams: streams.clone(),
            pipe_id: parent.pipe.as_ref().map(|pipe| pipe.id),
        };
        let broker = self.ctx.broker.clone();
        self.job(async move {
            let result = broker.call_origin(&node, join, trace).await;
            JobDone::Joined { parent: node, streams, result }
        });
    }

    fn ask_to_leave(&mut self, node: NodeName, now: Instant) {
        let Some(parent) = self.parents.get_mut(&node) else { return };
        if now < parent.next_join && parent.leaving {
            return;
        }
        parent.in_flight = true;
        parent.leaving = true;
        let leave = Leave {
            room_id: self.id.clone(),
            from: self.ctx.me.clone(),
            reason: "nothing is watched here".to_owned(),
        };
        let broker = self.ctx.broker.clone();
        self.job(async move {
            if let Err(error) = broker.call_origin(&node, leave, Trace::start()).await {
                // The lease ends what the parent doesn't hear of.
                tracing::debug!(parent = %node, %error, "parent not told that this edge left");
            }
            JobDone::Left { parent: node }
        });
    }

    /// A parent answered: its pipe comes, or it said why not.
    pub(super) async fn joined(
        &mut self,
        node: NodeName,
        streams: BTreeSet<StreamName>,
        result: Result<Joined, CallError>,
    ) {
        let now = Instant::now();
        let renewal = self.ctx.config.timeouts.lease_renewal;
        let Some(parent) = self.parents.get_mut(&node) else { return };
        parent.in_flight = false;
        match result {
            Ok(joined) => {
                if parent.failures > 0 || parent.asked.is_empty() {
                    tracing::info!(parent = %node, pipe = %joined.pipe_id, "joined");
                }
                let other = parent.pipe.as_ref().is_some_and(|pipe| pipe.id != joined.pipe_id);
                if other {
                    // The parent no longer has our pipe and opens another.
                    self.close_inlet(&node);
                }
                if let Some(parent) = self.parents.get_mut(&node) {
                    parent.failures = 0;
                    parent.asked = streams;
                    parent.next_join = now + renewal;
                }
                self.compare(&joined).await;
            }
            Err(error) => {
                parent.failures += 1;
                parent.next_join = now + backoff(parent.failures);
                // Said once; a bus that is down says so itself.
                if parent.failures == 1 && !matches!(error, CallError::Offline) {
                    tracing::warn!(parent = %node, %error, "join failed; trying again");
                } else {
                    tracing::debug!(parent = %node, failures = parent.failures, %error, "join failed again");
                }
                self.join_failed(&node, &streams, &error);
            }
        }
    }

    fn join_failed(&mut self, node: &NodeName, streams: &BTreeSet<StreamName>, error: &CallError) {
        let has_none = matches!(error, CallError::Refused(refusal)
            if matches!(refusal.code, Code::UnknownRoom | Code::UnknownStream | Code::Loop));
        if has_none {
            self.close_inlet(node);
        }
        let is_origin = |stream: &StreamName| {
            self.registry.get(stream).is_some_and(|known| known.announcement.origin.node == *node)
        };
        let gone = matches!(error, CallError::NoResponders(_));
        if !has_none && !gone {
            return;
        }
        // A relay may be replaced by another; without its origin a stream can't be had now.
        let lost: BTreeSet<_> = streams.iter().filter(|stream| is_origin(stream)).cloned().collect();
        self.refuse_waiting(|stream| lost.contains(stream));
    }

    /// Tells viewers who wait for such a stream that it is not live.
    pub(super) fn refuse_waiting(&mut self, of: impl Fn(&StreamName) -> bool) {
        let (lost, waiting) =
            std::mem::take(&mut self.waiting).into_iter().partition(|w| of(&w.request.stream));
        self.waiting = waiting;
        for waiting in lost {
            let error = self.not_live();
            self.ctx.metrics.joins.get_or_create(&[("result", error.kind())]).inc();
            let _ = waiting.answer.send(Err(error));
        }
    }

    /// Both sides compare: what the parent no longer has ends here, and pauses are taken over.
    async fn compare(&mut self, joined: &Joined) {
        let mut ended = Vec::new();
        let mut paused = Vec::new();
        for (stream, source) in self.sources.iter().filter(|(_, s)| s.via == Via::Pipe(joined.pipe_id)) {
            let carried = joined.streams.iter().find(|carried| carried.stream == *stream);
            for producer in &source.producers {
                let there = carried.and_then(|c| c.producers.iter().find(|p| p.id == producer.id));
                match there {
                    None => ended.push(producer.id),
                    Some(there) if there.paused != producer.paused => {
                        paused.push((producer.id, there.paused))
                    }
                    Some(_) => {}
                }
            }
        }
        for id in ended {
            self.close_pipe_producer(joined.pipe_id, id);
        }
        for (id, is_paused) in paused {
            let _ = self.pause_pipe_producer(joined.pipe_id, id, is_paused).await;
        }
    }

    /// A parent was told that we leave: our end of the pipe, the receiving one, closes last.
    pub(super) fn left(&mut self, node: &NodeName) {
        let Some(parent) = self.parents.get_mut(node) else { return };
        parent.in_flight = false;
        // A pipe that it opened meanwhile shows that it is wanted again, or will be left again.
        if parent.leaving {
            self.close_inlet(node);
            self.parents.remove(node);
        }
    }
}
