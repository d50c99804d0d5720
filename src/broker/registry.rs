//! Reading the registry: the last announcement of every stream, then each as it comes.

use std::time::Duration;

use async_nats::jetstream::consumer::DeliverPolicy;
use async_nats::jetstream::consumer::pull::OrderedConfig;
use async_nats::jetstream::stream::Config as StreamConfig;
use futures_util::StreamExt;
use tokio::sync::mpsc;

use super::Broker;
use crate::protocol::announcement::Announcement;
use crate::protocol::codec;
use crate::protocol::subjects::Subject;

/// How much of a stream's history is kept beside its last state.
const HISTORY_PER_STREAM: i64 = 64;
const RETRY: Duration = Duration::from_millis(500);

/// What is read.
#[derive(Debug)]
pub enum Read {
    /// All states follow anew: what is not among them until [`Read::Ready`] is gone.
    Begin,
    /// The state of a stream.
    State {
        /// Its epoch.
        epoch: u64,
        /// The announcement.
        announcement: Box<Announcement>,
    },
    /// The states so far are all there are; from here on they come as they change.
    Ready,
}

impl Broker {
    /// Reads the registry into `states` until the receiver is dropped; waits out every failure.
    pub async fn read_registry(self, states: mpsc::Sender<Read>) {
        let mut connected = self.connected();
        loop {
            tokio::select! {
                () = states.closed() => return,
                up = connected.wait_for(|up| *up) => if up.is_err() { return },
            }
            tokio::select! {
                () = states.closed() => return,
                // After a reconnect both sides compare from the start.
                _ = connected.wait_for(|up| !*up) => {}
                result = self.read_once(&states) => match result {
                    Ok(()) => return,
                    Err(error) => tracing::warn!(%error, "registry can't be read; trying again"),
                },
            }
            self.inner.metrics.registry_ready.set(0);
            tokio::time::sleep(RETRY).await;
        }
    }

    async fn read_once(&self, states: &mpsc::Sender<Read>) -> Result<(), async_nats::Error> {
        let stream = self.inner.jetstream.get_or_create_stream(self.registry_stream()).await?;
        let consumer = stream
            .create_consumer(OrderedConfig {
                deliver_policy: DeliverPolicy::LastPerSubject,
                filter_subject: self.inner.subjects.streams(),
                ..OrderedConfig::default()
            })
            .await?;
        let mut pending = consumer.cached_info().num_pending;
        if states.send(Read::Begin).await.is_err() {
            return Ok(());
        }
        let mut ready = false;
        let mut messages = consumer.messages().await?;
        loop {
            if pending == 0 && !ready {
                ready = true;
                self.inner.metrics.registry_ready.set(1);
                if states.send(Read::Ready).await.is_err() {
                    return Ok(());
                }
            }
            let Some(message) = messages.next().await else {
                return Err("the registry's consumer ended".into());
            };
            let message = message?;
            pending = pending.saturating_sub(1);
            let epoch = message.info()?.stream_sequence;
            let Some(announcement) = self.readable(&message.subject, &message.payload) else {
                continue;
            };
            let state = Read::State { epoch, announcement: Box::new(announcement) };
            if states.send(state).await.is_err() {
                return Ok(());
            }
        }
    }

    /// The announcement in a message; one of another version is skipped, not fatal.
    fn readable(&self, subject: &str, payload: &[u8]) -> Option<Announcement> {
        let announcement: Announcement = match codec::decode(payload, self.inner.message_bytes) {
            Ok(announcement) => announcement,
            Err(error) => {
                tracing::warn!(subject, %error, "announcement skipped");
                return None;
            }
        };
        let named = Subject::Stream(announcement.room_id.clone(), announcement.stream.clone());
        if self.inner.subjects.parse(subject) != Some(named) {
            tracing::warn!(subject, "announcement skipped: it names another stream than its subject");
            return None;
        }
        Some(announcement)
    }

    fn registry_stream(&self) -> StreamConfig {
        StreamConfig {
            name: self.inner.subjects.announcements_stream(),
            subjects: vec![self.inner.subjects.streams()],
            max_messages_per_subject: HISTORY_PER_STREAM,
            max_age: self.inner.config.retention,
            num_replicas: self.inner.config.replicas,
            storage: self.storage(),
            allow_direct: true,
            description: Some("the state of every Headwater stream, and its history".to_owned()),
            ..StreamConfig::default()
        }
    }
}
