//! A node's rooms: the door to them, the loop around each core, and carrying out what it wants. What
//! `room/{door,task,carry,replies}.rs` do with tasks, this does with one call after the other.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use headwater::fleet;
use headwater::protocol::claim::EndReason;
use headwater::protocol::ids::{PipeId, ProducerId, PublicationId, RoomId, RouterId, SessionId, StreamName};
use headwater::protocol::origin::{OriginReply, OriginRequest};
use headwater::protocol::refusal::{Code, Refusal};
use headwater::room::core::{
    Answer, Core, Done, Effect, Input, Mint, Moment, PublishRequest, Rhythm, Ticket, WatchRequest,
};
use headwater::room::{Entrance, RoomError};
use headwater::telemetry::Trace;
use uuid::Uuid;

use crate::bus::{CallId, Question, Replied};
use crate::dice::mint;
use crate::media::RoomMedia;
use crate::telling;
use crate::users::{ClientId, Epoch};
use crate::world::{At, Event, Pid, World};

/// Nobody waits longer than this for an answer: a viewer for the join's patience, another node for its call's.
const WAITS: Duration = Duration::from_secs(20);

/// An open room.
pub struct Room {
    pub core: Core,
    /// Which life of the room on its node it is: what was meant for a former one is lost.
    pub life: u64,
    pub media: RoomMedia,
    mint: Mint,
    waiting: BTreeMap<Ticket, (At, Waiting)>,
    last_ticket: u64,
    rhythm: Rhythm,
    /// When it is looked at next.
    looks_at: At,
    /// Of which streams only so much was last asked for of a pipe.
    pub asked: BTreeMap<PipeId, BTreeMap<StreamName, BTreeSet<ProducerId>>>,
}

/// Who waits for an answer.
#[derive(Debug, Clone)]
pub enum Waiting {
    Client(ClientId, Epoch, SessionId),
    Edge(CallId),
    Origin(CallId),
    /// A participant, for its connection and for what it is to be sent.
    Link(ClientId, SessionId),
    Consumer(ClientId, SessionId, ProducerId),
    Nobody,
}

/// A request that may open a room.
pub enum Knock {
    Publish(PublishRequest, ClientId, Epoch),
    Watch(WatchRequest, ClientId, Epoch),
    Enter(Entrance, ClientId, Epoch),
    Remote(CallId, Question),
    /// The room is pushed here.
    Carry,
}

impl Room {
    fn ticket(&mut self, at: At, waiting: Waiting) -> Ticket {
        self.last_ticket += 1;
        self.waiting.insert(Ticket(self.last_ticket), (at, waiting));
        Ticket(self.last_ticket)
    }

    /// Who has waited for longer than anybody should.
    pub fn forgotten(&self, now: At) -> usize {
        self.waiting.values().filter(|(since, _)| now.saturating_sub(*since) > WAITS).count()
    }

    pub fn waiting(&self) -> usize {
        self.waiting.len()
    }
}

impl World {
    /// Another node's request about a room.
    pub fn remote(&mut self, pid: Pid, call: CallId, question: Question) {
        let room = match &question {
            Question::Edge(_, request) => request.room().clone(),
            Question::Origin(_, request) => request.room().clone(),
            Question::Claims(_) => return,
        };
        self.knock(pid, &room, Knock::Remote(call, question));
    }

    /// Brings a request to its room, which is opened for it where that makes sense.
    pub fn knock(&mut self, pid: Pid, room: &RoomId, knock: Knock) {
        let opens = !matches!(&knock, Knock::Remote(_, Question::Edge(..)));
        let node = &self.nodes[pid];
        if !node.rooms.contains_key(room) {
            if node.stopping || !opens {
                return self.turn_away(pid, knock, RoomError::NoSession);
            }
            if let Some(error) = self.open(pid, room, &knock) {
                return self.turn_away(pid, knock, error);
            }
        }
        let now = self.now;
        let Some(Some(open)) = self.nodes[pid].rooms.get_mut(room) else { return };
        let input = match knock {
            Knock::Publish(request, client, epoch) => {
                let ticket = open.ticket(now, Waiting::Client(client, epoch, request.session));
                Input::Publish(ticket, request)
            }
            Knock::Watch(request, client, epoch) => {
                let ticket = open.ticket(now, Waiting::Client(client, epoch, request.session));
                Input::Watch(ticket, request)
            }
            Knock::Enter(entrance, client, epoch) => {
                let ticket = open.ticket(now, Waiting::Client(client, epoch, entrance.session));
                Input::Enter(ticket, entrance)
            }
            Knock::Remote(call, Question::Edge(_, request)) => {
                Input::Edge(open.ticket(now, Waiting::Edge(call)), request)
            }
            Knock::Remote(call, Question::Origin(_, request)) => {
                let ticket = open.ticket(now, Waiting::Origin(call));
                match request {
                    OriginRequest::Join(join) => Input::Join(ticket, join, trace()),
                    OriginRequest::Leave(leave) => Input::Leave(ticket, leave),
                }
            }
            Knock::Remote(_, Question::Claims(_)) => return,
            Knock::Carry => Input::Look(None),
        };
        self.input(pid, room, None, input);
    }

    /// Opens a room, unless what it would be opened for has nothing to do here.
    fn open(&mut self, pid: Pid, id: &RoomId, knock: &Knock) -> Option<RoomError> {
        self.member(pid, fleet::Input::Follow(id.clone()));
        let (now, wall) = (self.instant(), self.wall(self.nodes[pid].mid));
        let number = self.dice.wide();
        let router = RouterId(self.dice.id());
        let eyes = &self.nodes[self.eyes(pid)];
        let (fleet, known) = (Arc::clone(&eyes.view), eyes.membership.known(id));
        let node = &mut self.nodes[pid];
        let config = self.machines[node.mid].config.clone();
        let mut core = Core::new(id.clone(), node.me.clone(), RouterId(Uuid::nil()), config, now);
        for notice in known {
            let publications = notice.claims.iter().map(|claim| claim.publication).collect();
            self.truth.knows(pid, id, &notice.stream, publications);
            core.learn(notice);
        }
        let mut mint = Mint::new(number, mint);
        let (draining, log) = (node.is_draining(), node.log);
        let m = Moment { now, wall, fleet: &fleet, draining, log, mint: &mut mint };
        let refused = match knock {
            Knock::Watch(request, ..) => core.may_watch(&request.stream, &m).err(),
            Knock::Remote(_, Question::Origin(_, request)) => {
                (!core.may_be_asked(request, &m)).then_some(RoomError::NoStream)
            }
            _ => None,
        };
        if refused.is_some() {
            self.member(pid, fleet::Input::Unfollow(id.clone()));
            return refused;
        }
        core.has_router(router);
        node.lives += 1;
        let life = node.lives;
        let (media, waiting) = (RoomMedia::default(), BTreeMap::new());
        let room = Room {
            core,
            life,
            media,
            mint,
            waiting,
            last_ticket: 0,
            rhythm: Rhythm::default(),
            looks_at: self.now,
            asked: BTreeMap::new(),
        };
        node.rooms.insert(id.clone(), Some(Box::new(room)));
        self.tell(|| format!("{} opens room {id}", self.nodes[pid].name()));
        self.later(Duration::ZERO, Event::Look(pid, id.clone(), life));
        None
    }

    fn turn_away(&mut self, pid: Pid, knock: Knock, error: RoomError) {
        match knock {
            Knock::Remote(call, _) => {
                let refusal = Refusal::new(Code::UnknownRoom, "this node does not carry that room");
                self.reply(pid, call, Err(refusal));
            }
            Knock::Publish(_, client, epoch)
            | Knock::Watch(_, client, epoch)
            | Knock::Enter(_, client, epoch) => {
                self.refused(client, epoch, &error);
            }
            Knock::Carry => {}
        }
    }

    /// A room handles an input, and all that follows from carrying out what it leads to. With a life, only
    /// that life of the room does.
    pub fn input(&mut self, pid: Pid, id: &RoomId, life: Option<u64>, input: Input) {
        let Some(place) = self.nodes[pid].rooms.get_mut(id) else { return };
        if life.is_some_and(|life| place.as_ref().is_some_and(|room| room.life != life)) {
            return;
        }
        let mut room = place.take().expect("a room handles one input at a time");
        let (now, wall) = (self.instant(), self.wall(self.nodes[pid].mid));
        let mut inputs = std::mem::take(&mut self.inputs);
        inputs.push_back(input);
        while let Some(input) = inputs.pop_front() {
            self.count(pid);
            let node = &self.nodes[pid];
            let (draining, log) = (node.is_draining(), node.log);
            let fleet = Arc::clone(&self.nodes[self.eyes(pid)].view);
            let mint = &mut room.mint;
            let said = if self.tells { telling::input(&input) } else { None };
            room.media.note(&input);
            let effects =
                room.core.handle(input, &mut Moment { now, wall, fleet: &fleet, draining, log, mint });
            self.foresee(pid, id, &effects);
            self.tell_effects(pid, id, &said, &effects);
            for effect in effects {
                inputs.extend(self.carry(pid, id, &mut room, effect));
            }
            if self.broken.is_some() {
                break;
            }
        }
        self.inputs = inputs;
        let life = room.life;
        if let Some(place) = self.nodes[pid].rooms.get_mut(id) {
            *place = Some(room);
        }
        self.looks_soon(pid, id, life);
    }

    /// What has come into a room may bring its next look forward.
    fn looks_soon(&mut self, pid: Pid, id: &RoomId, life: u64) {
        let (at, now) = (self.now, self.instant());
        let Some(Some(room)) = self.nodes[pid].rooms.get_mut(id) else { return };
        let next = at + room.rhythm.next(&room.core, now).saturating_duration_since(now);
        if next < room.looks_at {
            room.looks_at = next;
            self.later(next - at, Event::Look(pid, id.clone(), life));
        }
    }

    /// A ticket that nobody waits for.
    pub fn ticket(&mut self, pid: Pid, id: &RoomId) -> Option<Ticket> {
        let now = self.now;
        let room = self.nodes[pid].rooms.get_mut(id)?.as_mut()?;
        Some(room.ticket(now, Waiting::Nobody))
    }

    /// A ticket for who waits, in that life of the room.
    pub fn ticket_for(&mut self, pid: Pid, id: &RoomId, life: u64, waiting: Waiting) -> Option<Ticket> {
        let now = self.now;
        let room = self.nodes[pid].rooms.get_mut(id)?.as_mut().filter(|room| room.life == life)?;
        Some(room.ticket(now, waiting))
    }

    pub fn look(&mut self, pid: Pid, id: &RoomId, life: u64) {
        let (at, now) = (self.now, self.instant());
        let Some(Some(room)) = self.nodes[pid].rooms.get_mut(id) else { return };
        // One that was brought forward takes the place of the one after it.
        if room.life != life || at < room.looks_at {
            return;
        }
        room.looks_at = At::MAX;
        let look = room.rhythm.look(&room.core, now);
        let mut gone = Vec::new();
        for (ticket, (_, waiting)) in &room.waiting {
            if let Waiting::Client(client, epoch, _) = waiting
                && self.clients[*client].epoch != *epoch
            {
                gone.push(*ticket);
            }
        }
        gone.iter().for_each(|ticket| _ = room.waiting.remove(ticket));
        let mut inputs: Vec<Input> = gone.into_iter().map(Input::HungUp).collect();
        if look.sessions {
            let up =
                |(session, up)| if up { Input::Connected(session) } else { Input::Disconnected(session) };
            let changed = |(session, up): &(_, bool)| *up != room.core.is_connected(*session);
            inputs.extend(room.media.connections().into_iter().filter(changed).map(up));
        }
        inputs.push(Input::Look(look.measures.then(|| room.media.measure())));
        for input in inputs {
            self.input(pid, id, Some(life), input);
        }
        let now = self.instant();
        let Some(Some(room)) = self.nodes[pid].rooms.get_mut(id) else { return };
        if room.core.is_over(now) {
            return self.close(pid, id);
        }
        self.looks_soon(pid, id, life);
    }

    fn close(&mut self, pid: Pid, id: &RoomId) {
        let Some(Some(room)) = self.nodes[pid].rooms.remove(id) else { return };
        self.tell(|| format!("{} closes room {id}", self.nodes[pid].name()));
        let closed = room.core.closed(self.instant());
        self.member(pid, fleet::Input::Unfollow(id.clone()));
        self.record(pid, id, closed);
        // Whoever still waited is answered as by a room that is not there.
        for (_, waiting) in room.waiting.into_values() {
            match waiting {
                Waiting::Edge(call) | Waiting::Origin(call) => {
                    self.reply(
                        pid,
                        call,
                        Err(Refusal::new(Code::Busy, "the inbox is full; ask again shortly")),
                    );
                }
                Waiting::Client(client, epoch, _) => self.refused(client, epoch, &RoomError::Stopped),
                Waiting::Nobody | Waiting::Link(..) | Waiting::Consumer(..) => {}
            }
        }
        for (client, session) in room.media.clients() {
            self.cut_off(client, session);
        }
    }

    /// The room's mailbox keeps but the newest notice of a stream.
    pub fn noticed(&mut self, pid: Pid, id: &RoomId, stream: &StreamName) {
        let Some(notice) = self.nodes[pid].membership.look_up(id, stream) else { return };
        let publications: Vec<PublicationId> = notice.claims.iter().map(|claim| claim.publication).collect();
        self.truth.knows(pid, id, &notice.stream, publications);
        self.input(pid, id, None, Input::Notice(notice));
    }

    /// A worker dies, and all of a room's media with it.
    pub fn worker_dies(&mut self, pid: Pid, id: &RoomId) {
        let Some(Some(room)) = self.nodes[pid].rooms.get_mut(id) else { return };
        room.media.dead = true;
        let clients = room.media.clients();
        for (client, session) in clients {
            self.cut_off(client, session);
        }
        self.input(pid, id, None, Input::Stop(EndReason::Media));
    }

    /// Carries out one effect; what came of it at once is the core's next input.
    fn carry(&mut self, pid: Pid, id: &RoomId, room: &mut Room, effect: Effect) -> Option<Input> {
        let life = (id.clone(), room.life);
        match effect {
            Effect::Offer(offer) => self.job_offer(pid, life, *offer),
            Effect::Tell(tell) => self.job_tell(pid, life, *tell),
            Effect::TellClosed(to, close) => self.job_closed(pid, to, close),
            Effect::Join(to, join, _) => {
                room.asked.extend(join.pipe.as_ref().map(|pipe| (pipe.pipe_id, join.only.clone())));
                self.job_join(pid, life, to, join);
            }
            Effect::Leave(to, leave) => self.job_leave(pid, life, to, leave),
            Effect::Claim(claim) => {
                self.claimed(pid, &claim);
                self.member(pid, fleet::Input::Own(*claim));
            }
            Effect::Answer(ticket, answer) => return self.answer(pid, room, ticket, answer),
            Effect::Record(what) => {
                self.witness(pid, id, room, &what);
                self.record(pid, id, what);
            }
            Effect::RecordOften(_, what) => self.record(pid, id, what),
            Effect::Summarize(summary, _) => {
                self.record(pid, id, headwater::protocol::event::What::RoomSummary(summary));
            }
            Effect::Seat(session) => return Some(Input::Done(Done::Seated(session, true))),
            Effect::Notify(session, event) => self.notified(session, &event),
            Effect::Deafen(_) | Effect::MeasureLevels(_) | Effect::HearLevels(_) | Effect::SayLevels(_) => {}
            Effect::Inspect(..) | Effect::Release(_) | Effect::LimitHit(_) | Effect::Count(_) => {}
            media => return self.carry_media(pid, id, room, media).map(Input::Done),
        }
        None
    }

    fn answer(&mut self, pid: Pid, room: &mut Room, ticket: Ticket, answer: Answer) -> Option<Input> {
        let (_, waiting) = room.waiting.remove(&ticket)?;
        match (waiting, answer) {
            (Waiting::Client(client, epoch, session), Answer::Published(_) | Answer::Watching(..)) => {
                let gone = !self.accepted(client, epoch, pid, room.life, session);
                return gone.then_some(Input::Disconnected(session));
            }
            (Waiting::Client(client, epoch, _), Answer::Refused(error)) => {
                self.refused(client, epoch, &error)
            }
            (Waiting::Edge(call), Answer::Edge(result)) => self.reply(pid, call, result.map(Replied::Edge)),
            (Waiting::Origin(call), Answer::Joined(result)) => {
                let reply = result.map(|joined| Replied::Origin(OriginReply::Joined(joined)));
                self.reply(pid, call, reply);
            }
            (Waiting::Origin(call), Answer::Left) => {
                let done = OriginReply::Done(headwater::protocol::edge::Done {});
                self.reply(pid, call, Ok(Replied::Origin(done)));
            }
            (Waiting::Client(client, epoch, session), Answer::Rtc(result)) => match result {
                Ok(_) => {
                    let gone = !self.entered(client, epoch, pid, room.life, session);
                    return gone.then_some(Input::Gone(session));
                }
                Err(_) => self.refused(client, epoch, &RoomError::Busy),
            },
            (Waiting::Link(client, session), Answer::Rtc(result)) => {
                self.linked(client, session, result.ok().as_ref());
            }
            (Waiting::Consumer(client, session, of), Answer::Rtc(result)) => {
                self.consumes(client, session, of, result.ok().as_ref());
            }
            (Waiting::Nobody, _) => {}
            (waiting, answer) => self.breaks("bounded", format!("{waiting:?} was answered {answer:?}")),
        }
        None
    }

    fn carry_media(&mut self, pid: Pid, id: &RoomId, room: &mut Room, effect: Effect) -> Option<Done> {
        self.cut_by(pid, id, room, &effect);
        let mid = self.nodes[pid].mid;
        Some(match effect {
            Effect::OpenUplink(request) => {
                let client = room.waiting.values().find_map(|(_, waiting)| match waiting {
                    Waiting::Client(client, _, session) if *session == request.session => Some(*client),
                    _ => None,
                })?;
                let result = self.open_uplink(&mut room.media, request.session, client);
                Done::UplinkOpened(request.session, result)
            }
            Effect::OpenViewer(request, producers) => {
                let client = room.waiting.values().find_map(|(_, waiting)| match waiting {
                    Waiting::Client(client, _, session) if *session == request.session => Some(*client),
                    _ => None,
                })?;
                Done::ViewerOpened(request.session, room.media.watch(request.session, client, &producers))
            }
            Effect::ShowViewer(session, producers) => {
                let result = room.media.show(session, &producers);
                Done::ViewerShown(session, producers.iter().map(|producer| producer.id).collect(), result)
            }
            Effect::CloseViewer(session) => {
                let closed = room.media.viewers.remove(&session);
                if let Some(viewer) = &closed {
                    self.cut_off(viewer.client, session);
                }
                Done::ViewerClosed(session, closed.map_or(0, |viewer| viewer.bytes))
            }
            Effect::CloseUplink(session) => {
                if let Some(client) = room.media.unpublish(session) {
                    self.cut_off(client, session);
                }
                return None;
            }
            Effect::SetPaused(ticket, stream, ids, paused) => {
                let mut result = Ok(());
                for producer in &ids {
                    result = result.and(room.media.set_paused(*producer, paused));
                }
                Done::Paused(ticket, stream, ids, paused, result)
            }
            Effect::OpenReceiving(ticket, session, by, _) => {
                self.open_receiver(&mut room.media, session, by);
                Done::LinkOpened(ticket, session, by, Ok(crate::media::transport(by)))
            }
            Effect::CloseReceiving(by) => {
                room.media.receivers.remove(&by);
                return None;
            }
            Effect::Consume(session, receive) => {
                Done::Consumed(session, receive.by, receive.consumer, room.media.consume(&receive))
            }
            Effect::CloseConsumer(by, consumer) => {
                if let Some(receiver) = room.media.receivers.get_mut(&by) {
                    receiver.consumers.remove(&consumer);
                }
                return None;
            }
            Effect::OpenOutlet(token, pipe) => {
                let end = self.pipe_end(mid, pid, id, room, pipe);
                Done::OutletOpened(token, pipe, room.media.open_outlet(pipe, end))
            }
            Effect::Send(token, pipe, to, producers) => {
                let connected = to.map_or(Ok(()), |to| room.media.connect_outlet(pipe, &to));
                let sent = producers.into_iter().map(|producer| (producer, room.media.send(pipe, producer)));
                Done::Sending(token, pipe, connected, sent.collect())
            }
            Effect::StopSending(pipe, producer) => {
                if let Some(outlet) = room.media.outlets.get_mut(&pipe) {
                    outlet.sends.remove(&producer);
                }
                return None;
            }
            Effect::CloseOutlet(pipe) => {
                room.media.outlets.remove(&pipe);
                return None;
            }
            Effect::OpenInlet(ticket, pipe, _, _) => {
                let end = self.pipe_end(mid, pid, id, room, pipe);
                Done::InletOpened(ticket, pipe, room.media.open_inlet(pipe, end))
            }
            Effect::ConnectInlet(ticket, pipe, to) => {
                Done::InletConnected(ticket, pipe, room.media.connect_inlet(pipe, &to))
            }
            Effect::Receive(ticket, request) => {
                let result = room.media.receive(&request, &self.machines[mid].codecs);
                Done::Received(ticket, request, result)
            }
            Effect::Switch(pipe, ids) => {
                room.media.switch(pipe, &ids);
                return None;
            }
            Effect::StopReceiving(pipe, producer) => {
                room.media.stop_receiving(pipe, producer);
                return None;
            }
            Effect::CloseInlet(pipe) => {
                room.media.close_inlet(pipe);
                return None;
            }
            other => {
                self.breaks("bounded", format!("an effect that is no one's matter: {other:?}"));
                return None;
            }
        })
    }
}

pub fn trace() -> Trace {
    const TRACE: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    TRACE.parse().expect("a trace")
}
