//! What participants of this node send: each producer has its own life within the participant's stream.

use std::collections::BTreeMap;

use super::effect::Effect;
use super::input::Ticket;
use super::publications::{Publication, size};
use super::{Core, Moment, refusal};
use crate::protocol::data::Channel;
use crate::protocol::ids::{ProducerId, SessionId, StreamName};
use crate::protocol::media::{MediaError, ProducerInfo};
use crate::protocol::refusal::{Code, Refusal};
use crate::protocol::rtc::{Produce, ProduceData, Produced, RtcEvent, RtcReply, Score};
use crate::protocol::rtp::AppDataJson;

/// The most that a participant may attach to itself and all that it sends, in bytes of JSON: all of it is in its claim.
const MAX_ATTACHED: usize = 32 * 1024;

/// What a participant is about to send, and a worker hasn't taken yet.
#[derive(Debug, Default)]
pub(super) struct Adding {
    /// Each with the bytes of JSON attached to it.
    under_way: BTreeMap<Ticket, usize>,
    /// Who goes on with the session, and waits to be told all that it sends.
    pub(super) resumes: Vec<Ticket>,
}

impl Core {
    /// Goes on with a session. What was asked before is finished first: nobody else would hear of it.
    pub(super) fn resume(&mut self, ticket: Ticket, session: SessionId, m: &Moment<'_>) {
        match self.participants.sessions_mut(session) {
            Some(attendant) if !attendant.adding.under_way.is_empty() => {
                attendant.adding.resumes.push(ticket);
            }
            _ => self.entered(ticket, session, m),
        }
    }

    /// A participant begins to send.
    pub(super) fn produce(
        &mut self,
        ticket: Ticket,
        session: SessionId,
        produce: Box<Produce>,
    ) -> Result<Option<RtcReply>, Refusal> {
        self.may_add(session, produce.transport_id, &produce.app_data)?;
        self.adds(ticket, session, &produce.app_data);
        self.out.push(Effect::Produce(ticket, session, produce));
        Ok(None)
    }

    /// A participant begins to send messages.
    pub(super) fn produce_data(
        &mut self,
        ticket: Ticket,
        session: SessionId,
        produce: Box<ProduceData>,
    ) -> Result<Option<RtcReply>, Refusal> {
        self.may_add(session, produce.transport_id, &produce.app_data)?;
        if !self.participants.get(session).is_some_and(|attendant| attendant.sends_data()) {
            return Err(without_sctp());
        }
        if !Channel::new(produce.sctp_stream_parameters, &produce.protocol).is_sound() {
            let why = "sctpStreamParameters: ordered messages all arrive; of others maxPacketLifeTime or maxRetransmits";
            return Err(Refusal::new(Code::Malformed, why));
        }
        self.adds(ticket, session, &produce.app_data);
        self.out.push(Effect::ProduceData(ticket, session, produce));
        Ok(None)
    }

    /// Whether a participant may send something more on a connection.
    fn may_add(&mut self, session: SessionId, by: SessionId, app_data: &AppDataJson) -> Result<(), Refusal> {
        let name = self.sends(session, by)?;
        let adding = self.attendant(session)?.adding.under_way.values();
        let (coming, coming_attached) = (adding.len(), adding.sum::<usize>());
        let many = self.publications.get(&name).map_or(0, |own| own.producers.len()) + coming;
        if many >= self.limits.producers_per_participant {
            return Err(self.limit_reached("producers_per_participant", "close another producer first"));
        }
        let attached = self.publications.get(&name).map_or(0, Publication::attached);
        if attached + coming_attached + size(app_data) > MAX_ATTACHED {
            let why = "what the participant attaches to all it sends is more than 32 KiB of JSON";
            return Err(Refusal::new(Code::TooLarge, why));
        }
        Ok(())
    }

    fn adds(&mut self, ticket: Ticket, session: SessionId, app_data: &AppDataJson) {
        if let Some(attendant) = self.participants.sessions_mut(session) {
            attendant.adding.under_way.insert(ticket, size(app_data));
        }
    }

    /// What a worker was given to take is decided: whoever waited to go on with the session can.
    pub(super) fn produced(
        &mut self,
        ticket: Ticket,
        session: SessionId,
        result: Result<ProducerInfo, MediaError>,
        m: &Moment<'_>,
    ) {
        self.added(ticket, session, result, m);
        let Some(attendant) = self.participants.sessions_mut(session) else { return };
        attendant.adding.under_way.remove(&ticket);
        if attendant.adding.under_way.is_empty() {
            for resumes in std::mem::take(&mut attendant.adding.resumes) {
                self.entered(resumes, session, m);
            }
        }
    }

    /// A producer of a participant is there, or its parameters don't fit.
    fn added(
        &mut self,
        ticket: Ticket,
        session: SessionId,
        result: Result<ProducerInfo, MediaError>,
        m: &Moment<'_>,
    ) {
        let producer = match result {
            Ok(producer) => producer,
            Err(error) => return self.answer_rtc(ticket, Err(refusal(&error))),
        };
        let id = producer.id;
        let name = self.participants.get(session).map(|attendant| attendant.name.clone());
        let Some(own) = name.as_ref().and_then(|name| self.publications.get_mut(name)) else {
            self.out.push(Effect::CloseProducer(session, id));
            let over = Refusal::new(Code::UnknownSession, "the session has ended meanwhile");
            return self.answer_rtc(ticket, Err(over));
        };
        own.producers.push(producer);
        own.hears(m.now);
        if let Some(name) = name {
            self.producers_changed(&name);
        }
        self.answer_rtc(ticket, Ok(RtcReply::Produced(Produced { id })));
    }

    /// What is published of a stream here has changed: whoever carries it is told.
    fn producers_changed(&mut self, stream: &StreamName) {
        let Some(own) = self.publications.get(stream) else { return };
        let producers = own.producers.clone();
        if let Some(source) = self.sources.get_mut(stream) {
            source.of = producers.len();
            source.producers = producers;
        }
        self.show_again(stream);
        self.record_changed(stream);
    }

    /// A producer of a session's own.
    fn own(&self, session: SessionId, id: ProducerId) -> Result<StreamName, Refusal> {
        let name = self.participants.get(session).map(|attendant| attendant.name.clone());
        let has = |name: &StreamName| {
            let own = self.publications.get(name);
            own.is_some_and(|own| own.producers.iter().any(|producer| producer.id == id))
        };
        let unknown = || Refusal::new(Code::UnknownProducer, "the session has no such producer (any more)");
        name.filter(has).ok_or_else(unknown)
    }

    /// Whoever sends something is told how well that comes.
    pub(super) fn own_scored(&mut self, id: ProducerId, score: u8) {
        let sends = |own: &Publication| own.producers.iter().any(|producer| producer.id == id);
        let session = self.publications.iter().find(|(_, own)| sends(own)).map(|(_, own)| own.session);
        if let Some(session) = session.filter(|session| self.is_participant(*session)) {
            let score = Score { consumer_id: None, producer_id: Some(id), score };
            self.notify(session, RtcEvent::Score(score));
        }
    }

    pub(super) fn pause_own(
        &mut self,
        ticket: Ticket,
        session: SessionId,
        id: ProducerId,
        paused: bool,
    ) -> Result<Option<RtcReply>, Refusal> {
        let stream = self.own(session, id)?;
        self.out.push(Effect::SetPaused(Some(ticket), stream, vec![id], paused));
        Ok(None)
    }

    pub(super) fn close_own(&mut self, session: SessionId, id: ProducerId) -> Result<(), Refusal> {
        let stream = self.own(session, id)?;
        self.close_those(&stream, |own| own == id);
        Ok(())
    }

    /// Whatever a participant sends is over.
    pub(super) fn close_all_own(&mut self, stream: &StreamName) {
        self.close_those(stream, |_| true);
    }

    fn close_those(&mut self, stream: &StreamName, closes: impl Fn(ProducerId) -> bool) {
        let Some(own) = self.publications.get_mut(stream) else { return };
        let session = own.session;
        let closed: Vec<_> = own.producers.extract_if(.., |producer| closes(producer.id)).collect();
        for producer in &closed {
            self.stop_sending_to_all(producer.id);
            self.lose_producer(stream, producer.id);
            self.out.push(Effect::CloseProducer(session, producer.id));
        }
        if !closed.is_empty() {
            self.producers_changed(stream);
        }
    }
}

pub(super) fn without_sctp() -> Refusal {
    let why = "the connection takes no messages: createWebRtcTransport with sctp: true";
    Refusal::new(Code::WrongOrder, why)
}
