//! A stream that comes from one node and is to come from another: the new way is made first, who watches changes over,
//! and then the old one ends.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::effect::Effect;
use super::sources::{Source, Via};
use super::{Core, Moment};
use crate::fleet::placement;
use crate::protocol::ids::{Incarnation, Peer, PipeId, ProducerId, StreamName};
use crate::protocol::media::Measured;
use crate::protocol::presence::Phase;

/// For how long what came the old way still comes: until all that is sent on has changed over, each at a key frame.
const LINGER: Duration = Duration::from_millis(3_500);

/// The streams that are being moved.
#[derive(Debug, Default)]
pub(super) struct Moves {
    under_way: BTreeMap<StreamName, Peer>,
    /// What comes the new way, and isn't shown yet.
    coming: BTreeMap<StreamName, Source>,
    /// What came of a stream from a parent before it was moved, and until when it still does.
    left: BTreeMap<(Incarnation, StreamName), (Source, Instant)>,
}

impl Moves {
    /// Where a stream is being moved to.
    pub(super) fn to(&self, stream: &StreamName) -> Option<&Peer> {
        self.under_way.get(stream)
    }

    /// Whether a stream is being moved, or was until a moment ago.
    fn is_busy(&self, stream: &StreamName) -> bool {
        self.under_way.contains_key(stream) || self.left.keys().any(|(_, left)| left == stream)
    }

    /// The streams that no longer come from a parent, but for a moment.
    pub(super) fn left_behind(&self, parent: Incarnation) -> impl Iterator<Item = &StreamName> {
        self.left.keys().filter(move |(id, _)| *id == parent).map(|(_, stream)| stream)
    }

    pub(super) fn coming(&self, stream: &StreamName, pipe: PipeId) -> Option<&Source> {
        self.coming.get(stream).filter(|source| source.via == Via::Pipe(pipe))
    }

    pub(super) fn coming_mut(&mut self, stream: &StreamName, pipe: PipeId) -> Option<&mut Source> {
        self.coming.get_mut(stream).filter(|source| source.via == Via::Pipe(pipe))
    }

    /// What comes by a pipe and is what it was before a stream was moved from there.
    pub(super) fn lingering(&self, pipe: PipeId) -> impl Iterator<Item = &Source> {
        self.left.values().map(|(source, _)| source).filter(move |source| source.via == Via::Pipe(pipe))
    }

    /// A stream comes from a parent again, or that is left altogether.
    pub(super) fn forget_left(&mut self, parent: Incarnation, of: Option<&StreamName>) {
        self.left.retain(|(id, stream), _| *id != parent || of.is_some_and(|of| of != stream));
    }

    /// What comes by a pipe, and isn't shown yet.
    pub(super) fn via(&self, pipe: PipeId) -> impl Iterator<Item = (&StreamName, &Source)> {
        self.coming.iter().filter(move |(_, source)| source.via == Via::Pipe(pipe))
    }

    pub(super) fn comes(&mut self, stream: StreamName, source: Source) {
        self.coming.insert(stream, source);
    }

    /// What came of a publication before it was moved, if it still does.
    pub(super) fn fall_back(&mut self, stream: &StreamName, lost: &Source) -> Option<Source> {
        let of = |(_, of): &&(Incarnation, StreamName), (source, _): &(Source, Instant)| {
            of == stream && source.publication == lost.publication && source.via != lost.via
        };
        let key = self.left.iter().find(|(key, left)| of(key, left)).map(|(key, _)| key.clone())?;
        self.left.remove(&key).map(|(source, _)| source)
    }

    /// Forgets what comes and isn't shown yet.
    pub(super) fn take(&mut self, stream: &StreamName) -> Option<Source> {
        self.under_way.remove(stream);
        self.coming.remove(stream)
    }
}

impl Core {
    /// Whether a stream is being moved to a node.
    pub(super) fn moves_to(&self, stream: &StreamName, id: Incarnation) -> bool {
        self.upstream.moves.to(stream).is_some_and(|peer| peer.incarnation == id)
    }

    /// Begins to move what should come from elsewhere, and gives up what can't be moved any more.
    pub(super) fn plan_moves(&mut self, m: &mut Moment<'_>) {
        self.end_left(m.now);
        let vain = self.upstream.moves.under_way.iter().filter(|(stream, to)| !self.may_move(stream, to, m));
        for (stream, to) in vain.map(|(stream, to)| (stream.clone(), to.clone())).collect::<Vec<_>>() {
            tracing::info!(%stream, to = %to.node, "a stream can't be moved; it comes as before");
            // Not at once again: what stands in the way may come and go.
            self.upstream.candidates.put_aside(&stream, to.incarnation, false, m.now);
            self.give_up_move(&stream);
        }
        if self.stop_by.is_some() {
            return;
        }
        let moves = &self.upstream.moves;
        let wanted = self.audience.wishes.streams().filter(|stream| !moves.is_busy(stream));
        let begun: Vec<_> =
            wanted.filter_map(|stream| Some((stream.clone(), self.nearer_source(stream, m)?))).collect();
        for (stream, to) in begun {
            tracing::info!(%stream, to = %to.node, "moving a stream to another parent");
            self.upstream.moves.under_way.insert(stream, to);
        }
    }

    /// Whether a stream can still be moved to a node: it comes from another in full, and that one hasn't failed.
    fn may_move(&self, stream: &StreamName, to: &Peer, m: &Moment<'_>) -> bool {
        let from = self.sources.pipe_of(stream).and_then(|pipe| self.upstream.of_pipe(pipe));
        let source = self.sources.get(stream).filter(|source| source.is_complete());
        let holds = self.known.holds(stream, m).map(|claim| claim.publication);
        self.stop_by.is_none()
            && from.is_some_and(|from| from.peer != *to)
            && source.is_some_and(|source| Some(source.publication) == holds)
            && self.audience.wishes.has(stream)
            && !self.upstream.candidates.is_aside(stream, to.incarnation, m.now)
            && !m.fleet.is_absent(to, m.now)
            && !self.comes_from_here(stream, to, m.now)
    }

    /// Whether a node has a stream from this one. Of two that would pull it from each other the one with the greater name
    /// does.
    pub(super) fn comes_from_here(&self, stream: &StreamName, peer: &Peer, now: Instant) -> bool {
        let renewal = self.config.timeouts.lease_renewal;
        let mut children = self.downstream.of(peer).filter(|(_, child)| child.renews(renewal, now));
        children.any(|(_, child)| {
            let takes = |id| child.outlet().is_some_and(|outlet| outlet.taken.contains(&id));
            let source = self.sources.get(stream);
            let is_fed = source.is_some_and(|source| source.producers.iter().any(|own| takes(own.id)));
            child.wants(stream) && (is_fed || self.me.node < peer.node)
        })
    }

    /// The node that a stream which comes from another should come from instead: one that its parent named, because it
    /// has it in this region already, or whoever placement prefers, where the parent drains or is in another region
    /// though it is not the origin.
    fn nearer_source(&self, stream: &StreamName, m: &Moment<'_>) -> Option<Peer> {
        let parent = self.upstream.of_pipe(self.sources.pipe_of(stream)?)?;
        let origin = &self.known.holds(stream, m)?.origin;
        let is_drained = m.fleet.phase(&parent.peer) == Some(Phase::Draining);
        let is_stray = parent.peer.region != self.me.region;
        let usable = |peer: &&Peer| **peer != self.me && self.may_move(stream, peer, m);
        let named = parent.instead.get(stream).map_or(&[][..], Vec::as_slice);
        // Those that were named and are full themselves have named others.
        let further = self.upstream.candidates.named(stream, m.now).filter(|_| !named.is_empty());
        let named = named.iter().chain(further);
        let mut named = named.filter(usable).filter(|peer| placement::may_feed(peer, m.fleet, m.now));
        if let Some(named) = named.next() {
            return Some(named.clone());
        }
        // An origin that drains has nobody in its place.
        if parent.peer == *origin || !(is_drained || is_stray) {
            return None;
        }
        let nearer = |peer: &&Peer| is_drained || peer.region == self.me.region || **peer == *origin;
        let placed = placement::candidates(&self.id, stream, origin, &self.me, m.fleet, m.now);
        self.candidates(stream, placed, m).iter().filter(nearer).find(usable).cloned()
    }

    /// What was coming another way comes no more.
    pub(super) fn give_up_move(&mut self, stream: &StreamName) {
        let Some(source) = self.upstream.moves.take(stream) else { return };
        if let Via::Pipe(pipe) = source.via {
            let producers = source.producers.iter().map(|producer| producer.id);
            self.out.extend(producers.map(|id| Effect::StopReceiving(pipe, id)));
        }
    }

    /// Changes over to what has come another way, once as much of it flows as on the old one.
    pub(super) fn complete_moves(&mut self, measured: &Measured, m: &mut Moment<'_>) {
        let arrives = |pipe, id: ProducerId| {
            let flow = measured.coming.get(&(pipe, id));
            flow.is_some_and(|flow| flow.bytes > 0)
        };
        let ready = self.upstream.moves.coming.iter().filter(|(stream, source)| match source.via {
            Via::Pipe(pipe) => {
                let media = source.producers.iter().filter(|producer| !producer.kind.is_data());
                let mut ids = media.clone().map(|producer| producer.id);
                // Messages may be rare: that they could come is all that can be seen.
                let passes = || measured.inlets.get(&pipe).is_some_and(|flow| flow.associated);
                let is_muted = || {
                    self.known.is_flowing(stream, source.publication) == Some(false)
                        || media.clone().all(|producer| producer.paused)
                };
                source.is_complete()
                    && self.is_covered(stream, source)
                    && (!source.has_messages() || passes())
                    && ids.clone().all(|id| arrives(pipe, id) || !self.sources.is_flowing(id, m.now))
                    && (ids.any(|id| arrives(pipe, id)) || is_muted())
            }
            Via::Publisher => false,
        });
        for stream in ready.map(|(stream, _)| stream.clone()).collect::<Vec<_>>() {
            self.change_over(&stream, m);
        }
    }

    /// Whether all comes the new way that came the old one, as far as it is wanted still.
    fn is_covered(&self, stream: &StreamName, next: &Source) -> bool {
        let wanted = self.audience.wishes.selection(stream);
        let former = self.sources.get(stream).into_iter().flat_map(|source| &source.producers);
        let mut needed = former.filter(|own| wanted.as_ref().is_none_or(|wanted| wanted.has(own.id)));
        let ended = |id| !self.known.claims_producer(stream, id);
        needed.all(|own| next.has(own.id) || next.refused.contains(&own.id) || ended(own.id))
    }

    fn change_over(&mut self, stream: &StreamName, m: &mut Moment<'_>) {
        let former = self.sources.pipe_of(stream).and_then(|pipe| self.upstream.of_pipe(pipe));
        let former = former.map(|parent| parent.peer.incarnation).zip(self.sources.get(stream).cloned());
        let Some(source) = self.upstream.moves.take(stream) else { return };
        let Via::Pipe(pipe) = source.via else { return };
        if let Some((id, former)) = former {
            self.upstream.moves.left.insert((id, stream.clone()), (former, m.now + LINGER));
        }
        let ids: Vec<ProducerId> = source.producers.iter().map(|producer| producer.id).collect();
        self.sources.insert(stream.clone(), source);
        tracing::info!(%stream, %pipe, "stream moved");
        self.out.push(Effect::Switch(pipe, ids.clone()));
        for id in ids {
            self.send_anew(stream, id);
        }
        self.show_again(stream);
    }

    /// Takes no longer what came the old way.
    fn end_left(&mut self, now: Instant) {
        let (over, left) = std::mem::take(&mut self.upstream.moves.left)
            .into_iter()
            .partition(|(_, (_, until))| now >= *until);
        self.upstream.moves.left = left;
        let over: BTreeMap<_, (Source, Instant)> = over;
        for source in over.into_values().map(|(source, _)| source) {
            let Via::Pipe(pipe) = source.via else { continue };
            for producer in source.producers {
                self.out.push(Effect::StopReceiving(pipe, producer.id));
                if let Some(inlet) = self.upstream.inlet_mut(pipe) {
                    inlet.forget(producer.id);
                }
            }
        }
    }

    /// A producer comes otherwise than before: viewers are shown that, and children sent it anew.
    pub(super) fn send_anew(&mut self, stream: &StreamName, id: ProducerId) {
        self.lose_producer(stream, id);
        for outlet in self.downstream.outlets_mut() {
            outlet.told.remove(&id);
            outlet.taken.remove(&id);
            outlet.sends.remove(&id);
        }
    }
}
