//! Lost packets, counted from sequence numbers (RFC 3550 §A.1 and §A.3).

const MAX_DROPOUT: u16 = 3000;
const MAX_MISORDER: u16 = 100;
/// How many of the last packets are known one by one, at least as many as may come late.
const WINDOW: u32 = u128::BITS;

/// Counts what one sender's sequence numbers promise against what arrives.
///
/// A new SSRC begins a new count and keeps the losses of the one before.
#[derive(Debug, Default)]
pub(super) struct LossMeter {
    stream: Option<Stream>,
    /// Of the streams before.
    lost: u64,
    expected: u64,
    duplicates: u64,
}

#[derive(Debug)]
struct Stream {
    ssrc: u32,
    first: u64,
    /// The highest sequence number, extended by the times it wrapped.
    highest: u64,
    received: u64,
    duplicates: u64,
    /// Which of the last ones came: bit 0 is the highest, bit 1 the one before.
    came: u128,
    /// Where a sender that started anew would go on.
    restart: Option<u16>,
}

impl LossMeter {
    pub(super) fn packet(&mut self, ssrc: u32, sequence: u16) {
        if let Some(stream) = self.stream.as_mut().filter(|stream| stream.ssrc == ssrc)
            && stream.packet(sequence)
        {
            return;
        }
        self.close();
        let first = u64::from(sequence);
        self.stream =
            Some(Stream { ssrc, first, highest: first, received: 1, duplicates: 0, came: 1, restart: None });
    }

    /// Packets that never came, not counting what a retransmission brought later.
    pub(super) fn lost(&self) -> u64 {
        self.lost + self.stream.as_ref().map_or(0, Stream::lost)
    }

    /// Packets that were sent as far as the sequence numbers tell.
    pub(super) fn expected(&self) -> u64 {
        self.expected + self.stream.as_ref().map_or(0, Stream::expected)
    }

    /// Packets that had come before.
    pub(super) fn duplicates(&self) -> u64 {
        self.duplicates + self.stream.as_ref().map_or(0, |stream| stream.duplicates)
    }

    fn close(&mut self) {
        if let Some(stream) = self.stream.take() {
            self.lost += stream.lost();
            self.expected += stream.expected();
            self.duplicates += stream.duplicates;
        }
    }
}

impl Stream {
    /// False where the sender started anew, so that this packet is the first of another count.
    fn packet(&mut self, sequence: u16) -> bool {
        // The low half of the extended number is the last sequence number itself.
        let ahead = sequence.wrapping_sub(self.highest as u16);
        if (1..MAX_DROPOUT).contains(&ahead) {
            self.highest += u64::from(ahead);
            self.came = self.came.checked_shl(u32::from(ahead)).unwrap_or(0) | 1;
            self.received += 1;
        } else if (MAX_DROPOUT..=u16::MAX - MAX_MISORDER).contains(&ahead) {
            // A lone jump is a stray packet; two in a row are a restart.
            let again = self.restart == Some(sequence);
            self.restart = Some(sequence.wrapping_add(1));
            return !again;
        } else {
            let behind = u32::from(ahead.wrapping_neg());
            let bit = if behind < WINDOW { 1 << behind } else { 0 };
            if self.came & bit == 0 {
                self.received += 1;
            } else {
                self.duplicates += 1;
            }
            self.came |= bit;
        }
        self.restart = None;
        true
    }

    fn expected(&self) -> u64 {
        self.highest - self.first + 1
    }

    fn lost(&self) -> u64 {
        self.expected().saturating_sub(self.received)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn meter(packets: impl IntoIterator<Item = (u32, u16)>) -> (u64, u64) {
        let mut meter = LossMeter::default();
        packets.into_iter().for_each(|(ssrc, sequence)| meter.packet(ssrc, sequence));
        (meter.lost(), meter.expected())
    }

    #[test]
    fn counts_gaps_across_the_wrap() {
        assert_eq!(meter((65_530..=65_535).chain(0..4).map(|n| (1, n))), (0, 10));
        assert_eq!(meter([(1, 65_534), (1, 65_535), (1, 2), (1, 3)]), (2, 6));
    }

    #[test]
    fn a_late_packet_is_not_lost() {
        assert_eq!(meter([(1, 10), (1, 12), (1, 13)]), (1, 4));
        assert_eq!(meter([(1, 10), (1, 12), (1, 13), (1, 11)]), (0, 4));
    }

    #[test]
    fn a_packet_that_comes_twice_makes_up_for_none() {
        assert_eq!(meter([(1, 10), (1, 10), (1, 12), (1, 12), (1, 12), (1, 13)]), (1, 4));
        assert_eq!(meter([(1, 65_535), (1, 1), (1, 0), (1, 0), (1, 65_535)]), (0, 3));
        let mut meter = LossMeter::default();
        for (ssrc, sequence) in [(1, 7), (1, 7), (1, 9), (1, 8), (1, 8), (2, 50), (2, 50)] {
            meter.packet(ssrc, sequence);
        }
        assert_eq!((meter.lost(), meter.expected(), meter.duplicates()), (0, 4, 3));
    }

    #[test]
    fn what_comes_after_a_long_gap_is_known_anew() {
        assert_eq!(meter([(1, 10), (1, 1000), (1, 1000), (1, 950), (1, 950)]), (988, 991));
    }

    #[test]
    fn a_new_ssrc_is_no_loss_and_forgets_none() {
        assert_eq!(meter([(1, 10), (1, 12), (2, 40_000), (2, 40_001), (2, 40_003)]), (2, 7));
    }

    #[test]
    fn a_restart_is_no_loss_and_a_stray_no_restart() {
        assert_eq!(meter([(1, 10), (1, 11), (1, 30_000), (1, 12)]), (0, 3));
        assert_eq!(meter([(1, 10), (1, 11), (1, 30_000), (1, 30_001), (1, 30_002)]), (0, 4));
    }
}
