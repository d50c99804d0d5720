//! How unevenly packets arrive, beside how they were sent (RFC 3550 §6.4.1 and §A.8).

use std::time::Instant;

use str0m::media::MediaKind;

/// The jitter of one kind of media. A new SSRC begins a new estimate.
#[derive(Debug, Default)]
pub(super) struct JitterMeter {
    last: Option<Last>,
    /// In ticks of the RTP clock.
    jitter: f64,
    clock: f64,
}

#[derive(Debug, Clone, Copy)]
struct Last {
    ssrc: u32,
    timestamp: u32,
    at: Instant,
}

impl JitterMeter {
    pub(super) fn packet(&mut self, kind: MediaKind, ssrc: u32, timestamp: u32, at: Instant) {
        self.clock = match kind {
            MediaKind::Audio => 48_000.0,
            MediaKind::Video => 90_000.0,
        };
        let now = Last { ssrc, timestamp, at };
        let Some(last) = self.last.filter(|last| last.ssrc == ssrc) else {
            (self.last, self.jitter) = (Some(now), 0.0);
            return;
        };
        let sent = timestamp.wrapping_sub(last.timestamp).cast_signed();
        // The packets of one picture have one time and leave one after another; what was sent again is late by design.
        if sent <= 0 {
            return;
        }
        self.last = Some(now);
        let arrived = at.saturating_duration_since(last.at).as_secs_f64() * self.clock;
        self.jitter += ((arrived - f64::from(sent)).abs() - self.jitter) / 16.0;
    }

    /// In milliseconds.
    pub(super) fn ms(&self) -> f64 {
        if self.clock > 0.0 { self.jitter * 1000.0 / self.clock } else { 0.0 }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn after(packets: impl IntoIterator<Item = (u32, u32, u64)>) -> f64 {
        let (mut meter, start) = (JitterMeter::default(), Instant::now());
        for (ssrc, timestamp, ms) in packets {
            meter.packet(MediaKind::Video, ssrc, timestamp, start + Duration::from_millis(ms));
        }
        meter.ms()
    }

    #[test]
    fn packets_as_even_as_they_were_sent_have_none() {
        assert_eq!(after((0..100).map(|n| (1, 3600 * n, 40 * u64::from(n)))), 0.0);
        let wraps = |n: u32| (1, (u32::MAX - 36_000).wrapping_add(3600 * n), 40 * u64::from(n));
        assert_eq!(after((0..100).map(wraps)), 0.0);
    }

    #[test]
    fn every_second_one_late_by_eight_is_eight() {
        let late = after((0..400).map(|n| (1, 3600 * n, 40 * u64::from(n) + 8 * u64::from(n % 2))));
        assert!((7.9..8.1).contains(&late), "{late}");
    }

    #[test]
    fn packets_of_one_picture_and_those_sent_again_count_once() {
        let burst = (0..100u32).flat_map(|n| [0, 3, 9].map(|ms| (1, 3600 * n, 40 * u64::from(n) + ms)));
        assert_eq!(after(burst), 0.0);
        let again = (0..100u32).flat_map(|n| {
            [(1, 3600 * n, 40 * u64::from(n)), (1, (3600 * n).wrapping_sub(7200), 40 * u64::from(n) + 5)]
        });
        assert_eq!(after(again), 0.0);
    }

    #[test]
    fn another_stream_begins_anew() {
        let late = (0..50).map(|n| (1, 3600 * n, 40 * u64::from(n) + 8 * u64::from(n % 2)));
        assert_eq!(after(late.chain([(2, 77, 5000), (2, 3677, 5040)])), 0.0);
    }
}
