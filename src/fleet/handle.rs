//! What the rooms may ask of the fleet's task.

use tokio::sync::{mpsc, oneshot};

use super::{Notice, NoticeReceiver};
use crate::protocol::claim::Claim;
use crate::protocol::directory::{Claims, GetClaims};
use crate::protocol::ids::{RoomId, StreamName};

/// The fleet's task, to its callers. Cheap to clone.
#[derive(Debug, Clone)]
pub struct FleetHandle {
    commands: mpsc::Sender<Command>,
}

/// What a room may ask.
#[derive(Debug)]
pub(super) enum Command {
    /// Tell me of this room's streams.
    Follow(RoomId, oneshot::Sender<(Vec<Notice>, NoticeReceiver)>),
    /// And no longer.
    Unfollow(RoomId),
    /// A stream here is live, has changed or has ended.
    Claim(Claim),
    /// The room's task is gone.
    RoomGone(RoomId),
    /// What is known of a stream?
    LookUp(RoomId, StreamName, oneshot::Sender<Option<Notice>>),
    /// A page of claims.
    Page(GetClaims, oneshot::Sender<Claims>),
}

impl FleetHandle {
    pub(super) fn new(commands: mpsc::Sender<Command>) -> Self {
        Self { commands }
    }

    /// What is known of a room's streams, and where each change to that comes out; in place of what
    /// followed that room before. None once the task has ended.
    pub async fn follow(&self, room: RoomId) -> Option<(Vec<Notice>, NoticeReceiver)> {
        self.ask(|answer| Command::Follow(room, answer)).await
    }

    /// Follows a room no longer, unless another does by now. Dropping the receiver does the same, somewhat
    /// later.
    pub fn unfollow(&self, room: RoomId) {
        // A full inbox finds the receiver dropped instead.
        let _ = self.commands.try_send(Command::Unfollow(room));
    }

    /// Tells the fleet that a stream here is live, has changed or has ended.
    pub async fn claim(&self, claim: Claim) {
        let _ = self.commands.send(Command::Claim(claim)).await;
    }

    /// Ends all that a room here claimed: its task is gone.
    pub async fn room_gone(&self, room: RoomId) {
        let _ = self.commands.send(Command::RoomGone(room)).await;
    }

    /// What is known of a stream; none if nothing ever was.
    pub async fn look_up(&self, room: RoomId, stream: StreamName) -> Option<Notice> {
        self.ask(|answer| Command::LookUp(room, stream, answer)).await.flatten()
    }

    /// A page of claims that fits a message; none once the task has ended.
    pub async fn page(&self, request: GetClaims) -> Option<Claims> {
        self.ask(|answer| Command::Page(request, answer)).await
    }

    async fn ask<T>(&self, command: impl FnOnce(oneshot::Sender<T>) -> Command) -> Option<T> {
        let (answer, answered) = oneshot::channel();
        self.commands.send(command(answer)).await.ok()?;
        answered.await.ok()
    }
}
