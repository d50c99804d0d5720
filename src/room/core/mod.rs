//! What a room decides, as a value: input and a moment in, effects out.
//!
//! Nothing in here waits, looks at a clock, throws dice, or knows of NATS or a worker: the room's task
//! carries the effects out and brings back what came of them. So a whole fleet of cores can be simulated in
//! one thread (`tests/sim`). Each part owns its fields and has a file: publications, upstream (and its
//! inlets), downstream (and its outlets), audience. After every input the core compares what should be with
//! what is (`plan_streams`, `plan_children`): with each look all of it, so that a lost message is repaired, and in between
//! what that input changed, so that none costs more in a large room.

mod audience;
mod candidates;
mod children;
mod compare;
mod consumers;
mod downstream;
mod effect;
mod health;
mod inlet;
mod input;
mod known;
mod liveness;
mod moderation;
mod moment;
mod moves;
mod outlet;
mod participants;
mod parts;
mod passes;
mod publications;
mod record;
mod rhythm;
mod roster;
mod sending;
mod sessions;
mod sources;
mod speakers;
mod summary;
mod surplus;
mod upstream;
mod view;
mod wishes;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use audience::{Audience, Viewer};
use children::Downstream;
use known::Known;
use participants::Participants;
use passes::Passes;
use publications::Publications;
use roster::Roster;
use sessions::{IceSession, Life};
use sources::{Source, Sources, Via};
use speakers::Speakers;
use summary::Said;
use upstream::Upstream;
use wishes::Part;

use crate::config::{Config, Limits};
use crate::fleet::Notice;
use crate::protocol::claim::EndReason;
use crate::protocol::event::LeaveReason;
use crate::protocol::ids::{Peer, ProducerId, RoomId, RouterId, SessionId, StreamName};
use crate::protocol::media::{Measured, MediaError};
use crate::protocol::origin::OriginRequest;
use crate::protocol::presence::Role;
use crate::protocol::refusal::{Code, Refusal};
use crate::room::RoomError;

pub use audience::COUNTER_OFFER;
pub use effect::{Answer, Change, Effect, Figure, Offer, Tell};
pub use input::{
    Answered, Done, Entrance, Failure, Input, Patch, PublishRequest, Ticket, ToldOf, WatchRequest,
};
pub use moment::{Mint, Moment};
pub use passes::Pass;
pub use rhythm::{Look, Rhythm};
pub use view::{
    ChildView, LackView, ParentView, ParticipantView, ProducerView, Proof, RoomView, StreamHereView,
    StreamView, ViewerView,
};

/// How long a stopping room tries to say what is left to say.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// All that a room on this node decides by.
#[derive(Debug)]
pub struct Core {
    id: RoomId,
    me: Peer,
    router: RouterId,
    config: Arc<Config>,
    /// How much the node takes now.
    limits: Limits,
    known: Known,
    /// The highest term that was used here for each stream.
    terms: BTreeMap<StreamName, u64>,
    publications: Publications,
    sources: Sources,
    upstream: Upstream,
    downstream: Downstream,
    audience: Audience,
    participants: Participants,
    roster: Roster,
    speakers: Speakers,
    ice: BTreeMap<SessionId, IceSession>,
    /// What the sessions that are here were let in with.
    passes: Passes,
    /// Of those that are connected.
    lives: BTreeMap<SessionId, Life>,
    /// Viewers whose connection is being closed.
    leaving: BTreeMap<SessionId, (Viewer, LeaveReason, Instant)>,
    measured: Measured,
    /// What the log was last told of all that is here, and which log that was.
    said: Option<Said>,
    told_log: u64,
    planned: Planned,
    opened: Instant,
    empty_since: Option<Instant>,
    /// Set once the room is told to stop: when it gives up on what is left to say.
    stop_by: Option<Instant>,
    out: Vec<Effect>,
}

/// What the plan last went by: before the next look only what has changed since is planned anew.
#[derive(Debug, Default)]
struct Planned {
    /// What is here and what is wanted, for the streams; and what is here, for the children.
    streams: [u64; 2],
    children: u64,
    /// What is here, what participants ask for, and what is known of others.
    participants: [u64; 3],
}

impl Core {
    /// A room with nothing in it. Until its media is open ([`Core::has_router`]) it can only turn away.
    pub fn new(id: RoomId, me: Peer, router: RouterId, config: Arc<Config>, now: Instant) -> Self {
        Self {
            id,
            me,
            router,
            limits: config.limits,
            config,
            known: Known::default(),
            terms: BTreeMap::new(),
            publications: Publications::default(),
            sources: Sources::default(),
            upstream: Upstream::default(),
            downstream: Downstream::default(),
            audience: Audience::default(),
            participants: Participants::default(),
            roster: Roster::default(),
            speakers: Speakers::default(),
            ice: BTreeMap::new(),
            passes: Passes::default(),
            lives: BTreeMap::new(),
            leaving: BTreeMap::new(),
            measured: Measured::default(),
            said: None,
            told_log: 0,
            planned: Planned::default(),
            opened: now,
            empty_since: Some(now),
            stop_by: None,
            out: Vec::new(),
        }
    }

    /// The room's media is open.
    pub fn has_router(&mut self, router: RouterId) {
        self.router = router;
    }

    /// What the directory knows of a stream, before the first input.
    pub fn learn(&mut self, notice: Notice) {
        self.known.learn(notice);
    }

    /// Whether another node has any reason to ask this one, for a room that isn't open yet.
    pub fn may_be_asked(&self, request: &OriginRequest, m: &Moment<'_>) -> bool {
        match request {
            OriginRequest::Join(join) => self.may_join(join, m).is_ok(),
            OriginRequest::Leave(_) => false,
        }
    }

    /// Whether a session is known to be connected.
    pub fn is_connected(&self, session: SessionId) -> bool {
        self.audience.get(session).is_some_and(|viewer| viewer.connected)
            || self.publications.iter().any(|(_, publication)| publication.session == session)
    }

    /// The viewers of this node.
    pub fn viewers(&self) -> Vec<SessionId> {
        self.audience.iter().map(|(session, _)| *session).collect()
    }

    /// How many nodes it feeds, or is about to.
    pub fn children(&self) -> usize {
        self.downstream.others(&self.me)
    }

    /// The most hops that one of its streams has come.
    pub fn hops(&self) -> Option<usize> {
        self.sources.iter().map(|(_, source)| source.path.len()).max()
    }

    /// Whether a node has failed to deliver a stream, and is not asked for it for some while.
    pub fn puts_aside(&self, stream: &StreamName, node: &Peer, now: Instant) -> bool {
        self.upstream.candidates.is_aside(stream, node.incarnation, now)
    }

    /// Handles one input; what it leads to is to be carried out in this order.
    pub fn handle(&mut self, input: Input, m: &mut Moment<'_>) -> Vec<Effect> {
        let quiet = input.is_quiet();
        match input {
            Input::Publish(ticket, request) => self.publish(ticket, request, m),
            Input::Watch(ticket, request) => self.watch(ticket, request, m),
            Input::End(ticket, session, stream) => self.end(ticket, session, &stream, m),
            Input::Connect(ticket, session, stream, answered) => {
                self.connect(ticket, session, &stream, answered);
            }
            Input::Patch(ticket, session, stream, patch) => self.patch(ticket, session, &stream, patch),
            Input::Check(ticket, session, stream) => self.check(ticket, session, &stream),
            Input::SetPaused(ticket, stream, paused) => self.set_paused(ticket, stream, paused),
            Input::Kick(ticket, whom, by) => self.kick(ticket, &whom, by.as_ref(), m),
            Input::HungUp(ticket) => self.hung_up(ticket),
            Input::Edge(ticket, request) => self.edge(ticket, request, m),
            Input::Join(ticket, join, trace) => self.join(ticket, join, trace, m),
            Input::Leave(ticket, leave) => self.leave(ticket, &leave, m),
            Input::Notice(notice) => {
                self.flow_changed(&notice, m.now);
                self.known.learn(notice);
            }
            Input::Enter(ticket, entrance) => self.enter(ticket, entrance, m),
            Input::Gone(session) => _ = self.end_participant(session, EndReason::Disconnected, m),
            Input::Rtc(ticket, session, request) => self.rtc(ticket, session, *request, m),
            Input::Mute(ticket, mute) => self.mute(ticket, &mute),
            Input::Limits(limits) => {
                self.limits = limits;
                self.downstream.all_due();
            }
            Input::Connected(session) => self.connected(session, m),
            Input::Disconnected(session) => self.disconnected(session, m),
            Input::Volumes(heard) => self.measured_levels(&heard, m),
            Input::Levels(levels) => self.hear_levels(levels, m),
            Input::Layers(by, id, layers) => self.layers_changed(by, id, layers),
            Input::Score(by, id, score) => self.scored(by, id, score),
            Input::ProducerScore(id, score) => self.own_scored(id, score),
            Input::Look(measured) => self.look(measured, m),
            Input::Stop(reason) => self.stop(reason, m),
            Input::Done(done) => self.done(done, m),
        }
        if !quiet
            || self.stirred() != self.planned.streams
            || self.upstream.wake().is_some_and(|at| m.now >= at)
        {
            self.plan_streams(m);
        }
        self.plan_participants(m);
        self.plan_children(m);
        self.empty_since = self.is_empty().then(|| self.empty_since.unwrap_or(m.now));
        std::mem::take(&mut self.out)
    }

    fn done(&mut self, done: Done, m: &mut Moment<'_>) {
        match done {
            Done::UplinkOpened(session, result) => self.uplink_opened(session, result),
            Done::Seated(session, seated) => self.publisher_seated(session, seated, m),
            Done::ViewerOpened(session, result) => self.viewer_opened(session, result, m),
            Done::ViewerShown(session, ids, result) => self.viewer_shown(session, &ids, result, m),
            Done::ViewerClosed(session, bytes) => self.viewer_closed(session, bytes),
            Done::ViewerConnected(ticket, session, result) => {
                self.viewer_answered(ticket, session, result, m);
            }
            Done::IceRestarted(ticket, session, ufrag, result) => {
                self.ice_restarted(ticket, session, ufrag, result);
            }
            Done::Paused(ticket, stream, ids, paused, result) => {
                self.paused(ticket, (&stream, &ids, paused), result, m);
            }
            Done::LinkOpened(ticket, session, id, result) => self.link_opened(ticket, session, id, result),
            Done::LinkRestarted(ticket, result) => self.link_restarted(ticket, result),
            Done::Acted(ticket, result) => self.acted(ticket, result),
            Done::Produced(ticket, session, result) => self.produced(ticket, session, result, m),
            Done::Consumed(session, by, id, result) => self.consumed(session, by, id, result, m),
            Done::Counted(ticket, result) => self.counted(ticket, result),
            Done::Gated(ticket, result) => self.gated(ticket, result),
            Done::OutletOpened(token, pipe, result) => self.outlet_opened(token, pipe, result, m),
            Done::Offered(token, pipe, result) => self.offered(token, pipe, result, m),
            Done::Sending(token, pipe, connected, sent) => self.sending(token, pipe, connected, sent, m),
            Done::Told(token, pipe, connected, told) => self.told(token, pipe, connected, told, m),
            Done::Joined(id, token, streams, result) => self.joined(id, token, &streams, result, m),
            Done::Left(id, token) => self.left(id, token, m),
            Done::InletOpened(ticket, pipe, result) => self.inlet_opened(ticket, pipe, result, m),
            Done::InletConnected(ticket, pipe, result) => self.inlet_connected(ticket, pipe, result, m.now),
            Done::Received(ticket, request, result) => self.received(ticket, &request, result, m),
        }
    }

    /// What changes where other streams are here or wanted: nothing else that viewers and children do concerns where
    /// streams come from.
    fn stirred(&self) -> [u64; 2] {
        [self.sources.changes(), self.audience.wishes.raised()]
    }

    /// Compares what should be here with what is, and acts on the difference.
    fn plan_streams(&mut self, m: &mut Moment<'_>) {
        self.planned.streams = self.stirred();
        self.yield_to_higher(m);
        self.plan_claims(m);
        self.refuse_waiting_in_vain(m);
        let pushed = self.is_pushed().then(|| self.known.live(m)).into_iter().flatten();
        let whole = self.downstream.wanted().chain(pushed).map(|stream| (stream, Part::Whole));
        let picked = self.downstream.picked().chain(self.participants.picked());
        let elsewhere = whole.chain(picked.map(|(stream, id)| (stream, Part::One(id))));
        self.audience.want(elsewhere, self.config.timeouts.pipe_idle, m.now);
        if self.stop_by.is_some() {
            self.audience.wishes.clear();
        }
        self.plan_parents(m);
    }

    /// Tells participants what has changed of others, and sends them what they asked for.
    fn plan_participants(&mut self, m: &mut Moment<'_>) {
        let now = [self.sources.changes(), self.participants.changes, self.known.changes()];
        if std::mem::replace(&mut self.planned.participants, now) != now {
            self.plan_roster(m);
            self.plan_consumers(m);
            self.plan_levels();
        }
    }

    /// Whether the room's streams come here whether anyone watches or not.
    fn is_pushed(&self) -> bool {
        self.config.node.roles.contains(&Role::Edge) && self.config.rooms.pushes(&self.id, &self.me.region)
    }

    /// Whether the room may be here at all.
    fn is_allowed(&self) -> Result<(), RoomError> {
        match self.config.rooms.only_in(&self.id) {
            Some(regions) if !regions.contains(&self.me.region) => Err(RoomError::Residency(
                regions.iter().map(|region| region.as_str()).collect::<Vec<_>>().join(", "),
            )),
            _ => Ok(()),
        }
    }

    /// The regular look: what has timed out, gone silent or become idle.
    fn look(&mut self, measured: Option<Measured>, m: &mut Moment<'_>) {
        self.downstream.all_due();
        if let Some(measured) = measured {
            self.sources.measure(&measured, m.now);
            let to_viewers = self.measure_sessions(&measured, m.now);
            self.measure_publications(&measured, m);
            self.measure_inlets(&measured, m.now);
            let to_children = self.downstream.measure(&measured, m.now);
            if to_viewers + to_children > 0 {
                self.out.push(Effect::Count(Figure::Sent(to_viewers + to_children)));
            }
            self.complete_moves(&measured, m);
            self.measured = measured;
            self.record_bursts(m.now);
            self.record_summary(m);
            self.end_dead_sessions(m);
            self.upstream.candidates.forgive(m.now);
        }
        self.end_useless_publishers(m);
        self.end_late_viewers(m);
        self.end_expired(m);
        self.end_lapsed(m);
        self.end_drained(m);
        self.refuse_late_consumers(m);
        self.plan_roster(m);
        self.plan_consumers(m);
        self.tell_of_lacks(m);
        self.look_at_levels(m);
        self.note_deliveries(m.now);
        self.end_idle_promises(m);
        self.end_lost_parents(m);
        self.end_lost_children(m);
        self.serve_proved(m.now);
        self.end_starved_viewers(m);
        let flows = |stream: &StreamName| self.sources.stream_flows(stream, m.now);
        self.upstream.keep_promises(flows, m.now);
    }

    /// A stream is no longer here. Its viewers stay connected and wait for it.
    fn drop_source(&mut self, stream: &StreamName, m: &Moment<'_>) -> Option<Source> {
        let source = self.sources.remove(stream)?;
        self.lose_stream(stream, m.now);
        if let Via::Pipe(pipe) = source.via
            && let Some(inlet) = self.upstream.inlet_mut(pipe)
        {
            // Asked for again, it is told of anew.
            inlet.refused.retain(|id| !source.refused.contains(id));
        }
        for producer in &source.producers {
            if let Via::Pipe(pipe) = source.via {
                self.out.push(Effect::StopReceiving(pipe, producer.id));
            }
            self.stop_sending_to_all(producer.id);
        }
        // What was to take its place does so at once.
        let next = self.upstream.moves.take(stream);
        let next = next.or_else(|| self.upstream.moves.fall_back(stream, &source));
        if let Some(next) = next {
            if let Via::Pipe(pipe) = next.via {
                let ids = next.producers.iter().map(|producer| producer.id).collect();
                self.out.push(Effect::Switch(pipe, ids));
            }
            self.sources.insert(stream.clone(), next);
            self.show_again(stream);
        }
        Some(source)
    }

    /// A producer is here no more: should one of its id come again, children are sent that anew.
    fn stop_sending_to_all(&mut self, id: ProducerId) {
        for outlet in self.downstream.outlets_mut() {
            if outlet.sends.remove(&id) {
                self.out.push(Effect::StopSending(outlet.id, id));
            }
        }
    }

    /// Ends everything here and says so.
    fn stop(&mut self, reason: EndReason, m: &mut Moment<'_>) {
        if self.stop_by.is_some() {
            return;
        }
        self.stop_by = Some(m.now + LAST_WORDS);
        self.end_children(m);
        self.end_publishers(reason, m);
        self.end_viewers(m);
    }

    /// Whether the room has nothing left to do, and has had nothing for long enough.
    pub fn is_over(&self, now: Instant) -> bool {
        match (self.stop_by, self.empty_since) {
            (Some(stop_by), since) => since.is_some() || now >= stop_by,
            (None, Some(since)) => now.saturating_duration_since(since) >= self.config.timeouts.room_idle,
            (None, None) => false,
        }
    }

    /// Whether nothing is here: no publisher, viewer, parent or child.
    pub fn is_empty(&self) -> bool {
        self.publications.is_empty()
            && self.participants.is_empty()
            && self.audience.is_empty()
            && self.leaving.is_empty()
            && self.downstream.is_empty()
            && self.upstream.parents.is_empty()
    }
}

/// The pause before the next try after so many failures in a row: doubling, at most a second.
pub(crate) fn backoff(failures: u32) -> Duration {
    Duration::from_millis(100) * 2_u32.pow(failures.saturating_sub(1).min(5)).min(10)
}

fn refusal(error: &MediaError) -> Refusal {
    let code = match error {
        MediaError::NoPorts => Code::NoPorts,
        MediaError::NoOutlets => Code::Full,
        MediaError::UnknownPipe => Code::UnknownPipe,
        MediaError::UnknownProducer => Code::UnknownProducer,
        MediaError::UnknownConsumer => Code::UnknownConsumer,
        MediaError::UnknownSession => Code::UnknownTransport,
        MediaError::Unsupported(_) => Code::Unsupported,
        _ => Code::Media,
    };
    Refusal::new(code, error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_retry_is_never_longer_than_a_second(failures in any::<u32>()) {
            prop_assert!(backoff(failures) <= Duration::from_secs(1));
        }
    }
}
