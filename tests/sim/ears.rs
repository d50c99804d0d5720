//! Those who watch as participants: they enter by the session API under a name of their own, send nothing, and are sent
//! one kind of what a publisher sends. So parts of streams go over pipes that others want whole.

use std::collections::BTreeMap;

use headwater::protocol::ids::{ConsumerId, ProducerId, RoomId, SessionId};
use headwater::protocol::media::{MediaError, Receive};
use headwater::protocol::rtc::{
    Consume, ConsumeData, Consumed, ConsumerKind, CreateWebRtcTransport, DataConsumed, Direction, May,
    Nothing, RtcEvent, RtcReply, RtcRequest,
};
use headwater::protocol::rtp::{RtpCapabilities, SctpStreamParameters};
use headwater::room::Entrance;
use headwater::room::core::{Input, Pass};

use crate::media::RoomMedia;
use crate::room::{Knock, Waiting};
use crate::users::{ClientId, Epoch, Where};
use crate::world::{At, Pid, World};

/// How often its application server says that it is there, and asks again for what it was refused.
const PING: At = At::from_secs(2);
const AGAIN: At = At::from_secs(1);
/// How long it waits for an answer.
const PATIENCE: At = At::from_secs(10);

/// What a participant has of its session.
#[derive(Debug, Default)]
pub struct Session {
    pinged: At,
    /// Its connection, once it is open; and when it was asked for.
    by: Option<SessionId>,
    asked: Option<At>,
    /// What it is sent of each producer; where that is nothing, when it asks again.
    consumers: BTreeMap<ProducerId, (Option<ConsumerId>, At)>,
}

/// What is sent on a participant's connection.
#[derive(Debug)]
pub struct Receiver {
    pub client: ClientId,
    pub session: SessionId,
    pub consumers: BTreeMap<ConsumerId, ProducerId>,
}

impl World {
    /// A participant's request to enter.
    pub fn entrance(&self, id: ClientId, epoch: Epoch, session: SessionId) -> Knock {
        let may = May { publish: false, subscribe: true, moderate: false };
        let name = format!("ear-{id}").parse().unwrap();
        let entrance = Entrance { session, name, app_data: Default::default(), may, pass: Pass::default() };
        Knock::Enter(entrance, id, epoch)
    }

    /// It was let in; whether it is still there.
    pub fn entered(&mut self, id: ClientId, epoch: Epoch, pid: Pid, life: u64, session: SessionId) -> bool {
        let now = self.now;
        let client = &mut self.clients[id];
        if client.epoch != epoch || !client.wants {
            return false;
        }
        client.epoch += 1;
        client.state = Where::Up(pid, life, session);
        client.session = Session { pinged: now, ..Session::default() };
        true
    }

    /// Participants go on with what they are at.
    pub fn listen(&mut self) {
        for id in 0..self.clients.len() {
            let client = &self.clients[id];
            let (Some(kind), Where::Up(pid, life, session)) = (client.ear, client.state.clone()) else {
                continue;
            };
            if !self.nodes[pid].alive || self.nodes[pid].frozen {
                continue;
            }
            let (room, now) = (client.room.clone(), self.now);
            let stream = (room.clone(), client.stream.clone());
            let sent = self.truth.live(&stream).flat_map(|own| &own.sends);
            let wanted: Vec<_> = sent.filter(|(_, codec)| codec.kind() == kind).map(|(id, _)| *id).collect();
            let own = &mut self.clients[id].session;
            let mut asks = Vec::new();
            if now - own.pinged >= PING {
                own.pinged = now;
                asks.push((Waiting::Nobody, RtcRequest::Ping(Nothing {})));
            }
            if own.by.is_none() && own.asked.is_none_or(|at| now - at > PATIENCE) {
                own.asked = Some(now);
                let create = CreateWebRtcTransport { direction: Direction::Recv, sctp: true };
                asks.push((Waiting::Link(id, session), RtcRequest::CreateWebRtcTransport(create)));
            }
            for producer_id in wanted.into_iter().filter(|_| own.by.is_some()) {
                let asked = own.consumers.get(&producer_id);
                if asked.is_some_and(|(consumer, again)| consumer.is_some() || now < *again) {
                    continue;
                }
                own.consumers.insert(producer_id, (None, now + PATIENCE));
                let rtp_capabilities = Some(RtpCapabilities::default());
                let consume = if kind.is_data() {
                    RtcRequest::ConsumeData(ConsumeData { data_producer_id: producer_id })
                } else {
                    RtcRequest::Consume(Consume { producer_id, rtp_capabilities, paused: false })
                };
                asks.push((Waiting::Consumer(id, session, producer_id), consume));
            }
            for (waiting, request) in asks {
                self.ask_rtc(pid, &room, life, session, waiting, request);
            }
        }
    }

    fn ask_rtc(
        &mut self,
        pid: Pid,
        room: &RoomId,
        life: u64,
        session: SessionId,
        waiting: Waiting,
        request: RtcRequest,
    ) {
        let Some(ticket) = self.ticket_for(pid, room, life, waiting) else { return };
        self.input(pid, room, Some(life), Input::Rtc(ticket, session, Box::new(request)));
    }

    /// It says that it leaves.
    pub fn leaves(&mut self, pid: Pid, room: &RoomId, life: u64, session: SessionId) {
        self.ask_rtc(pid, room, life, session, Waiting::Nobody, RtcRequest::Leave(Nothing {}));
    }

    /// Its connection is open.
    pub fn linked(&mut self, id: ClientId, session: SessionId, reply: Option<&RtcReply>) {
        if let Some(own) = self.session_of(id, session)
            && let Some(RtcReply::Transport(transport)) = reply
        {
            own.by = Some(transport.id);
        }
    }

    /// What it asked to be sent is sent, or not.
    pub fn consumes(&mut self, id: ClientId, session: SessionId, of: ProducerId, reply: Option<&RtcReply>) {
        let now = self.now;
        let Some(own) = self.session_of(id, session) else { return };
        let consumer = match reply {
            Some(RtcReply::Consumed(consumed)) => Some(consumed.id),
            Some(RtcReply::DataConsumed(consumed)) => Some(consumed.id),
            _ => None,
        };
        own.consumers.insert(of, (consumer, now + AGAIN));
    }

    fn session_of(&mut self, id: ClientId, session: SessionId) -> Option<&mut Session> {
        let client = &mut self.clients[id];
        client.has(session).then_some(&mut client.session)
    }

    /// It is told something.
    pub fn notified(&mut self, session: SessionId, event: &RtcEvent) {
        let Some(id) = self.clients.iter().position(|client| client.ear.is_some() && client.has(session))
        else {
            return;
        };
        let own = &mut self.clients[id].session;
        match event {
            RtcEvent::ConsumerClosed(closed) => {
                own.consumers.retain(|_, (consumer, _)| *consumer != Some(closed.consumer_id));
            }
            RtcEvent::DataConsumerClosed(closed) => {
                own.consumers.retain(|_, (consumer, _)| *consumer != Some(closed.data_consumer_id));
            }
            RtcEvent::ConsumerReplaced(replaced) => {
                let has = |(consumer, _): &(Option<ConsumerId>, At)| *consumer == Some(replaced.consumer_id);
                if !own.consumers.values().any(has) {
                    let why = format!("ear-{id} was never told of consumer {}", replaced.consumer_id);
                    return self.breaks("replaced", why);
                }
                own.consumers.insert(replaced.by.producer_id, (Some(replaced.by.id), At::ZERO));
            }
            RtcEvent::SessionEnded(_) => self.cut_off(id, session),
            _ => {}
        }
    }

    /// Opens a participant's connection.
    pub fn open_receiver(&mut self, media: &mut RoomMedia, session: SessionId, by: SessionId) {
        if let Some(client) = self.clients.iter().position(|client| client.has(session)) {
            media.receivers.insert(by, Receiver { client, session, consumers: BTreeMap::new() });
        }
    }
}

impl RoomMedia {
    /// Sends a participant something.
    pub fn consume(&mut self, receive: &Receive) -> Result<RtcReply, MediaError> {
        self.alive()?;
        let (codec, producer_paused) =
            self.producer(receive.producer.id).ok_or(MediaError::UnknownProducer)?;
        let receiver = self.receivers.get_mut(&receive.by).ok_or(MediaError::UnknownSession)?;
        receiver.consumers.insert(receive.consumer, receive.producer.id);
        let Some(kind) = codec.kind().media() else {
            return Ok(RtcReply::DataConsumed(Box::new(DataConsumed {
                id: receive.consumer,
                data_producer_id: receive.producer.id,
                participant: "nobody".parse().unwrap(),
                sctp_stream_parameters: SctpStreamParameters::new_ordered(1),
                label: String::new(),
                protocol: String::new(),
                app_data: Default::default(),
            })));
        };
        Ok(RtcReply::Consumed(Box::new(Consumed {
            id: receive.consumer,
            producer_id: receive.producer.id,
            participant: "nobody".parse().unwrap(),
            kind,
            rtp_parameters: codec.parameters(1),
            r#type: ConsumerKind::Simple,
            producer_paused,
            label: String::new(),
            app_data: Default::default(),
        })))
    }
}
