//! The door to the rooms: one task that brings each message to its room, and opens the room where needed.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::future;
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{mpsc, oneshot};
use tokio::task::{Id, JoinError, JoinSet};
use tracing::Instrument;

use super::context::Context;
use super::core::RoomView;
use super::error::RoomError;
use super::handle::RoomsHandle;
use super::message::Message;
use super::seats::{Past, Seats, Session};
use super::task;
use crate::broker::Inbound;
use crate::media::WorkerId;
use crate::protocol::claim::EndReason;
use crate::protocol::event::{About, Turned, What};
use crate::protocol::gate::{EndedSession, TokenKey, Whom};
use crate::protocol::ids::{RoomId, StreamName};
use crate::protocol::presence::Phase;

/// How long a room may take to show itself.
pub(super) const INSPECTION: Duration = Duration::from_secs(1);
/// Messages for a room that is just closing; it is opened again for them.
const HELD: usize = 256;

/// What the door is asked.
#[derive(Debug)]
pub(super) enum Command {
    To(RoomId, Box<Message>),
    All(oneshot::Sender<Vec<RoomView>>),
    KickAll(TokenKey, oneshot::Sender<Vec<EndedSession>>),
    WorkerDied(WorkerId),
    Stop(EndReason, oneshot::Sender<()>),
}

/// The rooms of a node.
#[derive(Debug)]
pub struct Rooms {
    ctx: Arc<Context>,
    rooms: HashMap<RoomId, Entry>,
    tasks: JoinSet<Vec<Message>>,
    rooms_of_tasks: HashMap<Id, RoomId>,
    seats: Seats,
    past: Past,
    stopping: Option<oneshot::Sender<()>>,
}

#[derive(Debug)]
struct Entry {
    inbox: mpsc::Sender<Message>,
    /// What came while the room was closing.
    held: Vec<Message>,
}

/// The receiving end of the handles.
#[derive(Debug)]
pub struct RoomsInbox(mpsc::Receiver<Command>);

impl Rooms {
    /// The rooms and a handle to them; nothing happens until [`Rooms::run`].
    pub fn new(ctx: Arc<Context>) -> (Self, RoomsHandle, RoomsInbox) {
        let (commands, inbox) = mpsc::channel(ctx.config.limits.inbox);
        let (seats, past) = Seats::new(&ctx.limits, &ctx.metrics);
        let (rooms, rooms_of_tasks) = (HashMap::new(), HashMap::new());
        let tasks = JoinSet::new();
        let ends = seats.ends();
        let door = Self { ctx, rooms, tasks, rooms_of_tasks, seats, past, stopping: None };
        (door, RoomsHandle::new(commands, ends), RoomsInbox(inbox))
    }

    /// Serves until stopped, or until every handle is gone.
    pub async fn run(mut self, commands: RoomsInbox, mut remote: mpsc::Receiver<Inbound>) {
        let RoomsInbox(mut commands) = commands;
        loop {
            tokio::select! {
                command = commands.recv() => match command {
                    Some(command) => self.command(command),
                    None => break,
                },
                Some(inbound) = remote.recv() => {
                    self.deliver(inbound.room, Message::Remote(inbound.body, inbound.trace));
                }
                Some(ended) = self.tasks.join_next_with_id() => self.room_ended(ended).await,
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
            Command::To(room, message) => self.deliver(room, *message),
            Command::All(answer) => self.inspect_all(answer),
            Command::KickAll(token, answer) => self.kick_all(&token, answer),
            Command::WorkerDied(worker) => self.tell_all(|| Message::WorkerDied(worker)),
            Command::Stop(reason, done) => {
                self.tell_all(|| Message::Stop(reason));
                self.stopping = Some(done);
            }
        }
    }

    /// Brings a message to its room, which is opened for it where that makes sense.
    fn deliver(&mut self, room: RoomId, message: Message) {
        self.past.note(Instant::now());
        let mut message = message;
        if let Err(error) = self.seat(&room, &mut message) {
            return self.turn_away(room, message, error);
        }
        if let Message::End(session, stream, _) = &message
            && self.past.has(&room, stream, *session)
            && let Message::End(.., reply) = message
        {
            // It is over, as was asked.
            return drop(reply.send(Ok(())));
        }
        match self.rooms.get_mut(&room) {
            Some(entry) => match entry.inbox.try_send(message) {
                Ok(()) => {}
                Err(TrySendError::Closed(message)) if entry.held.len() < HELD => entry.held.push(message),
                Err(TrySendError::Full(message) | TrySendError::Closed(message)) => {
                    message.refuse(RoomError::Busy);
                }
            },
            None if self.stopping.is_some() => message.refuse(RoomError::Stopped),
            None if message.opens_room() => self.open(room, message),
            None => message.refuse(RoomError::NoSession),
        }
    }

    /// Gives a publisher or viewer its seat, once the node serves.
    fn seat(&self, room: &RoomId, message: &mut Message) -> Result<(), RoomError> {
        let is_starting = *self.ctx.phase.borrow() == Phase::Starting;
        let session = |id, stream: &StreamName| Session { id, room: room.clone(), stream: stream.clone() };
        match message {
            Message::Publish(_, None, _) | Message::Watch(_, None, _) | Message::Enter(_, None, ..)
                if is_starting =>
            {
                return Err(RoomError::Starting);
            }
            Message::Publish(request, seat @ None, _) => {
                let taken = self.seats.publisher(session(request.session, &request.stream));
                *seat = Some(taken.map_err(RoomError::Limit)?);
            }
            Message::Enter(entrance, seat @ None, ..) => {
                let taken = self.seats.viewer(session(entrance.session, &entrance.name));
                *seat = Some(taken.map_err(RoomError::Limit)?);
            }
            Message::Watch(request, seat @ None, _) => {
                let taken = self.seats.viewer(session(request.session, &request.stream));
                *seat = Some(taken.map_err(RoomError::Limit)?);
            }
            _ => {}
        }
        Ok(())
    }

    /// Refuses who found no seat, and says so: by the node, as a stranger's room may not be one.
    fn turn_away(&self, room: RoomId, message: Message, error: RoomError) {
        if matches!(message, Message::Watch(..)) {
            self.ctx.metrics.joins.get_or_create(&[("result", error.kind())]).inc();
        }
        let (stream, what): (_, fn(Turned) -> What) = match &message {
            Message::Publish(request, ..) => (Some(request.stream.clone()), What::PublisherRejected),
            Message::Watch(request, ..) => (Some(request.stream.clone()), What::ViewerRejected),
            Message::Enter(entrance, ..) => (Some(entrance.name.clone()), What::ViewerRejected),
            _ => (None, What::ViewerRejected),
        };
        if let Some(stream) = stream {
            let (reason, detail) = (error.kind().to_owned(), error.to_string());
            let turned = Turned { room: Some(room), stream, reason, detail, times: 1 };
            let about = About::Node(self.ctx.me.node.clone());
            self.ctx.events.record_often(about, error.kind(), what(turned));
        }
        if let RoomError::Limit(limit) = error {
            self.ctx.events.limit_hit(limit);
        }
        message.refuse(error);
    }

    fn open(&mut self, room: RoomId, first: Message) {
        if self.rooms.len() >= self.ctx.limits.borrow().rooms {
            self.ctx.events.limit_hit("rooms");
            return first.refuse(RoomError::Limit("rooms"));
        }
        let (sender, inbox) = mpsc::channel(self.ctx.config.limits.inbox);
        // A span of its own: a room outlives the request that opened it.
        let span = tracing::info_span!(parent: None, "room", node = %self.ctx.me.node, room = %room);
        let task = task::run(room.clone(), Arc::clone(&self.ctx), self.seats.clone(), sender.clone(), inbox);
        let id = self.tasks.spawn(task.instrument(span)).id();
        self.rooms_of_tasks.insert(id, room.clone());
        // A fresh inbox has room for one message.
        let _ = sender.try_send(first);
        self.rooms.insert(room, Entry { inbox: sender, held: Vec::new() });
        self.count();
    }

    /// A room is over; what came too late for it opens it anew.
    async fn room_ended(&mut self, ended: Result<(Id, Vec<Message>), JoinError>) {
        let (id, unread, failed) = match ended {
            Ok((id, unread)) => (id, unread, None),
            Err(error) => (error.id(), Vec::new(), Some(error)),
        };
        let Some(room) = self.rooms_of_tasks.remove(&id) else { return };
        if let Some(error) = failed {
            tracing::error!(%room, %error, "a room failed: it is closed, and opens anew when it is asked for");
            self.ctx.directory.room_gone(room.clone()).await;
            self.ctx.directory.unfollow(room.clone());
            self.ctx.events.record(About::Room(room.clone()), task::failed_word());
        }
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

    /// Has every room end what came with a token. All are told, however long their answers take.
    fn kick_all(&self, token: &TokenKey, answer: oneshot::Sender<Vec<EndedSession>>) {
        let asked = self.rooms.values().map(|entry| {
            let (answer, ended) = oneshot::channel();
            let inbox = entry.inbox.clone();
            let kick = Message::Kick(Whom::Token(token.clone()), None, answer);
            async move {
                inbox.send(kick).await.ok()?;
                ended.await.ok()?.ok()
            }
        });
        let asked: Vec<_> = asked.collect();
        self.ctx.tracker.spawn(async move {
            let ended = future::join_all(asked).await;
            let _ = answer.send(ended.into_iter().flatten().flatten().collect());
        });
    }

    fn count(&self) {
        let rooms = i64::try_from(self.rooms.len()).unwrap_or(i64::MAX);
        self.ctx.metrics.rooms.set(rooms);
    }
}
