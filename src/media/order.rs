//! The order in which a video's pictures come: RTP numbers packets as they are sent, and stamps them with when
//! they are shown (RFC 3550 section 5.1). Where the two disagree there are B-frames, which browsers can't play well.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

/// Watches one producer's packets, from the worker's thread alone; others read the counts.
#[derive(Debug, Default)]
pub(super) struct Order {
    /// The only sender that is looked at: of simulcast layers one tells all.
    ssrc: AtomicU32,
    /// The newest packet: see [`Last`].
    last: AtomicU64,
    packets: AtomicU64,
    out_of_order: AtomicU64,
}

/// Number and time of the newest packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Last {
    number: u16,
    time: u32,
}

impl Order {
    pub(super) fn see(&self, ssrc: u32, number: u16, time: u32, repeated: bool) {
        if repeated {
            return;
        }
        let only = self.ssrc.load(Ordering::Relaxed);
        if only != ssrc {
            if only != 0 {
                return;
            }
            self.ssrc.store(ssrc, Ordering::Relaxed);
        }
        let before = Last::unpacked(self.last.load(Ordering::Relaxed));
        let now = Last { number, time };
        self.packets.fetch_add(1, Ordering::Relaxed);
        if before.is_none_or(|before| now.follows(before)) {
            if before.is_some_and(|before| now.is_shown_before(before)) {
                self.out_of_order.fetch_add(1, Ordering::Relaxed);
            }
            self.last.store(now.packed(), Ordering::Relaxed);
        }
    }

    /// Packets, and how often one came that is shown before its predecessor.
    pub(super) fn counted(&self) -> (u64, u64) {
        (self.packets.load(Ordering::Relaxed), self.out_of_order.load(Ordering::Relaxed))
    }
}

impl Last {
    const THERE: u64 = 1 << 63;

    fn packed(self) -> u64 {
        Self::THERE | u64::from(self.number) << 32 | u64::from(self.time)
    }

    fn unpacked(packed: u64) -> Option<Self> {
        let there = packed & Self::THERE != 0;
        let [_, _, high, low, time @ ..] = packed.to_be_bytes();
        there.then(|| Self { number: u16::from_be_bytes([high, low]), time: u32::from_be_bytes(time) })
    }

    /// Whether it was sent later: numbers run in a circle.
    fn follows(self, before: Self) -> bool {
        let ahead = self.number.wrapping_sub(before.number);
        ahead != 0 && ahead < 1 << 15
    }

    fn is_shown_before(self, before: Self) -> bool {
        self.time.wrapping_sub(before.time) >= 1 << 31
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn disorder(packets: &[(u16, u32)]) -> u64 {
        let order = Order::default();
        packets.iter().for_each(|(number, time)| order.see(7, *number, *time, false));
        order.counted().1
    }

    #[test]
    fn pictures_that_are_shown_before_their_predecessors_are_counted() {
        // I0 P3 B1 B2 P6 B4 B5, the first of two packets.
        let b_frames = [(1, 0), (2, 0), (3, 3), (4, 1), (5, 2), (6, 6), (7, 4), (8, 5)];
        assert_eq!(disorder(&b_frames), 2);
        assert_eq!(disorder(&[(1, 0), (2, 1), (3, 2), (4, 3)]), 0);
    }

    #[test]
    fn packets_that_the_network_reordered_are_none() {
        assert_eq!(disorder(&[(1, 0), (3, 2), (2, 1), (4, 3)]), 0);
        // Both circles close.
        assert_eq!(disorder(&[(65_534, u32::MAX - 1), (65_535, 2), (0, 5), (1, 8)]), 0);
    }

    #[test]
    fn other_layers_and_repeated_packets_are_passed_over() {
        let order = Order::default();
        for (ssrc, number, time, repeated) in
            [(7, 1, 100, false), (8, 2, 50, false), (7, 2, 50, true), (7, 2, 200, false)]
        {
            order.see(ssrc, number, time, repeated);
        }
        assert_eq!(order.counted(), (2, 0));
    }
}
