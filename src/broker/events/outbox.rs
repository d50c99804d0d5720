//! What is recorded and not stored yet. Pure: time is an argument.

use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

use bytes::Bytes;
use chrono::{DateTime, Utc};

use crate::protocol::codec;
use crate::protocol::event::{About, Event, EventsDropped, LimitHit, What};
use crate::protocol::ids::Peer;
use crate::protocol::subjects::Subjects;

/// The largest event, in bytes: less than a NATS server takes by default (1 MiB), as it could never be
/// stored and would hold up all behind it.
pub(super) const EVENT_BYTES: usize = 768 * 1024;
/// How often a limit that is hit all the time is told.
const LIMIT_AGAIN: Duration = Duration::from_secs(10);

/// Events that are not stored yet, in their order.
#[derive(Debug)]
pub(super) struct Outbox {
    me: Peer,
    subjects: Subjects,
    capacity: usize,
    waiting: VecDeque<Waiting>,
    last_id: u64,
    /// Events that were given up and are not yet told of.
    dropped: u64,
    limits: HashMap<&'static str, Limit>,
}

/// An event that is not stored yet.
#[derive(Debug, Clone)]
pub(super) struct Waiting {
    pub(super) id: u64,
    pub(super) subject: String,
    pub(super) payload: Bytes,
    summary: bool,
}

#[derive(Debug, Default)]
struct Limit {
    told: Option<Instant>,
    times: u64,
}

impl Outbox {
    pub(super) fn new(me: Peer, subjects: Subjects, capacity: usize) -> Self {
        let (waiting, limits) = (VecDeque::new(), HashMap::new());
        Self { me, subjects, capacity, waiting, last_id: 0, dropped: 0, limits }
    }

    /// Numbers an event and keeps it; where there is no room, what matters least is given up.
    pub(super) fn push(&mut self, time: DateTime<Utc>, about: About, what: What) {
        if self.waiting.len() >= self.capacity {
            // The next summary tells what a lost one did.
            let least = self.waiting.iter().position(|waiting| waiting.summary).unwrap_or(0);
            self.waiting.remove(least);
            self.dropped += 1;
        }
        self.last_id += 1;
        let summary = what.is_summary();
        let event = Event { id: self.last_id, time, source: self.me.clone(), subject: about, what };
        match codec::encode(&event) {
            Ok(payload) if payload.len() > EVENT_BYTES => {
                tracing::error!(bytes = payload.len(), "event given up: too large to be stored");
                self.dropped += 1;
            }
            Ok(payload) => self.waiting.push_back(Waiting {
                id: event.id,
                subject: self.subjects.event(&event.subject, &self.me.node),
                payload: payload.into(),
                summary,
            }),
            Err(error) => tracing::error!(%error, "event can't be written"),
        }
    }

    /// Notes that a limit was hit, and tells it where it was not told lately.
    pub(super) fn limit_hit(&mut self, time: DateTime<Utc>, limit: &'static str, now: Instant) {
        let known = self.limits.entry(limit).or_default();
        known.times += 1;
        if known.told.is_some_and(|told| now.duration_since(told) < LIMIT_AGAIN) {
            return;
        }
        known.told = Some(now);
        let times = std::mem::take(&mut known.times);
        let about = About::Node(self.me.node.clone());
        self.push(time, about, What::LimitHit(LimitHit { limit: format!("limits.{limit}"), times }));
    }

    /// Notes events that were given up elsewhere.
    pub(super) fn lost(&mut self, count: u64) {
        self.dropped += count;
    }

    /// The first events, at most `most`.
    pub(super) fn first(&self, most: usize) -> Vec<Waiting> {
        self.waiting.iter().take(most).cloned().collect()
    }

    /// The first `count` events are stored. What was given up is told once there is room for it.
    pub(super) fn stored(&mut self, count: usize, time: DateTime<Utc>) {
        self.waiting.drain(..count.min(self.waiting.len()));
        if self.dropped > 0 && self.waiting.len() < self.capacity {
            let count = std::mem::take(&mut self.dropped);
            let about = About::Node(self.me.node.clone());
            self.push(time, about, What::EventsDropped(EventsDropped { count }));
        }
    }

    /// Events that were given up and are not told of yet.
    pub(super) fn given_up(&self) -> u64 {
        self.dropped
    }

    pub(super) fn len(&self) -> usize {
        self.waiting.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::event::{RoomClosed, RoomSummary};
    use crate::protocol::ids::Incarnation;
    use uuid::Uuid;

    fn outbox(capacity: usize) -> Outbox {
        let me = Peer {
            node: "n".parse().unwrap(),
            incarnation: Incarnation(Uuid::from_u128(1)),
            region: "r".parse().unwrap(),
        };
        Outbox::new(me, Subjects::new("").unwrap(), capacity)
    }

    fn about() -> About {
        About::Room("a".parse().unwrap())
    }

    fn closed() -> What {
        What::RoomClosed(RoomClosed { duration_ms: 1 })
    }

    fn read(outbox: &Outbox) -> Vec<Event> {
        outbox.first(99).iter().map(|waiting| codec::decode(&waiting.payload, 9999).unwrap()).collect()
    }

    #[test]
    fn a_full_outbox_gives_up_summaries_first_then_the_oldest_and_says_how_many() {
        let mut outbox = outbox(3);
        outbox.push(Utc::now(), about(), closed());
        outbox.push(Utc::now(), about(), What::RoomSummary(RoomSummary::default()));
        outbox.push(Utc::now(), about(), closed());
        outbox.push(Utc::now(), about(), closed());
        assert_eq!(read(&outbox).iter().map(|event| event.id).collect::<Vec<_>>(), [1, 3, 4]);
        outbox.push(Utc::now(), about(), closed());
        assert_eq!(read(&outbox).iter().map(|event| event.id).collect::<Vec<_>>(), [3, 4, 5]);
        outbox.stored(2, Utc::now());
        let left = read(&outbox);
        assert_eq!(left.len(), 2);
        assert_eq!(left[1].what, What::EventsDropped(EventsDropped { count: 2 }));
    }

    #[test]
    fn a_limit_that_is_hit_all_the_time_is_told_now_and_then_with_its_count() {
        let (mut outbox, start) = (outbox(100), Instant::now());
        for hit in 0..=10 {
            outbox.limit_hit(Utc::now(), "viewers", start + Duration::from_secs(hit));
        }
        let times = read(&outbox).into_iter().map(|event| match event.what {
            What::LimitHit(hit) => (hit.limit, hit.times),
            other => panic!("{other:?}"),
        });
        let limit = || "limits.viewers".to_owned();
        assert_eq!(times.collect::<Vec<_>>(), [(limit(), 1), (limit(), 10)]);
    }
}
