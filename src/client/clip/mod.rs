//! Encoded media to publish: read once, played in a loop.

mod cursor;
mod ivf;
mod opus;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use str0m::format::Codec;

pub(super) use cursor::Cursor;

/// Why a file could not be read as media.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClipError {
    /// The file could not be opened or read.
    #[error("cannot read {path}: {source}")]
    Read {
        /// The file asked for.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The video file is no IVF file, or it is cut short.
    #[error("not a whole IVF file ({0}); make one with: ffmpeg -i input -c:v libvpx out.ivf")]
    Ivf(&'static str),
    /// The IVF file holds something that cannot be sent here.
    #[error("the IVF file holds {0}, but only VP80, VP90, AV01 and H264 can be sent")]
    Codec(String),
    /// The audio file is no Ogg file with Opus in it.
    #[error("not an Ogg/Opus file ({0}); make one with: ffmpeg -i input -c:a libopus out.ogg")]
    Ogg(String),
}

/// Looping media: video in one or more layers of the same picture, and audio.
///
/// Cheap to share: put it in an [`Arc`] and give it to any number of publishers.
#[derive(Debug, Clone, Default)]
pub struct Clip {
    /// From the lowest resolution to the highest.
    pub(super) video: Vec<Arc<Track>>,
    pub(super) audio: Option<Arc<Track>>,
}

impl Clip {
    /// The embedded clip: four seconds of VP8 in three resolutions up to 640x360, and an Opus tone.
    #[must_use]
    pub fn builtin() -> Clip {
        let layers = [
            include_bytes!("test-quarter.ivf").as_slice(),
            include_bytes!("test-half.ivf").as_slice(),
            include_bytes!("test.ivf").as_slice(),
        ];
        // The files are part of the program and a unit test reads them, so nothing is lost here.
        Clip {
            video: layers.iter().filter_map(|layer| ivf::read(layer).ok()).map(Arc::new).collect(),
            audio: opus::read(include_bytes!("test.ogg")).ok().map(Arc::new),
        }
    }

    /// Reads an IVF file (VP8, VP9, AV1 or H.264 as Annex B) and an Ogg/Opus file, either of them optional.
    ///
    /// # Errors
    ///
    /// [`ClipError`] names the file or what is wrong in it. Blocks while it reads.
    pub fn open(ivf: Option<&Path>, ogg: Option<&Path>) -> Result<Clip, ClipError> {
        let load = |path: &Path| {
            std::fs::read(path).map_err(|source| ClipError::Read { path: path.to_owned(), source })
        };
        let mut clip = Clip::default();
        if let Some(path) = ivf {
            clip.video.push(Arc::new(ivf::read(&load(path)?)?));
        }
        if let Some(path) = ogg {
            clip.audio = Some(Arc::new(opus::read(&load(path)?)?));
        }
        Ok(clip)
    }

    /// Whether there is video in it.
    #[must_use]
    pub fn has_video(&self) -> bool {
        !self.video.is_empty()
    }

    /// Whether there is audio in it.
    #[must_use]
    pub fn has_audio(&self) -> bool {
        self.audio.is_some()
    }

    /// How many resolutions of the picture it holds.
    #[must_use]
    pub fn layers(&self) -> usize {
        self.video.len()
    }
}

/// The frames of one encoding, at least one of them, in the order they are sent.
#[derive(Debug)]
pub(super) struct Track {
    pub(super) codec: Codec,
    pub(super) frames: Vec<Frame>,
}

/// One encoded picture, or one packet of audio.
#[derive(Debug)]
pub(super) struct Frame {
    pub(super) data: Arc<[u8]>,
    pub(super) duration: Duration,
    /// A decoder can start here.
    pub(super) key: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_builtin_clip_is_whole() {
        let clip = Clip::builtin();
        assert_eq!(clip.layers(), 3);
        for layer in &clip.video {
            assert_eq!(layer.codec, Codec::Vp8);
            assert_eq!(layer.frames.len(), 100);
            let keys: Vec<_> = (0..100).filter(|i| layer.frames[*i].key).collect();
            assert_eq!(keys, [0, 25, 50, 75]);
            assert_eq!(layer.frames.iter().map(|f| f.duration).sum::<Duration>(), Duration::from_secs(4));
        }
        let audio = clip.audio.unwrap();
        assert_eq!(audio.codec, Codec::Opus);
        assert_eq!(audio.frames.len(), 200);
        assert!(audio.frames.iter().all(|frame| frame.duration == Duration::from_millis(20)));
    }

    #[test]
    fn a_wrong_file_is_named() {
        let error = Clip::open(Some(Path::new("/no/such.ivf")), None).unwrap_err();
        assert!(error.to_string().contains("/no/such.ivf"), "{error}");
        let this = Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml");
        assert!(matches!(Clip::open(Some(&this), None), Err(ClipError::Ivf(_))));
        assert!(matches!(Clip::open(None, Some(&this)), Err(ClipError::Ogg(_))));
    }
}
