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

impl Succession {
    /// Whether a packet is of a stream that has a successor.
    pub(super) fn is_over(&mut self, header: RtpHeader) -> bool {
        let RtpHeader { payload_type, ssrc, .. } = header;
        if self.former.contains(&(payload_type, ssrc)) {
            return true;
        }
        if let Some(before) = self.current.insert(payload_type, ssrc).filter(|before| *before != ssrc) {
            self.former.push_back((payload_type, before));
            if self.former.len() > FORMER {
                self.former.pop_front();
            }
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_is_over_from_the_first_packet_of_its_successor_on() {
        let mut succession = Succession::default();
        let mut over = |payload_type, ssrc| succession.is_over(RtpHeader { payload_type, sequence: 1, ssrc });
        let told =
            [over(96, 1), over(111, 9), over(96, 2), over(96, 1), over(111, 9), over(96, 3), over(96, 2)];
        assert_eq!(told, [false, false, false, true, false, false, true]);
        for ssrc in 10..1_000 {
            assert!(!over(96, ssrc));
        }
        assert!(succession.former.len() <= FORMER);
    }
}
