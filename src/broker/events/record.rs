//! Recording: events leave in order, and again until they are stored.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use async_nats::jetstream::context::PublishError;
use async_nats::jetstream::message::PublishMessage;
use chrono::{DateTime, Utc};
use futures_util::future;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::super::Broker;
use super::outbox::{Outbox, Waiting};
use crate::config::Events;
use crate::protocol::event::{About, LimitHit, What};
use crate::protocol::ids::NodeName;
use crate::telemetry::Metrics;

/// For how long the bus itself recognises an event that comes twice.
pub(super) const DUPLICATES: Duration = Duration::from_secs(120);
/// How many events are on their way at once.
const WINDOW: usize = 256;
/// How long is waited after a failure.
const RETRY: Duration = Duration::from_millis(250);
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
        let (broker, config) = (self.clone(), config.clone());
        (recorder, Recording { broker, config, happened, lost, outbox, logs, created: None, ensured: false })
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
            while self.outbox.len() > 0 {
                self.store().await;
            }
        };
        if tokio::time::timeout(LAST_WORDS, last_words).await.is_err() {
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
        match self.send(&first).await {
            Ok(stored) => {
                self.broker.inner.metrics.events.get_or_create(&[("result", "stored")]).inc_by(stored as u64);
                self.outbox.stored(stored, Utc::now());
                if stored == first.len() {
                    return;
                }
            }
            Err(error) => tracing::debug!(%error, "the event log can't be reached; trying again"),
        }
        self.ensured = false;
        tokio::time::sleep(RETRY).await;
    }

    /// How many of the first were stored before one was not.
    async fn send(&mut self, events: &[Waiting]) -> Result<usize, async_nats::Error> {
        let jetstream = &self.broker.inner.jetstream;
        if !self.ensured {
            let log = jetstream.get_or_create_stream(self.broker.events_config(&self.config)).await?;
            let created = Some(log.cached_info().created);
            if self.created.is_some() && self.created != created {
                tracing::warn!("the event log was begun anew");
                self.logs.fetch_add(1, Ordering::Relaxed);
            }
            self.created = created;
            self.ensured = true;
        }
        let incarnation = self.broker.inner.me.incarnation;
        let mut acks = Vec::with_capacity(events.len());
        for event in events {
            let message = PublishMessage::build()
                .payload(event.payload.clone())
                .message_id(format!("{incarnation}/{}", event.id));
            acks.push(jetstream.send_publish(event.subject.clone(), message).await?.into_future());
        }
        let results: Vec<Result<_, PublishError>> = future::join_all(acks).await;
        if let Some(error) = results.iter().find_map(|result| result.as_ref().err()) {
            tracing::debug!(%error, "events not stored; trying again");
        }
        Ok(results.iter().take_while(|result| result.is_ok()).count())
    }
}
