//! The clear part of an RTP packet.

/// The fields of an RTP fixed header (RFC 3550 §5.1) that SRTP leaves readable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct RtpHeader {
    pub(super) payload_type: u8,
    pub(super) sequence: u16,
    /// Of the media, by the clock of its codec.
    pub(super) timestamp: u32,
    pub(super) ssrc: u32,
}

impl RtpHeader {
    /// Reads the header of a datagram, or `None` where it is not RTP (RFC 5761 §4, RFC 7983 §7).
    pub(super) fn peek(datagram: &[u8]) -> Option<RtpHeader> {
        let (head, _) = datagram.split_first_chunk::<12>()?;
        let [flags, kind, s0, s1, t0, t1, t2, t3, r0, r1, r2, r3] = *head;
        let payload_type = kind & 0x7f;
        if flags >> 6 != 2 || (64..=95).contains(&payload_type) {
            return None;
        }
        Some(RtpHeader {
            payload_type,
            sequence: u16::from_be_bytes([s0, s1]),
            timestamp: u32::from_be_bytes([t0, t1, t2, t3]),
            ssrc: u32::from_be_bytes([r0, r1, r2, r3]),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_rtp_and_nothing_else() {
        let mut datagram = vec![0x90, 0x80 | 96, 0x12, 0x34, 0, 0, 1, 2, 0, 0, 0, 7, 9, 9];
        let header = RtpHeader::peek(&datagram).unwrap();
        assert_eq!((header.payload_type, header.sequence, header.ssrc), (96, 0x1234, 7));
        assert_eq!(header.timestamp, 0x0102);

        datagram[1] = 201;
        assert_eq!(RtpHeader::peek(&datagram), None, "a receiver report");
        datagram[0] = 22;
        assert_eq!(RtpHeader::peek(&datagram), None, "DTLS");
        assert_eq!(RtpHeader::peek(&[0x80, 96, 0]), None, "too short");
    }
}
