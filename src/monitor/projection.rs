//! The live picture: the state, folded from the log as it grows. Its task is its only owner.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::fold::State;
use super::snapshot;
use crate::broker::Broker;
use crate::broker::events::{EventsError, Logged, Snapshot, Span, Start};
use crate::config::Config;
use crate::protocol::event::What;

/// Looks that may wait.
const INBOX: usize = 64;
const RETRY: Duration = Duration::from_millis(500);
/// How often what is long gone is forgotten.
const FORGET: Duration = Duration::from_secs(60);

type Look = Box<dyn FnOnce(&State) + Send>;

/// Looks at the live picture.
#[derive(Debug, Clone)]
pub(super) struct Live {
    looks: mpsc::Sender<Look>,
    progress: watch::Receiver<Progress>,
}

/// How far the log has been folded.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Progress {
    /// Whether all that was stored is folded in.
    pub(super) caught_up: bool,
    /// Events behind the end of the log.
    pub(super) behind: u64,
    /// Raised when past pictures hold no more: a room's history was deleted, or the log begun anew.
    pub(super) revision: u64,
}

impl Live {
    /// What `look` makes of the state; none once the monitor stops.
    pub(super) async fn see<T: Send + 'static>(
        &self,
        look: impl FnOnce(&State) -> T + Send + 'static,
    ) -> Option<T> {
        let (answer, seen) = oneshot::channel();
        let look: Look = Box::new(move |state| drop(answer.send(look(state))));
        self.looks.send(look).await.ok()?;
        seen.await.ok()
    }

    pub(super) fn progress(&self) -> Progress {
        *self.progress.borrow()
    }

    /// The progress as it changes.
    pub(super) fn progress_seen(&self) -> watch::Receiver<Progress> {
        self.progress.clone()
    }
}

/// The task that folds.
#[derive(Debug)]
pub(super) struct Projection {
    broker: Broker,
    config: Config,
    tracker: TaskTracker,
    looks: mpsc::Receiver<Look>,
    progress: watch::Sender<Progress>,
    state: State,
    /// The last event in a stored snapshot.
    stored: u64,
}

impl Projection {
    pub(super) fn new(broker: Broker, config: Config, tracker: TaskTracker) -> (Self, Live) {
        let (sender, looks) = mpsc::channel(INBOX);
        let (progress, seen) = watch::channel(Progress::default());
        let state = State::default();
        let projection = Self { broker, config, tracker, looks, progress, state, stored: 0 };
        (projection, Live { looks: sender, progress: seen })
    }

    /// Folds until `stop`; waits out every failure, and answers looks meanwhile.
    pub(super) async fn run(mut self, stop: CancellationToken) {
        let _ = stop.run_until_cancelled(self.go_on()).await;
        // The next start has less to read.
        if self.state.position().sequence > self.stored {
            self.store_snapshot();
        }
    }

    async fn go_on(&mut self) {
        let mut connected = self.broker.connected();
        loop {
            if let Err(error) = self.follow().await {
                tracing::warn!(%error, "events can't be read; trying again");
            }
            self.progress.send_modify(|progress| progress.caught_up = false);
            let pause = async {
                tokio::time::sleep(RETRY).await;
                let _ = connected.wait_for(|up| *up).await;
            };
            tokio::pin!(pause);
            loop {
                tokio::select! {
                    () = &mut pause => break,
                    Some(look) = self.looks.recv() => look(&self.state),
                }
            }
        }
    }

    async fn follow(&mut self) -> Result<(), EventsError> {
        let mut connected = self.broker.connected();
        if !*connected.borrow_and_update() {
            return Ok(());
        }
        self.broker.keep_events(&self.config.events).await?;
        let span = self.broker.events_span().await?;
        let position = self.state.position();
        if position.sequence > span.last.0 || position.time.is_some_and(|time| time < span.created) {
            tracing::warn!("the event log was begun anew; so is the picture");
            self.progress.send_modify(|progress| progress.revision += 1);
            self.delete_snapshots(move |snapshot| snapshot.time < span.created);
            self.state = State::default();
            self.stored = 0;
        }
        if self.state.position().sequence == 0 {
            self.start_from_snapshot(span).await?;
        }
        let next = self.state.position().sequence + 1;
        let mut reading = self.broker.read_events(Start::Sequence(next), None).await?;
        tracing::info!(from = next, events = reading.stored, "reading events");
        self.behind(reading.stored);
        let mut forget = tokio::time::interval(FORGET);
        forget.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                logged = reading.next() => self.fold(logged?),
                Some(look) = self.looks.recv() => look(&self.state),
                _ = forget.tick() => self.state.forget(before(&self.config, Utc::now())),
                Ok(()) = connected.changed() => if !*connected.borrow_and_update() {
                    return Ok(());
                },
            }
        }
    }

    /// Takes the newest snapshot that can be read; with none, everything is read.
    async fn start_from_snapshot(&mut self, span: Span) -> Result<(), EventsError> {
        let snapshots = self.broker.snapshots(&self.config.events).await?;
        let of_this_log = |one: &Snapshot| one.sequence <= span.last.0 && one.time >= span.created;
        for snapshot in snapshots.list().await?.into_iter().rev().filter(of_this_log) {
            let bytes = snapshots.get(snapshot).await?;
            match snapshot::decode(&bytes) {
                Ok(state) => {
                    tracing::info!(sequence = snapshot.sequence, bytes = bytes.len(), "snapshot taken");
                    self.state = state;
                    self.stored = snapshot.sequence;
                    return Ok(());
                }
                Err(error) => tracing::info!(sequence = snapshot.sequence, %error, "snapshot passed over"),
            }
        }
        Ok(())
    }

    fn fold(&mut self, logged: Logged) {
        self.state.apply(logged.sequence, logged.stored, logged.event.as_ref());
        if matches!(logged.event.map(|event| event.what), Some(What::RoomForgotten(_))) {
            self.progress.send_modify(|progress| progress.revision += 1);
            // Those from before still hold the room.
            self.delete_snapshots(move |snapshot| snapshot.sequence < logged.sequence);
            self.store_snapshot();
        }
        self.behind(logged.pending);
        if logged.sequence >= self.stored + self.config.monitor.snapshot_every {
            self.store_snapshot();
        }
    }

    fn behind(&self, behind: u64) {
        self.progress.send_if_modified(|progress| {
            let caught_up = behind == 0;
            let changed = progress.caught_up != caught_up || progress.behind != behind;
            (progress.caught_up, progress.behind) = (caught_up, behind);
            changed
        });
    }

    fn store_snapshot(&mut self) {
        let position = self.state.position();
        let Some(time) = position.time else { return };
        self.stored = position.sequence;
        self.state.forget(before(&self.config, time));
        let bytes = match snapshot::encode(&self.state) {
            Ok(bytes) => bytes,
            Err(error) => return tracing::error!(%error, "snapshot can't be written"),
        };
        let (broker, config) = (self.broker.clone(), self.config.clone());
        self.tracker.spawn(async move {
            let snapshot = Snapshot { sequence: position.sequence, time };
            match store(&broker, &config, snapshot, &bytes).await {
                Ok(()) => {
                    tracing::info!(sequence = snapshot.sequence, bytes = bytes.len(), "snapshot stored");
                }
                // The log has everything; only the next start takes longer.
                Err(error) => tracing::warn!(%error, "snapshot not stored"),
            }
        });
    }

    /// Deletes the snapshots that hold no more.
    fn delete_snapshots(&self, old: impl Fn(&Snapshot) -> bool + Send + 'static) {
        let (broker, events) = (self.broker.clone(), self.config.events.clone());
        self.tracker.spawn(async move {
            let deleted = async {
                let snapshots = broker.snapshots(&events).await?;
                for old in snapshots.list().await?.into_iter().filter(old) {
                    snapshots.delete(old).await?;
                }
                Ok::<_, EventsError>(())
            };
            if let Err(error) = deleted.await {
                tracing::error!(%error, "old snapshots could not be deleted");
            }
        });
    }
}

/// Stores a snapshot where there is none of the same place, and deletes what is too many.
async fn store(
    broker: &Broker,
    config: &Config,
    snapshot: Snapshot,
    bytes: &[u8],
) -> Result<(), EventsError> {
    let snapshots = broker.snapshots(&config.events).await?;
    let there = snapshots.list().await?;
    if !there.contains(&snapshot) {
        snapshots.put(snapshot, bytes).await?;
    }
    let too_many = (there.len() + 1).saturating_sub(config.monitor.snapshots.max(1));
    for old in there.into_iter().take(too_many) {
        snapshots.delete(old).await?;
    }
    Ok(())
}

/// What changed last before this is forgotten at `now`.
pub(super) fn before(config: &Config, now: DateTime<Utc>) -> DateTime<Utc> {
    let remember = TimeDelta::from_std(config.monitor.remember).unwrap_or(TimeDelta::MAX);
    now.checked_sub_signed(remember).unwrap_or(DateTime::<Utc>::MIN_UTC)
}
