//! An edge's end of a pipe: the four messages and their undoing.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};

use super::effect::{Answer, Effect, Figure};
use super::input::Ticket;
use super::liveness::{Association, Bus, InletFacts};
use super::sources::{Source, Via};
use super::upstream::Lease;
use super::{Core, Moment, refusal};
use crate::fleet::Notice;
use crate::protocol::edge::{
    ConnectRemotePipeTransport, CreatePipeProducer, CreateRemotePipeTransport, Done, EdgeReply, EdgeRequest,
    RemotePipeTransport, RemoteRouterInfo,
};
use crate::protocol::ids::{Incarnation, PipeId, ProducerId, StreamName};
use crate::protocol::media::{Measured, MediaError, PipeEnd, PipeFlow, ProducerInfo};
use crate::protocol::refusal::{Code, Refusal};

/// How long media may be under way, and not be measured yet: longer than until the parent is asked again.
const UNDER_WAY: Duration = Duration::from_millis(1_250);

/// Our end of a pipe that receives.
#[derive(Debug)]
pub(super) struct Inlet {
    pub(super) id: PipeId,
    pub(super) opened: Instant,
    pub(super) opened_at: DateTime<Utc>,
    pub(super) connected: bool,
    /// Where its other end sends from.
    pub(super) from: Option<(IpAddr, u16)>,
    /// The last change that was told on it.
    pub(super) revision: u64,
    /// The last change that was told of each producer: an older one that comes late is passed over.
    revisions: BTreeMap<ProducerId, u64>,
    /// Producers that are just being taken, and their streams.
    pub(super) taking: BTreeMap<ProducerId, StreamName>,
    /// Producers that this node can't take.
    pub(super) refused: BTreeSet<ProducerId>,
    /// The SSRCs that each producer was taken with.
    ssrcs: BTreeMap<ProducerId, Vec<Option<u32>>>,
    bytes: u64,
    /// When media first and last arrived: that the other end is connected proves nothing.
    pub(super) first: Option<Instant>,
    pub(super) last: Option<Instant>,
    /// Since when nothing has arrived that should.
    pub(super) heard: Instant,
    /// When the parent was last asked for media that doesn't come.
    pub(super) probed: Option<Instant>,
    /// How often, since media last arrived.
    pub(super) probes: u32,
    /// Whether it said that nothing arrives there either.
    pub(super) muted: bool,
    /// When it said that media arrives there: what was under way then has some time to come.
    pub(super) accused: Option<Instant>,
    pub(super) association: Association,
}

impl Inlet {
    fn new(id: PipeId, m: &Moment<'_>) -> Self {
        Self {
            id,
            opened: m.now,
            opened_at: m.wall,
            connected: false,
            from: None,
            revision: 0,
            revisions: BTreeMap::new(),
            taking: BTreeMap::new(),
            refused: BTreeSet::new(),
            ssrcs: BTreeMap::new(),
            bytes: 0,
            first: None,
            last: None,
            heard: m.now,
            probed: None,
            probes: 0,
            muted: false,
            accused: None,
            association: Association::new(m.now),
        }
    }

    pub(super) fn facts(&self, expects: bool, replaceable: bool, gone: bool, bus: Bus) -> InletFacts {
        InletFacts {
            connected: self.connected,
            opened: self.opened,
            heard: self.heard,
            expects,
            muted: self.muted,
            replaceable,
            gone,
            bus,
        }
    }

    pub(super) fn measure(&mut self, flow: &PipeFlow, now: Instant) {
        self.association.note(flow.associated, self.connected, now);
        let bytes = flow.bytes_received;
        if bytes != self.bytes {
            self.bytes = bytes;
            self.first.get_or_insert(now);
            self.last = Some(now);
            self.is_heard(now);
        }
    }

    fn is_heard(&mut self, now: Instant) {
        self.heard = now;
        (self.probed, self.probes, self.muted, self.accused) = (None, 0, false, None);
    }

    /// Something new should arrive: the parent is asked at once, however often it said that nothing does.
    fn ask_anew(&mut self) {
        (self.probed, self.probes, self.muted) = (None, 0, false);
    }

    /// Whether its parent has sent media that had time to come, and none did.
    pub(super) fn is_starved(&self, now: Instant) -> bool {
        self.accused.is_some_and(|at| now.saturating_duration_since(at) >= UNDER_WAY)
    }

    /// A producer is taken no longer.
    pub(super) fn forget(&mut self, id: ProducerId) {
        self.ssrcs.remove(&id);
    }

    /// Whether this change of a producer is the newest that was told.
    fn is_news(&mut self, id: ProducerId, revision: u64) -> bool {
        self.revision = self.revision.max(revision);
        let last = self.revisions.entry(id).or_insert(0);
        let news = revision >= *last;
        *last = revision.max(*last);
        news
    }
}

const DONE: Result<EdgeReply, Refusal> = Ok(EdgeReply::Done(Done {}));

impl Core {
    /// Answers what the upstream end of a pipe asks, if this node asked it to.
    pub(super) fn edge(&mut self, ticket: Ticket, request: EdgeRequest, m: &mut Moment<'_>) {
        match self.edge_answer(ticket, request, m) {
            Ok(None) => {}
            Ok(Some(reply)) => self.out.push(Effect::Answer(ticket, Answer::Edge(Ok(reply)))),
            Err(refusal) => {
                if matches!(refusal.code, Code::Unasked | Code::Insecure | Code::Malformed) {
                    self.out.push(Effect::Count(Figure::RefusedPeer(refusal.code.as_str())));
                }
                self.out.push(Effect::Answer(ticket, Answer::Edge(Err(refusal))));
            }
        }
    }

    /// The answer, or none where it comes once an effect is carried out.
    fn edge_answer(
        &mut self,
        ticket: Ticket,
        request: EdgeRequest,
        m: &mut Moment<'_>,
    ) -> Result<Option<EdgeReply>, Refusal> {
        if self.stop_by.is_some() {
            return Err(Refusal::new(Code::Draining, "this node is stopping"));
        }
        let unasked = || Refusal::new(Code::Unasked, "this node made no join with that token");
        let parent = self.upstream.of_token(request.token()).ok_or_else(unasked)?;
        let id = parent.peer.incarnation;
        let has = |pipe| parent.inlet.as_ref().is_some_and(|inlet| inlet.id == pipe);
        let unknown = || Refusal::new(Code::UnknownPipe, "this node does not have that pipe");
        match request {
            EdgeRequest::GetRemoteRouterInfo(_) => {
                return Ok(Some(EdgeReply::RouterInfo(RemoteRouterInfo { remote_router_id: self.router })));
            }
            EdgeRequest::CreateRemotePipeTransport(request) => {
                if request.from != parent.peer {
                    return Err(unasked());
                }
                self.create_inlet(ticket, id, &request, m)?;
                return Ok(None);
            }
            EdgeRequest::ConnectRemotePipeTransport(request) if has(request.pipe_id) => {
                self.connect_inlet(ticket, &request)?;
                return Ok(None);
            }
            EdgeRequest::CreatePipeProducer(request) if has(request.pipe_id) => {
                return self.create_pipe_producer(ticket, id, request, m);
            }
            EdgeRequest::PausePipeProducer(r) if has(r.pipe_id) => {
                self.pause_pipe_producer(r.pipe_id, r.id, r.revision, true, m.now);
            }
            EdgeRequest::ResumePipeProducer(r) if has(r.pipe_id) => {
                self.pause_pipe_producer(r.pipe_id, r.id, r.revision, false, m.now);
            }
            EdgeRequest::ClosePipeProducer(r) if has(r.pipe_id) => {
                let news = self.upstream.inlet_mut(r.pipe_id).is_some_and(|i| i.is_news(r.id, r.revision));
                if news {
                    self.close_pipe_producer(r.pipe_id, r.id, r.of, m);
                }
            }
            EdgeRequest::ClosePipe(r) => {
                // Unknown is no error: it is closed, as was asked.
                if has(r.pipe_id) {
                    tracing::info!(parent = %parent.peer.node, pipe = %r.pipe_id, reason = r.reason, "pipe closed");
                    let asked = self.asked_of(id);
                    self.forget_parent(id, m);
                    self.fail_candidate(id, &asked, m);
                }
            }
            _ => return Err(unknown()),
        }
        DONE.map(Some)
    }

    fn create_inlet(
        &mut self,
        ticket: Ticket,
        id: Incarnation,
        request: &CreateRemotePipeTransport,
        m: &mut Moment<'_>,
    ) -> Result<(), Refusal> {
        if self.config.pipe.srtp && !request.srtp {
            return Err(Refusal::new(Code::Insecure, "pipes to this node are encrypted (pipe.srtp)"));
        }
        let other = self.upstream.parents.get(&id).and_then(|parent| parent.inlet.as_ref());
        if other.is_some_and(|other| other.id != request.pipe_id) {
            // One pipe per pair of nodes and room: a new attempt replaces the former.
            self.close_inlet(id, m);
        }
        if let Some(parent) = self.upstream.parents.get_mut(&id)
            && parent.inlet.is_none()
        {
            parent.inlet = Some(Inlet::new(request.pipe_id, m));
        }
        self.out.push(Effect::OpenInlet(ticket, request.pipe_id, request.srtp, request.rtx));
        Ok(())
    }

    pub(super) fn inlet_opened(
        &mut self,
        ticket: Ticket,
        pipe: PipeId,
        result: Result<PipeEnd, MediaError>,
        m: &mut Moment<'_>,
    ) {
        let reply = match result {
            Ok(end) => Ok(EdgeReply::PipeTransport(RemotePipeTransport {
                ip: end.ip,
                port: end.port,
                srtp_parameters: end.srtp,
            })),
            Err(error) => {
                if let Some(id) = self.upstream.of_pipe(pipe).map(|parent| parent.peer.incarnation) {
                    self.close_inlet(id, m);
                }
                Err(refusal(&error))
            }
        };
        self.out.push(Effect::Answer(ticket, Answer::Edge(reply)));
    }

    fn connect_inlet(&mut self, ticket: Ticket, request: &ConnectRemotePipeTransport) -> Result<(), Refusal> {
        if self.config.pipe.srtp && request.srtp_parameters.is_none() {
            return Err(Refusal::new(Code::Insecure, "pipes to this node are encrypted (pipe.srtp)"));
        }
        let to = PipeEnd { ip: request.ip, port: request.port, srtp: request.srtp_parameters.clone() };
        if let Some(inlet) = self.upstream.inlet_mut(request.pipe_id) {
            inlet.from = Some((request.ip, request.port));
        }
        self.out.push(Effect::ConnectInlet(ticket, request.pipe_id, to));
        Ok(())
    }

    pub(super) fn inlet_connected(
        &mut self,
        ticket: Ticket,
        pipe: PipeId,
        result: Result<(), MediaError>,
        now: Instant,
    ) {
        let reply = match result {
            Ok(()) => {
                if let Some(inlet) = self.upstream.inlet_mut(pipe) {
                    (inlet.connected, inlet.heard) = (true, now);
                }
                DONE
            }
            Err(error) => Err(refusal(&error)),
        };
        self.out.push(Effect::Answer(ticket, Answer::Edge(reply)));
    }

    fn create_pipe_producer(
        &mut self,
        ticket: Ticket,
        id: Incarnation,
        request: Box<CreatePipeProducer>,
        m: &mut Moment<'_>,
    ) -> Result<Option<EdgeReply>, Refusal> {
        let no = |code, why: &str| Err(Refusal::new(code, why));
        let stream = &request.stream;
        // Noted even if refused: the next renewal then tells what the parent still means to be here.
        if let Some(inlet) = self.upstream.inlet_mut(request.pipe_id) {
            inlet.revision = inlet.revision.max(request.revision);
        }
        if !request.is_sound() {
            return no(Code::Malformed, "the producer's description lists too much or nothing");
        }
        if request.path.contains(&self.me.node) {
            return no(Code::Loop, "this node is on the stream's path already");
        }
        if self.publications.get(stream).is_some() {
            return no(Code::Loop, "this node is the stream's origin");
        }
        let parent = self.upstream.parents.get(&id);
        // What comes in part may have been put aside, and yet be completed.
        let comes = self.sources.pipe_of(stream) == Some(request.pipe_id);
        let asked =
            parent.is_some_and(|p| p.lease != Lease::Leaving && (comes || p.asked.contains_key(stream)));
        let is_next = self.moves_to(stream, id);
        // Of two parents that deliver the same publication the first is kept, unless the stream is being moved.
        let elsewhere = !is_next
            && self.sources.get(stream).is_some_and(|source| {
                source.publication == request.publication
                    && source.via != Via::Pipe(request.pipe_id)
                    && source.is_complete()
            });
        if !asked || elsewhere {
            return no(Code::UnknownStream, "this node did not ask for that stream, or has it from another");
        }
        let holds = match self.known.holds(stream, m) {
            Some(claim) => claim.publication == request.publication,
            None => self.known.rank(stream, request.publication).is_some(),
        };
        // What comes by this pipe goes on until what holds has come, however often it is told.
        let is_here = self.sources.get(stream).is_some_and(|source| {
            source.publication == request.publication
                && source.via == Via::Pipe(request.pipe_id)
                && source.has(request.id)
        });
        if !holds && !is_here {
            return no(Code::Superseded, "that publication is not the one that this node knows to hold");
        }
        let many = self.sources.via(request.pipe_id).map(|(_, source)| source.producers.len()).sum::<usize>();
        let Some(inlet) = self.upstream.inlet_mut(request.pipe_id) else {
            return no(Code::UnknownPipe, "this node does not have that pipe");
        };
        if many >= self.limits.producers_per_pipe {
            self.out.push(Effect::LimitHit("producers_per_pipe"));
            return no(Code::Limit, "limits.producers_per_pipe is reached");
        }
        if !inlet.is_news(request.id, request.revision) {
            return Ok(Some(EdgeReply::Done(Done {})));
        }
        let ssrcs = ssrcs(&request);
        let taken = inlet.ssrcs.insert(request.id, ssrcs.clone());
        if taken.is_some_and(|taken| taken != ssrcs) {
            // The parent sends it anew, and what was taken soon no more.
            let stream = stream.clone();
            if self.sources.pipe_of(&stream) == Some(request.pipe_id) {
                self.send_anew(&stream, request.id);
            }
        }
        let is_other = |source: &Source| source.publication != request.publication;
        let coming = self.upstream.moves.coming(stream, request.pipe_id);
        let replaces = self
            .sources
            .get(stream)
            .is_some_and(|source| is_other(source) || (source.via != Via::Pipe(request.pipe_id) && !is_next));
        if replaces || coming.is_some_and(is_other) {
            self.give_up_move(stream);
        }
        if replaces {
            self.drop_source(stream, m);
            // Nor does it come as it did before it was moved: that is the former publication, too.
            while self.sources.get(stream).is_some_and(is_other) {
                self.drop_source(stream, m);
            }
        }
        if let Some(inlet) = self.upstream.inlet_mut(request.pipe_id) {
            inlet.taking.insert(request.id, stream.clone());
        }
        self.out.push(Effect::Receive(ticket, request));
        Ok(None)
    }

    pub(super) fn received(
        &mut self,
        ticket: Ticket,
        request: &CreatePipeProducer,
        result: Result<ProducerInfo, MediaError>,
        m: &mut Moment<'_>,
    ) {
        let Some(inlet) = self.upstream.inlet_mut(request.pipe_id) else {
            return self
                .out
                .push(Effect::Answer(ticket, Answer::Edge(Err(refusal(&MediaError::UnknownPipe)))));
        };
        inlet.taking.remove(&request.id);
        if let Err(error @ MediaError::Unsupported(_)) = &result {
            // Refused alone: the stream's other producers, and all other streams, flow.
            inlet.refused.insert(request.id);
            let why = Refusal::new(Code::Unsupported, error.to_string());
            tracing::warn!(stream = %request.stream, producer = %request.id, %error, "producer refused");
            self.out.push(Effect::Answer(ticket, Answer::Edge(Err(why))));
        } else if let Err(error) = &result {
            return self.out.push(Effect::Answer(ticket, Answer::Edge(Err(refusal(error)))));
        } else {
            inlet.refused.remove(&request.id);
            inlet.ask_anew();
            self.out.push(Effect::Answer(ticket, Answer::Edge(DONE)));
        }
        let pipe = request.pipe_id;
        let source = Source {
            publication: request.publication,
            path: request.path.clone(),
            producers: Vec::new(),
            refused: BTreeSet::new(),
            of: usize::from(request.of),
            via: Via::Pipe(pipe),
        };
        let parent = self.upstream.of_pipe(pipe).map(|parent| parent.peer.incarnation);
        let is_next = parent.is_some_and(|id| self.moves_to(&request.stream, id));
        let moves = &mut self.upstream.moves;
        match self.sources.get(&request.stream) {
            None => self.sources.insert(request.stream.clone(), source),
            Some(here) if here.via == Via::Pipe(pipe) || moves.coming(&request.stream, pipe).is_some() => {}
            Some(_) if is_next => moves.comes(request.stream.clone(), source),
            // It is no longer to come by this pipe.
            Some(_) => return self.out.push(Effect::StopReceiving(pipe, request.id)),
        }
        if let Some(parent) = parent {
            moves.forget_left(parent, Some(&request.stream));
        }
        let coming = moves.coming_mut(&request.stream, pipe);
        let is_here = coming.is_none();
        let Some(source) = coming.or_else(|| self.sources.get_mut(&request.stream)) else { return };
        source.path.clone_from(&request.path);
        source.of = usize::from(request.of);
        match result {
            Ok(mut producer) => {
                producer.label.clone_from(&request.label);
                producer.app_data.clone_from(&request.app_data);
                if is_here {
                    // Another pipe may still bring it, from before.
                    self.out.push(Effect::Switch(pipe, vec![producer.id]));
                }
                source.producers.retain(|known| known.id != producer.id);
                source.producers.push(producer);
                source.producers.sort_by_key(|producer| (producer.kind, producer.id));
            }
            Err(_) => drop(source.refused.insert(request.id)),
        }
        if is_here && source.is_complete() {
            self.source_complete(&request.stream, m);
        }
    }

    /// The origin has said that its publisher sends again, or no more: silence counts anew from here.
    pub(super) fn flow_changed(&mut self, notice: &Notice, now: Instant) {
        let stream = &notice.stream;
        let Some((source, pipe)) = self.sources.get(stream).zip(self.sources.pipe_of(stream)) else { return };
        let claim = notice.claims.iter().find(|claim| claim.publication == source.publication);
        let flows = claim.map(|claim| claim.flowing);
        if flows.is_some()
            && flows != self.known.is_flowing(stream, source.publication)
            && let Some(inlet) = self.upstream.inlet_mut(pipe)
        {
            inlet.is_heard(now);
        }
    }

    /// Silence counts from when something is expected.
    fn expect_from_now(&mut self, pipe: PipeId, now: Instant) {
        if !self.expects(pipe)
            && let Some(inlet) = self.upstream.inlet_mut(pipe)
        {
            inlet.is_heard(now);
        }
    }

    fn pause_pipe_producer(
        &mut self,
        pipe: PipeId,
        id: ProducerId,
        revision: u64,
        paused: bool,
        now: Instant,
    ) {
        if self.upstream.inlet_mut(pipe).is_some_and(|inlet| inlet.is_news(id, revision)) {
            self.set_producer_paused(pipe, id, paused, now);
        }
    }

    pub(super) fn set_producer_paused(&mut self, pipe: PipeId, id: ProducerId, paused: bool, now: Instant) {
        if !paused {
            self.expect_from_now(pipe, now);
        }
        let of_pipe = self.sources.of_producer(id).filter(|(_, source)| source.via == Via::Pipe(pipe));
        let Some(stream) = of_pipe.map(|(stream, _)| stream.clone()) else { return };
        let Some(source) = self.sources.get_mut(&stream) else { return };
        for producer in source.producers.iter_mut().filter(|producer| producer.id == id) {
            producer.paused = paused;
        }
        self.out.push(Effect::SetPaused(None, stream, vec![id], paused));
    }

    /// A producer comes by a pipe no more; `of` its stream's so many are still sent, where that is known.
    pub(super) fn close_pipe_producer(
        &mut self,
        pipe: PipeId,
        id: ProducerId,
        of: Option<u8>,
        m: &mut Moment<'_>,
    ) {
        let taken = self.upstream.inlet_mut(pipe).is_some_and(|inlet| {
            inlet.refused.remove(&id);
            inlet.ssrcs.remove(&id).is_some()
        });
        let coming =
            self.upstream.moves.via(pipe).find(|(_, source)| source.has(id) || source.refused.contains(&id));
        if let Some(stream) = coming.map(|(stream, _)| stream.clone()) {
            // It doesn't come there either.
            return self.give_up_move(&stream);
        }
        let mine = |source: &&Source| {
            source.via == Via::Pipe(pipe) && (source.has(id) || source.refused.contains(&id))
        };
        let found = self.sources.iter().find(|(_, source)| mine(source)).map(|(stream, _)| stream.clone());
        let Some(stream) = found else {
            // It came by this pipe before it was moved to another.
            return self.out.extend(taken.then_some(Effect::StopReceiving(pipe, id)));
        };
        // Where the parent doesn't say how many are left, it is as many as are wanted of what there is.
        let of = of.map(usize::from).or_else(|| self.expected(&stream));
        let Some(source) = self.sources.get_mut(&stream) else { return };
        let is_taken = source.has(id);
        source.producers.retain(|producer| producer.id != id);
        source.refused.remove(&id);
        source.of = of.unwrap_or(source.of);
        let is_over = source.producers.is_empty() && source.refused.is_empty();
        if is_taken {
            self.out.push(Effect::StopReceiving(pipe, id));
            self.stop_sending_to_all(id);
        }
        if is_over {
            self.drop_source(&stream, m);
        } else {
            self.lose_producer(&stream, id);
        }
    }

    /// How many producers should come of a stream, by what its origin says and what is wanted here; none where that isn't
    /// known.
    fn expected(&self, stream: &StreamName) -> Option<usize> {
        let publication = self.sources.get(stream)?.publication;
        let wanted = self.audience.wishes.selection(stream)?;
        let mut claimed = self.known.producers_of(stream, publication).peekable();
        claimed.peek()?;
        Some(claimed.filter(|id| wanted.has(*id)).count())
    }

    /// Closes our end of a parent's pipe; viewers stay and wait.
    pub(super) fn close_inlet(&mut self, id: Incarnation, m: &mut Moment<'_>) {
        let Some(parent) = self.upstream.parents.get_mut(&id) else { return };
        let Some(inlet) = parent.inlet.take() else { return };
        let coming = self.upstream.moves.via(inlet.id).map(|(stream, _)| stream.clone());
        for stream in coming.collect::<Vec<_>>() {
            self.give_up_move(&stream);
        }
        let streams: Vec<StreamName> = self.sources.via(inlet.id).map(|(stream, _)| stream.clone()).collect();
        for stream in streams {
            self.drop_source(&stream, m);
        }
        self.upstream.moves.forget_left(id, None);
        self.out.push(Effect::CloseInlet(inlet.id));
    }

    pub(super) fn measure_inlets(&mut self, measured: &Measured, now: Instant) {
        for inlet in self.upstream.parents.values_mut().filter_map(|parent| parent.inlet.as_mut()) {
            if let Some(flow) = measured.inlets.get(&inlet.id) {
                inlet.measure(flow, now);
            }
        }
    }
}

/// By what a pipe tells a producer from others: its SSRCs, or the SCTP stream of its messages.
fn ssrcs(request: &CreatePipeProducer) -> Vec<Option<u32>> {
    let stream = request.data.as_ref().map(|data| Some(u32::from(data.stream_id)));
    let encodings = request.rtp_parameters.encodings.iter().map(|encoding| encoding.ssrc);
    stream.into_iter().chain(encodings).collect()
}
