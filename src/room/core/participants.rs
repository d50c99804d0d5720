//! Who is in the room by the session API: they enter, ask for this and that, and leave. Their names are streams, so
//! that everybody in the fleet hears of them by their claims, and WHEP viewers can watch them.

use std::collections::BTreeMap;
use std::time::Instant;

use super::consumers::Consuming;
use super::effect::{Answer, Effect};
use super::input::{Entrance, Ticket};
use super::sending::Adding;
use super::{Core, Moment, refusal};
use crate::config::Takeover;
use crate::protocol::claim::EndReason;
use crate::protocol::ids::{ProducerId, SessionId, StreamName};
use crate::protocol::media::{MediaError, TransportInfo};
use crate::protocol::presence::Role;
use crate::protocol::refusal::{Code, Refusal};
use crate::protocol::rtc::{
    CreateWebRtcTransport, Direction, Entered, IceRestarted, Kept, May, Nothing, Participant,
    Participants as All, RtcEvent, RtcReply, RtcRequest, SessionEnded, Transport, TransportClosed, why,
};
use crate::protocol::rtp::{DtlsParameters, RtpCapabilities};
use crate::room::RoomError;

/// Who is in the room by the session API.
#[derive(Debug, Default)]
pub(super) struct Participants {
    sessions: BTreeMap<SessionId, Attendant>,
    /// Raised whenever one of them asks for something else than before.
    pub(super) changes: u64,
}

/// A participant at this node.
#[derive(Debug)]
pub(super) struct Attendant {
    pub(super) name: StreamName,
    pub(super) may: May,
    heard: Instant,
    /// Its connections. The one for sending has the session's own id.
    sends: Option<Link>,
    pub(super) receives: Option<(SessionId, Link)>,
    /// What it can take.
    pub(super) takes: Option<RtpCapabilities>,
    pub(super) adding: Adding,
    pub(super) consuming: Consuming,
}

/// A connection of a participant.
#[derive(Debug)]
pub(super) struct Link {
    /// Who may connect; none before that was said.
    dtls: Option<DtlsParameters>,
    /// Whether messages pass as well.
    sctp: bool,
}

impl Attendant {
    /// Whether it has a connection on which it may send messages.
    pub(super) fn sends_data(&self) -> bool {
        self.sends.as_ref().is_some_and(|link| link.sctp)
    }

    /// Whether it has one on which it is sent others'.
    pub(super) fn receives_data(&self) -> bool {
        self.receives.as_ref().is_some_and(|(_, link)| link.sctp)
    }
}

impl Participants {
    pub(super) fn is_empty(&self) -> bool {
        self.sessions.is_empty()
    }

    pub(super) fn get(&self, session: SessionId) -> Option<&Attendant> {
        self.sessions.get(&session)
    }

    /// One that is about to change what it asks for.
    pub(super) fn get_mut(&mut self, session: SessionId) -> Option<&mut Attendant> {
        self.changes += 1;
        self.sessions.get_mut(&session)
    }

    /// One, of which nothing that it asks for changes.
    pub(super) fn sessions_mut(&mut self, session: SessionId) -> Option<&mut Attendant> {
        self.sessions.get_mut(&session)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (SessionId, &Attendant)> {
        self.sessions.iter().map(|(session, attendant)| (*session, attendant))
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = (SessionId, &mut Attendant)> {
        self.sessions.iter_mut().map(|(session, attendant)| (*session, attendant))
    }

    /// The producers that participants are sent, or wait for.
    pub(super) fn picked(&self) -> impl Iterator<Item = (&StreamName, ProducerId)> {
        self.sessions.values().flat_map(|attendant| attendant.consuming.picked())
    }

    /// Whose connection this is, and which one.
    fn of_transport(&self, id: SessionId) -> Option<(SessionId, Direction)> {
        if self.sessions.get(&id).is_some_and(|attendant| attendant.sends.is_some()) {
            return Some((id, Direction::Send));
        }
        let receives = |attendant: &Attendant| attendant.receives.as_ref().is_some_and(|(own, _)| *own == id);
        let of = self.sessions.iter().find(|(_, attendant)| receives(attendant));
        of.map(|(session, _)| (*session, Direction::Recv))
    }
}

/// It was done, and there is nothing else to say of it.
pub(super) const DONE: RtcReply = RtcReply::Nothing(Nothing {});

impl Core {
    /// Lets a participant in: its name is live from now on, whether it sends anything or not.
    pub(super) fn enter(&mut self, ticket: Ticket, entrance: Entrance, m: &mut Moment<'_>) {
        if let Err(refusal) = self.may_enter(&entrance, m) {
            self.participant_turned(&entrance.name, &refusal);
            self.answer_rtc(ticket, Err(refusal));
            self.out.push(Effect::Deafen(entrance.session));
            return self.out.push(Effect::Release(entrance.session));
        }
        let Entrance { session, name, app_data, may, pass } = entrance;
        self.note_pass(session, pass);
        let attendant = Attendant {
            name: name.clone(),
            may,
            heard: m.now,
            sends: None,
            receives: None,
            takes: None,
            adding: Adding::default(),
            consuming: Consuming::default(),
        };
        // Whoever had the name before is told that it is over before this one is there.
        self.starts(name, session, Vec::new(), Some(app_data), m);
        self.participants.sessions.insert(session, attendant);
        self.plan_claims(m);
        self.entered(ticket, session, m);
    }

    fn may_enter(&mut self, entrance: &Entrance, m: &Moment<'_>) -> Result<(), Refusal> {
        let no = |code, why: &str| Err(Refusal::new(code, why));
        if m.draining || self.stop_by.is_some() {
            return no(Code::Draining, "the node is draining; use another");
        }
        let roles = &self.config.node.roles;
        if !roles.contains(&Role::Origin) || !roles.contains(&Role::Edge) {
            return no(Code::Unsupported, "this node takes no participants (node.roles): use another");
        }
        self.is_allowed().map_err(|error| Refusal::new(Code::Residency, error.to_string()))?;
        if self.participants.sessions.len() >= self.limits.participants_per_room {
            return Err(self.limit_reached("participants_per_room", "use another node"));
        }
        let is_back = self.known_participant(&entrance.name, m);
        if self.is_locked(m) && !is_back && !entrance.may.moderate {
            return no(Code::Locked, "a moderator lets nobody new in");
        }
        if !entrance.may.publish && self.sends_something(&entrance.name, m) {
            let why =
                "somebody who publishes has that name, and the token allows to watch alone: use another name";
            return no(Code::NameTaken, why);
        }
        let holder = self.holder(&entrance.name, m);
        if holder.is_some_and(|holder| holder.flowing && self.config.media.takeover == Takeover::Reject) {
            return no(
                Code::NameTaken,
                "somebody has that name, and media.takeover is 'reject': use another name",
            );
        }
        Ok(())
    }

    /// Tells a session all that it should know.
    pub(super) fn entered(&mut self, ticket: Ticket, session: SessionId, m: &Moment<'_>) {
        let Some(attendant) = self.participants.get(session) else { return };
        let sends = attendant.sends.is_some().then_some(session);
        let receives = attendant.receives.as_ref().map(|(id, _)| *id);
        let own = self.publications.get(&attendant.name);
        let sent = |is_data| {
            let producers = own.into_iter().flat_map(|own| &own.producers);
            producers.filter(|own| own.kind.is_data() == is_data).map(|own| own.id).collect()
        };
        let kept = Kept {
            transports: sends.into_iter().chain(receives).collect(),
            producers: sent(false),
            consumers: attendant.consuming.ids(false).collect(),
            data_producers: sent(true),
            data_consumers: attendant.consuming.ids(true).collect(),
        };
        let entered = Entered {
            session,
            name: attendant.name.clone(),
            node: self.me.node.clone(),
            region: self.me.region.clone(),
            router_rtp_capabilities: RtpCapabilities::default(),
            ice_servers: Vec::new(),
            participants: self.others(&attendant.name, m),
            may: attendant.may,
            locked: self.is_locked(m),
            active_speaker: self.active_speaker().cloned(),
            kept,
        };
        self.answer_rtc(ticket, Ok(RtcReply::Entered(Box::new(entered))));
    }

    fn others(&self, name: &StreamName, m: &Moment<'_>) -> Vec<Participant> {
        self.everybody(m).into_iter().filter(|other| other.name != *name).collect()
    }

    /// Does what a session asks for.
    pub(super) fn rtc(
        &mut self,
        ticket: Ticket,
        session: SessionId,
        request: RtcRequest,
        m: &mut Moment<'_>,
    ) {
        let Some(attendant) = self.participants.sessions.get_mut(&session) else {
            let why = "there is no such session (any more): join anew";
            return self.answer_rtc(ticket, Err(Refusal::new(Code::UnknownSession, why)));
        };
        attendant.heard = m.now;
        let done = match request {
            RtcRequest::Join(_) => Err(Refusal::new(Code::WrongOrder, "this session has joined already")),
            RtcRequest::Resume(_) => return self.resume(ticket, session, m),
            RtcRequest::Ping(_) => Ok(Some(DONE)),
            RtcRequest::GetRouterRtpCapabilities(_) => {
                Ok(Some(RtcReply::Capabilities(RtpCapabilities::default())))
            }
            RtcRequest::CreateWebRtcTransport(create) => self.open_link(ticket, session, create, m),
            RtcRequest::ConnectWebRtcTransport(connect) => {
                self.connect_link(ticket, session, connect.transport_id, connect.dtls_parameters)
            }
            RtcRequest::RestartIce(restart) => self.own_link(session, restart.transport_id).map(|_| {
                self.out.push(Effect::RestartLink(ticket, restart.transport_id));
                None
            }),
            RtcRequest::CloseTransport(close) => {
                self.own_link(session, close.transport_id).map(|direction| {
                    self.close_link(session, direction);
                    Some(DONE)
                })
            }
            RtcRequest::Produce(produce) => self.produce(ticket, session, produce),
            RtcRequest::ProduceData(produce) => self.produce_data(ticket, session, produce),
            RtcRequest::CloseDataProducer(of) => {
                self.close_own(session, of.data_producer_id).map(|()| Some(DONE))
            }
            RtcRequest::ConsumeData(consume) => self.consume_data(ticket, session, consume, m),
            RtcRequest::CloseDataConsumer(of) => {
                self.close_consumer(session, of.data_consumer_id).map(|()| Some(DONE))
            }
            RtcRequest::PauseProducer(of) => self.pause_own(ticket, session, of.producer_id, true),
            RtcRequest::ResumeProducer(of) => self.pause_own(ticket, session, of.producer_id, false),
            RtcRequest::CloseProducer(of) => self.close_own(session, of.producer_id).map(|()| Some(DONE)),
            RtcRequest::Consume(consume) => self.consume(ticket, session, consume, m),
            RtcRequest::CloseConsumer(of) => {
                self.close_consumer(session, of.consumer_id).map(|()| Some(DONE))
            }
            RtcRequest::GetStats(of) => self.stats(ticket, session, of),
            RtcRequest::GetParticipants(_) => {
                let (participants, locked) = (self.everybody(m), self.is_locked(m));
                Ok(Some(RtcReply::Participants(All { participants, locked })))
            }
            RtcRequest::Leave(_) => {
                self.end_participant(session, EndReason::Unpublished, m);
                Ok(Some(DONE))
            }
            RtcRequest::MuteProducer(_) | RtcRequest::RemoveParticipant(_) | RtcRequest::LockRoom(_) => {
                self.moderate(ticket, session, request, m)
            }
            tuning => self.tune(ticket, session, tuning),
        };
        match done {
            Ok(None) => {}
            Ok(Some(reply)) => self.answer_rtc(ticket, Ok(reply)),
            Err(refusal) => self.answer_rtc(ticket, Err(refusal)),
        }
    }

    pub(super) fn answer_rtc(&mut self, ticket: Ticket, result: Result<RtcReply, Refusal>) {
        self.out.push(Effect::Answer(ticket, Answer::Rtc(result)));
    }

    pub(super) fn notify(&mut self, session: SessionId, event: RtcEvent) {
        self.out.push(Effect::Notify(session, Box::new(event)));
    }

    /// Tells all participants of this node, but for one.
    pub(super) fn notify_all(&mut self, but: Option<&StreamName>, event: &RtcEvent) {
        let told = self.participants.iter().filter(|(_, attendant)| Some(&attendant.name) != but);
        let told: Vec<_> = told.map(|(session, _)| session).collect();
        for session in told {
            self.notify(session, event.clone());
        }
    }

    fn open_link(
        &mut self,
        ticket: Ticket,
        session: SessionId,
        CreateWebRtcTransport { direction, sctp }: CreateWebRtcTransport,
        m: &mut Moment<'_>,
    ) -> Result<Option<RtcReply>, Refusal> {
        let attendant = self.attendant(session)?;
        let (is_there, may) = match direction {
            Direction::Send => (attendant.sends.is_some(), attendant.may.publish),
            Direction::Recv => (attendant.receives.is_some(), attendant.may.subscribe),
        };
        if !may {
            return Err(Refusal::new(Code::Forbidden, "the session's token does not allow that"));
        }
        if is_there {
            let why = "the session has a connection in that direction: use it, or closeTransport first";
            return Err(Refusal::new(Code::WrongOrder, why));
        }
        let link = Link { dtls: None, sctp };
        match direction {
            Direction::Send => {
                attendant.sends = Some(link);
                self.out.push(Effect::OpenSending(ticket, session, sctp));
            }
            Direction::Recv => {
                let id = SessionId(m.mint.id());
                attendant.receives = Some((id, link));
                self.out.push(Effect::OpenReceiving(ticket, session, id, sctp));
            }
        }
        Ok(None)
    }

    /// A connection is open at this end, or couldn't be opened.
    pub(super) fn link_opened(
        &mut self,
        ticket: Ticket,
        session: SessionId,
        id: SessionId,
        result: Result<TransportInfo, MediaError>,
    ) {
        let answer = match result {
            Ok(TransportInfo { ice, candidates, dtls, sctp }) => {
                Ok(RtcReply::Transport(Box::new(Transport {
                    id,
                    ice_parameters: ice,
                    ice_candidates: candidates,
                    dtls_parameters: dtls,
                    sctp_parameters: sctp,
                })))
            }
            Err(error) => {
                if let Some(attendant) = self.participants.sessions.get_mut(&session) {
                    attendant.sends.take_if(|_| id == session);
                    attendant.receives.take_if(|(own, _)| *own == id);
                }
                Err(refusal(&error))
            }
        };
        self.answer_rtc(ticket, answer);
    }

    /// New ICE credentials of a connection.
    pub(super) fn link_restarted(&mut self, ticket: Ticket, result: Result<TransportInfo, MediaError>) {
        let restarted =
            |info: TransportInfo| RtcReply::IceRestarted(IceRestarted { ice_parameters: info.ice });
        self.answer_rtc(ticket, result.map(restarted).map_err(|error| refusal(&error)));
    }

    /// What was asked of a worker is done.
    pub(super) fn acted(&mut self, ticket: Ticket, result: Result<(), MediaError>) {
        self.answer_rtc(ticket, result.map(|()| DONE).map_err(|error| refusal(&error)));
    }

    fn connect_link(
        &mut self,
        ticket: Ticket,
        session: SessionId,
        id: SessionId,
        dtls: DtlsParameters,
    ) -> Result<Option<RtcReply>, Refusal> {
        let direction = self.own_link(session, id)?;
        let attendant = self.attendant(session)?;
        let link = match direction {
            Direction::Send => attendant.sends.as_mut(),
            Direction::Recv => attendant.receives.as_mut().map(|(_, link)| link),
        };
        match link.map(|link| &mut link.dtls) {
            // Who lost our reply asks again.
            Some(Some(same)) if *same == dtls => return Ok(Some(DONE)),
            Some(Some(_)) => {
                let why = "the connection was told who may connect already: closeTransport, and open another";
                return Err(Refusal::new(Code::WrongOrder, why));
            }
            Some(none) => *none = Some(dtls.clone()),
            None => {}
        }
        self.out.push(Effect::ConnectLink(ticket, id, dtls));
        Ok(None)
    }

    /// Which way a connection of a session goes.
    fn own_link(&self, session: SessionId, id: SessionId) -> Result<Direction, Refusal> {
        let own = self.participants.of_transport(id).filter(|(of, _)| *of == session);
        let unknown =
            || Refusal::new(Code::UnknownTransport, "the session has no such connection (any more)");
        own.map(|(_, direction)| direction).ok_or_else(unknown)
    }

    pub(super) fn attendant(&mut self, session: SessionId) -> Result<&mut Attendant, Refusal> {
        let unknown = || Refusal::new(Code::UnknownSession, "there is no such session (any more): join anew");
        self.participants.get_mut(session).ok_or_else(unknown)
    }

    /// Whether a session may send, and has a connection to send on.
    pub(super) fn sends(&self, session: SessionId, id: SessionId) -> Result<StreamName, Refusal> {
        let sends = matches!(self.own_link(session, id)?, Direction::Send);
        let attendant = self.participants.get(session).filter(|_| sends);
        let why = "media is sent on a connection whose direction is 'send'";
        attendant.map(|attendant| attendant.name.clone()).ok_or_else(|| Refusal::new(Code::WrongOrder, why))
    }

    /// Closes a connection of a participant, with all that is sent on it.
    fn close_link(&mut self, session: SessionId, direction: Direction) {
        let Some(attendant) = self.participants.get_mut(session) else { return };
        match direction {
            Direction::Send => {
                attendant.sends = None;
                let name = attendant.name.clone();
                self.close_all_own(&name);
                self.out.push(Effect::CloseUplink(session));
            }
            Direction::Recv => {
                if let Some((id, _)) = attendant.receives.take() {
                    self.out.push(Effect::CloseReceiving(id));
                }
                self.close_consumers(session);
            }
        }
    }

    /// A connection of a participant is gone. Answers whether it was one.
    pub(super) fn link_gone(&mut self, id: SessionId) -> bool {
        let Some((session, direction)) = self.participants.of_transport(id) else { return false };
        self.close_link(session, direction);
        let closed = TransportClosed { transport_id: id, reason: "disconnected".to_owned() };
        self.notify(session, RtcEvent::TransportClosed(closed));
        true
    }

    /// The participant that a session is, if it is one.
    pub fn is_participant(&self, session: SessionId) -> bool {
        self.participants.sessions.contains_key(&session)
    }

    /// Ends a participant's session, with its stream. Answers whether there was one.
    pub(super) fn end_participant(
        &mut self,
        session: SessionId,
        reason: EndReason,
        m: &mut Moment<'_>,
    ) -> bool {
        let Some(attendant) = self.participants.get(session) else { return false };
        let name = attendant.name.clone();
        if self.publications.get(&name).is_some_and(|own| own.session == session) {
            self.end_publication(&name, reason, m);
        } else {
            self.participant_over(session, reason);
        }
        true
    }

    /// The stream of a participant is over, and so is its session.
    pub(super) fn participant_over(&mut self, session: SessionId, reason: EndReason) {
        if !self.is_participant(session) {
            return;
        }
        self.close_consumers(session);
        let Some(attendant) = self.participants.sessions.remove(&session) else { return };
        self.participants.changes += 1;
        if let Some((id, _)) = attendant.receives {
            self.out.push(Effect::CloseReceiving(id));
        }
        for ticket in attendant.adding.resumes {
            let over = Refusal::new(Code::UnknownSession, "the session has ended meanwhile: join anew");
            self.answer_rtc(ticket, Err(over));
        }
        let ended = SessionEnded { reason: why(reason).to_owned(), url: None };
        self.notify(session, RtcEvent::SessionEnded(ended));
    }

    /// Ends sessions of which nothing is heard any more.
    pub(super) fn end_lapsed(&mut self, m: &mut Moment<'_>) {
        let lease = self.config.timeouts.session;
        let lapsed = self.participants.iter();
        let lapsed = lapsed.filter(|(_, it)| m.now.saturating_duration_since(it.heard) > lease);
        let lapsed: Vec<_> = lapsed.map(|(session, _)| session).collect();
        for session in lapsed {
            self.end_participant(session, EndReason::Disconnected, m);
        }
    }
}

impl Core {
    /// Ends all sessions where the node is on its way out: each may go on at another at once.
    pub(super) fn end_drained(&mut self, m: &mut Moment<'_>) {
        if !m.draining {
            return;
        }
        for session in self.participants.iter().map(|(session, _)| session).collect::<Vec<_>>() {
            self.end_participant(session, EndReason::Drained, m);
        }
    }
}

impl From<RoomError> for Refusal {
    fn from(error: RoomError) -> Self {
        let code = match &error {
            RoomError::Busy => Code::Busy,
            RoomError::Limit(_) => Code::Limit,
            RoomError::Draining | RoomError::Stopped | RoomError::Starting => Code::Draining,
            RoomError::Residency(_) => Code::Residency,
            RoomError::NoSession => Code::UnknownSession,
            RoomError::Unsupported(_) | RoomError::Role(_) => Code::Unsupported,
            RoomError::JoinTimeout => Code::Timeout,
            RoomError::NotLive { .. } | RoomError::Unheard { .. } | RoomError::NoStream => {
                Code::UnknownStream
            }
            _ => Code::Media,
        };
        Self::new(code, error.to_string())
    }
}
