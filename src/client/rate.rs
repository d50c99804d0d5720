//! A bit rate over the last second.

use std::time::{Duration, Instant};

const SLOTS: u64 = 10;
const SLOT: Duration = Duration::from_millis(100);

/// Sums bytes in ten slots of 100 ms; as exact as a report needs, and small.
#[derive(Debug, Default)]
pub(super) struct RateMeter {
    start: Option<Instant>,
    /// The slot that is being filled, counted from the start.
    slot: u64,
    bytes: [u64; SLOTS as usize],
}

impl RateMeter {
    pub(super) fn add(&mut self, at: Instant, bytes: usize) {
        self.advance(at);
        if let Some(slot) = self.bytes.get_mut((self.slot % SLOTS) as usize) {
            *slot += bytes as u64;
        }
    }

    /// Bits per second over the second before `at`.
    pub(super) fn bps(&mut self, at: Instant) -> u64 {
        self.advance(at);
        let Some(start) = self.start else {
            return 0;
        };
        // Nine full slots and the one being filled; less in the first second.
        let window = SLOT * (SLOTS as u32 - 1) + (at - start).saturating_sub(SLOT * self.slot as u32);
        let span = window.min((at - start).max(SLOT)).as_secs_f64();
        (self.bytes.iter().sum::<u64>() as f64 * 8.0 / span) as u64
    }

    fn advance(&mut self, at: Instant) {
        let start = *self.start.get_or_insert(at);
        let now = (at.saturating_duration_since(start).as_millis() / SLOT.as_millis()) as u64;
        for passed in (self.slot + 1..=now).take(SLOTS as usize) {
            if let Some(slot) = self.bytes.get_mut((passed % SLOTS) as usize) {
                *slot = 0;
            }
        }
        self.slot = self.slot.max(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn follows_the_last_second() {
        let (mut rate, start) = (RateMeter::default(), Instant::now());
        assert_eq!(rate.bps(start), 0);
        let at = |ms| start + Duration::from_millis(ms);
        for ms in (0..3000).step_by(10) {
            rate.add(at(ms), 1250);
        }
        let bps = rate.bps(at(3000));
        assert!((950_000..=1_050_000).contains(&bps), "{bps}");
        let half = rate.bps(at(3500));
        assert!((400_000..=600_000).contains(&half), "{half}");
        assert_eq!(rate.bps(at(4100)), 0);
        rate.add(at(60_000), 125);
        assert!(rate.bps(at(60_050)) > 0);
    }
}
