//! What is recorded and not stored yet. Pure: time is an argument.

use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

use bytes::Bytes;
use chrono::{DateTime, Utc};

use crate::protocol::codec;
use crate::protocol::event::{About, Event, EventsDropped, Weight, What};
use crate::protocol::ids::Peer;
use crate::protocol::subjects::Subjects;

/// The largest event, in bytes: less than a NATS server takes by default (1 MiB), as it could never be
/// stored and would hold up all behind it.
pub(super) const EVENT_BYTES: usize = 768 * 1024;
/// How often what happens all the time is told.
const AGAIN: Duration = Duration::from_secs(10);

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
    /// What may happen all the time: by what it is about, its type and its reason.
    often: HashMap<(About, &'static str, &'static str), Often>,
}

/// An event that is not stored yet.
#[derive(Debug, Clone)]
pub(super) struct Waiting {
    pub(super) id: u64,
    pub(super) subject: String,
    pub(super) payload: Bytes,
    weight: Weight,
}

/// What was told of something that may happen all the time.
#[derive(Debug, Default)]
struct Often {
    told: Option<Instant>,
    /// The last that was not told, and how many these are.
    since: Option<(DateTime<Utc>, What)>,
    times: u64,
}

impl Often {
    fn is_recent(&self, now: Instant) -> bool {
        self.told.is_some_and(|told| now.duration_since(told) < AGAIN)
    }
}

impl Outbox {
    pub(super) fn new(me: Peer, subjects: Subjects, capacity: usize) -> Self {
        let (waiting, often) = (VecDeque::new(), HashMap::new());
        Self { me, subjects, capacity, waiting, last_id: 0, dropped: 0, often }
    }

    /// Numbers an event and keeps it. With the node's regular word, what was counted goes out too.
    pub(super) fn push(&mut self, time: DateTime<Utc>, about: About, what: What, now: Instant) {
        if matches!(what, What::NodeSummary(_) | What::NodeStopped(_)) {
            self.push_counted(now);
        }
        self.keep(time, about, what);
    }

    /// Keeps the first of what may happen all the time, and counts those that follow soon.
    pub(super) fn push_often(
        &mut self,
        time: DateTime<Utc>,
        about: About,
        reason: &'static str,
        what: What,
        now: Instant,
    ) {
        let key = (about.clone(), what.name(), reason);
        let known = self.often.entry(key).or_default();
        known.times += 1;
        if known.is_recent(now) {
            known.since = Some((time, what));
            return;
        }
        (known.told, known.since) = (Some(now), None);
        let times = std::mem::take(&mut known.times);
        self.keep(time, about, what.with_times(times));
    }

    /// Keeps what was counted, and forgets what has not happened again.
    fn push_counted(&mut self, now: Instant) {
        let mut counted = Vec::new();
        self.often.retain(|(about, _, _), often| {
            let Some((time, what)) = often.since.take() else { return often.is_recent(now) };
            often.told = Some(now);
            counted.push((time, about.clone(), what.with_times(std::mem::take(&mut often.times))));
            true
        });
        counted.sort_by_key(|(time, _, _)| *time);
        for (time, about, what) in counted {
            self.keep(time, about, what);
        }
    }

    /// Where there is no room, what matters least is given up.
    fn keep(&mut self, time: DateTime<Utc>, about: About, what: What) {
        if self.waiting.len() >= self.capacity {
            let least = self.waiting.iter().enumerate().min_by_key(|(_, waiting)| waiting.weight);
            let least = least.map_or(0, |(at, _)| at);
            self.waiting.remove(least);
            self.dropped += 1;
        }
        self.last_id += 1;
        let weight = what.weight();
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
                weight,
            }),
            Err(error) => tracing::error!(%error, "event can't be written"),
        }
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
            self.keep(time, about, What::EventsDropped(EventsDropped { count }));
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
    use crate::protocol::event::{LimitHit, NodeSummary, RoomClosed, RoomSummary};
    use crate::protocol::ids::Incarnation;
    use crate::protocol::presence::{Load, Phase};
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
        outbox.push(Utc::now(), about(), closed(), Instant::now());
        outbox.push(Utc::now(), about(), What::RoomSummary(RoomSummary::default()), Instant::now());
        outbox.push(Utc::now(), about(), closed(), Instant::now());
        outbox.push(Utc::now(), about(), closed(), Instant::now());
        assert_eq!(read(&outbox).iter().map(|event| event.id).collect::<Vec<_>>(), [1, 3, 4]);
        outbox.push(Utc::now(), about(), closed(), Instant::now());
        assert_eq!(read(&outbox).iter().map(|event| event.id).collect::<Vec<_>>(), [3, 4, 5]);
        outbox.stored(2, Utc::now());
        let left = read(&outbox);
        assert_eq!(left.len(), 2);
        assert_eq!(left[1].what, What::EventsDropped(EventsDropped { count: 2 }));
    }

    #[test]
    fn what_happens_all_the_time_is_told_now_and_then_and_every_one_counts() {
        let (mut outbox, start) = (outbox(100), Instant::now());
        let hit = || What::LimitHit(LimitHit { limit: "limits.viewers".to_owned(), times: 1 });
        let node = NodeSummary {
            roles: Vec::new(),
            version: String::new(),
            phase: Phase::Serving,
            started_at: Utc::now(),
            load: Load::default(),
            public_url: String::new(),
            every_ms: 10_000,
        };
        for second in 0..24 {
            let now = start + Duration::from_secs(second);
            outbox.push_often(Utc::now(), about(), "viewers", hit(), now);
            outbox.push_often(Utc::now(), about(), "viewers", hit(), now);
        }
        // The next summary tells the rest, and what doesn't happen again is forgotten.
        let now = start + Duration::from_secs(25);
        outbox.push(Utc::now(), about(), What::NodeSummary(node.clone()), now);
        outbox.push(Utc::now(), about(), What::NodeSummary(node), now + AGAIN);
        assert!(outbox.often.is_empty());
        let times = read(&outbox).into_iter().filter_map(|event| match event.what {
            What::LimitHit(hit) => Some(hit.times),
            _ => None,
        });
        assert_eq!(times.collect::<Vec<_>>(), [1, 20, 20, 7]);
    }
}
