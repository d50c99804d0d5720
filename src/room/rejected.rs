//! Who is turned away: told at once, and then at most once in ten seconds for each reason, with a count.
//! Pure: time is an argument.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::protocol::event::{Turned, What};
use crate::protocol::ids::StreamName;

/// How often the same is told of those who ask all the time.
const AGAIN: Duration = Duration::from_secs(10);

/// Who asked for something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Who {
    Publisher,
    Viewer,
}

impl Who {
    fn what(self, turned: Turned) -> What {
        match self {
            Self::Publisher => What::PublisherRejected(turned),
            Self::Viewer => What::ViewerRejected(turned),
        }
    }
}

/// What was told of rejections, and what is still to be told. By reason, not by name: names are chosen
/// by whoever asks, reasons are few.
#[derive(Debug, Default)]
pub(super) struct Rejections(BTreeMap<(Who, &'static str), Told>);

#[derive(Debug)]
struct Told {
    at: Instant,
    /// The last one since, with their number.
    since: Option<Turned>,
}

impl Rejections {
    /// Notes that somebody was turned away; returns what is to be told at once.
    pub(super) fn note(
        &mut self,
        who: Who,
        stream: &StreamName,
        reason: &'static str,
        detail: String,
        now: Instant,
    ) -> Option<What> {
        let turned = |times| Turned { stream: stream.clone(), reason: reason.to_owned(), detail, times };
        let Some(told) = self.0.get_mut(&(who, reason)) else {
            self.0.insert((who, reason), Told { at: now, since: None });
            return Some(who.what(turned(1)));
        };
        let before = told.since.as_ref().map_or(0, |since| since.times);
        told.since = Some(turned(before.saturating_add(1)));
        None
    }

    /// What is to be told now of those since: all of it at the `end`.
    pub(super) fn due(&mut self, now: Instant, end: bool) -> Vec<What> {
        let mut due = Vec::new();
        self.0.retain(|(who, _), told| {
            if !end && now.duration_since(told.at) < AGAIN {
                return true;
            }
            let Some(turned) = told.since.take() else { return false };
            due.push(who.what(turned));
            told.at = now;
            true
        });
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn times(what: &What) -> (&'static str, u32) {
        match what {
            What::PublisherRejected(it) | What::ViewerRejected(it) => (what.name(), it.times),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_flood_is_told_at_once_and_then_now_and_then_and_every_one_is_counted() {
        let (mut rejections, start) = (Rejections::default(), Instant::now());
        let stream = "main".parse().unwrap();
        let mut told = Vec::new();
        for second in 0..25 {
            let now = start + Duration::from_secs(second);
            told.extend(rejections.due(now, false));
            for _ in 0..4 {
                told.extend(rejections.note(Who::Viewer, &stream, "limit", String::new(), now));
            }
        }
        told.extend(rejections.note(Who::Publisher, &stream, "limit", String::new(), start));
        told.extend(rejections.due(start + Duration::from_secs(25), true));
        let told: Vec<_> = told.iter().map(times).collect();
        let viewers = "viewer.rejected";
        assert_eq!(
            told,
            [(viewers, 1), (viewers, 39), (viewers, 40), ("publisher.rejected", 1), (viewers, 20)]
        );
    }

    #[test]
    fn what_is_told_is_not_kept_for_ever() {
        let (mut rejections, start) = (Rejections::default(), Instant::now());
        rejections.note(Who::Viewer, &"main".parse().unwrap(), "limit", String::new(), start);
        assert!(rejections.due(start + AGAIN, false).is_empty());
        assert!(rejections.0.is_empty());
    }
}
