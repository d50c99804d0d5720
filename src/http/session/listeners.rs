//! Who listens to the events of which session: a task that owns the listeners, ends them with their sessions, and looks
//! once a second how the streams are that they watch.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{broadcast, mpsc, oneshot, watch};
use tokio::time::{MissedTickBehavior, timeout};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::protocol::ids::{RoomId, SessionId, StreamName};
use crate::protocol::session::{SessionAt, SessionEvent};
use crate::room::{Context, RoomError, RoomsHandle};

/// Listeners of one session, of which the latest are kept, and of all.
const OF_ONE: usize = 4;
const OF_ALL: usize = 20_000;
/// How often streams are looked at, how many at once, and how long one may take.
const LOOK: Duration = Duration::from_secs(1);
const AT_ONCE: usize = 32;
const PATIENCE: Duration = Duration::from_secs(1);
/// Requests that may wait.
const INBOX: usize = 1024;

/// How a stream is, as its viewers are told.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Facts {
    /// Whether its media comes here.
    pub(super) active: bool,
    /// Its viewers on all nodes, where that is known.
    pub(super) viewers: Option<u32>,
}

/// What a listener hears.
#[derive(Debug, Clone)]
pub(super) struct Hearing {
    /// What it wants to hear of.
    pub(super) events: Arc<[SessionEvent]>,
    /// The stream.
    pub(super) facts: watch::Receiver<Facts>,
    /// The listener's end, or its session's.
    pub(super) over: CancellationToken,
}

/// Why there is no listener.
#[derive(Debug, thiserror::Error)]
pub(super) enum ListenError {
    #[error(transparent)]
    Room(#[from] RoomError),
    #[error("this node has {OF_ALL} listeners already")]
    OfAll,
}

#[derive(Debug)]
enum Command {
    Open(SessionAt, Arc<[SessionEvent]>, oneshot::Sender<Result<Uuid, ListenError>>),
    Find(SessionAt, Uuid, oneshot::Sender<Option<Hearing>>),
    Close(SessionAt, Uuid, oneshot::Sender<bool>),
}

/// The listeners, to those who ask.
#[derive(Debug, Clone)]
pub struct ListenersHandle {
    commands: mpsc::Sender<Command>,
}

impl ListenersHandle {
    /// A new listener of a session.
    pub(super) async fn open(&self, at: SessionAt, events: Arc<[SessionEvent]>) -> Result<Uuid, ListenError> {
        let (answer, opened) = oneshot::channel();
        let stopped = || ListenError::Room(RoomError::Stopped);
        self.commands.send(Command::Open(at, events, answer)).await.map_err(|_| stopped())?;
        opened.await.unwrap_or_else(|_| Err(stopped()))
    }

    /// What a listener hears; none where there is no such listener.
    pub(super) async fn find(&self, at: SessionAt, listener: Uuid) -> Option<Hearing> {
        let (answer, found) = oneshot::channel();
        self.commands.send(Command::Find(at, listener, answer)).await.ok()?;
        found.await.ok().flatten()
    }

    /// Ends a listener; false where there is none.
    pub(super) async fn close(&self, at: SessionAt, listener: Uuid) -> bool {
        let (answer, closed) = oneshot::channel();
        self.commands.send(Command::Close(at, listener, answer)).await.is_ok()
            && closed.await.unwrap_or(false)
    }
}

type Watched = (RoomId, StreamName);

#[derive(Debug)]
struct Listener {
    id: Uuid,
    at: SessionAt,
    hearing: Hearing,
}

/// The listeners of all sessions of this node.
#[derive(Debug)]
pub struct Listeners {
    ctx: Arc<Context>,
    rooms: RoomsHandle,
    commands: mpsc::Receiver<Command>,
    ends: broadcast::Receiver<SessionId>,
    sessions: HashMap<SessionId, Vec<Listener>>,
    streams: HashMap<Watched, watch::Sender<Facts>>,
}

impl Listeners {
    /// None yet, and a handle; nothing happens until [`Listeners::run`].
    pub fn new(ctx: Arc<Context>, rooms: RoomsHandle) -> (Self, ListenersHandle) {
        let (sender, commands) = mpsc::channel(INBOX);
        let ends = rooms.ends();
        let (sessions, streams) = (HashMap::new(), HashMap::new());
        (Self { ctx, rooms, commands, ends, sessions, streams }, ListenersHandle { commands: sender })
    }

    /// Serves until every handle is gone.
    pub async fn run(mut self) {
        let mut look = tokio::time::interval(LOOK);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                command = self.commands.recv() => match command {
                    Some(command) => self.command(command).await,
                    None => return,
                },
                ended = self.ends.recv() => match ended {
                    Ok(session) => self.ended(session),
                    Err(RecvError::Lagged(_)) => self.check_all().await,
                    // The rooms are gone, and all sessions with them.
                    Err(RecvError::Closed) => return,
                },
                _ = look.tick(), if !self.streams.is_empty() => self.look().await,
            }
        }
    }

    async fn command(&mut self, command: Command) {
        match command {
            Command::Open(at, events, answer) => drop(answer.send(self.open(at, events).await)),
            Command::Find(at, id, answer) => {
                drop(answer.send(self.find(&at, id).map(|one| one.hearing.clone())))
            }
            Command::Close(at, id, answer) => {
                let listeners = self.sessions.get_mut(&at.session);
                let place = listeners
                    .as_ref()
                    .and_then(|all| all.iter().position(|one| one.id == id && one.at == at));
                if let (Some(listeners), Some(place)) = (listeners, place) {
                    listeners.swap_remove(place).hearing.over.cancel();
                }
                let _ = answer.send(place.is_some());
            }
        }
    }

    fn find(&self, at: &SessionAt, id: Uuid) -> Option<&Listener> {
        self.sessions.get(&at.session)?.iter().find(|one| one.id == id && one.at == *at)
    }

    async fn open(&mut self, at: SessionAt, events: Arc<[SessionEvent]>) -> Result<Uuid, ListenError> {
        // An end that comes after this answer is heard after the listener is noted.
        let there = self.rooms.check(at.room_id.clone(), at.stream.clone(), at.session);
        timeout(PATIENCE, there).await.unwrap_or(Err(RoomError::Busy))?;
        if self.sessions.values().map(Vec::len).sum::<usize>() >= OF_ALL {
            return Err(ListenError::OfAll);
        }
        let watched = (at.room_id.clone(), at.stream.clone());
        let facts = match self.streams.get(&watched) {
            Some(known) => known.subscribe(),
            None => {
                let facts = facts(&self.ctx, &self.rooms, &watched).await.unwrap_or_default();
                let (sender, receiver) = watch::channel(facts);
                self.streams.insert(watched, sender);
                receiver
            }
        };
        let (id, session) = (Uuid::new_v4(), at.session);
        let hearing = Hearing { events, facts, over: CancellationToken::new() };
        let listeners = self.sessions.entry(session).or_default();
        if listeners.len() >= OF_ONE {
            // Whoever comes again has lost the first.
            listeners.remove(0).hearing.over.cancel();
        }
        listeners.push(Listener { id, at, hearing });
        Ok(id)
    }

    fn ended(&mut self, session: SessionId) {
        for listener in self.sessions.remove(&session).unwrap_or_default() {
            listener.hearing.over.cancel();
        }
    }

    /// So many sessions ended at once that not all were told one by one.
    async fn check_all(&mut self) {
        let all =
            self.sessions.iter().filter_map(|(id, listeners)| Some((*id, listeners.first()?.at.clone())));
        let all: Vec<_> = all.collect();
        for (session, at) in all {
            let there = timeout(PATIENCE, self.rooms.check(at.room_id, at.stream, session)).await;
            if let Ok(Err(_)) = there {
                self.ended(session);
            }
        }
    }

    /// Looks at all streams that someone hears of, and forgets the others.
    async fn look(&mut self) {
        self.sessions.retain(|_, listeners| !listeners.is_empty());
        self.streams.retain(|_, facts| facts.receiver_count() > 0);
        let asking = self.streams.keys().cloned().map(|watched| {
            let (ctx, rooms) = (Arc::clone(&self.ctx), self.rooms.clone());
            async move {
                let facts = facts(&ctx, &rooms, &watched).await;
                (watched, facts)
            }
        });
        let asking: Vec<_> = asking.collect();
        let mut answers = futures_util::stream::iter(asking).buffer_unordered(AT_ONCE);
        while let Some((watched, facts)) = answers.next().await {
            if let (Some(facts), Some(known)) = (facts, self.streams.get(&watched)) {
                known.send_if_modified(|before| std::mem::replace(before, facts) != facts);
            }
        }
    }
}

/// How a stream is; none where that can't be told now.
async fn facts(ctx: &Context, rooms: &RoomsHandle, (room, stream): &Watched) -> Option<Facts> {
    let asked = async {
        tokio::join!(
            rooms.status(room.clone(), stream.clone()),
            ctx.directory.look_up(room.clone(), stream.clone()),
        )
    };
    let (here, known) = timeout(PATIENCE, asked).await.ok()?;
    let muted = known.and_then(|known| known.claims.first().map(|claim| !claim.flowing)).unwrap_or(false);
    let active = !muted && here.as_ref().is_some_and(|here| here.hops.is_some());
    Some(Facts { active, viewers: here.and_then(|here| here.everywhere) })
}
