//! The time at which a picture was sent, carried in the picture itself, so that it passes any server.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use str0m::format::Codec;

/// What tells a stamp from a picture that just ends.
const MARK: [u8; 8] = *b"hwSentAt";

/// The frame with the time `now` behind it.
///
/// VP8 alone: its last partition goes to the end of the frame, and a decoder reads no further than it needs
/// (RFC 6386 §9.5). Frames of other codecs come back as they are.
pub(super) fn stamp(codec: Codec, frame: &Arc<[u8]>, now: SystemTime) -> Arc<[u8]> {
    if codec != Codec::Vp8 {
        return Arc::clone(frame);
    }
    let micros = now.duration_since(UNIX_EPOCH).unwrap_or_default().as_micros();
    let micros = u64::try_from(micros).unwrap_or(u64::MAX);
    [frame.as_ref(), &MARK, &micros.to_be_bytes()].concat().into()
}

/// How long ago a stamped frame was sent, by the wall clocks of both sides: none where it has no stamp, and zero where
/// the sender's clock is ahead.
pub(super) fn age(frame: &[u8], now: SystemTime) -> Option<Duration> {
    let (rest, micros) = frame.split_last_chunk::<8>()?;
    rest.ends_with(&MARK).then_some(())?;
    let sent = UNIX_EPOCH.checked_add(Duration::from_micros(u64::from_be_bytes(*micros)))?;
    Some(now.duration_since(sent).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_picture_tells_its_age() {
        let (frame, sent): (Arc<[u8]>, _) = (Arc::from([1, 2, 3]), SystemTime::now());
        let stamped = stamp(Codec::Vp8, &frame, sent);
        assert!(stamped.starts_with(&frame));
        let age_after = |ms| age(&stamped, sent + Duration::from_millis(ms)).unwrap();
        assert!((4..=5).contains(&age_after(5).as_millis()), "{:?}", age_after(5));
        assert_eq!(age(&stamped, sent - Duration::from_secs(5)), Some(Duration::ZERO));
    }

    #[test]
    fn a_picture_without_a_stamp_tells_none() {
        let frame: Arc<[u8]> = Arc::from([0; 40]);
        assert_eq!(age(&frame, SystemTime::now()), None);
        assert_eq!(age(&[7; 3], SystemTime::now()), None);
        assert!(Arc::ptr_eq(&frame, &stamp(Codec::Opus, &frame, SystemTime::now())));
    }
}
