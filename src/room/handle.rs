//! A handle to the rooms of a node.

use tokio::sync::{broadcast, mpsc, oneshot};

use super::core::{Answered, Entrance, Patch, PublishRequest, RoomView, StreamHereView, WatchRequest};
use super::door::{Command, INSPECTION};
use super::error::RoomError;
use super::message::{Listener, Message, Patched, Published, RtcAnswer, Watching};
use crate::media::{Medium, WorkerId};
use crate::protocol::claim::EndReason;
use crate::protocol::gate::{EndedSession, Mute, TokenKey, Whom};
use crate::protocol::ids::{RoomId, SessionId, StreamName};
use crate::protocol::refusal::Refusal;
use crate::protocol::rtc::{RtcReply, RtcRequest};

/// A handle to the rooms of a node.
#[derive(Debug, Clone)]
pub struct RoomsHandle {
    commands: mpsc::Sender<Command>,
    ends: broadcast::Sender<SessionId>,
}

impl RoomsHandle {
    pub(super) fn new(commands: mpsc::Sender<Command>, ends: broadcast::Sender<SessionId>) -> Self {
        Self { commands, ends }
    }

    /// The sessions of publishers and viewers that end from now on. Who reads too slowly is told so, and may
    /// [`check`](Self::check).
    pub fn ends(&self) -> broadcast::Receiver<SessionId> {
        self.ends.subscribe()
    }

    /// Takes a publisher.
    ///
    /// # Errors
    /// [`RoomError`].
    pub async fn publish(&self, room: RoomId, request: PublishRequest) -> Result<Published, RoomError> {
        self.ask(room, |answer| Message::Publish(request, None, answer)).await
    }

    /// Serves a viewer, once its stream has come.
    ///
    /// # Errors
    /// [`RoomError`].
    pub async fn watch(&self, room: RoomId, request: WatchRequest) -> Result<Watching, RoomError> {
        self.ask(room, |answer| Message::Watch(request, None, answer)).await
    }

    /// Lets a participant in, and has `listener` told what happens in its session. Dropping that ends nothing.
    ///
    /// # Errors
    /// [`Refusal`] that says what to do.
    pub async fn enter(
        &self,
        room: RoomId,
        entrance: Entrance,
        listener: Listener,
    ) -> Result<RtcReply, Refusal> {
        self.ask_rtc(room, |answer| Message::Enter(entrance, None, listener, answer)).await
    }

    /// Does what a participant asks for.
    ///
    /// # Errors
    /// [`Refusal`] that says what to do.
    pub async fn rtc(
        &self,
        room: RoomId,
        session: SessionId,
        request: RtcRequest,
    ) -> Result<RtcReply, Refusal> {
        self.ask_rtc(room, |answer| Message::Rtc(session, Box::new(request), answer)).await
    }

    /// Has another listener told what happens in a participant's session from now on.
    pub async fn listen(&self, room: RoomId, session: SessionId, listener: Listener) {
        let message = Box::new(Message::Listen(session, listener));
        let _ = self.commands.send(Command::To(room, message)).await;
    }

    /// Pauses a producer that is published on this node, as a moderator wants it.
    ///
    /// # Errors
    /// [`RoomError::NoStream`].
    pub async fn mute(&self, mute: Mute) -> Result<(), RoomError> {
        self.ask(mute.room_id.clone(), |answer| Message::Mute(mute, answer)).await
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
    ) -> Result<Vec<Medium>, RoomError> {
        self.ask(room, |answer| Message::Check(session, stream, answer)).await
    }

    /// Pauses or resumes a stream that is published on this node.
    ///
    /// # Errors
    /// [`RoomError::NoStream`].
    pub async fn set_paused(&self, room: RoomId, stream: StreamName, paused: bool) -> Result<(), RoomError> {
        self.ask(room, |answer| Message::SetPaused(stream, paused, answer)).await
    }

    /// Ends sessions of a room on this node, as a moderator wants it (`by`) or an operator; answers which.
    ///
    /// # Errors
    /// [`RoomError::Busy`], [`RoomError::Stopped`].
    pub async fn kick(
        &self,
        room: RoomId,
        whom: Whom,
        by: Option<StreamName>,
    ) -> Result<Vec<EndedSession>, RoomError> {
        match self.ask(room, |answer| Message::Kick(whom, by, answer)).await {
            Err(RoomError::NoSession) => Ok(Vec::new()),
            other => other,
        }
    }

    /// Ends all sessions of this node that came with a token; answers which.
    pub async fn kick_all(&self, token: TokenKey) -> Vec<EndedSession> {
        let (answer, ended) = oneshot::channel();
        let _ = self.commands.send(Command::KickAll(token, answer)).await;
        ended.await.unwrap_or_default()
    }

    /// A room as it is now; none if this node doesn't carry it.
    pub async fn inspect(&self, room: RoomId) -> Option<RoomView> {
        let (answer, view) = oneshot::channel();
        self.commands.send(Command::To(room, Box::new(Message::Inspect(answer)))).await.ok()?;
        tokio::time::timeout(INSPECTION, view).await.ok()?.ok()
    }

    /// All rooms as they are now.
    pub async fn all(&self) -> Vec<RoomView> {
        let (answer, views) = oneshot::channel();
        let _ = self.commands.send(Command::All(answer)).await;
        views.await.unwrap_or_default()
    }

    /// What this node has of a stream; none where it carries nothing of the room.
    pub async fn status(&self, room: RoomId, stream: StreamName) -> Option<StreamHereView> {
        let (answer, status) = oneshot::channel();
        self.commands.send(Command::To(room, Box::new(Message::Status(stream, answer)))).await.ok()?;
        status.await.ok()
    }

    /// Opens the rooms that are pushed to this node, as they are told.
    pub async fn carry(self, mut rooms: mpsc::Receiver<RoomId>) {
        while let Some(room) = rooms.recv().await {
            let _ = self.commands.send(Command::To(room, Box::new(Message::Carry))).await;
        }
    }

    /// A media worker died: its rooms end.
    pub async fn worker_died(&self, worker: WorkerId) {
        let _ = self.commands.send(Command::WorkerDied(worker)).await;
    }

    /// Ends all rooms, says so to their peers and the fleet, and returns once that is said.
    pub async fn stop(&self, reason: EndReason) {
        let (done, stopped) = oneshot::channel();
        if self.commands.send(Command::Stop(reason, done)).await.is_ok() {
            let _ = stopped.await;
        }
    }

    async fn ask_rtc(
        &self,
        room: RoomId,
        message: impl FnOnce(RtcAnswer) -> Message,
    ) -> Result<RtcReply, Refusal> {
        let (answer, result) = oneshot::channel();
        let sent = self.commands.send(Command::To(room, Box::new(message(answer)))).await;
        sent.map_err(|_| RoomError::Stopped)?;
        result.await.unwrap_or_else(|_| Err(RoomError::Stopped.into()))
    }

    async fn ask<T>(
        &self,
        room: RoomId,
        message: impl FnOnce(oneshot::Sender<Result<T, RoomError>>) -> Message,
    ) -> Result<T, RoomError> {
        let (answer, result) = oneshot::channel();
        let sent = self.commands.send(Command::To(room, Box::new(message(answer)))).await;
        sent.map_err(|_| RoomError::Stopped)?;
        result.await.unwrap_or(Err(RoomError::Stopped))
    }
}
