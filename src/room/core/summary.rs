//! When a room tells all that it has: soon where its shape changed, else now and then. Pure.

use std::time::{Duration, Instant};

use crate::protocol::event::{RoomSummary, StreamHere};

/// The least time between two summaries.
const SOONEST: Duration = Duration::from_millis(500);
/// Figures that follow a change of shape are told this soon, and within this long of it.
const SETTLING: Duration = Duration::from_secs(2);
const SETTLED: Duration = Duration::from_secs(8);
/// A summary is repeated after so many intervals even where nothing changed: it repairs what was lost.
const REPEAT: u32 = 6;

/// What was last told.
#[derive(Debug)]
pub(super) struct Said {
    summary: RoomSummary,
    at: Instant,
    /// When the shape last changed.
    shaped: Instant,
    /// What had changed of the room by when it last had this shape.
    changes: [u64; 3],
}

impl Said {
    pub(super) fn after(before: Option<Self>, summary: RoomSummary, changes: [u64; 3], now: Instant) -> Self {
        let kept = before.filter(|said| same_shape(&said.summary, &summary)).map(|said| said.shaped);
        Self { summary, at: now, shaped: kept.unwrap_or(now), changes }
    }

    /// Whether nothing can be due: nothing has changed of the room's shape, and figures neither for as long as they matter.
    pub(super) fn holds(
        &self,
        changes: [u64; 3],
        figures_differ: impl FnOnce(&RoomSummary) -> bool,
        interval: Duration,
        now: Instant,
    ) -> bool {
        let age = now.duration_since(self.at);
        self.changes == changes
            && age < interval * REPEAT
            && (age < self.patience(interval, now) || !figures_differ(&self.summary))
    }

    pub(super) fn streams(&self) -> &[StreamHere] {
        &self.summary.streams
    }

    /// Notes that what has changed of the room has left its shape as it was, if so.
    pub(super) fn keeps(&mut self, summary: &RoomSummary, changes: [u64; 3]) {
        if same_shape(&self.summary, summary) {
            self.changes = changes;
        }
    }

    /// How long figures wait.
    fn patience(&self, interval: Duration, now: Instant) -> Duration {
        let settling = now.duration_since(self.shaped) < SETTLED;
        if settling { interval.min(SETTLING) } else { interval }
    }
}

/// Whether `summary` is to be told now.
pub(super) fn is_due(said: Option<&Said>, summary: &RoomSummary, interval: Duration, now: Instant) -> bool {
    let Some(said) = said else { return *summary != RoomSummary::default() };
    let age = now.duration_since(said.at);
    if !same_shape(&said.summary, summary) {
        return age >= SOONEST;
    }
    age >= interval * REPEAT
        || (age >= said.patience(interval, now) && figures_differ(&said.summary, summary))
}

/// Whether streams and pipes are the same, whatever flows through them.
fn same_shape(a: &RoomSummary, b: &RoomSummary) -> bool {
    let streams = a.streams.len() == b.streams.len()
        && a.streams.iter().zip(&b.streams).all(|(a, b)| {
            a.stream == b.stream
                && a.publication == b.publication
                && a.path == b.path
                && a.producers == b.producers
                && a.muted == b.muted
                && a.locks == b.locks
                && a.warnings == b.warnings
        });
    let pipes = a.pipes.len() == b.pipes.len()
        && a.pipes
            .iter()
            .zip(&b.pipes)
            .all(|(a, b)| a.pipe == b.pipe && a.open == b.open && a.streams == b.streams);
    streams && pipes
}

/// Whether figures differ so that a person would care. Both have the same shape.
fn figures_differ(a: &RoomSummary, b: &RoomSummary) -> bool {
    let streams = a
        .streams
        .iter()
        .zip(&b.streams)
        .any(|(a, b)| notably(a.bitrate, b.bitrate) || a.viewers != b.viewers || notably(a.lost, b.lost));
    streams
        || a.waiting != b.waiting
        || a.pipes.iter().zip(&b.pipes).any(|(a, b)| notably(a.bitrate, b.bitrate))
}

/// Whether one is more than a fifth away from the other.
pub(super) fn notably(a: u64, b: u64) -> bool {
    a.abs_diff(b) > a.max(b) / 5
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::event::Quality;

    const INTERVAL: Duration = Duration::from_secs(10);

    fn summary(path: &[&str], bitrate: u64) -> RoomSummary {
        let stream = StreamHere {
            stream: "main".parse().unwrap(),
            term: 0,
            publication: None,
            path: path.iter().map(|node| node.parse().unwrap()).collect(),
            started_at: None,
            producers: Vec::new(),
            bitrate,
            lost: 0,
            viewers: 0,
            muted: false,
            participant: false,
            locks: false,
            warnings: Vec::new(),
            quality: Quality::default(),
        };
        RoomSummary { streams: vec![stream], ..RoomSummary::default() }
    }

    #[test]
    fn a_change_of_shape_is_told_at_once_figures_seldom_and_all_of_it_now_and_then() {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        assert!(!is_due(None, &RoomSummary::default(), INTERVAL, start));
        assert!(is_due(None, &summary(&["a"], 0), INTERVAL, start));
        let said = Said::after(None, summary(&["a"], 0), [0; 3], start);
        let due = |summary: &RoomSummary, ms| is_due(Some(&said), summary, INTERVAL, at(ms));
        assert!(due(&summary(&["b"], 0), 600));
        assert!(!due(&summary(&["a"], 900), 1_900));
        assert!(due(&summary(&["a"], 900), 2_100));
        assert!(!due(&summary(&["a"], 900), 9_000), "the shape has settled");
        assert!(due(&summary(&["a"], 900), 10_000));
        assert!(!due(&summary(&["a"], 0), 59_000));
        assert!(due(&summary(&["a"], 0), 60_000));
    }

    #[test]
    fn small_differences_are_no_news() {
        assert!(!notably(1000, 1150) && notably(1000, 1300) && notably(0, 1) && !notably(0, 0));
    }
}
