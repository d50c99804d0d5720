//! Those who publish and watch: they come, are let in or turned away, try again, connect, and go.

use std::collections::BTreeMap;
use std::time::Duration;

use headwater::protocol::data::ProducerKind;
use headwater::protocol::ids::{ProducerId, RoomId, SessionId, StreamName};
use headwater::protocol::media::{MediaError, ProducerInfo, TransportInfo};
use headwater::protocol::presence::Role;
use headwater::room::RoomError;
use headwater::room::core::{Input, Pass, PublishRequest, WatchRequest};

use crate::ears;
use crate::media::{Codec, OfKind, Produced, RoomMedia, dtls};
use crate::plan;
use crate::room::Knock;
use crate::world::{At, Event, Mid, Pid, World};

pub type ClientId = usize;
/// Which of a client's attempts it is: what was meant for a former one is passed over.
pub type Epoch = u64;

/// How long a client waits for an answer.
const PATIENCE: Duration = Duration::from_secs(10);
const RETRY: Duration = Duration::from_secs(1);

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Where {
    Away,
    /// It will try.
    Pausing,
    /// It waits for an answer.
    Asking(Option<Pid>),
    Connecting(Pid, u64, SessionId),
    Up(Pid, u64, SessionId),
}

/// One who publishes or watches.
#[derive(Debug)]
pub struct Client {
    pub publishes: bool,
    /// What it is sent as a participant; none of who watches all of a stream by WHEP.
    pub ear: Option<ProducerKind>,
    pub session: ears::Session,
    pub room: RoomId,
    pub stream: StreamName,
    /// Where it goes first; elsewhere if it isn't let in there.
    pub machine: Mid,
    pub codecs: Vec<Codec>,
    /// Whether a publisher that was replaced or cut off comes back by itself.
    pub returns: bool,
    pub muted: bool,
    pub wants: bool,
    pub state: Where,
    pub epoch: Epoch,
    /// Since when it wants what it wants, on a node that is there.
    pub since: At,
    /// Since when a publisher sends.
    pub sends_since: At,
    /// What a viewer got last.
    pub got: OfKind<(ProducerId, At)>,
}

impl Client {
    /// Those of a plan; who is in the same room has its name in common.
    pub fn all(plans: &[plan::Client]) -> Vec<Self> {
        let (mut rooms, mut streams) = (BTreeMap::new(), BTreeMap::new());
        let mut clients = Vec::new();
        for plan in plans {
            let room: &RoomId = rooms.entry(&plan.room).or_insert_with(|| plan.room.parse().unwrap());
            let stream: &StreamName =
                streams.entry(&plan.stream).or_insert_with(|| plan.stream.parse().unwrap());
            clients.push(Self::new(plan, room.clone(), stream.clone()));
        }
        clients
    }

    fn new(plan: &plan::Client, room: RoomId, stream: StreamName) -> Self {
        Self {
            publishes: plan.publishes,
            ear: plan.ear,
            session: ears::Session::default(),
            room,
            stream,
            machine: plan.machine,
            codecs: plan.codecs.clone(),
            returns: plan.returns,
            muted: false,
            wants: false,
            state: Where::Away,
            epoch: 0,
            since: Duration::ZERO,
            sends_since: Duration::ZERO,
            got: OfKind::default(),
        }
    }

    pub fn is_up(&self) -> bool {
        matches!(self.state, Where::Up(..))
    }

    /// Whether this is the session that it has.
    pub fn has(&self, session: SessionId) -> bool {
        matches!(self.state, Where::Up(_, _, own) if own == session)
    }

    pub fn pid(&self) -> Option<Pid> {
        match self.state {
            Where::Asking(pid) => pid,
            Where::Connecting(pid, ..) | Where::Up(pid, ..) => Some(pid),
            Where::Away | Where::Pausing => None,
        }
    }

    pub fn is_at(&self, pid: Pid) -> bool {
        self.pid() == Some(pid)
    }

    pub fn gets(&mut self, kind: ProducerKind, producer: ProducerId, now: At) {
        self.got.insert(kind, (producer, now));
    }
}

impl World {
    pub fn comes(&mut self, id: ClientId) {
        let now = self.now;
        let client = &mut self.clients[id];
        if client.wants {
            return;
        }
        (client.wants, client.since, client.muted) = (true, now, false);
        self.try_after(id, Duration::ZERO);
    }

    /// A client goes: it says so, or just vanishes.
    pub fn goes(&mut self, id: ClientId, politely: bool) {
        let client = &mut self.clients[id];
        client.wants = false;
        let (state, room) = (client.state.clone(), client.room.clone());
        client.state = Where::Away;
        client.epoch += 1;
        if let Where::Up(pid, life, session) | Where::Connecting(pid, life, session) = state {
            if self.clients[id].ear.is_some() {
                // One that just vanishes is silent from now on.
                if politely && self.nodes[pid].alive && !self.nodes[pid].frozen {
                    self.leaves(pid, &room, life, session);
                }
            } else if politely {
                let after = self.dice.millis(2, 40);
                self.later(after, Event::Ends(pid, room, session, id));
            } else {
                self.vanish_after(pid, room, life, session);
            }
        }
    }

    /// The server finds out: by the farewell of its DTLS, or because nothing arrives any more.
    fn vanish_after(&mut self, pid: Pid, room: RoomId, life: u64, session: SessionId) {
        if self.dice.chance(70) {
            let after = self.dice.millis(10, 100);
            self.later(after, Event::Vanishes(pid, room, life, session));
        }
    }

    fn try_after(&mut self, id: ClientId, after: Duration) {
        let client = &mut self.clients[id];
        client.epoch += 1;
        client.state = Where::Pausing;
        let epoch = client.epoch;
        let jitter = self.dice.millis(0, 50);
        self.later(after + jitter, Event::Try(id, epoch));
    }

    pub fn tries(&mut self, id: ClientId, epoch: Epoch) {
        let client = &self.clients[id];
        if client.epoch != epoch || !client.wants {
            return;
        }
        let roles = match (client.publishes, client.ear) {
            (true, _) => [Role::Origin, Role::Origin],
            (false, None) => [Role::Edge, Role::Edge],
            (false, Some(_)) => [Role::Origin, Role::Edge],
        };
        let fits = |world: &Self, mid: Mid| {
            let machine = &world.machines[mid];
            let alive = machine
                .process
                .is_some_and(|pid| !world.nodes[pid].is_draining() && !world.nodes[pid].frozen);
            roles.iter().all(|role| machine.has(*role))
                && machine.starts
                && (!machine.speaks_only || world.shared)
                && alive
        };
        // Whoever brings clients to nodes knows which of them answer.
        if !fits(self, client.machine) {
            let others: Vec<Mid> = (0..self.machines.len()).filter(|mid| fits(self, *mid)).collect();
            if others.is_empty() {
                self.clients[id].since = self.now;
                return self.try_after(id, RETRY);
            }
            self.clients[id].machine = self.dice.pick(&others);
        }
        let Some(pid) = self.machines[self.clients[id].machine].process else { return };
        self.clients[id].state = Where::Asking(Some(pid));
        let after = self.dice.millis(2, 30);
        self.later(after, Event::Arrives(pid, id, epoch));
        self.later(PATIENCE, Event::GivesUp(id, epoch));
    }

    /// A client's request reaches its node.
    pub fn arrives(&mut self, pid: Pid, id: ClientId, epoch: Epoch) {
        let session = SessionId(self.dice.id());
        let client = &self.clients[id];
        if client.epoch != epoch {
            return;
        }
        let (room, stream) = (client.room.clone(), client.stream.clone());
        let knock = if client.ear.is_some() {
            self.entrance(id, epoch, session)
        } else if client.publishes {
            let request = PublishRequest {
                session,
                stream,
                offered: Vec::new(),
                dtls: dtls(),
                ufrag: String::new(),
                pass: Pass::default(),
            };
            Knock::Publish(request, id, epoch)
        } else {
            let request = WatchRequest {
                session,
                stream,
                wanted: Vec::new(),
                dtls: Some(dtls()),
                ufrag: String::new(),
                trace: crate::room::trace(),
                pass: Pass::default(),
            };
            Knock::Watch(request, id, epoch)
        };
        self.knock(pid, &room, knock);
    }

    pub fn open_uplink(
        &mut self,
        media: &mut RoomMedia,
        session: SessionId,
        id: ClientId,
    ) -> Result<(TransportInfo, Vec<ProducerInfo>), MediaError> {
        let codecs = self.clients[id].codecs.clone();
        let producers = codecs.into_iter().map(|codec| Produced::new(ProducerId(self.dice.id()), codec));
        media.publish(session, id, producers.collect())
    }

    /// A client was let in; whether it is still there.
    pub fn accepted(&mut self, id: ClientId, epoch: Epoch, pid: Pid, life: u64, session: SessionId) -> bool {
        let client = &mut self.clients[id];
        if client.epoch != epoch || !client.wants {
            return false;
        }
        client.epoch += 1;
        client.state = Where::Connecting(pid, life, session);
        let (room, epoch) = (client.room.clone(), client.epoch);
        if client.publishes && self.dice.chance(3) {
            // Its packets don't get through: it never connects, and tries anew after a while.
            let after = self.dice.millis(2_000, 20_000);
            self.later(after, Event::Loses(id, epoch));
            return true;
        }
        let after = self.dice.millis(40, 400);
        self.later(after, Event::Connects(pid, room, life, session, id, epoch));
        true
    }

    /// A client's connection is made; that the room hears of it at once is not certain.
    pub fn connects(
        &mut self,
        pid: Pid,
        room: &RoomId,
        life: u64,
        session: SessionId,
        id: ClientId,
        epoch: Epoch,
    ) {
        if self.clients[id].epoch != epoch {
            return;
        }
        if !self.set_up(pid, room, life, session, true) {
            return self.loses(id, epoch);
        }
        let now = self.now;
        let client = &mut self.clients[id];
        client.state = Where::Up(pid, life, session);
        client.sends_since = now;
        if !self.dice.chance(3) {
            self.input(pid, room, Some(life), Input::Connected(session));
        }
    }

    fn set_up(&mut self, pid: Pid, room: &RoomId, life: u64, session: SessionId, up: bool) -> bool {
        let place = self.nodes[pid].rooms.get_mut(room);
        let open = place.and_then(Option::as_mut).filter(|open| open.life == life && !open.media.dead);
        open.is_some_and(|open| open.media.set_up(session, up))
    }

    /// A client was told no: it tries again as it was told to, or gives up.
    pub fn refused(&mut self, id: ClientId, epoch: Epoch, error: &RoomError) {
        let client = &self.clients[id];
        if client.epoch != epoch || !client.wants {
            return;
        }
        self.tell(|| format!("client {id} ({}) is refused: {error}", self.clients[id].stream));
        let after = match error {
            RoomError::NotLive { retry_after }
            | RoomError::Unheard { retry_after }
            | RoomError::AlreadyPublished { retry_after }
            | RoomError::TakenOver { retry_after } => *retry_after,
            RoomError::Unsupported(_) => {
                // Another node may have the codecs.
                self.clients[id].machine = self.dice.below(self.machines.len());
                self.clients[id].since = self.now;
                RETRY
            }
            _ => RETRY,
        };
        self.try_after(id, after);
    }

    /// A client that waits, or hears nothing of its node, gives up and tries elsewhere.
    pub fn gives_up(&mut self, id: ClientId, epoch: Epoch) {
        let client = &self.clients[id];
        if client.epoch != epoch || !client.wants {
            return;
        }
        match client.pid() {
            Some(pid) if client.is_up() && !self.nodes[pid].frozen => {}
            _ => self.loses(id, epoch),
        }
    }

    /// A client's connection is gone, as the client sees it.
    pub fn loses(&mut self, id: ClientId, epoch: Epoch) {
        let client = &self.clients[id];
        if client.epoch != epoch || !client.wants {
            return;
        }
        let (state, room) = (client.state.clone(), client.room.clone());
        if let Where::Up(pid, life, session) | Where::Connecting(pid, life, session) = state
            && self.nodes[pid].alive
            && self.clients[id].ear.is_none()
        {
            self.vanish_after(pid, room, life, session);
        }
        let client = &mut self.clients[id];
        client.got.clear();
        if client.publishes && !client.returns {
            (client.wants, client.state) = (false, Where::Away);
            client.epoch += 1;
            return;
        }
        self.try_after(id, RETRY);
    }

    /// A server has closed a client's connection.
    pub fn cut_off(&mut self, id: ClientId, session: SessionId) {
        let (epoch, after) = (self.clients[id].epoch, self.dice.millis(20, 600));
        let state = &self.clients[id].state;
        if matches!(state, Where::Connecting(_, _, own) | Where::Up(_, _, own) if *own == session) {
            self.later(after, Event::Loses(id, epoch));
        }
    }

    /// A server finds that a client is gone.
    pub fn vanishes(&mut self, pid: Pid, room: &RoomId, life: u64, session: SessionId) {
        if self.set_up(pid, room, life, session, false) {
            self.input(pid, room, Some(life), Input::Disconnected(session));
        }
    }

    /// A client says farewell.
    pub fn ends(&mut self, pid: Pid, room: &RoomId, session: SessionId, id: ClientId) {
        let stream = self.clients[id].stream.clone();
        if let Some(ticket) = self.ticket(pid, room) {
            self.input(pid, room, None, Input::End(ticket, session, stream));
        }
    }

    /// An operator pauses a stream where it is published, or has it go on.
    pub fn operator(&mut self, room: &RoomId, stream: &StreamName, paused: bool) {
        for pid in 0..self.nodes.len() {
            let node = &self.nodes[pid];
            if !node.alive || node.frozen || !self.truth.is_origin(pid, room, stream) {
                continue;
            }
            if let Some(ticket) = self.ticket(pid, room) {
                self.input(pid, room, None, Input::SetPaused(ticket, stream.clone(), paused));
            }
        }
    }
}
