//! Clips that fall silent, as a publisher's who mutes, and clips in any codec.

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

/// Sound, and two pictures over and over that look like this codec and that nobody decodes.
pub(crate) fn undecodable(fourcc: [u8; 4]) -> Arc<Clip> {
    let folder = TempDir::new().expect("a folder for the clip");
    let (video, audio) = (folder.path().join("video.ivf"), folder.path().join("audio.ogg"));
    let mut file = b"DKIF\0\0\x20\0".to_vec();
    file.extend(fourcc);
    file.extend([64, 0, 64, 0, 25, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0]);
    let picture: &[u8] = match &fourcc {
        // Parameter sets and a slice of an IDR picture.
        b"H264" => &[
            0, 0, 0, 1, 0x67, 0x42, 0xe0, 0x1f, 0x8c, 0x8d, 0x40, 0, 0, 0, 1, 0x68, 0xce, 0x3c, 0x80, 0, 0,
            0, 1, 0x65, 0x88, 0x84, 0x21, 0xa0,
        ],
        b"AV01" => &[0x12, 0, 0x0a, 0x0b, 0, 0, 0, 0x24, 0xc4, 0xff, 0xdf, 0x3f, 0xfe, 0x63, 0x40],
        _ => &[0x82, 0x49, 0x83, 0x42, 0, 3, 0xf0, 3, 0xf6, 8, 0x38, 0x24, 0x1c, 0x18, 0x54],
    };
    for time in 0..2_u64 {
        file.extend((picture.len() as u32).to_le_bytes());
        file.extend(time.to_le_bytes());
        file.extend(picture);
    }
    std::fs::write(&video, file).expect("write the video");
    std::fs::write(&audio, AUDIO).expect("write the audio");
    Arc::new(Clip::open(Some(&video), Some(&audio)).expect("a clip"))
}
