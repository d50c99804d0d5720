//! The IVF container: a header, then length, time and bytes of each frame.

use std::sync::Arc;
use std::time::Duration;

use str0m::format::Codec;

use super::{ClipError, Frame, Track};

pub(super) fn read(file: &[u8]) -> Result<Track, ClipError> {
    let mut rest = file;
    let [b'D', b'K', b'I', b'F', _, _, l0, l1] = take(&mut rest)? else {
        return Err(ClipError::Ivf("it does not start with DKIF"));
    };
    let fourcc: [u8; 4] = take(&mut rest)?;
    let codec = match &fourcc {
        b"VP80" => Codec::Vp8,
        b"VP90" => Codec::Vp9,
        b"AV01" => Codec::Av1,
        b"H264" | b"AVC1" => Codec::H264,
        other => {
            return Err(ClipError::Codec(String::from_utf8_lossy(other).into_owned()));
        }
    };
    let _size: [u8; 4] = take(&mut rest)?;
    let rate = u32::from_le_bytes(take(&mut rest)?);
    let scale = u32::from_le_bytes(take(&mut rest)?);
    if rate == 0 || scale == 0 {
        return Err(ClipError::Ivf("its time base is zero"));
    }
    let header = usize::from(u16::from_le_bytes([l0, l1]));
    rest = file.get(header..).ok_or(ClipError::Ivf("its header is cut short"))?;

    let mut pictures = Vec::new();
    while !rest.is_empty() {
        let size = u32::from_le_bytes(take(&mut rest)?);
        let time = u64::from_le_bytes(take(&mut rest)?);
        let (data, after) = usize::try_from(size)
            .ok()
            .and_then(|size| rest.split_at_checked(size))
            .ok_or(ClipError::Ivf("its last frame is cut short"))?;
        rest = after;
        pictures.push((time, data));
    }
    let mut frames: Vec<Frame> = Vec::with_capacity(pictures.len());
    let mut times = pictures.iter().map(|(time, _)| *time).skip(1);
    for (time, data) in &pictures {
        let duration = match (times.next(), frames.last()) {
            (Some(next), _) => seconds(next.saturating_sub(*time), rate, scale),
            // Nothing says how long the last one stays, so it stays as long as the one before.
            (None, Some(before)) => before.duration,
            (None, None) => seconds(1, rate, scale),
        };
        frames.push(Frame { data: Arc::from(*data), duration, key: is_key(codec, data) });
    }
    if frames.iter().all(|frame| frame.duration.is_zero()) {
        return Err(ClipError::Ivf("no frame in it takes any time"));
    }
    Ok(Track { codec, frames })
}

fn take<const N: usize>(rest: &mut &[u8]) -> Result<[u8; N], ClipError> {
    let (head, tail) = rest.split_first_chunk::<N>().ok_or(ClipError::Ivf("it is cut short"))?;
    *rest = tail;
    Ok(*head)
}

fn seconds(ticks: u64, rate: u32, scale: u32) -> Duration {
    Duration::from_secs_f64(ticks as f64 * f64::from(scale) / f64::from(rate))
}

/// Whether a decoder can start at this frame.
fn is_key(codec: Codec, data: &[u8]) -> bool {
    let Some(first) = data.first() else {
        return false;
    };
    match codec {
        // RFC 6386 §9.1: the lowest bit is 0 in a key frame.
        Codec::Vp8 => first & 1 == 0,
        // VP9 bitstream §6.2: marker (2), profile (2, 3 in profile 3), show_existing_frame, frame_type.
        Codec::Vp9 if first & 0b0011_0000 == 0b0011_0000 => first & 0b0000_0110 == 0,
        Codec::Vp9 => first & 0b0000_1100 == 0,
        // H.264 §7.4.1: NAL unit type 5 is a slice of an IDR picture.
        Codec::H264 => data.windows(4).any(|w| matches!(w, [0, 0, 1, nal] if nal & 0x1f == 5)),
        Codec::Av1 => has_sequence_header(data),
        _ => true,
    }
}

/// AV1 §7.5: a new coded video sequence starts with a sequence header OBU (type 1).
fn has_sequence_header(mut data: &[u8]) -> bool {
    while let Some((header, after)) = data.split_first() {
        if (header >> 3) & 0xf == 1 {
            return true;
        }
        if header & 0b10 == 0 {
            return false;
        }
        let mut rest = if header & 0b100 == 0 { after } else { after.get(1..).unwrap_or_default() };
        let (mut size, mut shift) = (0usize, 0);
        while let Some((byte, after)) = rest.split_first() {
            size |= usize::from(byte & 0x7f) << shift;
            rest = after;
            shift += 7;
            if byte & 0x80 == 0 || shift > 28 {
                break;
            }
        }
        data = rest.get(size..).unwrap_or_default();
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(fourcc: &[u8; 4], rate: u32, frames: &[(u64, &[u8])]) -> Vec<u8> {
        let mut out = b"DKIF\0\0\x20\0".to_vec();
        out.extend(fourcc);
        out.extend([0; 4]);
        out.extend(rate.to_le_bytes());
        out.extend(1u32.to_le_bytes());
        out.extend([0; 8]);
        for (time, data) in frames {
            out.extend(u32::try_from(data.len()).unwrap().to_le_bytes());
            out.extend(time.to_le_bytes());
            out.extend(*data);
        }
        out
    }

    #[test]
    fn durations_come_from_the_times_in_the_file() {
        let track = read(&file(b"VP80", 1000, &[(0, &[0]), (40, &[1]), (140, &[1])])).unwrap();
        let durations: Vec<_> = track.frames.iter().map(|f| f.duration.as_millis()).collect();
        assert_eq!(durations, [40, 100, 100]);
        let keys: Vec<_> = track.frames.iter().map(|f| f.key).collect();
        assert_eq!(keys, [true, false, false]);
    }

    #[test]
    fn refuses_what_it_cannot_send() {
        assert!(matches!(read(&file(b"HEVC", 25, &[(0, &[0])])), Err(ClipError::Codec(c)) if c == "HEVC"));
        assert!(matches!(read(&file(b"VP80", 25, &[])), Err(ClipError::Ivf(_))));
        let mut cut = file(b"VP80", 25, &[(0, &[0, 1, 2])]);
        cut.pop();
        assert!(matches!(read(&cut), Err(ClipError::Ivf(_))));
    }

    #[test]
    fn finds_the_key_frames_of_each_codec() {
        assert!(is_key(Codec::Vp9, &[0b1000_0010]));
        assert!(!is_key(Codec::Vp9, &[0b1000_0110]));
        assert!(is_key(Codec::H264, &[0, 0, 0, 1, 0x67, 1, 0, 0, 1, 0x65, 9]));
        assert!(!is_key(Codec::H264, &[0, 0, 0, 1, 0x41, 9]));
        assert!(is_key(Codec::Av1, &[0x12, 0, 0x0a, 1, 0, 0x32, 1, 0]));
        assert!(!is_key(Codec::Av1, &[0x12, 0, 0x32, 1, 0]));
    }
}
