//! Freezes of the picture, by the rule of `freezeCount` in W3C webrtc-stats.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

const WINDOW: usize = 30;
/// The average of fewer frames says nothing yet.
const FEWEST: usize = 5;

/// Finds the gaps that a viewer sees as a frozen picture.
#[derive(Debug, Default)]
pub(super) struct FreezeMeter {
    last: Option<Instant>,
    recent: VecDeque<Duration>,
    pub(super) count: u64,
    /// The whole gaps, from the last frame before to the first one after.
    pub(super) total: Duration,
}

impl FreezeMeter {
    pub(super) fn frame(&mut self, at: Instant) {
        let Some(last) = self.last.replace(at) else {
            return;
        };
        let gap = at.saturating_duration_since(last);
        if self
            .average()
            .is_some_and(|average| gap >= (average * 3).max(average + Duration::from_millis(150)))
        {
            self.count += 1;
            self.total += gap;
            // Left out of the average, or one long freeze would hide the next.
            return;
        }
        if self.recent.len() == WINDOW {
            self.recent.pop_front();
        }
        self.recent.push_back(gap);
    }

    fn average(&self) -> Option<Duration> {
        let count = u32::try_from(self.recent.len()).ok().filter(|_| self.recent.len() >= FEWEST)?;
        Some(self.recent.iter().sum::<Duration>() / count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn play(gaps: impl IntoIterator<Item = u64>) -> (u64, u128) {
        let (mut meter, mut at) = (FreezeMeter::default(), Instant::now());
        meter.frame(at);
        for gap in gaps {
            at += Duration::from_millis(gap);
            meter.frame(at);
        }
        (meter.count, meter.total.as_millis())
    }

    #[test]
    fn a_gap_above_the_average_plus_150_ms_is_a_freeze() {
        let steady = || std::iter::repeat_n(40, 20);
        assert_eq!(play(steady()), (0, 0));
        assert_eq!(play(steady().chain([189]).chain(steady())), (0, 0));
        assert_eq!(play(steady().chain([190]).chain(steady())), (1, 190));
        assert_eq!(play(steady().chain([5000]).chain(steady()).chain([700])), (2, 5700));
    }

    #[test]
    fn at_few_frames_a_second_three_times_the_average_is_a_freeze() {
        let slow = || std::iter::repeat_n(200, 10);
        assert_eq!(play(slow().chain([590])), (0, 0));
        assert_eq!(play(slow().chain([600])), (1, 600));
    }

    #[test]
    fn the_start_is_no_freeze() {
        assert_eq!(play([900, 40, 40]), (0, 0));
    }
}
