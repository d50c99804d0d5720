//! Streams (SSRC) that replace each other under one payload type.

use std::collections::{BTreeMap, VecDeque};

use super::packet::RtpHeader;

/// How many former streams are remembered.
const FORMER: usize = 64;

/// Which stream holds for each payload type: a server that makes before it breaks sends two for a moment.
///
/// Packets of the former one are left out from the first packet of its successor on. The library orders both by one row
/// of sequence numbers, and would wait for the higher ones for minutes.
#[derive(Debug, Default)]
pub(super) struct Succession {
    current: BTreeMap<u8, u32>,
    former: VecDeque<(u8, u32)>,
}

/// What a packet is in the row of streams of its payload type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Turn {
    /// The first one of a stream.
    First,
    /// One more of the stream that holds.
    Next,
    /// One of a stream that has a successor.
    Over,
}

impl Succession {
    /// Takes note of a packet.
    pub(super) fn see(&mut self, header: RtpHeader) -> Turn {
        let RtpHeader { payload_type, ssrc, .. } = header;
        let before = self.current.get(&payload_type).copied();
        if before == Some(ssrc) {
            return Turn::Next;
        }
        if self.former.contains(&(payload_type, ssrc)) {
            return Turn::Over;
        }
        self.current.insert(payload_type, ssrc);
        if let Some(before) = before {
            self.former.push_back((payload_type, before));
            if self.former.len() > FORMER {
                self.former.pop_front();
            }
        }
        Turn::First
    }
}

#[cfg(test)]
mod tests {
    use super::Turn::{First, Next, Over};
    use super::*;

    #[test]
    fn a_stream_is_over_from_the_first_packet_of_its_successor_on() {
        let mut succession = Succession::default();
        let mut see =
            |payload_type, ssrc| succession.see(RtpHeader { payload_type, sequence: 1, timestamp: 1, ssrc });
        assert_eq!([see(96, 1), see(96, 1), see(111, 9), see(96, 2)], [First, Next, First, First]);
        assert_eq!([see(96, 1), see(111, 9), see(96, 3), see(96, 2)], [Over, Next, First, Over]);
        for ssrc in 10..1_000 {
            assert_eq!(see(96, ssrc), First);
        }
        assert!(succession.former.len() <= FORMER);
    }
}
