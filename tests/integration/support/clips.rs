//! Clips that fall silent: what a publisher sends who mutes.

use std::sync::Arc;
use std::time::Duration;

use headwater::client::Clip;
use tempfile::TempDir;

const VIDEO: &[u8] = include_bytes!("../../../src/client/clip/test-quarter.ivf");
const AUDIO: &[u8] = include_bytes!("../../../src/client/clip/test.ogg");
/// Frames of the test clip in a second, the first of them a key frame.
const SECOND: usize = 25;
const FRAME_MS: usize = 40;

/// So many seconds of video, then none for `mute`, then a second of it, and all again; with sound that
/// never stops, if there is to be any.
///
/// A publisher of it must not jump to key frames, or it jumps over the pause.
pub(crate) fn muting(after: usize, mute: Duration, sound: bool) -> Arc<Clip> {
    let folder = TempDir::new().expect("a folder for the clip");
    let (video, audio) = (folder.path().join("video.ivf"), folder.path().join("audio.ogg"));
    std::fs::write(&video, video_with_a_pause(after, mute)).expect("write the video");
    std::fs::write(&audio, AUDIO).expect("write the audio");
    let clip = Clip::open(Some(&video), sound.then_some(audio.as_path()));
    Arc::new(clip.expect("a clip"))
}

/// An IVF file in milliseconds, of the test clip's first second over and over.
fn video_with_a_pause(after: usize, pause: Duration) -> Vec<u8> {
    let (header, mut rest) = VIDEO.split_at(32);
    let mut pictures = Vec::new();
    while pictures.len() < SECOND {
        let size = u32::from_le_bytes(rest[..4].try_into().expect("four bytes")) as usize;
        pictures.push(&rest[12..12 + size]);
        rest = &rest[12 + size..];
    }
    let mut file = header.to_vec();
    file[16..20].copy_from_slice(&1000_u32.to_le_bytes());
    file[20..24].copy_from_slice(&1_u32.to_le_bytes());
    for number in 0..(after + 1) * SECOND {
        let picture = pictures[number % SECOND];
        let paused = if number < after * SECOND { 0 } else { pause.as_millis() as usize };
        file.extend((picture.len() as u32).to_le_bytes());
        file.extend(((number * FRAME_MS + paused) as u64).to_le_bytes());
        file.extend(picture);
    }
    file
}
