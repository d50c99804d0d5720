//! Ogg/Opus: the first stream of the file, packet by packet (RFC 7845).

use std::io::Cursor;
use std::sync::Arc;
use std::time::Duration;

use ogg::PacketReader;
use str0m::format::Codec;

use super::{ClipError, Frame, Track};

pub(super) fn read(file: &[u8]) -> Result<Track, ClipError> {
    let mut packets = PacketReader::new(Cursor::new(file));
    let bad = |error: ogg::OggReadError| ClipError::Ogg(error.to_string());
    let head = packets.read_packet_expected().map_err(bad)?;
    if !head.data.starts_with(b"OpusHead") {
        return Err(ClipError::Ogg("its first stream is not Opus".into()));
    }
    let mut frames = Vec::new();
    let mut tags = true;
    while let Some(packet) = packets.read_packet().map_err(bad)? {
        if packet.stream_serial() != head.stream_serial() {
            continue;
        }
        // The second packet of the stream is the comment header.
        if std::mem::take(&mut tags) {
            continue;
        }
        let duration = duration(&packet.data);
        if !duration.is_zero() {
            frames.push(Frame { data: Arc::from(packet.data), duration, key: true });
        }
    }
    if frames.is_empty() {
        return Err(ClipError::Ogg("there is no audio in it".into()));
    }
    Ok(Track { codec: Codec::Opus, frames })
}

/// How long a packet plays (RFC 6716 §3.1), zero where it is malformed.
fn duration(packet: &[u8]) -> Duration {
    let Some(toc) = packet.first() else {
        return Duration::ZERO;
    };
    let frame = match (toc >> 3, toc >> 3 & 3) {
        (0..12, size) => [10_000, 20_000, 40_000, 60_000].get(usize::from(size)).copied(),
        (12..16, size) => [10_000, 20_000].get(usize::from(size & 1)).copied(),
        (_, size) => [2_500, 5_000, 10_000, 20_000].get(usize::from(size)).copied(),
    };
    let count = match toc & 3 {
        0 => 1,
        1 | 2 => 2,
        _ => packet.get(1).map_or(0, |count| u64::from(count & 0x3f)),
    };
    Duration::from_micros(frame.unwrap_or(0) * count)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn knows_how_long_a_packet_plays() {
        let ms = |packet: &[u8]| duration(packet).as_secs_f64() * 1000.0;
        assert_eq!(ms(&[31 << 3]), 20.0);
        assert_eq!(ms(&[28 << 3 | 1]), 5.0);
        assert_eq!(ms(&[15 << 3]), 20.0);
        assert_eq!(ms(&[3 << 3]), 60.0);
        assert_eq!(ms(&[30 << 3 | 3, 6]), 60.0);
        assert_eq!(ms(&[]), 0.0);
    }
}
