//! What a viewer's feedback tells of its link: loss, the queue in front of it, and what gets through.
//!
//! Receiver reports come each second from browsers and each five from others; requests for lost packets (NACKs)
//! come at once where they are agreed on, so both are heard, whichever is worse.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// What was counted for one video that a viewer is sent, from its beginning.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Counters {
    /// Packets sent, without repetitions.
    pub(super) packets: u64,
    /// Bytes sent, without repetitions.
    pub(super) bytes: u64,
    /// Packets that reports told to be lost.
    pub(super) lost: i64,
    /// The part that the last report told to be lost (0 to 1).
    pub(super) fraction: f64,
    /// Packets that were asked for again; one may be more than once.
    pub(super) nacked: u64,
    /// Key frames that were asked for.
    pub(super) key_frames: u64,
    /// The last report's round trip; none before one is known.
    pub(super) round_trip: Option<Duration>,
    /// The last report's jitter (RFC 3550 section 6.4.1).
    pub(super) jitter: Duration,
}

/// A link as it was lately.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(super) struct Condition {
    /// The part of the packets that is lost (0 to 1).
    pub(super) loss: f64,
    /// How long packets wait in front of it; none where no report told lately.
    pub(super) queue: Option<Duration>,
    /// Seconds by which the queue grows each second.
    pub(super) growth: f64,
    /// Bits per second that were sent.
    pub(super) bitrate: f64,
    /// The packets of which that is known.
    pub(super) packets: u64,
    /// Key frames that were asked for.
    pub(super) key_frames: u64,
    /// What the report said that has just come.
    pub(super) report: Option<Report>,
}

/// A receiver report, as far as it tells of the way.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Report {
    pub(super) loss: f64,
    pub(super) round_trip: Option<Duration>,
    pub(super) jitter: Duration,
}

/// What "lately" means.
const WINDOW: Duration = Duration::from_secs(1);
/// How long a report's loss counts.
const REPORT: Duration = Duration::from_millis(1_200);
/// How long a report's round trip counts.
const ROUND_TRIP: Duration = Duration::from_secs(3);
/// Fewer packets than this say nothing of loss.
const ENOUGH: u64 = 10;
/// The shortest round trip is looked for in the last one to two of these.
const FLOOR: Duration = Duration::from_secs(30);

/// A viewer's link.
#[derive(Debug, Default)]
pub(super) struct Link {
    last: Option<(Instant, Counters)>,
    window: VecDeque<Sample>,
    /// The last report that speaks of what is sent now.
    report: Option<(Instant, Report)>,
    /// Whether the next report speaks of what was sent before.
    stale: bool,
    growth: f64,
    floor: Floor,
}

#[derive(Debug, Clone, Copy)]
struct Sample {
    at: Instant,
    seconds: f64,
    packets: u64,
    bytes: u64,
    nacked: u64,
    key_frames: u64,
}

/// The shortest round trip lately: what the way takes without a queue.
#[derive(Debug, Default)]
struct Floor {
    since: Option<Instant>,
    before: Option<Duration>,
    now: Option<Duration>,
}

impl Link {
    /// Takes the counters as they are now; none where nothing was sent since the last time.
    pub(super) fn note(&mut self, counters: Counters, now: Instant) -> Option<Condition> {
        let (before, old) = self.last.replace((now, counters))?;
        let seconds = now.saturating_duration_since(before).as_secs_f64();
        let sample = Sample {
            at: now,
            seconds,
            packets: counters.packets.saturating_sub(old.packets),
            bytes: counters.bytes.saturating_sub(old.bytes),
            nacked: counters.nacked.saturating_sub(old.nacked),
            key_frames: counters.key_frames.saturating_sub(old.key_frames),
        };
        let report = self.reported(&old, &counters, now);
        if sample.packets == 0 {
            return None;
        }
        self.window.push_back(sample);
        while self.window.front().is_some_and(|first| now.saturating_duration_since(first.at) >= WINDOW) {
            self.window.pop_front();
        }
        Some(self.condition(report, now))
    }

    /// From now on something else is sent: what is known of loss speaks of before; and so does the next report, if
    /// what was sent before was `worse` for the link.
    pub(super) fn switched(&mut self, worse: bool) {
        self.window.clear();
        self.report = None;
        self.stale = worse;
        self.growth = 0.0;
    }

    /// The counters begin again: another stream is sent on the same link.
    pub(super) fn restarted(&mut self) {
        self.last = None;
        self.switched(false);
    }

    fn reported(&mut self, old: &Counters, new: &Counters, now: Instant) -> Option<Report> {
        let parts = |c: &Counters| (c.lost, c.fraction, c.round_trip, c.jitter);
        if parts(old) == parts(new) {
            return None;
        }
        let report = Report { loss: new.fraction, round_trip: new.round_trip, jitter: new.jitter };
        if let Some(round_trip) = report.round_trip {
            self.floor.note(round_trip, now);
        }
        let former = self.report.replace((now, report));
        if let Some((at, former)) = former
            && let (Some(was), Some(is)) = (former.round_trip, report.round_trip)
        {
            let between = now.saturating_duration_since(at).as_secs_f64().max(0.1);
            self.growth = (is.as_secs_f64() - was.as_secs_f64()) / between;
        }
        if std::mem::take(&mut self.stale)
            && let Some((_, kept)) = self.report.as_mut()
        {
            kept.loss = 0.0;
            return None;
        }
        Some(report)
    }

    fn condition(&self, report: Option<Report>, now: Instant) -> Condition {
        let sum = |of: fn(&Sample) -> u64| self.window.iter().map(of).sum::<u64>();
        let packets = sum(|sample| sample.packets);
        let asked = match packets {
            0..ENOUGH => 0.0,
            _ => (sum(|sample| sample.nacked) as f64 / packets as f64).min(1.0),
        };
        let known = |most: Duration| {
            let (at, report) = self.report.as_ref()?;
            (now.saturating_duration_since(*at) < most).then_some(report)
        };
        let told = known(REPORT).map_or(0.0, |report| report.loss);
        let queue = known(ROUND_TRIP).and_then(|report| self.floor.above(report.round_trip?));
        let seconds = self.window.iter().map(|sample| sample.seconds).sum::<f64>().max(0.05);
        Condition {
            loss: told.max(asked),
            queue,
            growth: if queue.is_some() { self.growth } else { 0.0 },
            bitrate: sum(|sample| sample.bytes) as f64 * 8.0 / seconds,
            packets,
            key_frames: sum(|sample| sample.key_frames),
            report,
        }
    }
}

impl Floor {
    fn note(&mut self, round_trip: Duration, now: Instant) {
        let since = *self.since.get_or_insert(now);
        if now.saturating_duration_since(since) >= FLOOR {
            self.before = self.now.take();
            self.since = Some(now);
        }
        self.now = Some(self.now.map_or(round_trip, |least| least.min(round_trip)));
    }

    fn above(&self, round_trip: Duration) -> Option<Duration> {
        let least = self.before.into_iter().chain(self.now).min()?;
        Some(round_trip.saturating_sub(least))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn sent(seconds: u64) -> Counters {
        Counters { packets: 100 * seconds, bytes: 100_000 * seconds, ..Counters::default() }
    }

    #[test]
    fn loss_is_heard_from_reports_and_from_what_is_asked_for_again() {
        let (mut link, start) = (Link::default(), Instant::now());
        assert_eq!(link.note(sent(0), start), None, "nothing to compare with");
        let asked = Counters { nacked: 20, ..sent(1) };
        let heard = link.note(asked, start + SECOND).unwrap();
        assert!((heard.loss - 0.2).abs() < 0.01, "{heard:?}");
        assert!((heard.bitrate - 800_000.0).abs() < 1_000.0, "{heard:?}");
        let told = Counters { lost: 40, fraction: 0.4, packets: 200, bytes: 200_000, ..asked };
        let heard = link.note(told, start + SECOND * 2).unwrap();
        assert!((heard.loss - 0.4).abs() < 0.01, "{heard:?}");
        let silent = Counters { packets: 300, ..told };
        let heard = link.note(silent, start + SECOND * 4).unwrap();
        assert!(heard.loss < 0.01, "an old report tells nothing of now: {heard:?}");
        assert_eq!(link.note(silent, start + SECOND * 5), None, "nothing was sent");
    }

    #[test]
    fn the_first_report_after_a_way_down_speaks_of_before() {
        let (mut link, start) = (Link::default(), Instant::now());
        link.note(sent(0), start);
        link.switched(true);
        let told = Counters { lost: 40, fraction: 0.4, ..sent(1) };
        assert!(link.note(told, start + SECOND).unwrap().loss < 0.01);
        let again = Counters { lost: 80, fraction: 0.4, ..sent(2) };
        assert!(link.note(again, start + SECOND * 2).unwrap().loss > 0.3);
    }

    #[test]
    fn the_queue_is_what_a_round_trip_takes_beyond_the_shortest() {
        let (mut link, start) = (Link::default(), Instant::now());
        let mut heard = None;
        for (second, round_trip) in [(0, 50), (1, 60), (2, 360), (3, 660)] {
            let round_trip = Some(Duration::from_millis(round_trip));
            heard = link.note(Counters { round_trip, ..sent(second) }, start + SECOND * second as u32);
        }
        let heard = heard.unwrap();
        assert_eq!(heard.queue, Some(Duration::from_millis(600)));
        assert!((heard.growth - 0.3).abs() < 0.01, "{heard:?}");
    }
}
