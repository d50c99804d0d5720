//! A handle to the gate: an operator's wish, carried to every node.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta, Utc};
use futures_util::StreamExt;
use serde::Serialize;
use tokio::sync::{mpsc, oneshot, watch};

use super::bars::Bars;
use crate::protocol::event::{About, TokenBarred, What};
use crate::protocol::gate::{
    Bar, EndedSession, GateReply, GateRequest, Kick, Kicked, SetBars, TokenKey, Whom,
};
use crate::protocol::ids::{NodeName, Peer, RoomId};
use crate::room::{Context, RoomError, RoomsHandle};

/// How many nodes are asked at once.
const AT_ONCE: usize = 32;
/// The longest bar.
const LONGEST: Duration = Duration::from_secs(30 * 24 * 3600);

/// What the gate's task is asked.
#[derive(Debug)]
pub(super) enum Command {
    Bar(TokenKey, DateTime<Utc>, oneshot::Sender<Result<Bar, GateError>>),
    Lift(TokenKey, oneshot::Sender<Result<Bar, GateError>>),
}

/// Why a wish of an operator was not fulfilled.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum GateError {
    /// Too many bars hold.
    #[error("10000 tokens are barred already: lift some, or wait until some bars are over")]
    Full,
    /// No bar of this token holds.
    #[error("no such token is barred")]
    NoBar,
    /// A time that is none.
    #[error("a token can be barred for 1s to 30days")]
    Duration,
    /// This node's rooms did not answer.
    #[error(transparent)]
    Room(#[from] RoomError),
    /// The node is stopping.
    #[error("the node is stopping")]
    Stopped,
}

/// What came of an operator's wish, on all nodes.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Outcome {
    /// The sessions that were ended.
    pub ended: Vec<EndedSession>,
    /// The bars that hold because of it, or no longer do.
    pub bars: Vec<Bar>,
    /// Nodes that gave no answer: what they have goes on there.
    pub unanswered: Vec<NodeName>,
}

/// A handle to the gate.
#[derive(Debug, Clone)]
pub struct GateHandle {
    ctx: Arc<Context>,
    rooms: RoomsHandle,
    commands: mpsc::Sender<Command>,
    bars: watch::Receiver<Arc<Bars>>,
}

impl GateHandle {
    pub(super) fn new(
        ctx: Arc<Context>,
        rooms: RoomsHandle,
        commands: mpsc::Sender<Command>,
        bars: watch::Receiver<Arc<Bars>>,
    ) -> Self {
        Self { ctx, rooms, commands, bars }
    }

    /// Until when a session with any of these tokens is kept out.
    pub fn barred(&self, tokens: &[TokenKey]) -> Option<DateTime<Utc>> {
        if tokens.is_empty() {
            return None;
        }
        self.bars.borrow().until(tokens, Utc::now())
    }

    /// The bars that hold now.
    pub fn bars(&self) -> Vec<Bar> {
        self.bars.borrow().holding(Utc::now()).cloned().collect()
    }

    /// Ends what has come to this node with these tokens meanwhile: a bar that comes while someone is being let
    /// in doesn't see them yet.
    pub async fn send_out(&self, tokens: &[TokenKey]) {
        for token in tokens {
            self.rooms.kick_all(token.clone()).await;
        }
    }

    /// Ends sessions of a room wherever they are, and bars their tokens where a time is given.
    ///
    /// # Errors
    /// [`GateError`].
    pub async fn kick(
        &self,
        room: RoomId,
        whom: Whom,
        bar_for: Option<Duration>,
    ) -> Result<Outcome, GateError> {
        let until = bar_for.map(until).transpose()?;
        let ended = self.rooms.kick(room.clone(), whom.clone(), None).await?;
        let mut outcome = Outcome { ended, ..Outcome::default() };
        self.ask_others(GateRequest::Kick(Kick { room_id: room.clone(), whom, by: None }), &mut outcome)
            .await;
        tracing::info!(%room, ended = outcome.ended.len(), "an operator ended sessions");
        if let Some(until) = until {
            let tokens: BTreeSet<_> = outcome.ended.iter().filter_map(|ended| ended.token.clone()).collect();
            for token in tokens {
                self.bar_until(token, until, &mut outcome).await?;
            }
        }
        self.count(&outcome);
        Ok(outcome)
    }

    /// Keeps a token out for a while, and ends what has come with it, wherever that is.
    ///
    /// # Errors
    /// [`GateError`].
    pub async fn bar(&self, token: TokenKey, bar_for: Duration) -> Result<Outcome, GateError> {
        let mut outcome = Outcome::default();
        self.bar_until(token, until(bar_for)?, &mut outcome).await?;
        self.count(&outcome);
        Ok(outcome)
    }

    /// Lets a token in again.
    ///
    /// # Errors
    /// [`GateError::NoBar`].
    pub async fn lift(&self, token: TokenKey) -> Result<Outcome, GateError> {
        let mut outcome = Outcome::default();
        let bar = self.ask(|answer| Command::Lift(token, answer)).await?;
        self.record(&bar);
        self.ask_others(GateRequest::SetBars(SetBars { bars: vec![bar.clone()] }), &mut outcome).await;
        outcome.bars.push(bar);
        Ok(outcome)
    }

    async fn bar_until(
        &self,
        token: TokenKey,
        until: DateTime<Utc>,
        outcome: &mut Outcome,
    ) -> Result<(), GateError> {
        let bar = self.ask(|answer| Command::Bar(token.clone(), until, answer)).await?;
        self.record(&bar);
        // The bar stands before anyone is sent out: who comes back at once finds it.
        outcome.ended.extend(self.rooms.kick_all(token).await);
        self.ask_others(GateRequest::SetBars(SetBars { bars: vec![bar.clone()] }), outcome).await;
        outcome.bars.push(bar);
        Ok(())
    }

    async fn ask(
        &self,
        command: impl FnOnce(oneshot::Sender<Result<Bar, GateError>>) -> Command,
    ) -> Result<Bar, GateError> {
        let (answer, result) = oneshot::channel();
        self.commands.send(command(answer)).await.map_err(|_| GateError::Stopped)?;
        result.await.unwrap_or(Err(GateError::Stopped))
    }

    /// Asks every other node that is there, and notes who answered what.
    async fn ask_others(&self, request: GateRequest, outcome: &mut Outcome) {
        let fleet = self.ctx.fleet();
        let others: Vec<Peer> = fleet
            .present(Instant::now())
            .map(|presence| presence.peer.clone())
            .filter(|peer| peer.incarnation != self.ctx.me.incarnation)
            .collect();
        let asking = others.into_iter().map(|peer| {
            let (broker, request) = (self.ctx.broker.clone(), request.clone());
            async move {
                let answer = broker.call_gate(&peer, request).await;
                (peer, answer)
            }
        });
        let mut answers = futures_util::stream::iter(asking).buffer_unordered(AT_ONCE);
        while let Some((peer, answer)) = answers.next().await {
            match answer {
                Ok(GateReply::Kicked(Kicked { ended })) => outcome.ended.extend(ended),
                Ok(GateReply::Bars(_)) => {}
                Err(error) => {
                    tracing::warn!(node = %peer.node, %error, "a node did not do what an operator wants");
                    if !outcome.unanswered.contains(&peer.node) {
                        outcome.unanswered.push(peer.node);
                    }
                }
            }
        }
    }

    fn record(&self, bar: &Bar) {
        let (by, lifted) = (bar.token.kind().to_owned(), bar.lifted);
        tracing::info!(by, until = %bar.until, lifted, "an operator barred a token");
        let token = match &bar.token {
            TokenKey::Id(value) | TokenKey::Name(value) => Some(value.clone()),
            TokenKey::Subject(_) => None,
        };
        let barred = TokenBarred { by, token, until: bar.until, lifted };
        self.ctx.events.record(About::Node(self.ctx.me.node.clone()), What::TokenBarred(barred));
    }

    fn count(&self, outcome: &Outcome) {
        for ended in &outcome.ended {
            let who = if ended.viewer.is_some() { "viewer" } else { "publisher" };
            self.ctx.metrics.kicks.get_or_create(&[("who", who)]).inc();
        }
    }
}

fn until(bar_for: Duration) -> Result<DateTime<Utc>, GateError> {
    if !(Duration::from_secs(1)..=LONGEST).contains(&bar_for) {
        return Err(GateError::Duration);
    }
    let bar_for = TimeDelta::from_std(bar_for).map_err(|_| GateError::Duration)?;
    Utc::now().checked_add_signed(bar_for).ok_or(GateError::Duration)
}
