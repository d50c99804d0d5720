//! What viewers received, summed up.

use std::time::Duration;

use serde::Serialize;

use crate::client::WatchReport;

/// Packets that many viewers received together.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Flow {
    /// Over how many seconds.
    pub seconds: f64,
    /// RTP packets that came, without retransmissions (RFC 4588) and without what had come before.
    pub packets: u64,
    /// Their bytes: RTP headers and SRTP tags included, UDP and IP not.
    pub bytes: u64,
    /// Packets a second.
    pub packets_per_second: f64,
    /// Bits a second.
    pub bits_per_second: f64,
    /// Packets missing in the sequence numbers, before any retransmission.
    pub lost: u64,
    /// `lost` of all packets sent, 0 to 1.
    pub loss_ratio: f64,
    /// Packets that came as retransmissions, padding among them.
    pub retransmitted: u64,
    /// Packets that had come before.
    pub duplicates: u64,
}

/// What of it could be shown: of the sampled viewers alone.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Pictures {
    /// How many viewers these are of.
    pub viewers: usize,
    /// Pictures that came whole.
    pub frames: u64,
    /// Freezes (W3C webrtc-stats `freezeCount`).
    pub freezes: u64,
    /// How many of these viewers saw one.
    pub frozen_viewers: usize,
    /// How long all freezes were together.
    pub freeze_ms: u64,
    /// The longest time between two pictures.
    pub longest_gap_ms: u64,
}

impl Flow {
    /// All of them, from their beginnings on.
    pub(super) fn of<'a>(reports: impl IntoIterator<Item = &'a WatchReport>) -> Self {
        reports.into_iter().fold(Self::default(), |sum, report| sum.with(report))
    }

    pub(super) fn with(mut self, report: &WatchReport) -> Self {
        self.packets += report.packets - report.duplicates.min(report.packets);
        self.bytes += report.bytes;
        self.lost += report.lost;
        self.retransmitted += report.retransmitted;
        self.duplicates += report.duplicates;
        self
    }

    /// What came in `time`, of which `before` is the beginning and this the end.
    pub(super) fn since(self, before: Self, time: Duration) -> Self {
        let seconds = time.as_secs_f64();
        let rate = |count: u64| if seconds > 0.0 { count as f64 / seconds } else { 0.0 };
        let packets = self.packets.saturating_sub(before.packets);
        let bytes = self.bytes.saturating_sub(before.bytes);
        // What came late after all is lost no more.
        let lost = self.lost.saturating_sub(before.lost);
        Self {
            seconds,
            packets,
            bytes,
            packets_per_second: rate(packets),
            bits_per_second: rate(bytes) * 8.0,
            lost,
            loss_ratio: lost as f64 / (packets + lost).max(1) as f64,
            retransmitted: self.retransmitted.saturating_sub(before.retransmitted),
            duplicates: self.duplicates.saturating_sub(before.duplicates),
        }
    }
}

impl Pictures {
    pub(super) fn of<'a>(reports: impl IntoIterator<Item = &'a WatchReport>) -> Self {
        reports.into_iter().fold(Self::default(), |sum, report| Self {
            viewers: sum.viewers + 1,
            frames: sum.frames + report.video.frames,
            freezes: sum.freezes + report.video.freezes,
            frozen_viewers: sum.frozen_viewers + usize::from(report.video.freezes > 0),
            freeze_ms: sum.freeze_ms + report.video.freeze_ms,
            longest_gap_ms: sum.longest_gap_ms.max(report.video.longest_gap_ms),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::TrackReport;

    fn report(packets: u64, lost: u64, duplicates: u64) -> WatchReport {
        WatchReport { packets, bytes: packets * 500, lost, duplicates, ..WatchReport::default() }
    }

    #[test]
    fn a_flow_is_the_difference_of_two_sums() {
        let before = Flow::of(&[report(100, 1, 0), report(50, 0, 0)]);
        let after = Flow::of(&[report(1100, 3, 10), report(1060, 0, 0)]);
        let flow = after.since(before, Duration::from_secs(10));
        assert_eq!((flow.packets, flow.lost, flow.duplicates), (2000, 2, 10));
        assert_eq!((flow.packets_per_second, flow.seconds), (200.0, 10.0));
        assert_eq!(flow.bits_per_second, 2010.0 * 500.0 * 8.0 / 10.0);
        assert!((flow.loss_ratio - 2.0 / 2002.0).abs() < 1e-9);
    }

    #[test]
    fn nothing_in_no_time_is_zero() {
        assert_eq!(Flow::default().since(Flow::default(), Duration::ZERO), Flow::default());
        let late = Flow::of(&[report(10, 0, 0)]).since(Flow::of(&[report(9, 1, 0)]), Duration::from_secs(1));
        assert_eq!((late.packets, late.lost), (1, 0));
    }

    #[test]
    fn pictures_are_those_of_all() {
        let seen = |freezes, longest_gap_ms| WatchReport {
            video: TrackReport { frames: 25, freezes, longest_gap_ms, ..TrackReport::default() },
            ..WatchReport::default()
        };
        let pictures = Pictures::of(&[seen(0, 50), seen(2, 700)]);
        assert_eq!((pictures.viewers, pictures.frames, pictures.freezes), (2, 50, 2));
        assert_eq!((pictures.frozen_viewers, pictures.longest_gap_ms), (1, 700));
    }
}
