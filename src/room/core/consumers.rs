//! What participants of this node are sent: single producers of others, on whichever node these are. Each is asked for
//! on its own, and comes by the pipes that bring it for everybody here.

mod lacks;

use std::collections::BTreeMap;
use std::time::Instant;

use serde_json::Value;

use self::lacks::Lacked;
use super::effect::{Effect, Figure};
use super::input::Ticket;
use super::sending::without_sctp;
use super::wishes::Part;
use super::{Core, Moment, refusal};
use crate::protocol::claim::ClaimedProducer;
use crate::protocol::event::What;
use crate::protocol::ids::{ConsumerId, ProducerId, SessionId, StreamName};
use crate::protocol::media::{Layers, MediaError, Receive, Tuning};
use crate::protocol::refusal::{Code, Refusal};
use crate::protocol::rtc::{
    Consume, ConsumeData, ConsumerClosed, ConsumerReplaced, DataConsumerClosed, GetStats, LayersChanged,
    RtcEvent, RtcReply, RtcRequest, Score, Stats,
};
use crate::room::RoomError;

/// What a participant is sent.
#[derive(Debug, Default)]
pub(super) struct Consuming {
    consumers: BTreeMap<ConsumerId, Consumer>,
    /// Those that were replaced, and by what: they are sent on until they end or are closed.
    former: BTreeMap<ConsumerId, ConsumerId>,
    /// The next MID on the connection.
    mids: u32,
}

/// What a participant is sent of a producer.
#[derive(Debug)]
struct Consumer {
    producer: ProducerId,
    /// Whether that sends messages: they come the same way here whichever way they come to this node.
    is_data: bool,
    stream: StreamName,
    paused: bool,
    layers: Option<Layers>,
    priority: Option<u8>,
    state: State,
    lacked: Option<Lacked>,
}

/// How far it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// It isn't here yet; who asked waits.
    Waiting { ticket: Ticket, since: Instant },
    /// It is being set up, for who waits or in place of what was sent before.
    Opening { ticket: Option<Ticket>, replaces: Option<ConsumerId> },
    /// It is sent.
    Open,
    /// It was sent, and doesn't come now: once it comes again, another takes its place.
    Lost,
}

impl Consumer {
    fn new(producer: ProducerId, is_data: bool, stream: StreamName, state: State) -> Self {
        Self { producer, is_data, stream, paused: false, layers: None, priority: None, state, lacked: None }
    }
}

impl Consuming {
    /// What is sent: media, or messages.
    pub(super) fn ids(&self, is_data: bool) -> impl Iterator<Item = ConsumerId> {
        self.consumers.iter().filter(move |(_, consumer)| consumer.is_data == is_data).map(|(id, _)| *id)
    }

    /// The producers that are sent, or waited for.
    pub(super) fn picked(&self) -> impl Iterator<Item = (&StreamName, ProducerId)> {
        self.consumers.values().map(|consumer| (&consumer.stream, consumer.producer))
    }

    /// How many producers are sent, or waited for.
    pub(super) fn len(&self) -> usize {
        self.consumers.len()
    }

    /// What is sent of a producer is sent anew.
    fn lose(&mut self, is_lost: impl Fn(&StreamName, ProducerId) -> bool) {
        for consumer in self.consumers.values_mut() {
            if consumer.state == State::Open
                && !consumer.is_data
                && is_lost(&consumer.stream, consumer.producer)
            {
                consumer.state = State::Lost;
            }
        }
    }

    /// What is sent in place of a consumer: who asks may not have heard yet that it was replaced.
    fn latest(&self, mut id: ConsumerId) -> ConsumerId {
        while let Some(by) = self.former.get(&id) {
            id = *by;
        }
        id
    }

    /// What was being set up didn't come about. Answers the id by which its client knows it, and who waits for it.
    fn not_opened(&mut self, id: ConsumerId, now: Instant) -> Option<(ConsumerId, Option<Ticket>)> {
        let mut consumer = self.consumers.remove(&id)?;
        let State::Opening { ticket, replaces } = consumer.state else { return None };
        consumer.state = ticket.map_or(State::Lost, |ticket| State::Waiting { ticket, since: now });
        let known_as = replaces.unwrap_or(id);
        self.former.remove(&known_as);
        self.consumers.insert(known_as, consumer);
        Some((known_as, ticket))
    }
}

impl Core {
    /// A participant asks to be sent a producer of another.
    pub(super) fn consume(
        &mut self,
        ticket: Ticket,
        session: SessionId,
        consume: Consume,
        m: &mut Moment<'_>,
    ) -> Result<Option<RtcReply>, Refusal> {
        let no = |code, why: &str| Err(Refusal::new(code, why));
        let id = consume.producer_id;
        let (stream, _) = self.consumable(session, id, false, m)?;
        let attendant = self.attendant(session)?;
        if let Some(takes) = consume.rtp_capabilities {
            attendant.takes = Some(takes);
        }
        if attendant.takes.is_none() {
            return no(Code::WrongOrder, "send rtpCapabilities with the first consume");
        }
        let state = State::Waiting { ticket, since: m.now };
        let consumer = Consumer { paused: consume.paused, ..Consumer::new(id, false, stream.clone(), state) };
        attendant.consuming.consumers.insert(ConsumerId(m.mint.id()), consumer);
        self.audience.wishes.note(&stream, Part::One(id), m.now);
        Ok(None)
    }

    /// A participant asks to be sent another's messages.
    pub(super) fn consume_data(
        &mut self,
        ticket: Ticket,
        session: SessionId,
        consume: ConsumeData,
        m: &mut Moment<'_>,
    ) -> Result<Option<RtcReply>, Refusal> {
        let id = consume.data_producer_id;
        let (stream, _) = self.consumable(session, id, true, m)?;
        let attendant = self.attendant(session)?;
        if !attendant.receives_data() {
            return Err(without_sctp());
        }
        let consumer = Consumer::new(id, true, stream.clone(), State::Waiting { ticket, since: m.now });
        attendant.consuming.consumers.insert(ConsumerId(m.mint.id()), consumer);
        self.audience.wishes.note(&stream, Part::One(id), m.now);
        Ok(None)
    }

    /// Another's producer that a participant may be sent.
    fn consumable(
        &mut self,
        session: SessionId,
        id: ProducerId,
        is_data: bool,
        m: &Moment<'_>,
    ) -> Result<(StreamName, ClaimedProducer), Refusal> {
        let no = |code, why: &str| Err(Refusal::new(code, why));
        let found = self.found(id, m).filter(|(_, producer)| producer.kind.is_data() == is_data);
        let Some((stream, producer)) = found else {
            return no(Code::UnknownProducer, "nobody in the room sends that (any more)");
        };
        let Some(attendant) = self.participants.get(session) else {
            return no(Code::UnknownSession, "there is no such session (any more): join anew");
        };
        if attendant.name == stream {
            return no(Code::UnknownProducer, "that is the session's own");
        }
        if attendant.receives.is_none() {
            return no(Code::WrongOrder, "first createWebRtcTransport with direction 'recv'");
        }
        if attendant.consuming.consumers.len() >= self.limits.consumers_per_participant {
            return Err(self.limit_reached("consumers_per_participant", "closeConsumer another first"));
        }
        Ok((stream, producer))
    }

    /// Whose a producer is, as its origin says.
    pub(super) fn found(&self, id: ProducerId, m: &Moment<'_>) -> Option<(StreamName, ClaimedProducer)> {
        let own = self.publications.iter().find_map(|(stream, own)| {
            let producer = own.producers.iter().find(|producer| producer.id == id)?;
            Some((stream.clone(), ClaimedProducer::from(producer)))
        });
        own.or_else(|| {
            let claim = self.known.of_producer(id, m)?;
            let producer = claim.producers.iter().find(|producer| producer.id == id)?;
            Some((claim.stream.clone(), producer.clone()))
        })
    }

    /// A stream is here no more, or comes another way.
    pub(super) fn lose_stream(&mut self, stream: &StreamName, now: Instant) {
        self.audience.lose(stream, now);
        for (_, attendant) in self.participants.iter_mut() {
            attendant.consuming.lose(|own, _| own == stream);
        }
    }

    /// A producer is here no more, or comes another way.
    pub(super) fn lose_producer(&mut self, stream: &StreamName, id: ProducerId) {
        self.audience.lose_producer(stream, id);
        for (_, attendant) in self.participants.iter_mut() {
            attendant.consuming.lose(|_, own| own == id);
        }
    }

    /// Sends participants what is here of what they asked for, and ends what is over.
    pub(super) fn plan_consumers(&mut self, m: &mut Moment<'_>) {
        if self.participants.is_empty() {
            return;
        }
        let (mut here, mut over) = (Vec::new(), Vec::new());
        for (session, attendant) in self.participants.iter() {
            for (id, consumer) in &attendant.consuming.consumers {
                let is_here = self.sources.get(&consumer.stream).is_some_and(|it| it.has(consumer.producer));
                match consumer.state {
                    State::Waiting { .. } | State::Lost if is_here => here.push((session, *id)),
                    State::Opening { .. } => {}
                    _ if is_here || self.known.claims_producer(&consumer.stream, consumer.producer) => {}
                    _ => over.push((session, *id)),
                }
            }
        }
        for (session, id) in over {
            self.consumer_over(session, id);
        }
        for (session, id) in here {
            self.open_consumer(session, id, m);
        }
    }

    fn open_consumer(&mut self, session: SessionId, id: ConsumerId, m: &mut Moment<'_>) {
        // Nothing else is asked for by it: what a worker refuses is tried again with the next look, not at once.
        let Some(attendant) = self.participants.sessions_mut(session) else { return };
        let Some(receives) = attendant.receives.as_ref().map(|(id, _)| *id) else { return };
        let takes = attendant.takes.clone().unwrap_or_default();
        let consuming = &mut attendant.consuming;
        let Some(mut consumer) = consuming.consumers.remove(&id) else { return };
        let source = self.sources.get(&consumer.stream);
        let Some(producer) = source.and_then(|s| s.producers.iter().find(|own| own.id == consumer.producer))
        else {
            consuming.consumers.insert(id, consumer);
            return;
        };
        let (next, state) = match consumer.state {
            State::Waiting { ticket, .. } => (id, State::Opening { ticket: Some(ticket), replaces: None }),
            _ => {
                let next = ConsumerId(m.mint.id());
                consuming.former.insert(id, next);
                (next, State::Opening { ticket: None, replaces: Some(id) })
            }
        };
        let receive = Receive {
            by: receives,
            consumer: next,
            producer: producer.clone(),
            takes,
            mid: consuming.mids.to_string(),
            paused: consumer.paused,
            layers: consumer.layers,
            priority: consumer.priority,
        };
        consuming.mids += 1;
        consumer.state = state;
        consuming.consumers.insert(next, consumer);
        self.out.push(Effect::Consume(session, Box::new(receive)));
    }

    /// What a participant is sent is set up, or it can't take it.
    pub(super) fn consumed(
        &mut self,
        session: SessionId,
        by: SessionId,
        id: ConsumerId,
        result: Result<RtcReply, MediaError>,
        m: &Moment<'_>,
    ) {
        let attendant = self.participants.sessions_mut(session);
        let Some(consuming) =
            attendant.map(|it| &mut it.consuming).filter(|it| it.consumers.contains_key(&id))
        else {
            // Closed meanwhile.
            return self.out.push(Effect::CloseConsumer(by, id));
        };
        match result {
            Ok(consumed) => self.consumer_opened(session, id, consumed, m),
            Err(error) => {
                let Some((id, ticket)) = consuming.not_opened(id, m.now) else { return };
                match (error, ticket) {
                    // It ended, or comes another way, between deciding and doing.
                    (MediaError::UnknownProducer, _) => {}
                    (error, Some(ticket)) => {
                        self.forget_consumer(session, id);
                        let refusal = refusal(&error);
                        self.out.push(Effect::Count(Figure::Consumer(refusal.code.as_str())));
                        self.answer_rtc(ticket, Err(refusal));
                    }
                    (_, None) => self.consumer_over(session, id),
                }
            }
        }
    }

    fn consumer_opened(&mut self, session: SessionId, id: ConsumerId, consumed: RtcReply, m: &Moment<'_>) {
        let attendant = self.participants.sessions_mut(session);
        let Some(consumer) = attendant.and_then(|it| it.consuming.consumers.get_mut(&id)) else { return };
        let State::Opening { ticket, replaces } = consumer.state else { return };
        consumer.state = State::Open;
        let producer = consumer.producer;
        let consumed = match &self.found(producer, m) {
            Some((stream, producer)) => consumed.of(stream, producer),
            None => consumed,
        };
        if let Some(ticket) = ticket {
            self.out.push(Effect::Count(Figure::Consumer("ok")));
            self.answer_rtc(ticket, Ok(consumed));
        } else if let Some((consumer_id, RtcReply::Consumed(by))) = replaces.zip(Some(consumed)) {
            let replaced = ConsumerReplaced { consumer_id, by: *by };
            self.notify(session, RtcEvent::ConsumerReplaced(Box::new(replaced)));
        }
    }

    fn forget_consumer(&mut self, session: SessionId, id: ConsumerId) -> Option<Consumer> {
        self.participants.get_mut(session)?.consuming.consumers.remove(&id)
    }

    /// What a participant was sent, or waits for, is over.
    fn consumer_over(&mut self, session: SessionId, id: ConsumerId) {
        let Some(consumer) = self.forget_consumer(session, id) else { return };
        if let State::Waiting { ticket, .. } = consumer.state {
            let why = "nobody in the room sends that any more";
            return self.answer_rtc(ticket, Err(Refusal::new(Code::UnknownProducer, why)));
        }
        self.close_at_worker(session, id);
        let closed = if consumer.is_data {
            RtcEvent::DataConsumerClosed(DataConsumerClosed { data_consumer_id: id })
        } else {
            RtcEvent::ConsumerClosed(ConsumerClosed { consumer_id: id })
        };
        self.notify(session, closed);
    }

    fn close_at_worker(&mut self, session: SessionId, id: ConsumerId) {
        let receives = self.participants.get(session).and_then(|it| it.receives.as_ref());
        if let Some((by, _)) = receives {
            self.out.push(Effect::CloseConsumer(*by, id));
        }
    }

    pub(super) fn close_consumer(&mut self, session: SessionId, id: ConsumerId) -> Result<(), Refusal> {
        let attendant = self.attendant(session)?;
        let is_former = attendant.consuming.former.remove(&id).is_some();
        let state = attendant.consuming.consumers.remove(&id).map(|consumer| consumer.state);
        match state {
            Some(State::Waiting { ticket, .. } | State::Opening { ticket: Some(ticket), .. }) => {
                let why = "the consumer was closed meanwhile";
                self.answer_rtc(ticket, Err(Refusal::new(Code::UnknownConsumer, why)));
            }
            None if !is_former => return Err(unknown()),
            _ => {}
        }
        self.close_at_worker(session, id);
        Ok(())
    }

    /// All that a participant is sent is over: so is its connection.
    pub(super) fn close_consumers(&mut self, session: SessionId) {
        let Some(attendant) = self.participants.get_mut(session) else { return };
        let consumers = std::mem::take(&mut attendant.consuming.consumers);
        attendant.consuming.former.clear();
        for consumer in consumers.into_values() {
            if let State::Waiting { ticket, .. } | State::Opening { ticket: Some(ticket), .. } =
                consumer.state
            {
                let why = "the connection was closed meanwhile";
                self.answer_rtc(ticket, Err(Refusal::new(Code::UnknownTransport, why)));
            }
        }
    }

    /// Refuses what didn't come in time.
    pub(super) fn refuse_late_consumers(&mut self, m: &Moment<'_>) {
        let join = self.config.timeouts.join;
        let mut late = Vec::new();
        for (session, attendant) in self.participants.iter() {
            for (id, consumer) in &attendant.consuming.consumers {
                match consumer.state {
                    State::Waiting { ticket, since } if m.now.saturating_duration_since(since) > join => {
                        late.push((session, *id, ticket, consumer.stream.clone()));
                    }
                    _ => {}
                }
            }
        }
        for (session, id, ticket, stream) in late {
            self.forget_consumer(session, id);
            self.out.push(Effect::Count(Figure::Consumer("timeout")));
            self.turned(&stream, &RoomError::JoinTimeout, What::ViewerRejected);
            let why = "it did not arrive from its source in time: ask again";
            self.answer_rtc(ticket, Err(Refusal::new(Code::Timeout, why)));
        }
    }

    /// Changes how a participant is sent something.
    pub(super) fn tune(
        &mut self,
        ticket: Ticket,
        session: SessionId,
        request: RtcRequest,
    ) -> Result<Option<RtcReply>, Refusal> {
        let (id, tuning) = match request {
            RtcRequest::PauseConsumer(of) => (of.consumer_id, Tuning::Pause),
            RtcRequest::ResumeConsumer(of) => (of.consumer_id, Tuning::Resume),
            RtcRequest::RequestKeyFrame(of) => (of.consumer_id, Tuning::KeyFrame),
            RtcRequest::SetPreferredLayers(set) => {
                let temporal = set.temporal_layer.unwrap_or(u8::MAX);
                (set.consumer_id, Tuning::Layers(Layers { spatial: set.spatial_layer, temporal }))
            }
            RtcRequest::SetPriority(set) if set.priority == 0 => {
                return Err(Refusal::new(Code::Malformed, "priority: from 1 to 255"));
            }
            RtcRequest::SetPriority(set) => (set.consumer_id, Tuning::Priority(set.priority)),
            other => {
                let why = format!("{} is not asked of a consumer", other.name());
                return Err(Refusal::new(Code::Malformed, why));
            }
        };
        let attendant = self.attendant(session)?;
        let by = attendant.receives.as_ref().map(|(by, _)| *by).ok_or_else(unknown)?;
        let id = attendant.consuming.latest(id);
        let consumer = attendant.consuming.consumers.get_mut(&id).ok_or_else(unknown)?;
        match tuning {
            Tuning::Pause => consumer.paused = true,
            Tuning::Resume => consumer.paused = false,
            Tuning::Layers(layers) => consumer.layers = Some(layers),
            Tuning::Priority(priority) => consumer.priority = Some(priority),
            Tuning::KeyFrame => {}
        }
        self.out.push(Effect::Tune(ticket, by, id, tuning));
        Ok(None)
    }

    /// Whose consumer it is, on this connection.
    fn receiver(&self, by: SessionId, id: ConsumerId) -> Option<SessionId> {
        let mut all = self.participants.iter();
        let (session, attendant) =
            all.find(|(_, it)| it.receives.as_ref().is_some_and(|(own, _)| *own == by))?;
        attendant.consuming.consumers.contains_key(&id).then_some(session)
    }

    pub(super) fn layers_changed(&mut self, by: SessionId, id: ConsumerId, layers: Option<Layers>) {
        let Some(session) = self.receiver(by, id) else { return };
        let changed = LayersChanged {
            consumer_id: id,
            spatial_layer: layers.map(|layers| layers.spatial),
            temporal_layer: layers.map(|layers| layers.temporal),
        };
        self.notify(session, RtcEvent::LayersChanged(changed));
    }

    pub(super) fn scored(&mut self, by: SessionId, id: ConsumerId, score: u8) {
        if let Some(session) = self.receiver(by, id) {
            let score = Score { consumer_id: Some(id), producer_id: None, score };
            self.notify(session, RtcEvent::Score(score));
        }
    }

    pub(super) fn stats(
        &mut self,
        ticket: Ticket,
        session: SessionId,
        of: GetStats,
    ) -> Result<Option<RtcReply>, Refusal> {
        let attendant = self.attendant(session)?;
        let by = attendant.receives.as_ref().map(|(by, _)| *by);
        let is_own = of.transport_id.is_none_or(|id| id == session || Some(id) == by);
        if !is_own {
            let why = "the session has no such connection (any more)";
            return Err(Refusal::new(Code::UnknownTransport, why));
        }
        self.out.push(Effect::Stats(ticket, session, by, of));
        Ok(None)
    }

    /// A worker has told its figures.
    pub(super) fn counted(&mut self, ticket: Ticket, result: Result<Vec<Value>, MediaError>) {
        let stats = result.map(|stats| RtcReply::Stats(Stats { stats }));
        self.answer_rtc(ticket, stats.map_err(|error| refusal(&error)));
    }
}

fn unknown() -> Refusal {
    Refusal::new(Code::UnknownConsumer, "the session has no such consumer (any more)")
}
