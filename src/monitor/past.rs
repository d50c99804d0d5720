//! The picture at a past moment: the snapshot before it, and the events from there to it.

use std::collections::VecDeque;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use tokio::sync::{mpsc, oneshot, watch};

use super::fold::State;
use super::projection::{Progress, before};
use super::snapshot;
use crate::broker::Broker;
use crate::broker::events::{EventsError, Snapshot, Start};
use crate::config::Config;

/// Moments that may be asked for at once.
const INBOX: usize = 16;
/// So many past pictures are kept: a slider moves on from where it was.
const KEPT: usize = 3;

/// A moment of the past.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum At {
    /// After the event at this place.
    Sequence(u64),
    /// When what was stored until then was all there was.
    Time(DateTime<Utc>),
}

impl At {
    fn is_after(self, sequence: u64, stored: DateTime<Utc>) -> bool {
        match self {
            Self::Sequence(at) => sequence <= at,
            Self::Time(at) => stored <= at,
        }
    }
}

/// A moment that someone asks for, and where the answer goes.
type Asked = (At, oneshot::Sender<Result<Arc<State>, EventsError>>);

/// Asks for past pictures.
#[derive(Debug, Clone)]
pub(super) struct Past {
    asked: mpsc::Sender<Asked>,
}

impl Past {
    /// The state at a moment.
    ///
    /// # Errors
    /// [`EventsError`].
    pub(super) async fn at(&self, at: At) -> Result<Arc<State>, EventsError> {
        let gone = || EventsError::new("the monitor stops");
        let (answer, state) = oneshot::channel();
        self.asked.send((at, answer)).await.map_err(|_| gone())?;
        state.await.map_err(|_| gone())?
    }
}

/// A past picture.
#[derive(Debug)]
struct Kept {
    /// The moment that it was asked for.
    of: At,
    state: Arc<State>,
    /// Whether nothing more can come to it, as the log has gone on.
    whole: bool,
}

/// The task that folds up to moments, one after the other.
#[derive(Debug)]
pub(super) struct Replay {
    broker: Broker,
    config: Config,
    asked: mpsc::Receiver<Asked>,
    progress: watch::Receiver<Progress>,
    /// Past pictures, the latest last.
    kept: VecDeque<Kept>,
    /// The revision of the past that these hold.
    revision: u64,
}

impl Replay {
    pub(super) fn new(broker: Broker, config: Config, progress: watch::Receiver<Progress>) -> (Self, Past) {
        let (sender, asked) = mpsc::channel(INBOX);
        let replay = Self { broker, config, asked, progress, kept: VecDeque::new(), revision: 0 };
        (replay, Past { asked: sender })
    }

    /// Answers until every asker is gone.
    pub(super) async fn run(mut self) {
        while let Some((at, answer)) = self.asked.recv().await {
            // Whoever moved on meanwhile needs no answer.
            if !answer.is_closed() {
                let state = self.at(at).await;
                let _ = answer.send(state);
            }
        }
    }

    async fn at(&mut self, at: At) -> Result<Arc<State>, EventsError> {
        let revision = self.progress.borrow().revision;
        if revision != self.revision {
            self.kept.clear();
            self.revision = revision;
        }
        // The views of one moment are asked for one after the other.
        if let Some(kept) = self.kept.iter().find(|kept| kept.of == at && kept.whole) {
            return Ok(Arc::clone(&kept.state));
        }
        let mut state = self.nearest(at).await?;
        let next = state.position().sequence + 1;
        let mut reading = self.broker.read_events(Start::Sequence(next), None).await?;
        let mut whole = matches!(at, At::Sequence(at) if state.position().sequence >= at);
        while let Some(logged) = reading.next_stored().await? {
            if !at.is_after(logged.sequence, logged.stored) {
                whole = true;
                break;
            }
            state.apply(logged.sequence, logged.stored, logged.event.as_ref());
        }
        if let Some(time) = state.position().time {
            state.forget(before(&self.config, time));
        }
        let state = Arc::new(state);
        if self.kept.len() >= KEPT {
            self.kept.pop_front();
        }
        self.kept.push_back(Kept { of: at, state: Arc::clone(&state), whole });
        Ok(state)
    }

    /// The latest picture that is there and not after the moment.
    async fn nearest(&self, at: At) -> Result<State, EventsError> {
        let kept = self.kept.iter().map(|kept| &kept.state).filter(|state| {
            let position = state.position();
            position.time.is_some_and(|time| at.is_after(position.sequence, time))
        });
        let kept = kept.max_by_key(|state| state.position().sequence);
        let from = kept.map_or(0, |state| state.position().sequence);
        let snapshots = self.broker.snapshots(&self.config.events).await?;
        let (stored, span) = (snapshots.list().await?, self.broker.events_span().await?);
        let nearer =
            |one: &&Snapshot| one.is_of(&span) && one.sequence > from && at.is_after(one.sequence, one.time);
        for snapshot in stored.iter().rev().filter(nearer) {
            // One that has just been deleted, or is of another version, is passed over.
            let Ok(bytes) = snapshots.get(*snapshot).await else { continue };
            if let Ok(state) = snapshot::decode(&bytes) {
                return Ok(state);
            }
        }
        Ok(kept.map_or_else(State::default, |state| State::clone(state)))
    }
}
