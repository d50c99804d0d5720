//! What failed before, so that it isn't tried again at once; and how the link is while all is well.

use std::time::{Duration, Instant};

use super::link::Report;

/// The seconds to wait after each failure at about the same rate, or above. The last is as long as it can be for a
/// link that becomes wide at any moment to be used within 20 s.
const WAITS: [u64; 3] = [4, 8, 12];
/// A rate of this part of one that failed, or more, fails for the same reason: what is measured of one layer varies
/// by as much.
const NEAR: f64 = 0.75;
/// How long a rate that failed before has to hold to be forgiven.
const FORGIVEN: Duration = Duration::from_secs(10);

/// The lowest rate that failed.
#[derive(Debug, Clone, Copy)]
struct Ceiling {
    bitrate: f64,
    failures: usize,
    until: Instant,
}

/// What one link's past says of its future.
#[derive(Debug, Default)]
pub(super) struct Memory {
    ceiling: Option<Ceiling>,
    calm: Calm,
}

impl Memory {
    /// A rate was too much.
    pub(super) fn failed(&mut self, bitrate: f64, now: Instant) {
        let known = self.ceiling.filter(|ceiling| bitrate >= ceiling.bitrate * NEAR);
        let failures = known.map_or(1, |ceiling| ceiling.failures + 1);
        let bitrate = known.map_or(bitrate, |ceiling| ceiling.bitrate.min(bitrate));
        let wait = WAITS.get(failures - 1).or(WAITS.last()).copied().unwrap_or_default();
        self.ceiling = Some(Ceiling { bitrate, failures, until: now + Duration::from_secs(wait) });
    }

    /// Whether a rate may be tried.
    pub(super) fn allows(&self, bitrate: f64, now: Instant) -> bool {
        self.ceiling.is_none_or(|ceiling| now >= ceiling.until || bitrate < ceiling.bitrate * NEAR)
    }

    /// Whether anything ever failed that wasn't forgiven.
    pub(super) fn is_clean(&self) -> bool {
        self.ceiling.is_none()
    }

    /// A rate has held for so long.
    pub(super) fn held(&mut self, bitrate: f64, lasting: Duration) {
        if lasting >= FORGIVEN && self.ceiling.is_some_and(|ceiling| bitrate >= ceiling.bitrate * NEAR) {
            self.ceiling = None;
        }
    }

    /// A report came while all was well.
    pub(super) fn report(&mut self, report: &Report) {
        self.calm.note(report);
    }

    /// How long a round trip takes while all is well.
    pub(super) fn round_trip(&self) -> Option<Duration> {
        self.calm.round_trip.map(Duration::from_secs_f64)
    }

    /// The part that is lost while all is well.
    pub(super) fn loss(&self) -> f64 {
        self.calm.loss
    }
}

/// How a link is while what is sent fits.
#[derive(Debug, Default)]
struct Calm {
    loss: f64,
    round_trip: Option<f64>,
}

impl Calm {
    fn note(&mut self, report: &Report) {
        self.loss += (report.loss - self.loss) * 0.2;
        if let Some(trip) = report.round_trip {
            let trip = trip.as_secs_f64();
            let usual = self.round_trip.unwrap_or(trip);
            self.round_trip = Some(usual + (trip - usual) * 0.2);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_fails_again_waits_longer_and_less_may_be_tried_meanwhile() {
        let (mut memory, mut now) = (Memory::default(), Instant::now());
        let mut waits = Vec::new();
        for _ in 0..5 {
            memory.failed(1e6, now);
            assert!(memory.allows(0.5e6, now));
            let start = now;
            while !memory.allows(1e6, now) {
                now += Duration::from_secs(1);
            }
            waits.push(now.duration_since(start).as_secs());
        }
        assert_eq!(waits, [4, 8, 12, 12, 12]);
        memory.held(1e6, FORGIVEN);
        assert!(memory.is_clean());
    }
}
