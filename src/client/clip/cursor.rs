//! Where a publisher stands in a track.

use std::sync::Arc;
use std::time::Duration;

use super::{Frame, Track};

/// Plays a track round and round: the media time only grows, whatever place of the file it shows.
#[derive(Debug)]
pub(in crate::client) struct Cursor {
    track: Arc<Track>,
    index: usize,
    due: Duration,
}

impl Cursor {
    pub(in crate::client) fn new(track: Arc<Track>) -> Cursor {
        Cursor { track, index: 0, due: Duration::ZERO }
    }

    /// The media time of the next frame.
    pub(in crate::client) fn due(&self) -> Duration {
        self.due
    }

    /// Steps over the next frame and returns it.
    pub(in crate::client) fn next(&mut self) -> Option<&Frame> {
        let frame = self.track.frames.get(self.index)?;
        self.due += frame.duration;
        self.index = (self.index + 1) % self.track.frames.len();
        Some(frame)
    }

    /// Skips pictures, but no time, so that the next frame is a key frame.
    pub(in crate::client) fn skip_to_key(&mut self) {
        let ahead = (self.index..self.track.frames.len()).chain(0..self.index);
        let is_key = |index: &usize| self.track.frames.get(*index).is_some_and(|frame| frame.key);
        if let Some(index) = ahead.into_iter().find(is_key) {
            self.index = index;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::clip::Clip;

    #[test]
    fn loops_with_growing_time() {
        let mut cursor = Cursor::new(Arc::clone(&Clip::builtin().video[2]));
        let first = Arc::clone(&cursor.next().unwrap().data);
        for number in 1..100 {
            assert_eq!(cursor.due(), Duration::from_millis(40) * number);
            cursor.next();
        }
        assert_eq!(cursor.due(), Duration::from_secs(4));
        assert!(Arc::ptr_eq(&first, &cursor.next().unwrap().data));
        assert_eq!(cursor.due(), Duration::from_millis(4040));
    }

    #[test]
    fn a_key_frame_on_request_costs_no_time() {
        let mut cursor = Cursor::new(Arc::clone(&Clip::builtin().video[0]));
        for _ in 0..30 {
            cursor.next();
        }
        cursor.skip_to_key();
        assert_eq!(cursor.due(), Duration::from_millis(1200));
        assert!(cursor.next().unwrap().key);
        assert_eq!(cursor.due(), Duration::from_millis(1240));
        for _ in 0..40 {
            cursor.next();
        }
        cursor.skip_to_key();
        assert!(cursor.next().unwrap().key, "past the end it is the first of the next round");
    }
}
