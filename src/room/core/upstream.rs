//! The nodes that this one pulls from: which to ask, what their answers mean, and whom to ask next.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use super::candidates::Candidates;
use super::effect::Effect;
use super::inlet::Inlet;
use super::input::Failure;
use super::liveness::Bus;
use super::moves::Moves;
use super::sources::Via;
use super::{Core, Moment, backoff};
use crate::protocol::event::{PipeStarved, What};
use crate::protocol::ids::{Incarnation, Peer, PipeId, ProducerId, StreamName, Token};
use crate::protocol::media::ProducerInfo;
use crate::protocol::origin::{CarriedStream, Join, Joined, Leave};
use crate::protocol::refusal::Code;

/// The streams that a parent is asked for.
pub(super) type Streams = BTreeSet<StreamName>;

/// How long a relay that said yes may take to deliver, before the next candidate is asked.
const DELIVERY: Duration = Duration::from_millis(1_500);
/// When a parent is asked again that was first asked within [`FRESH`]: who came with this node may be a nearer source then.
const AT_ONCE: Duration = Duration::from_millis(750);
const FRESH: Duration = Duration::from_millis(500);
/// How often it is asked again for as long as it is new.
const EARLY: Duration = Duration::from_secs(2);
const NEW: Duration = Duration::from_secs(4);
/// How soon, and then how often, a parent is asked whether it gets the media that doesn't come here.
const PROBE: Duration = Duration::from_millis(500);
const PROBE_AGAIN: Duration = Duration::from_secs(5);
const SOON: u32 = 5;
/// For how long it is told on that media was promised which doesn't come.
const PROMISE: Duration = Duration::from_secs(10);
/// The nodes that this one pulls from.
#[derive(Debug, Default)]
pub(super) struct Upstream {
    pub(super) parents: BTreeMap<Incarnation, Parent>,
    /// Streams that a parent said it gets, and that don't come here: children are told so, lest they take
    /// them for muted.
    promised: BTreeMap<StreamName, Instant>,
    /// Since when a stream has not come though it was sent, whichever way was tried.
    pub(super) starved: BTreeMap<StreamName, Instant>,
    pub(super) candidates: Candidates,
    pub(super) moves: Moves,
}

/// A node that this one pulls from.
#[derive(Debug)]
pub(super) struct Parent {
    pub(super) peer: Peer,
    /// Proves in all that it says that this node asked it.
    pub(super) token: Token,
    pub(super) lease: Lease,
    /// What it was last asked for, and since when it has not delivered it.
    pub(super) asked: BTreeMap<StreamName, Instant>,
    /// Of which of these it was asked for single producers.
    pub(super) only: BTreeMap<StreamName, BTreeSet<ProducerId>>,
    /// The pipe by which it sends; none until it has asked for our end.
    pub(super) inlet: Option<Inlet>,
    pub(super) failures: u32,
    /// Whether it said no when it was last asked.
    refused: bool,
    /// Whether nobody listened there when it was last asked.
    gone: bool,
    /// When it was first asked.
    since: Instant,
    /// How often it was asked.
    joins: u64,
    /// How many watch here and below, as it was last told.
    told: BTreeMap<StreamName, u32>,
    /// How many watch elsewhere in the fleet, as it last said.
    elsewhere: BTreeMap<StreamName, u32>,
    /// Whom it wants asked for a stream in its place: nodes of this region that have it already.
    pub(super) instead: BTreeMap<StreamName, Vec<Peer>>,
}

/// How a join stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Lease {
    /// It is being asked.
    Asking,
    /// It said yes; it is asked again then.
    Joined { renew_at: Instant },
    /// It did not answer or said no; it may be asked again then.
    Failed { until: Instant },
    /// It is being told that nothing of it is wanted.
    Leaving,
}

impl Upstream {
    pub(super) fn of_token(&self, token: Token) -> Option<&Parent> {
        self.parents.values().find(|parent| parent.token == token)
    }

    pub(super) fn of_pipe(&self, pipe: PipeId) -> Option<&Parent> {
        self.parents.values().find(|parent| parent.inlet.as_ref().is_some_and(|own| own.id == pipe))
    }

    pub(super) fn inlet_mut(&mut self, pipe: PipeId) -> Option<&mut Inlet> {
        self.parents.values_mut().find_map(|parent| parent.inlet.as_mut().filter(|own| own.id == pipe))
    }

    /// When a parent is to be asked next, of those that aren't being asked.
    pub(super) fn wake(&self) -> Option<Instant> {
        let due = |parent: &Parent| match parent.lease {
            Lease::Joined { renew_at: at } | Lease::Failed { until: at } => Some(at),
            Lease::Asking | Lease::Leaving => None,
        };
        self.parents.values().filter_map(due).min()
    }

    /// A parent has said that it gets media of these streams, of which nothing comes.
    pub(super) fn promise(&mut self, streams: impl Iterator<Item = StreamName>, now: Instant) {
        self.promised.extend(streams.map(|stream| (stream, now)));
    }

    /// A parent has said that these streams don't come there either.
    pub(super) fn take_back<'a>(&mut self, streams: impl Iterator<Item = &'a StreamName>) {
        for stream in streams {
            self.promised.remove(stream);
        }
    }

    /// Whether media of a stream should come here that doesn't.
    pub(super) fn is_promised(&self, stream: &StreamName, now: Instant) -> bool {
        let at = self.promised.get(stream);
        at.is_some_and(|at| now.saturating_duration_since(*at) <= PROMISE)
    }

    /// Forgets promises that were kept, or are too old to say anything.
    pub(super) fn keep_promises(&mut self, flows: impl Fn(&StreamName) -> bool, now: Instant) {
        self.starved.retain(|stream, _| !flows(stream));
        self.promised.retain(|stream, at| now.saturating_duration_since(*at) <= PROMISE && !flows(stream));
    }
}

impl Core {
    /// Asks the parents of the streams that are wanted here and leaves those of which none is.
    pub(super) fn plan_parents(&mut self, m: &mut Moment<'_>) {
        self.plan_moves(m);
        let mut desired = self.desired_parents(m);
        for (peer, streams) in &mut desired {
            // What still comes from it is asked for until another parent delivers it.
            let parent = self.upstream.parents.get(&peer.incarnation);
            streams.extend(parent.into_iter().flat_map(|parent| self.needed_of(parent)));
            self.plan_parent(peer, streams, m);
        }
        let unwanted: Vec<Incarnation> = self
            .upstream
            .parents
            .iter()
            .filter(|(id, parent)| {
                !desired.iter().any(|(peer, _)| peer.incarnation == **id) && self.needed_of(parent).is_empty()
            })
            .map(|(id, _)| *id)
            .collect();
        for id in unwanted {
            self.leave_parent(id, "nothing is watched here", m);
        }
    }

    /// What is wanted and comes from a parent: it is left once another one delivers that.
    fn needed_of(&self, parent: &Parent) -> Streams {
        let Some(inlet) = parent.inlet.as_ref().filter(|_| self.stop_by.is_none()) else {
            return Streams::new();
        };
        let wanted = |stream: &StreamName| self.audience.wishes.has(stream);
        let here = self.sources.via(inlet.id);
        here.filter(|(stream, source)| source.is_complete() && wanted(stream))
            .map(|(s, _)| s)
            .chain(self.upstream.moves.left_behind(parent.peer.incarnation))
            .chain(inlet.taking.values().filter(|stream| wanted(stream)))
            .cloned()
            .collect()
    }

    fn plan_parent(&mut self, peer: &Peer, streams: &Streams, m: &mut Moment<'_>) {
        if let Some(parent) = self.upstream.parents.get(&peer.incarnation) {
            let is_due = match parent.lease {
                Lease::Asking | Lease::Leaving => false,
                Lease::Joined { renew_at } => {
                    m.now >= renew_at || streams.iter().any(|stream| !self.has_asked(parent, stream))
                }
                Lease::Failed { until } => m.now >= until,
            };
            if !is_due {
                return;
            }
        }
        self.ask_to_join(peer, streams, m);
    }

    /// Which node each wanted stream should come from.
    fn desired_parents(&mut self, m: &Moment<'_>) -> Vec<(Peer, Streams)> {
        let mut desired: BTreeMap<Incarnation, (Peer, Streams)> = BTreeMap::new();
        if self.stop_by.is_some() || self.is_allowed().is_err() {
            return Vec::new();
        }
        let wanted: Vec<StreamName> = self.audience.wishes.streams().cloned().collect();
        for stream in wanted {
            if self.publications.get(&stream).is_some() || !self.has_wanted(&stream, m) {
                continue;
            }
            let moves_to = self.upstream.moves.to(&stream).cloned();
            for peer in self.desired_parent(&stream, m).into_iter().chain(moves_to) {
                let entry = desired.entry(peer.incarnation).or_insert_with(|| (peer, Streams::new()));
                entry.1.insert(stream.clone());
            }
        }
        desired.into_values().collect()
    }

    /// One join at a time per parent, however many viewers wait.
    fn ask_to_join(&mut self, peer: &Peer, streams: &Streams, m: &mut Moment<'_>) {
        let trace = self.audience.trace_of(streams);
        let token = Token(m.mint.id());
        let viewers = streams.iter().map(|stream| (stream.clone(), self.viewers_below(stream)));
        let viewers: BTreeMap<_, _> = viewers.filter(|(_, viewers)| *viewers > 0).collect();
        let only = self.only(peer.incarnation, streams);
        let parent = self.upstream.parents.entry(peer.incarnation).or_insert_with(|| Parent {
            peer: peer.clone(),
            token,
            lease: Lease::Asking,
            asked: BTreeMap::new(),
            only: BTreeMap::new(),
            inlet: None,
            failures: 0,
            refused: false,
            gone: false,
            since: m.now,
            joins: 0,
            told: BTreeMap::new(),
            elsewhere: BTreeMap::new(),
            instead: BTreeMap::new(),
        });
        parent.joins += 1;
        parent.told.clone_from(&viewers);
        parent.only.clone_from(&only);
        let number = parent.joins;
        parent.lease = Lease::Asking;
        parent.asked.retain(|stream, _| streams.contains(stream));
        for stream in streams {
            parent.asked.entry(stream.clone()).or_insert(m.now);
        }
        let pipe = parent.inlet.as_ref().map(|inlet| inlet.id);
        let token = parent.token;
        // Who comes for a stream that is asked for no more waits for the next join.
        let idle = pipe.into_iter().flat_map(|pipe| self.sources.via(pipe));
        let idle = idle.map(|(stream, _)| stream).filter(|stream| !streams.contains(*stream));
        for stream in idle.cloned().collect::<Vec<_>>() {
            self.drop_source(&stream, m);
        }
        let held = pipe.and_then(|pipe| self.held(pipe, m.now));
        let join = Join {
            room_id: self.id.clone(),
            from: self.me.clone(),
            token,
            number,
            streams: streams.clone(),
            only,
            viewers,
            pipe: held,
        };
        self.out.push(Effect::Join(peer.clone(), join, trace));
    }

    /// Leaves a parent. One that is being asked is left once it has answered.
    pub(super) fn leave_parent(&mut self, id: Incarnation, why: &str, m: &Moment<'_>) {
        let Some(parent) = self.upstream.parents.get_mut(&id) else { return };
        match parent.lease {
            Lease::Asking | Lease::Leaving => {}
            Lease::Failed { .. } if parent.inlet.is_none() && parent.refused => {
                self.upstream.parents.remove(&id);
            }
            // One that didn't answer may yet have heard what it was asked.
            Lease::Joined { .. } | Lease::Failed { .. } => {
                parent.lease = Lease::Leaving;
                self.tell_leaving(id, why);
                // Who comes now waits for the next join: what is being left ends any moment.
                let parent = self.upstream.parents.get(&id);
                let pipe = parent.and_then(|parent| parent.inlet.as_ref()).map(|inlet| inlet.id);
                let streams = pipe.into_iter().flat_map(|pipe| self.sources.via(pipe));
                for stream in streams.map(|(stream, _)| stream.clone()).collect::<Vec<_>>() {
                    self.drop_source(&stream, m);
                }
            }
        }
    }

    fn tell_leaving(&mut self, id: Incarnation, why: &str) {
        let Some(parent) = self.upstream.parents.get(&id) else { return };
        let leave = Leave {
            room_id: self.id.clone(),
            from: self.me.clone(),
            token: parent.token,
            reason: why.to_owned(),
        };
        self.out.push(Effect::Leave(parent.peer.clone(), leave));
    }

    /// A parent was told that we leave: our end of the pipe, the receiving one, closes last.
    pub(super) fn left(&mut self, id: Incarnation, token: Token, m: &mut Moment<'_>) {
        if self.upstream.parents.get(&id).is_some_and(|parent| parent.token == token) {
            self.forget_parent(id, m);
        }
    }

    /// Forgets a parent with all that came from it. Viewers stay and wait.
    pub(super) fn forget_parent(&mut self, id: Incarnation, m: &mut Moment<'_>) {
        self.close_inlet(id, m);
        self.upstream.parents.remove(&id);
    }

    /// A parent answered: its pipe comes, or it said why not.
    pub(super) fn joined(
        &mut self,
        id: Incarnation,
        token: Token,
        streams: &Streams,
        result: Result<Joined, Failure>,
        m: &mut Moment<'_>,
    ) {
        let renewal = self.config.timeouts.lease_renewal;
        let Some(parent) = self.upstream.parents.get_mut(&id) else { return };
        if parent.token != token {
            return;
        }
        match result {
            Ok(joined) => {
                (parent.failures, parent.gone) = (0, false);
                let renewal = match m.now.saturating_duration_since(parent.since) {
                    age if age < FRESH => renewal.min(AT_ONCE),
                    age if age < NEW => renewal.min(EARLY),
                    _ => renewal,
                };
                parent.lease = Lease::Joined { renew_at: m.now + renewal };
                parent.elsewhere = elsewhere(&joined, &parent.told);
                parent.instead =
                    joined.streams.iter().map(|it| (it.stream.clone(), it.instead.clone())).collect();
                // The parent no longer has our pipe and opens another.
                if parent.inlet.as_ref().is_some_and(|inlet| inlet.id != joined.pipe_id) {
                    self.close_inlet(id, m);
                }
                self.compare(&joined, m);
                self.renew_soon_what_lacks(id, &joined, m.now);
            }
            Err(failure) => {
                if let Failure::Refused(refusal) = &failure {
                    self.upstream.candidates.name(streams, &refusal.candidates, m.now);
                }
                let Some(parent) = self.upstream.parents.get_mut(&id) else { return };
                parent.failures = parent.failures.saturating_add(1);
                parent.refused = matches!(failure, Failure::Refused(_));
                parent.gone = matches!(failure, Failure::Gone) && m.fleet.is_heard_anew(&parent.peer, m.now);
                parent.lease = Lease::Failed { until: m.now + backoff(parent.failures) };
                self.join_failed(id, streams, &failure, m);
                if matches!(failure, Failure::Gone) {
                    // It is looked now, and not with the next look, whether its media is gone as well.
                    self.end_lost_parents(m);
                }
            }
        }
    }

    /// What a parent has and doesn't come here may have crossed with what it was telling: it is asked again soon.
    fn renew_soon_what_lacks(&mut self, id: Incarnation, joined: &Joined, now: Instant) {
        let lacks = |carried: &CarriedStream| {
            let parent = self.upstream.parents.get(&id);
            let asked = parent.filter(|parent| parent.asked.contains_key(&carried.stream));
            asked.is_some_and(|parent| !self.delivers(parent, &carried.stream))
        };
        if !joined.streams.iter().any(lacks) {
            return;
        }
        if let Some(Parent { lease: Lease::Joined { renew_at }, .. }) = self.upstream.parents.get_mut(&id) {
            *renew_at = (*renew_at).min(now + EARLY);
        }
    }

    /// How many watch a stream here and at the nodes that pull it from here, and below them.
    fn viewers_below(&self, stream: &StreamName) -> u32 {
        self.audience.of(stream).saturating_add(self.downstream.viewers_of(stream))
    }

    /// How many watch a stream on all nodes; none where it is not here. Each hop learns of a change with the
    /// next renewal of its join.
    pub(super) fn viewers_of(&self, stream: &StreamName) -> Option<u32> {
        let source = self.sources.get(stream)?;
        let elsewhere = match source.via {
            Via::Publisher => 0,
            Via::Pipe(pipe) => {
                let parent = self.upstream.of_pipe(pipe);
                parent.and_then(|parent| parent.elsewhere.get(stream).copied()).unwrap_or(0)
            }
        };
        Some(self.viewers_below(stream).saturating_add(elsewhere))
    }

    fn join_failed(&mut self, id: Incarnation, streams: &Streams, failure: &Failure, m: &mut Moment<'_>) {
        let has_none = matches!(failure, Failure::Refused(refusal) if matches!(
            refusal.code,
            Code::UnknownRoom
                | Code::UnknownStream
                | Code::Loop
                | Code::Unasked
                | Code::UnknownPipe
                | Code::Unsupported
                // What has a pipe is not counted anew: the parent no longer has ours.
                | Code::Full
                | Code::NoPorts
        ));
        if has_none {
            // It has nothing for us: whatever came from it has ended.
            self.close_inlet(id, m);
        }
        if matches!(failure, Failure::Offline) {
            // Nobody was asked: this says nothing of the parent.
            return;
        }
        // A pipe that works is kept, whatever its parent answers or doesn't.
        let works: Vec<StreamName> = match self.upstream.parents.get(&id).and_then(|p| p.inlet.as_ref()) {
            Some(inlet) => {
                let complete = self.sources.via(inlet.id).filter(|(_, source)| source.is_complete());
                complete.map(|(stream, _)| stream.clone()).collect()
            }
            None => Vec::new(),
        };
        let failed: Vec<StreamName> =
            streams.iter().filter(|stream| !works.contains(stream)).cloned().collect();
        self.fail_candidate(id, &failed, m);
    }

    /// Gives up on parents that said yes and don't deliver.
    pub(super) fn end_idle_promises(&mut self, m: &mut Moment<'_>) {
        let mut failed: Vec<(Incarnation, Vec<StreamName>)> = Vec::new();
        for (id, parent) in &self.upstream.parents {
            let Lease::Joined { .. } = parent.lease else { continue };
            let late = parent.asked.iter().filter(|(stream, since)| {
                let patience = || match self.is_last_candidate(stream, *id, m) {
                    // What still comes another way has time.
                    _ if self.moves_to(stream, *id) => DELIVERY * 3,
                    true => self.config.timeouts.pipe_connect,
                    false => DELIVERY,
                };
                !self.delivers(parent, stream) && m.now.saturating_duration_since(**since) > patience()
            });
            let late: Vec<_> = late.map(|(stream, _)| stream.clone()).collect();
            if !late.is_empty() {
                failed.push((*id, late));
            }
        }
        for (id, streams) in failed {
            self.fail_candidate(id, &streams, m);
        }
    }

    /// Whether a stream that a parent was asked for comes from it.
    fn delivers(&self, parent: &Parent, stream: &StreamName) -> bool {
        parent.inlet.as_ref().is_some_and(|inlet| self.sources.is_complete_via(stream, inlet.id))
    }

    /// What is wanted and delivered waits no longer; what is delivered no more waits from now on.
    pub(super) fn note_deliveries(&mut self, now: Instant) {
        for parent in self.upstream.parents.values_mut() {
            let Some(inlet) = &parent.inlet else { continue };
            for (stream, since) in &mut parent.asked {
                if self.sources.is_complete_via(stream, inlet.id) {
                    *since = now;
                }
            }
        }
    }

    /// Closes pipes whose parent is lost, and asks parents for media that doesn't come.
    pub(super) fn end_lost_parents(&mut self, m: &mut Moment<'_>) {
        let connect = self.config.timeouts.pipe_connect;
        let (mut lost, mut probed, mut starved) = (Vec::new(), Vec::new(), Vec::new());
        for (id, parent) in &self.upstream.parents {
            let Some(inlet) = &parent.inlet else { continue };
            let bus = self.bus_of(&parent.peer, m);
            let replaceable = bus == Bus::Silent && self.is_replaceable(inlet.id, *id, m);
            let facts = inlet.facts(self.expects(inlet.id), replaceable, parent.gone, bus);
            if facts.is_lost(connect, m.now) {
                lost.push(*id);
            } else if inlet.is_starved(m.now)
                || (bus == Bus::Heard
                    && inlet.association.is_broken(inlet.heard, m.now)
                    && self.expects_messages(inlet.id))
            {
                starved.push(*id);
            } else if facts.is_doubtful(m.now) {
                probed.push(*id);
            }
        }
        for id in lost {
            if let Some(parent) = self.upstream.parents.get(&id) {
                let parent = &parent.peer.node;
                tracing::warn!(%parent, "parent lost: viewers stay and wait for the stream");
            }
            // It may only be slow, and would take this node for its child still.
            self.tell_leaving(id, "its media and its signs of life are gone");
            let asked = self.asked_of(id);
            self.forget_parent(id, m);
            self.fail_candidate(id, &asked, m);
        }
        for id in starved {
            self.starved(id, m);
        }
        for id in probed {
            let Some(parent) = self.upstream.parents.get_mut(&id) else { continue };
            let (Lease::Joined { renew_at }, Some(inlet)) = (&mut parent.lease, &mut parent.inlet) else {
                continue;
            };
            let pause = if inlet.probes < SOON { PROBE } else { PROBE_AGAIN };
            if inlet.probed.is_none_or(|at| m.now.saturating_duration_since(at) >= pause) {
                (inlet.probed, inlet.probes) = (Some(m.now), inlet.probes.saturating_add(1));
                *renew_at = m.now;
            }
        }
    }

    pub(super) fn asked_of(&self, id: Incarnation) -> Vec<StreamName> {
        let parent = self.upstream.parents.get(&id);
        parent.map(|parent| parent.asked.keys().cloned().collect()).unwrap_or_default()
    }

    /// Whether a pipe carries anything that should be flowing.
    pub(super) fn expects(&self, pipe: PipeId) -> bool {
        // Messages may not come for long where all is well.
        let brings = |producer: &ProducerInfo| !producer.paused && !producer.kind.is_data();
        self.sources.via(pipe).any(|(_, source)| source.producers.iter().any(brings))
    }

    /// Whether messages may come by a pipe.
    fn expects_messages(&self, pipe: PipeId) -> bool {
        self.sources.via(pipe).any(|(_, source)| source.has_messages())
    }

    /// Whether all that comes by a pipe could come from an origin that is heard, and isn't this parent.
    fn is_replaceable(&self, pipe: PipeId, parent: Incarnation, m: &Moment<'_>) -> bool {
        let mut streams = self.sources.via(pipe).map(|(stream, _)| stream).peekable();
        let elsewhere = |stream: &StreamName| {
            self.known.holds(stream, m).is_some_and(|claim| claim.origin.incarnation != parent)
        };
        streams.peek().is_some() && streams.all(elsewhere)
    }

    pub(super) fn bus_of(&self, peer: &Peer, m: &Moment<'_>) -> Bus {
        if !m.fleet.is_absent(peer, m.now) {
            Bus::Heard
        } else if m.fleet.is_void(peer, m.now) {
            Bus::Over
        } else {
            Bus::Silent
        }
    }

    /// The parent has said that it gets media which doesn't come here, or no message can: the way between is broken.
    pub(super) fn starved(&mut self, id: Incarnation, m: &mut Moment<'_>) {
        let Some(parent) = self.upstream.parents.get(&id) else { return };
        let (peer, Some(inlet)) = (parent.peer.clone(), &parent.inlet) else { return };
        let streams: Vec<StreamName> = self.sources.via(inlet.id).map(|(stream, _)| stream.clone()).collect();
        let silent = m.now.saturating_duration_since(inlet.heard);
        tracing::warn!(
            parent = %peer.node, pipe = %inlet.id, ip = ?inlet.from.map(|(ip, _)| ip), port = inlet.from.map(|(_, port)| port),
            silent_ms = silent.as_millis(), "nothing comes over this pipe though its parent sends, or no messages can: trying another way"
        );
        let starved = PipeStarved {
            pipe: inlet.id,
            from: peer,
            streams: streams.clone(),
            address: inlet.from.map(|(ip, port)| std::net::SocketAddr::new(ip, port).to_string()),
            silent_ms: u64::try_from(silent.as_millis()).unwrap_or(u64::MAX),
        };
        self.out.push(Effect::Record(What::PipeStarved(starved)));
        // What is paused or muted comes as little another way.
        let promised = streams.iter().filter(|stream| self.upstream.is_promised(stream, m.now));
        let promised: Vec<StreamName> = promised.cloned().collect();
        for stream in &promised {
            self.upstream.starved.entry(stream.clone()).or_insert(m.now);
        }
        self.upstream.promise(promised.into_iter(), m.now);
        self.fail_candidate(id, &streams, m);
        self.close_inlet(id, m);
        self.leave_parent(id, "its media doesn't come", m);
    }
}

/// How many watch each stream of a parent's answer beyond those that it was told of.
fn elsewhere(joined: &Joined, told: &BTreeMap<StreamName, u32>) -> BTreeMap<StreamName, u32> {
    let beyond = |stream: &StreamName, all: u32| all.saturating_sub(told.get(stream).copied().unwrap_or(0));
    joined
        .streams
        .iter()
        .map(|carried| (carried.stream.clone(), beyond(&carried.stream, carried.viewers)))
        .collect()
}
