//! How long things took.

use serde::{Deserialize, Serialize};

use crate::protocol::event::What;

/// The upper bounds of the buckets, in seconds; one more bucket holds what took longer.
pub const BOUNDS: [f64; 15] =
    [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 900.0];

/// How often something took how long.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Histogram {
    /// Observations of each bucket, not those of the buckets below.
    counts: [u64; BOUNDS.len() + 1],
    /// In microseconds, as whole numbers add up alike in any order.
    sum_us: u64,
}

impl Histogram {
    fn observe(&mut self, us: u64) {
        let seconds = us as f64 / 1e6;
        let bucket = BOUNDS.partition_point(|bound| *bound < seconds);
        if let Some(count) = self.counts.get_mut(bucket) {
            *count += 1;
        }
        self.sum_us = self.sum_us.saturating_add(us);
    }

    /// Seconds in sum.
    pub fn sum(&self) -> f64 {
        self.sum_us as f64 / 1e6
    }

    /// How many observations there are.
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// Upper bound in seconds and observations of each bucket alone, not cumulated; the last bound is
    /// [`f64::MAX`].
    pub fn buckets(&self) -> Vec<(f64, u64)> {
        BOUNDS.into_iter().chain([f64::MAX]).zip(self.counts).collect()
    }
}

/// How long things took since the log begins.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Durations {
    /// From a viewer's request to its answer, where the stream had to be fetched.
    pub join_cold: Histogram,
    /// The same, where the stream was there already.
    pub join_warm: Histogram,
    /// How long a stream was away from viewers who kept waiting.
    pub recovery: Histogram,
    /// How long opening a pipe took.
    pub pipe_setup: Histogram,
}

impl Durations {
    /// Takes note of how long it took.
    pub(crate) fn observe(&mut self, what: &What) {
        match what {
            What::ViewerJoined(joined) if joined.warm => self.join_warm.observe(joined.join_us),
            What::ViewerJoined(joined) => self.join_cold.observe(joined.join_us),
            What::StreamRecovered(back) => self.recovery.observe(back.gap_ms.saturating_mul(1000)),
            What::PipeOpened(opened) => self.pipe_setup.observe(opened.setup_us),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_holds_what_is_at_most_its_bound() {
        let mut histogram = Histogram::default();
        for us in [0, 5_000, 5_001, 900_000_000, 900_000_001, u64::MAX / 2] {
            histogram.observe(us);
        }
        let buckets = histogram.buckets();
        assert_eq!(buckets[0], (0.005, 2));
        assert_eq!(buckets[1], (0.01, 1));
        assert_eq!(buckets[14], (900.0, 1));
        assert_eq!(buckets[15], (f64::MAX, 2));
        assert_eq!(histogram.count(), 6);
    }
}
