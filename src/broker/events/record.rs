//! Recording: events leave in order, and again until they are stored.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use async_nats::jetstream::ErrorCode;
use async_nats::jetstream::context::{CreateStreamError, CreateStreamErrorKind};
use async_nats::jetstream::message::PublishMessage;
use chrono::{DateTime, Utc};
use futures_util::future;
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::super::Broker;
use super::outbox::{Outbox, Waiting};
use super::trouble::Trouble;
use crate::config::Events;
use crate::protocol::event::{About, LimitHit, What};
use crate::protocol::ids::NodeName;
use crate::telemetry::Metrics;

/// For how long the bus itself recognises an event that comes twice.
pub(super) const DUPLICATES: Duration = Duration::from_secs(120);
/// How many events are on their way at once.
const WINDOW: usize = 256;
/// How long a stopping node tries to store what is left.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// Records what happens. Cheap to clone; never waits.
#[derive(Debug, Clone)]
pub struct Recorder {
    node: NodeName,
    happened: mpsc::Sender<Happened>,
    /// What found no place in the channel.
    lost: Arc<AtomicU64>,
    logs: Arc<AtomicU64>,
    metrics: Arc<Metrics>,
}

#[derive(Debug)]
struct Happened {
    time: DateTime<Utc>,
    about: About,
    what: Box<What>,
    /// Why, for what may happen all the time.
    often: Option<&'static str>,
}

/// The other end of a [`Recorder`]: stores what it records.
#[derive(Debug)]
pub struct Recording {
    broker: Broker,
    config: Events,
    happened: mpsc::Receiver<Happened>,
    lost: Arc<AtomicU64>,
    outbox: Outbox,
    /// How many logs there have been, and when the present one was made.
    logs: Arc<AtomicU64>,
    created: Option<DateTime<Utc>>,
    /// Whether the log is known to be there.
    ensured: bool,
    trouble: Trouble,
}

/// Why events are not stored.
#[derive(Debug, thiserror::Error)]
enum StoreError {
    #[error("the log can't be opened: {0}")]
    Log(#[from] CreateStreamError),
    #[error("events can't be sent: {0}")]
    Send(String),
    #[error("the server does not answer in time")]
    Timeout,
}

impl StoreError {
    /// Whether another stream keeps what is said on the log's subjects.
    fn is_overlap(&self) -> bool {
        let Self::Log(error) = self else { return false };
        matches!(error.kind(), CreateStreamErrorKind::JetStream(error)
            if error.error_code() == ErrorCode::STREAM_SUBJECT_OVERLAP)
    }
}

impl Recorder {
    /// Records that something happened now.
    pub fn record(&self, about: About, what: What) {
        self.push(Happened { time: Utc::now(), about, what: Box::new(what), often: None });
    }

    /// Records what may happen all the time: the first for a reason is told at once, those that follow now
    /// and then, with their number.
    pub fn record_often(&self, about: About, reason: &'static str, what: What) {
        self.push(Happened { time: Utc::now(), about, what: Box::new(what), often: Some(reason) });
    }

    /// Records that the limit `limits.<limit>` was hit.
    pub fn limit_hit(&self, limit: &'static str) {
        let hit = LimitHit { limit: format!("limits.{limit}"), times: 1 };
        self.record_often(About::Node(self.node.clone()), limit, What::LimitHit(hit));
    }

    /// Changes when the log was lost and another one begun, which should be told all that holds.
    pub fn log(&self) -> u64 {
        self.logs.load(Ordering::Relaxed)
    }

    fn push(&self, happened: Happened) {
        if self.happened.try_send(happened).is_err() {
            self.lost.fetch_add(1, Ordering::Relaxed);
            self.metrics.events.get_or_create(&[("result", "dropped")]).inc();
        }
    }
}

impl Broker {
    /// A recorder, and what stores what it records once it is run.
    pub fn recorder(&self, config: &Events) -> (Recorder, Recording) {
        let (sender, happened) = mpsc::channel(config.buffer);
        let (lost, logs) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
        let inner = &self.inner;
        let recorder = Recorder {
            node: inner.me.node.clone(),
            happened: sender,
            lost: Arc::clone(&lost),
            logs: Arc::clone(&logs),
            metrics: Arc::clone(&inner.metrics),
        };
        let outbox = Outbox::new(inner.me.clone(), inner.subjects.clone(), config.buffer);
        let recording = Recording {
            broker: self.clone(),
            config: config.clone(),
            happened,
            lost,
            outbox,
            logs,
            created: None,
            ensured: false,
            trouble: Trouble::default(),
        };
        (recorder, recording)
    }
}

impl Recording {
    /// Stores until `stop`, then what is left, for at most two seconds.
    pub async fn run(mut self, stop: CancellationToken) {
        if stop.clone().run_until_cancelled(self.go_on()).await.is_some() {
            return;
        }
        self.happened.close();
        self.take_all();
        let last_words = async {
            while self.outbox.len() > 0 && self.broker.is_connected() {
                self.store().await;
            }
        };
        let _ = timeout(LAST_WORDS, last_words).await;
        if self.outbox.len() > 0 {
            tracing::warn!(events = self.outbox.len(), "some events could not be stored");
        }
    }

    /// Returns once every recorder is gone. May be abandoned: what was not stored is stored again.
    async fn go_on(&mut self) {
        let mut connected = self.broker.connected();
        loop {
            tokio::select! {
                happened = self.happened.recv() => match happened {
                    Some(happened) => self.take(happened),
                    None => return,
                },
                Ok(_) = connected.wait_for(|up| *up), if self.outbox.len() > 0 => {}
            }
            self.take_all();
            if self.broker.is_connected() && self.outbox.len() > 0 {
                self.store().await;
            }
        }
    }

    fn take_all(&mut self) {
        while let Ok(happened) = self.happened.try_recv() {
            self.take(happened);
        }
        let lost = self.lost.swap(0, Ordering::Relaxed);
        self.outbox.lost(lost);
    }

    fn take(&mut self, happened: Happened) {
        let before = self.outbox.given_up();
        let Happened { time, about, what, often } = happened;
        match often {
            Some(reason) => self.outbox.push_often(time, about, reason, *what, Instant::now()),
            None => self.outbox.push(time, about, *what, Instant::now()),
        }
        let given_up = self.outbox.given_up() - before;
        self.broker.inner.metrics.events.get_or_create(&[("result", "dropped")]).inc_by(given_up);
    }

    /// Sends the first events, all at once; what is stored without a gap is done with.
    ///
    /// What was stored behind a gap is sent again: every reader knows an event that comes twice.
    async fn store(&mut self) {
        let first = self.outbox.first(WINDOW);
        // Each step has a limit of its own; this one is for what none of them thinks of.
        let patience = self.broker.inner.request_timeout * 4;
        let sent = timeout(patience, self.send(&first)).await.unwrap_or(Err(StoreError::Timeout));
        let metrics = Arc::clone(&self.broker.inner.metrics);
        let (stored, error) = sent.unwrap_or_else(|error| (0, Some(error)));
        if stored > 0 {
            metrics.events.get_or_create(&[("result", "stored")]).inc_by(stored as u64);
            self.outbox.stored(stored, Utc::now());
        }
        metrics.log_ready.set(i64::from(error.is_none()));
        match error {
            None => {
                if self.trouble.is_over() {
                    tracing::info!("what happens is stored again");
                }
            }
            Some(error) => {
                self.ensured = false;
                self.tell(&error).await;
                tokio::time::sleep(self.trouble.pause()).await;
            }
        }
    }

    /// Says once, and then now and then, what keeps the log from being written.
    async fn tell(&mut self, error: &StoreError) {
        if !self.trouble.failed(&error.to_string(), Instant::now()) {
            tracing::debug!(%error, "events not stored; trying again");
            return;
        }
        let waiting = self.outbox.len();
        if !error.is_overlap() {
            tracing::warn!(%error, waiting, "what happens can't be stored now: nothing else depends on it");
            return;
        }
        let stream = self.overlapping().await.unwrap_or_else(|| "(its name can't be asked for)".to_owned());
        let subjects = self.broker.inner.subjects.events().join(" ");
        tracing::warn!(
            stream,
            subjects,
            waiting,
            "what happens can't be stored: that JetStream stream holds the log's subjects. \
             Narrow it, or set nats.prefix; nothing else depends on it"
        );
    }

    /// The stream of someone else that holds what is said on the log's subjects.
    async fn overlapping(&self) -> Option<String> {
        let inner = &self.broker.inner;
        let own = inner.subjects.events_stream();
        for subject in inner.subjects.events() {
            let name = inner.jetstream.stream_by_subject(subject).await.ok();
            if name.as_ref().is_some_and(|name| *name != own) {
                return name;
            }
        }
        None
    }

    /// How many of the first were stored before one was not, and why that one was not.
    async fn send(&mut self, events: &[Waiting]) -> Result<(usize, Option<StoreError>), StoreError> {
        let inner = &self.broker.inner;
        if !self.ensured {
            let log = inner.jetstream.get_or_create_stream(self.broker.events_config(&self.config)).await?;
            let created = Some(log.cached_info().created);
            if self.created.is_some() && self.created != created {
                tracing::warn!("the event log was begun anew");
                self.logs.fetch_add(1, Ordering::Relaxed);
            }
            self.created = created;
            self.ensured = true;
        }
        let unsent = |error: &dyn std::fmt::Display| StoreError::Send(error.to_string());
        let incarnation = inner.me.incarnation;
        let mut acks = Vec::with_capacity(events.len());
        for event in events {
            let message = PublishMessage::build()
                .payload(event.payload.clone())
                .message_id(format!("{incarnation}/{}", event.id));
            let sent = inner.jetstream.send_publish(event.subject.clone(), message).await;
            acks.push(sent.map_err(|error| unsent(&error))?.into_future());
        }
        let log = inner.subjects.events_stream();
        let mut stored = 0;
        for ack in future::join_all(acks).await {
            match ack {
                // Where the log is gone, someone else's stream may have taken it.
                Ok(ack) if ack.stream == log => stored += 1,
                Ok(ack) => return Ok((stored, Some(unsent(&format!("{} took them", ack.stream))))),
                Err(error) => return Ok((stored, Some(unsent(&error)))),
            }
        }
        Ok((stored, None))
    }
}
