//! What of the room's streams is wanted here, and was until not long ago: whole streams, or single producers of them. Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use crate::protocol::ids::{ProducerId, StreamName};

/// What is wanted of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    /// All of it.
    Whole,
    /// A producer of it.
    One(ProducerId),
}

/// Which producers of a stream are wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Selection {
    All,
    Only(BTreeSet<ProducerId>),
}

/// What is wanted.
#[derive(Debug, Default)]
pub(super) struct Wishes {
    streams: BTreeMap<StreamName, Wanted>,
    /// Raised whenever something is wanted that wasn't.
    raised: u64,
}

/// When a stream was last wanted, and when single producers of it were.
#[derive(Debug, Default)]
struct Wanted {
    whole: Option<Instant>,
    only: BTreeMap<ProducerId, Instant>,
}

impl Selection {
    pub(super) fn has(&self, id: ProducerId) -> bool {
        match self {
            Self::All => true,
            Self::Only(ids) => ids.contains(&id),
        }
    }

    /// Whether whoever asks for this asks for all of that.
    pub(super) fn covers(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::All, _) => true,
            (Self::Only(_), Self::All) => false,
            (Self::Only(own), Self::Only(other)) => own.is_superset(other),
        }
    }
}

impl Wishes {
    /// Raised whenever something is wanted that wasn't.
    pub(super) fn raised(&self) -> u64 {
        self.raised
    }

    /// The streams of which anything is wanted.
    pub(super) fn streams(&self) -> impl Iterator<Item = &StreamName> {
        self.streams.keys()
    }

    pub(super) fn has(&self, stream: &StreamName) -> bool {
        self.streams.contains_key(stream)
    }

    /// Which producers of a stream are wanted; none where nothing is.
    pub(super) fn selection(&self, stream: &StreamName) -> Option<Selection> {
        let wanted = self.streams.get(stream)?;
        Some(match wanted.whole {
            Some(_) => Selection::All,
            None => Selection::Only(wanted.only.keys().copied().collect()),
        })
    }

    /// Notes that something is wanted now.
    pub(super) fn note(&mut self, stream: &StreamName, part: Part, now: Instant) {
        if !self.streams.contains_key(stream) {
            self.streams.insert(stream.clone(), Wanted::default());
        }
        let Some(wanted) = self.streams.get_mut(stream) else { return };
        let known = match part {
            Part::Whole => wanted.whole.replace(now).is_some(),
            Part::One(id) => wanted.only.insert(id, now).is_some(),
        };
        self.raised += u64::from(!known);
    }

    /// Forgets what has not been wanted for `idle`.
    pub(super) fn forget(&mut self, idle: Duration, now: Instant) {
        let lasts = |at: &Instant| now.saturating_duration_since(*at) < idle;
        self.streams.retain(|_, wanted| {
            wanted.whole = wanted.whole.filter(lasts);
            wanted.only.retain(|_, at| lasts(at));
            wanted.whole.is_some() || !wanted.only.is_empty()
        });
    }

    pub(super) fn clear(&mut self) {
        self.streams.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    fn id(number: u128) -> ProducerId {
        ProducerId(Uuid::from_u128(number))
    }

    #[test]
    fn a_stream_is_wanted_whole_for_as_long_as_anyone_watches_it_and_in_parts_after_that() {
        let (mut wishes, start) = (Wishes::default(), Instant::now());
        let (stream, idle) = ("main".parse().unwrap(), Duration::from_secs(5));
        let at = |seconds| start + Duration::from_secs(seconds);
        wishes.note(&stream, Part::Whole, at(0));
        wishes.note(&stream, Part::One(id(1)), at(4));
        assert_eq!(wishes.selection(&stream), Some(Selection::All));
        wishes.forget(idle, at(6));
        assert_eq!(wishes.selection(&stream), Some(Selection::Only([id(1)].into())));
        assert!(wishes.has(&stream));
        wishes.forget(idle, at(9));
        assert_eq!((wishes.selection(&stream), wishes.has(&stream)), (None, false));
    }

    #[test]
    fn only_what_is_new_raises() {
        let (mut wishes, now) = (Wishes::default(), Instant::now());
        let stream = "main".parse().unwrap();
        for (part, raised) in
            [(Part::One(id(1)), 1), (Part::One(id(1)), 1), (Part::One(id(2)), 2), (Part::Whole, 3)]
        {
            wishes.note(&stream, part, now);
            assert_eq!(wishes.raised(), raised);
        }
    }

    #[test]
    fn who_asks_for_all_asks_for_every_part() {
        let some = Selection::Only([id(1), id(2)].into());
        let fewer = Selection::Only([id(2)].into());
        assert!(Selection::All.covers(&some) && some.covers(&fewer) && some.covers(&some));
        assert!(!some.covers(&Selection::All) && !fewer.covers(&some));
        assert!(some.has(id(1)) && !fewer.has(id(1)) && Selection::All.has(id(9)));
    }
}
