//! The live picture: the state, folded from the log as it grows. Its task is its only owner.

use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta, Utc};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::fold::State;
use super::snapshot;
use super::view::Moment;
use crate::broker::Broker;
use crate::broker::events::{EventsError, Logged, Reading, Snapshot, Span, Start};
use crate::config::Config;
use crate::protocol::event::What;

/// Looks that may wait.
const INBOX: usize = 64;
const RETRY: Duration = Duration::from_millis(500);
/// How long after a break nodes may take to tell what they kept.
const STEADY: Duration = Duration::from_secs(10);
/// How often what is long gone is forgotten.
const FORGET: Duration = Duration::from_secs(60);

type Look = Box<dyn FnOnce(&State, DateTime<Utc>) + Send>;

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
    /// Since when the log has been read without a break; none while it can't be.
    pub(super) reading_since: Option<Instant>,
    /// Raised when past pictures hold no more: a room's history was deleted, or the log begun anew.
    pub(super) revision: u64,
}

impl Progress {
    /// Whether what is not heard of now was not told, rather than not heard.
    fn is_steady(&self) -> bool {
        self.caught_up && self.reading_since.is_some_and(|since| since.elapsed() > STEADY)
    }
}

impl Live {
    /// What `look` makes of the state and of the time now; none once the monitor stops.
    pub(super) async fn see<T: Send + 'static>(
        &self,
        look: impl FnOnce(&State, DateTime<Utc>) -> T + Send + 'static,
    ) -> Option<T> {
        let (answer, seen) = oneshot::channel();
        let look: Look = Box::new(move |state, now| drop(answer.send(look(state, now))));
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
    /// When the last event was read.
    read_at: Instant,
    /// The last event in a stored snapshot.
    stored: u64,
}

impl Projection {
    pub(super) fn new(broker: Broker, config: Config, tracker: TaskTracker) -> (Self, Live) {
        let (sender, looks) = mpsc::channel(INBOX);
        let (progress, seen) = watch::channel(Progress::default());
        let state = State::default();
        let read_at = Instant::now();
        let projection = Self { broker, config, tracker, looks, progress, state, read_at, stored: 0 };
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
            self.progress
                .send_modify(|progress| (progress.caught_up, progress.reading_since) = (false, None));
            let pause = async {
                tokio::time::sleep(RETRY).await;
                let _ = connected.wait_for(|up| *up).await;
            };
            tokio::pin!(pause);
            loop {
                tokio::select! {
                    () = &mut pause => break,
                    Some(look) = self.looks.recv() => look(&self.state, self.now()),
                }
            }
        }
    }

    /// The time by the log's own clock. While the bus is away, or has just come back, silence means
    /// nothing: time stands still.
    fn now(&self) -> DateTime<Utc> {
        let passed = if self.progress.borrow().is_steady() { self.read_at.elapsed() } else { Duration::ZERO };
        let passed = TimeDelta::from_std(passed).unwrap_or(TimeDelta::MAX);
        self.state.clock().checked_add_signed(passed).unwrap_or(DateTime::<Utc>::MAX_UTC)
    }

    async fn follow(&mut self) -> Result<(), EventsError> {
        let mut connected = self.broker.connected();
        if !*connected.borrow_and_update() {
            return Ok(());
        }
        let open = open(self.broker.clone(), self.config.clone(), self.state.position());
        tokio::pin!(open);
        let Opened { span, begin, mut reading } = loop {
            tokio::select! {
                opened = &mut open => break opened?,
                Some(look) = self.looks.recv() => look(&self.state, self.now()),
            }
        };
        if let Some((stored, state)) = begin {
            if self.state.position().sequence > 0 {
                tracing::warn!("the event log was begun anew; so is the picture");
                self.progress.send_modify(|progress| progress.revision += 1);
            }
            (self.stored, self.state) = (stored, state);
        }
        self.delete_snapshots(move |snapshot| snapshot.time < span.created);
        tracing::info!(from = self.state.position().sequence + 1, events = reading.stored, "reading events");
        self.progress.send_modify(|progress| progress.reading_since = Some(Instant::now()));
        self.behind(reading.stored);
        let mut forget = tokio::time::interval(FORGET);
        forget.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                logged = reading.next() => self.fold(logged?),
                Some(look) = self.looks.recv() => look(&self.state, self.now()),
                _ = forget.tick() => {
                    self.state.forget(before(&self.config, self.now()));
                    if self.broker.events_span().await?.created != span.created {
                        return Err(EventsError::new("the log was made anew"));
                    }
                }
                Ok(()) = connected.changed() => if !*connected.borrow_and_update() {
                    return Ok(());
                },
            }
        }
    }

    fn fold(&mut self, logged: Logged) {
        self.read_at = Instant::now();
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

/// The log, ready to be read on.
struct Opened {
    span: Span,
    /// Where the state can't be gone on with: what to begin with, and its place in a snapshot.
    begin: Option<(u64, State)>,
    reading: Reading,
}

/// Opens the log behind a position; where that is none of this log, behind the newest snapshot.
async fn open(broker: Broker, config: Config, position: Moment) -> Result<Opened, EventsError> {
    broker.keep_events(&config.events).await?;
    let span = broker.events_span().await?;
    let another = position.sequence > span.last.0 || position.time.is_some_and(|time| time < span.created);
    let begin = if another || position.sequence == 0 {
        Some(newest_snapshot(&broker, &config, span).await?.unwrap_or_default())
    } else {
        None
    };
    let from = begin.as_ref().map_or(position.sequence, |(sequence, _)| *sequence);
    let reading = broker.read_events(Start::Sequence(from + 1), None).await?;
    Ok(Opened { span, begin, reading })
}

/// The newest snapshot of this log that can be read; with none, everything is read.
async fn newest_snapshot(
    broker: &Broker,
    config: &Config,
    span: Span,
) -> Result<Option<(u64, State)>, EventsError> {
    let snapshots = broker.snapshots(&config.events).await?;
    for snapshot in snapshots.list().await?.into_iter().rev().filter(|it| it.is_of(&span)) {
        let read = snapshots.get(snapshot).await.and_then(|bytes| {
            let state = snapshot::decode(&bytes).map_err(EventsError::new)?;
            Ok((bytes.len(), state))
        });
        match read {
            Ok((bytes, state)) => {
                tracing::info!(sequence = snapshot.sequence, bytes, "snapshot taken");
                return Ok(Some((snapshot.sequence, state)));
            }
            Err(error) => tracing::info!(sequence = snapshot.sequence, %error, "snapshot passed over"),
        }
    }
    Ok(None)
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
    // Another monitor's is as good, and writing over it would disturb who reads it.
    if there.iter().all(|it| it.sequence != snapshot.sequence) {
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
