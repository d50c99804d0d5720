//! The door to the rooms: one task that owns the map of rooms and the registry of streams.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::Utc;
use futures_util::future;
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{mpsc, oneshot};
use tokio::task::{Id, JoinError, JoinSet};
use tracing::Instrument;

use super::context::Context;
use super::error::RoomError;
use super::inspect::{RoomView, StreamStatus};
use super::message::{Answered, Message, Patch, Patched, PublishRequest, Published, WatchRequest, Watching};
use super::state::Known;
use super::task;
use crate::broker::registry::Read;
use crate::broker::{Inbound, InboundBody};
use crate::media::Sent;
use crate::protocol::announcement::{Announcement, EndReason};
use crate::protocol::event::{About, StreamEnded, What};
use crate::protocol::ids::{Peer, RoomId, SessionId, StreamName};

const TICK: Duration = Duration::from_secs(1);
/// How long a room may take to show itself.
const INSPECTION: Duration = Duration::from_secs(1);
/// Messages for a room that is just closing; it is opened again for them.
const HELD: usize = 256;

/// What the door is asked.
#[derive(Debug)]
enum Command {
    To(RoomId, Message),
    All(oneshot::Sender<Vec<RoomView>>),
    Status(RoomId, StreamName, oneshot::Sender<StreamStatus>),
    WorkerDied(usize),
    Stop(EndReason, oneshot::Sender<()>),
}

/// A handle to the rooms of a node.
#[derive(Debug, Clone)]
pub struct RoomsHandle {
    commands: mpsc::Sender<Command>,
}

impl RoomsHandle {
    /// Takes a publisher.
    ///
    /// # Errors
    /// [`RoomError`].
    pub async fn publish(&self, room: RoomId, request: PublishRequest) -> Result<Published, RoomError> {
        self.ask(room, |answer| Message::Publish(request, answer)).await
    }

    /// Serves a viewer, once its stream has come.
    ///
    /// # Errors
    /// [`RoomError`].
    pub async fn watch(&self, room: RoomId, request: WatchRequest) -> Result<Watching, RoomError> {
        self.ask(room, |answer| Message::Watch(request, answer)).await
    }

    /// Ends a publisher's or viewer's session.
    ///
    /// # Errors
    /// [`RoomError::NoSession`].
    pub async fn end(&self, room: RoomId, stream: StreamName, session: SessionId) -> Result<(), RoomError> {
        self.ask(room, |answer| Message::End(session, stream, answer)).await
    }

    /// Takes a viewer's answer to our description.
    ///
    /// # Errors
    /// [`RoomError::NoSession`], [`RoomError::Media`].
    pub async fn connect(
        &self,
        room: RoomId,
        stream: StreamName,
        session: SessionId,
        answered: Answered,
    ) -> Result<(), RoomError> {
        self.ask(room, |answer| Message::Connect(session, stream, answered, answer)).await
    }

    /// Trickles candidates of a session or restarts its ICE.
    ///
    /// # Errors
    /// [`RoomError::NoSession`], [`RoomError::NoEtag`], [`RoomError::StaleEtag`], [`RoomError::Media`].
    pub async fn patch(
        &self,
        room: RoomId,
        stream: StreamName,
        session: SessionId,
        patch: Patch,
    ) -> Result<Patched, RoomError> {
        self.ask(room, |answer| Message::Patch(session, stream, patch, answer)).await
    }

    /// What a session is sent, if it is there.
    ///
    /// # Errors
    /// [`RoomError::NoSession`].
    pub async fn check(
        &self,
        room: RoomId,
        stream: StreamName,
        session: SessionId,
    ) -> Result<Vec<Sent>, RoomError> {
        self.ask(room, |answer| Message::Check(session, stream, answer)).await
    }

    /// Pauses or resumes a stream that is published on this node.
    ///
    /// # Errors
    /// [`RoomError::NoStream`].
    pub async fn set_paused(&self, room: RoomId, stream: StreamName, paused: bool) -> Result<(), RoomError> {
        self.ask(room, |answer| Message::SetPaused(stream, paused, answer)).await
    }

    /// Ends a stream that is published on this node.
    ///
    /// # Errors
    /// [`RoomError::NoStream`].
    pub async fn close(&self, room: RoomId, stream: StreamName) -> Result<(), RoomError> {
        self.ask(room, |answer| Message::Close(stream, answer)).await
    }

    /// A room as it is now; none if this node doesn't carry it.
    pub async fn inspect(&self, room: RoomId) -> Option<RoomView> {
        let (answer, view) = oneshot::channel();
        self.commands.send(Command::To(room, Message::Inspect(answer))).await.ok()?;
        tokio::time::timeout(INSPECTION, view).await.ok()?.ok()
    }

    /// All rooms as they are now.
    pub async fn all(&self) -> Vec<RoomView> {
        let (answer, views) = oneshot::channel();
        let _ = self.commands.send(Command::All(answer)).await;
        views.await.unwrap_or_default()
    }

    /// What everyone may know of a stream.
    pub async fn status(&self, room: RoomId, stream: StreamName) -> Option<StreamStatus> {
        let (answer, status) = oneshot::channel();
        self.commands.send(Command::Status(room, stream, answer)).await.ok()?;
        status.await.ok()
    }

    /// A media worker died: its rooms end.
    pub async fn worker_died(&self, worker: usize) {
        let _ = self.commands.send(Command::WorkerDied(worker)).await;
    }

    /// Ends all rooms, says so to their peers and the registry, and returns once that is said.
    pub async fn stop(&self, reason: EndReason) {
        let (done, stopped) = oneshot::channel();
        if self.commands.send(Command::Stop(reason, done)).await.is_ok() {
            let _ = stopped.await;
        }
    }

    async fn ask<T>(
        &self,
        room: RoomId,
        message: impl FnOnce(oneshot::Sender<Result<T, RoomError>>) -> Message,
    ) -> Result<T, RoomError> {
        let (answer, result) = oneshot::channel();
        let sent = self.commands.send(Command::To(room, message(answer))).await;
        sent.map_err(|_| RoomError::Stopped)?;
        result.await.unwrap_or(Err(RoomError::Stopped))
    }
}

/// The rooms of a node, and what the registry says of all streams.
#[derive(Debug)]
pub struct Rooms {
    ctx: Arc<Context>,
    rooms: HashMap<RoomId, Entry>,
    tasks: JoinSet<Vec<Message>>,
    rooms_of_tasks: HashMap<Id, RoomId>,
    registry: HashMap<RoomId, BTreeMap<StreamName, Known>>,
    /// While the registry is read anew: the streams not yet seen again.
    unseen: Option<HashSet<(RoomId, StreamName)>>,
    absent_since: HashMap<(RoomId, StreamName), Instant>,
    stopping: Option<oneshot::Sender<()>>,
}

#[derive(Debug)]
struct Entry {
    inbox: mpsc::Sender<Message>,
    /// What came while the room was closing.
    held: Vec<Message>,
}

impl Rooms {
    /// The rooms and a handle to them; nothing happens until [`Rooms::run`].
    pub fn new(ctx: Arc<Context>) -> (Self, RoomsHandle, RoomsInbox) {
        let (commands, inbox) = mpsc::channel(ctx.config.limits.inbox);
        let rooms = Self {
            ctx,
            rooms: HashMap::new(),
            tasks: JoinSet::new(),
            rooms_of_tasks: HashMap::new(),
            registry: HashMap::new(),
            unseen: None,
            absent_since: HashMap::new(),
            stopping: None,
        };
        (rooms, RoomsHandle { commands }, RoomsInbox(inbox))
    }

    /// Serves until stopped, or until every handle is gone.
    pub async fn run(
        mut self,
        commands: RoomsInbox,
        mut remote: mpsc::Receiver<Inbound>,
        mut registry: mpsc::Receiver<Read>,
    ) {
        let RoomsInbox(mut commands) = commands;
        let mut tick = tokio::time::interval(TICK);
        loop {
            tokio::select! {
                command = commands.recv() => match command {
                    Some(command) => self.command(command),
                    None => break,
                },
                Some(inbound) = remote.recv() => {
                    self.deliver(inbound.room, Message::Remote(inbound.body, inbound.trace));
                }
                Some(read) = registry.recv() => self.read(read),
                Some(ended) = self.tasks.join_next_with_id() => self.room_ended(ended),
                _ = tick.tick() => self.tick(Instant::now()),
            }
            if self.rooms.is_empty()
                && let Some(stopped) = self.stopping.take()
            {
                let _ = stopped.send(());
                break;
            }
        }
    }

    fn command(&mut self, command: Command) {
        match command {
            Command::To(room, message) => self.deliver(room, message),
            Command::All(answer) => self.inspect_all(answer),
            Command::Status(room, stream, answer) => self.status(&room, stream, answer),
            Command::WorkerDied(worker) => self.tell_all(|| Message::WorkerDied(worker)),
            Command::Stop(reason, done) => {
                self.tell_all(|| Message::Stop(reason));
                self.stopping = Some(done);
            }
        }
    }

    /// Brings a message to its room, which is opened for it where that makes sense.
    fn deliver(&mut self, room: RoomId, message: Message) {
        if let Some(entry) = self.rooms.get_mut(&room) {
            match entry.inbox.try_send(message) {
                Ok(()) => {}
                // No one would say it again; epochs tell which of two came later.
                Err(TrySendError::Full(message @ Message::Registry(..))) => {
                    let inbox = entry.inbox.clone();
                    self.ctx.tracker.spawn(async move { drop(inbox.send(message).await) });
                }
                Err(TrySendError::Full(message)) => message.refuse(RoomError::Busy),
                Err(TrySendError::Closed(message)) if entry.held.len() < HELD => entry.held.push(message),
                Err(TrySendError::Closed(message)) => message.refuse(RoomError::Busy),
            }
            return;
        }
        let knows = self
            .registry
            .get(&room)
            .is_some_and(|streams| streams.values().any(|known| known.announcement.is_live()));
        match &message {
            _ if self.stopping.is_some() => message.refuse(RoomError::Stopped),
            Message::Watch(..) if !knows => {
                // A stream that no one publishes is no reason to open a room.
                let retry_after = self.ctx.config.timeouts.retry_after;
                self.ctx.metrics.joins.get_or_create(&[("result", "not_live")]).inc();
                message.refuse(RoomError::NotLive { retry_after });
            }
            Message::Remote(InboundBody::Origin(..), _) if knows => self.open(room, message),
            other if other.opens_room() => self.open(room, message),
            _ => message.refuse(RoomError::NoSession),
        }
    }

    fn open(&mut self, room: RoomId, first: Message) {
        if self.rooms.len() >= self.ctx.config.limits.rooms {
            self.ctx.events.limit_hit("rooms");
            return first.refuse(RoomError::Limit("rooms"));
        }
        let (sender, inbox) = mpsc::channel(self.ctx.config.limits.inbox);
        let registry = self.registry.get(&room).cloned().unwrap_or_default();
        // A span of its own: a room outlives the request that opened it.
        let span = tracing::info_span!(parent: None, "room", node = %self.ctx.me.node, room = %room);
        let task = task::run(room.clone(), Arc::clone(&self.ctx), sender.clone(), inbox, registry);
        let id = self.tasks.spawn(task.instrument(span)).id();
        self.rooms_of_tasks.insert(id, room.clone());
        // A fresh inbox has room for one message.
        let _ = sender.try_send(first);
        self.rooms.insert(room, Entry { inbox: sender, held: Vec::new() });
        self.count();
    }

    /// A room is over; what came too late for it opens it anew.
    fn room_ended(&mut self, ended: Result<(Id, Vec<Message>), JoinError>) {
        let (id, unread) = match ended {
            Ok((id, unread)) => (id, unread),
            Err(error) => {
                tracing::error!(%error, "a room failed");
                (error.id(), Vec::new())
            }
        };
        let Some(room) = self.rooms_of_tasks.remove(&id) else { return };
        let held = self.rooms.remove(&room).map(|entry| entry.held).unwrap_or_default();
        self.count();
        for message in unread.into_iter().chain(held) {
            self.deliver(room.clone(), message);
        }
    }

    fn tell_all(&mut self, message: impl Fn() -> Message) {
        for entry in self.rooms.values() {
            let inbox = entry.inbox.clone();
            let message = message();
            // These must arrive, even in a full inbox.
            self.ctx.tracker.spawn(async move { drop(inbox.send(message).await) });
        }
    }

    fn read(&mut self, read: Read) {
        match read {
            Read::Begin => {
                let all = self
                    .registry
                    .iter()
                    .flat_map(|(room, streams)| streams.keys().map(|stream| (room.clone(), stream.clone())));
                self.unseen = Some(all.collect());
            }
            Read::State { epoch, announcement } => {
                let (room, stream) = (announcement.room_id.clone(), announcement.stream.clone());
                if let Some(unseen) = &mut self.unseen {
                    unseen.remove(&(room.clone(), stream.clone()));
                }
                self.learn(room, stream, Some(Known { epoch, announcement: *announcement }));
            }
            Read::Ready => {
                for (room, stream) in self.unseen.take().unwrap_or_default() {
                    self.learn(room, stream, None);
                }
                tracing::info!(streams = self.live_streams(), "registry ready");
            }
        }
        self.ctx.metrics.registry_streams.set(i64::try_from(self.live_streams()).unwrap_or(i64::MAX));
    }

    fn learn(&mut self, room: RoomId, stream: StreamName, known: Option<Known>) {
        match &known {
            Some(known) if known.announcement.is_live() => {
                self.registry.entry(room.clone()).or_default().insert(stream.clone(), known.clone());
            }
            // Ended streams are not kept: there would be no end of them.
            _ => {
                if let Some(streams) = self.registry.get_mut(&room) {
                    streams.remove(&stream);
                    if streams.is_empty() {
                        self.registry.remove(&room);
                    }
                }
                self.absent_since.remove(&(room.clone(), stream.clone()));
            }
        }
        if self.rooms.contains_key(&room) {
            self.deliver(room, Message::Registry(stream, known));
        }
    }

    fn live_streams(&self) -> usize {
        self.registry.values().map(BTreeMap::len).sum()
    }

    fn tick(&mut self, now: Instant) {
        self.count();
        self.reap(now);
    }

    /// Has streams announced as lost whose origin is gone: by one node of the fleet, and at once by
    /// the origin itself where it is the same node restarted.
    fn reap(&mut self, now: Instant) {
        let fleet = self.ctx.fleet();
        if !fleet.is_settled(now) {
            return;
        }
        let me = &self.ctx.me;
        let mine = fleet.present(now).map(|node| &node.peer.node).min() == Some(&me.node);
        let patience = self.ctx.config.timeouts.reap;
        let mut lost = Vec::new();
        for known in self.registry.values().flat_map(BTreeMap::values) {
            let origin = &known.announcement.origin;
            let key = (known.announcement.room_id.clone(), known.announcement.stream.clone());
            let former_self = origin.node == me.node && origin.incarnation != me.incarnation;
            if former_self {
                lost.push(known.clone());
            } else if *origin != *me && fleet.is_absent(origin, now) {
                let since = *self.absent_since.entry(key).or_insert(now);
                if mine && now.duration_since(since) > patience {
                    lost.push(known.clone());
                }
            } else {
                self.absent_since.remove(&key);
            }
        }
        for known in lost {
            let broker = self.ctx.broker.clone();
            let Announcement { room_id: room, stream, .. } = known.announcement.clone();
            tracing::warn!(%room, %stream, origin = %known.announcement.origin.node, "origin lost: stream ended");
            let ended = known.announcement.ended(EndReason::Lost);
            let events = self.ctx.events.clone();
            self.ctx.tracker.spawn(async move {
                // Whoever wrote meanwhile knows better; what could not be written is tried again.
                if broker.announce(&ended, known.epoch).await.is_ok() {
                    let lasted = (Utc::now() - ended.started_at).num_milliseconds();
                    let over = StreamEnded {
                        stream,
                        publication: ended.publication,
                        reason: EndReason::Lost,
                        duration_ms: u64::try_from(lasted).unwrap_or(0),
                        bytes: 0,
                    };
                    events.record(About::Room(room), What::StreamEnded(over));
                }
            });
        }
    }

    fn inspect_all(&self, answer: oneshot::Sender<Vec<RoomView>>) {
        let views = self.rooms.values().map(|entry| {
            let (answer, view) = oneshot::channel();
            let inbox = entry.inbox.clone();
            async move {
                inbox.send(Message::Inspect(answer)).await.ok()?;
                view.await.ok()
            }
        });
        let views: Vec<_> = views.map(|view| tokio::time::timeout(INSPECTION, view)).collect();
        self.ctx.tracker.spawn(async move {
            let views = future::join_all(views).await;
            let _ = answer.send(views.into_iter().filter_map(|view| view.ok().flatten()).collect());
        });
    }

    fn status(&self, room: &RoomId, stream: StreamName, answer: oneshot::Sender<StreamStatus>) {
        let known = self.registry.get(room).and_then(|streams| streams.get(&stream));
        let origin: Option<Peer> = known.map(|known| known.announcement.origin.clone());
        let since = known.map(|known| known.announcement.started_at);
        let here = origin.as_ref().is_some_and(|origin| !self.ctx.fleet().is_absent(origin, Instant::now()));
        let (inspect, view) = oneshot::channel();
        if let Some(entry) = self.rooms.get(room) {
            let _ = entry.inbox.try_send(Message::Inspect(inspect));
        }
        self.ctx.tracker.spawn(async move {
            let view = tokio::time::timeout(INSPECTION, view).await.ok().and_then(Result::ok);
            let own = view.as_ref().and_then(|view| view.streams.iter().find(|own| own.stream == stream));
            let _ = answer.send(StreamStatus {
                live: own.is_some() || here,
                origin,
                hops: own.map(|own| own.path.len()),
                viewers: own.map_or(0, |own| own.viewers),
                since,
            });
        });
    }

    fn count(&self) {
        let rooms = i64::try_from(self.rooms.len()).unwrap_or(i64::MAX);
        self.ctx.metrics.rooms.set(rooms);
    }
}

/// The receiving end of the handles.
#[derive(Debug)]
pub struct RoomsInbox(mpsc::Receiver<Command>);
