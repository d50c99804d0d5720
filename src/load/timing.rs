//! How times are spread: HDR histograms, of which a few figures are told.

use std::time::Duration;

use hdrhistogram::Histogram;
use serde::Serialize;

/// The histogram grows with what it counts, so there is an end to that.
const LONGEST: Duration = Duration::from_secs(3600);

/// What is counted: microseconds, to three digits.
#[derive(Debug)]
pub(super) struct Timing(Option<Histogram<u64>>);

/// A few figures of many times, in milliseconds. All zero where there are none.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Quantiles {
    /// How many times these are of.
    pub count: u64,
    /// The shortest.
    pub min: f64,
    /// The mean.
    pub mean: f64,
    /// Half of them are no longer.
    pub p50: f64,
    /// Nine in ten are no longer.
    pub p90: f64,
    /// 99 in a hundred are no longer.
    pub p99: f64,
    /// The longest.
    pub max: f64,
}

impl Timing {
    pub(super) fn new() -> Self {
        // Three digits are within the bounds of the library, so this is always there.
        Self(Histogram::new(3).ok())
    }

    pub(super) fn add(&mut self, time: Duration) {
        let micros = u64::try_from(time.min(LONGEST).as_micros()).unwrap_or_default();
        if let Some(histogram) = &mut self.0
            && let Err(error) = histogram.record(micros)
        {
            tracing::debug!(%error, micros, "not counted");
        }
    }

    pub(super) fn add_ms(&mut self, ms: f64) {
        self.add(Duration::try_from_secs_f64(ms / 1000.0).unwrap_or_default());
    }

    pub(super) fn clear(&mut self) {
        self.0.iter_mut().for_each(Histogram::reset);
    }

    pub(super) fn quantiles(&self) -> Quantiles {
        let Some(histogram) = self.0.as_ref().filter(|histogram| !histogram.is_empty()) else {
            return Quantiles::default();
        };
        let ms = |micros: u64| micros as f64 / 1000.0;
        Quantiles {
            count: histogram.len(),
            min: ms(histogram.min()),
            mean: (histogram.mean()).round() / 1000.0,
            p50: ms(histogram.value_at_quantile(0.5)),
            p90: ms(histogram.value_at_quantile(0.9)),
            p99: ms(histogram.value_at_quantile(0.99)),
            max: ms(histogram.max()),
        }
    }
}

impl FromIterator<f64> for Timing {
    /// Of milliseconds.
    fn from_iter<T: IntoIterator<Item = f64>>(times: T) -> Self {
        let mut timing = Self::new();
        times.into_iter().for_each(|ms| timing.add_ms(ms));
        timing
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_how_times_are_spread() {
        let quantiles = Timing::from_iter((1..=100).map(f64::from)).quantiles();
        let near = |value: f64, expected: f64| (value - expected).abs() <= expected / 500.0;
        assert_eq!(quantiles.count, 100);
        for (value, expected) in [
            (quantiles.min, 1.0),
            (quantiles.mean, 50.5),
            (quantiles.p50, 50.0),
            (quantiles.p90, 90.0),
            (quantiles.p99, 99.0),
            (quantiles.max, 100.0),
        ] {
            assert!(near(value, expected), "{quantiles:?}");
        }
        let small = Timing::from_iter([0.25]).quantiles();
        assert_eq!((small.p50, small.max), (0.25, 0.25));
    }

    #[test]
    fn of_no_times_nothing_is_told() {
        let mut timing = Timing::from_iter([3.0]);
        timing.clear();
        assert_eq!(timing.quantiles(), Quantiles::default());
        timing.add_ms(f64::NAN);
        assert_eq!(timing.quantiles().max, 0.0);
        timing.add(Duration::MAX);
        assert!(timing.quantiles().max > 3_590_000.0, "an hour is as long as anything");
    }
}
