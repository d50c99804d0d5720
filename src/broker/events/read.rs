//! Reading the log: events from any point on, in the order in which they were stored.

use std::time::Duration;

use async_nats::jetstream;
use async_nats::jetstream::Context;
use async_nats::jetstream::consumer::DeliverPolicy;
use async_nats::jetstream::consumer::pull::{Ordered, OrderedConfig};
use async_nats::jetstream::stream::Info;
use chrono::{DateTime, Utc};
use futures_util::StreamExt;
use tokio::time::timeout;

use super::super::Broker;
use super::outbox::EVENT_BYTES;
use crate::config::Events;
use crate::protocol::codec;
use crate::protocol::event::{About, Event};
use crate::protocol::ids::RoomId;
use crate::protocol::subjects::{Subject, Subjects};

/// How long the next stored event may take before it is asked for anew.
const QUIET: Duration = Duration::from_secs(2);

/// An event as it stands in the log.
#[derive(Debug, Clone)]
pub struct Logged {
    /// Its place in the log.
    pub sequence: u64,
    /// When it was stored.
    pub stored: DateTime<Utc>,
    /// The event; none where it can't be read (of a newer version, or not ours).
    pub event: Option<Event>,
    /// How many more were stored behind it when it was read.
    pub pending: u64,
}

/// What the log holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// The first event's place and time; 0 in an empty log.
    pub first: (u64, DateTime<Utc>),
    /// The last one's.
    pub last: (u64, DateTime<Utc>),
    /// When the log was made: what is older was in another one.
    pub created: DateTime<Utc>,
}

/// Where reading starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// At this place, or the next one that is there.
    Sequence(u64),
    /// At the first event stored at this time or later.
    Time(DateTime<Utc>),
    /// At what is stored from now on.
    Now,
}

/// Why the log can't be read.
#[derive(Debug, thiserror::Error)]
#[error("the event log can't be read: {0}")]
pub struct EventsError(pub(super) String);

impl EventsError {
    pub(crate) fn new(error: impl std::fmt::Display) -> Self {
        Self(error.to_string())
    }
}

/// A reader of the log; dropping it ends the reading.
pub struct Reading {
    broker: Broker,
    messages: Ordered,
    room: Option<RoomId>,
    /// Where it goes on: what lies before was read, or is not wanted.
    next: Start,
    /// How many events were stored when reading began.
    pub stored: u64,
}

impl std::fmt::Debug for Reading {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reading").field("stored", &self.stored).finish_non_exhaustive()
    }
}

impl Broker {
    /// Creates the log, or applies the configuration to it.
    ///
    /// # Errors
    /// [`EventsError`].
    pub async fn keep_events(&self, events: &Events) -> Result<(), EventsError> {
        let config = self.events_config(events);
        if let Ok(there) = self.inner.jetstream.get_stream(&config.name).await {
            let kept = &there.cached_info().config;
            if (kept.max_age, kept.max_bytes) != (config.max_age, config.max_bytes) {
                let (days, bytes) = (config.max_age.as_secs() / 86_400, config.max_bytes);
                tracing::warn!(
                    days,
                    bytes,
                    "the event log was kept otherwise: all monitors should say the same"
                );
            }
        }
        self.inner.jetstream.create_or_update_stream(config).await.map_err(EventsError::new)?;
        if !self.inner.domains.is_empty() {
            let all = self.all_events_config(events);
            self.inner.jetstream.create_or_update_stream(all).await.map_err(EventsError::new)?;
        }
        Ok(())
    }

    /// What the log holds now.
    ///
    /// # Errors
    /// [`EventsError`].
    pub async fn events_span(&self) -> Result<Span, EventsError> {
        let stream = self.inner.jetstream.get_stream(self.log_read()).await.map_err(EventsError::new)?;
        let Info { state, created, .. } = stream.cached_info();
        let empty = state.messages == 0;
        Ok(Span {
            first: (if empty { 0 } else { state.first_sequence }, state.first_timestamp),
            last: (state.last_sequence, state.last_timestamp),
            created: *created,
        })
    }

    /// Reads the log from `start`, of all or of one room.
    ///
    /// # Errors
    /// [`EventsError`].
    pub async fn read_events(&self, start: Start, room: Option<&RoomId>) -> Result<Reading, EventsError> {
        let log = self.log_read();
        let stream = self.inner.jetstream.get_stream_no_info(log).await.map_err(EventsError::new)?;
        let next = match start {
            // A place, so that what comes while reading begins anew is not missed.
            Start::Now => Start::Sequence(self.events_span().await?.last.0.saturating_add(1)),
            other => other,
        };
        let deliver_policy = match next {
            Start::Sequence(sequence) => DeliverPolicy::ByStartSequence { start_sequence: sequence.max(1) },
            Start::Time(start_time) => DeliverPolicy::ByStartTime { start_time },
            Start::Now => DeliverPolicy::New,
        };
        let filter_subject = room.map(|room| self.inner.subjects.events_of(room)).unwrap_or_default();
        let config = OrderedConfig { deliver_policy, filter_subject, ..OrderedConfig::default() };
        let consumer = stream.create_consumer(config).await.map_err(EventsError::new)?;
        let stored = consumer.cached_info().num_pending;
        let messages = consumer.messages().await.map_err(EventsError::new)?;
        Ok(Reading { broker: self.clone(), messages, room: room.cloned(), next, stored })
    }

    /// Deletes what all logs have of a room; returns how many events were in the one that is read.
    ///
    /// # Errors
    /// [`EventsError`] where one of them can't be reached; then it is to be asked again.
    pub async fn purge_events(&self, room: &RoomId) -> Result<u64, EventsError> {
        let own = self.inner.subjects.events_stream();
        for domain in &self.inner.domains {
            let mut there = jetstream::with_domain(self.inner.client.clone(), domain.as_str());
            there.set_timeout(self.inner.request_timeout);
            let unreached = |error| EventsError::new(format!("that of the domain {domain}: {error}"));
            self.purge_log(&there, own.clone(), room).await.map_err(unreached)?;
        }
        let mut purged = self.purge_log(&self.inner.jetstream, own.clone(), room).await?;
        // Last, as it is a copy of the others.
        if self.log_read() != own {
            purged = self.purge_log(&self.inner.jetstream, self.log_read(), room).await?;
        }
        Ok(purged)
    }

    async fn purge_log(&self, jetstream: &Context, log: String, room: &RoomId) -> Result<u64, EventsError> {
        let stream = jetstream.get_stream_no_info(log).await.map_err(EventsError::new)?;
        let filter = self.inner.subjects.events_of(room);
        let purge = stream.purge().filter(filter).await.map_err(EventsError::new)?;
        Ok(purge.purged)
    }
}

impl Reading {
    /// The next event; waits for it.
    ///
    /// # Errors
    /// [`EventsError`] where reading must begin anew.
    pub async fn next(&mut self) -> Result<Logged, EventsError> {
        loop {
            let message = self.messages.next().await.ok_or_else(|| EventsError::new("its consumer ended"))?;
            let message = message.map_err(EventsError::new)?;
            let info = message.info().map_err(EventsError::new)?;
            // A consumer that had to be made anew before its first event begins at the log's beginning.
            let early = match self.next {
                Start::Sequence(next) => info.stream_sequence < next,
                Start::Time(time) => info.published < time,
                Start::Now => false,
            };
            if early {
                continue;
            }
            self.next = Start::Sequence(info.stream_sequence.saturating_add(1));
            return Ok(Logged {
                sequence: info.stream_sequence,
                stored: info.published,
                pending: info.pending,
                event: self.broker.readable_event(&message.subject, &message.payload),
            });
        }
    }

    /// The next event of those that were stored when reading began; none behind the last of them.
    ///
    /// # Errors
    /// [`EventsError`] where reading must begin anew.
    pub async fn next_stored(&mut self) -> Result<Option<Logged>, EventsError> {
        if self.stored == 0 {
            return Ok(None);
        }
        let logged = match timeout(QUIET, self.next()).await {
            Ok(logged) => logged?,
            Err(_) => {
                // What was counted may have been deleted meanwhile; or the bus is slow.
                *self = self.broker.read_events(self.next, self.room.as_ref()).await?;
                if self.stored == 0 {
                    return Ok(None);
                }
                let late = |_| EventsError::new("stored events don't come");
                timeout(QUIET, self.next()).await.map_err(late)??
            }
        };
        self.stored = (self.stored - 1).min(logged.pending);
        Ok(Some(logged))
    }
}

impl Broker {
    /// The event in a message; one of another version, or under another's name, is none.
    fn readable_event(&self, subject: &str, payload: &[u8]) -> Option<Event> {
        let event: Event = codec::decode(payload, EVENT_BYTES)
            .inspect_err(|error| tracing::debug!(subject, %error, "event skipped"))
            .ok()?;
        if !speaks_for_itself(&self.inner.subjects, subject, &event) {
            self.count_refused("event");
            tracing::debug!(subject, "event skipped: it names another source or room than its subject");
            return None;
        }
        Some(event)
    }
}

/// Whether an event is of the node and the room of its subject, which is the one that NATS lets its source use.
fn speaks_for_itself(subjects: &Subjects, subject: &str, event: &Event) -> bool {
    let source = event.source.node.clone();
    let named = match &event.subject {
        About::Room(room) => Subject::RoomEvent(room.clone(), source),
        About::Node(_) => Subject::NodeEvent(source),
    };
    subjects.parse(subject) == Some(named)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::event::{RoomClosed, What};
    use crate::protocol::ids::{Incarnation, Peer};
    use uuid::Uuid;

    #[test]
    fn an_event_of_another_source_or_room_than_its_subject_is_not_believed() {
        let subjects = Subjects::new("live").unwrap();
        let event = |subject| Event {
            id: 1,
            time: Utc::now(),
            source: Peer {
                node: "a".parse().unwrap(),
                incarnation: Incarnation(Uuid::from_u128(1)),
                region: "x".parse().unwrap(),
            },
            subject,
            what: What::RoomClosed(RoomClosed { duration_ms: 1 }),
        };
        let of_room = event(About::Room("news".parse().unwrap()));
        assert!(speaks_for_itself(&subjects, "live.room.news.event.a", &of_room));
        for wrong in [
            "live.room.news.event.b",
            "live.room.sports.event.a",
            "live.node.a.event",
            "room.news.event.a",
            "live.room.news.event.a.a",
        ] {
            assert!(!speaks_for_itself(&subjects, wrong, &of_room), "{wrong}");
        }
        // A node tells of another one, that it has fallen silent: in its own name.
        let of_node = event(About::Node("b".parse().unwrap()));
        assert!(speaks_for_itself(&subjects, "live.node.a.event", &of_node));
        assert!(!speaks_for_itself(&subjects, "live.node.b.event", &of_node));
    }
}
