//! What a command publishes.

use std::path::PathBuf;
use std::sync::Arc;

use crate::client::Clip;

/// Flags that say what is sent.
#[derive(Debug, clap::Args)]
pub(super) struct Media {
    /// Video to send in place of the test clip: an IVF file (VP8, VP9, H.264 or AV1).
    #[arg(long, value_name = "IVF")]
    video: Option<PathBuf>,
    /// Audio to send in place of the test clip: an Ogg file (Opus).
    #[arg(long, value_name = "OGG")]
    audio: Option<PathBuf>,
    /// Send the test clip in three layers (simulcast).
    #[arg(long, conflicts_with_all = ["video", "audio"])]
    pub(super) simulcast: bool,
}

impl Media {
    /// The files that were named, or the test clip.
    pub(super) fn open(&self) -> anyhow::Result<Arc<Clip>> {
        if self.video.is_none() && self.audio.is_none() {
            return Ok(Arc::new(Clip::builtin()));
        }
        Ok(Arc::new(Clip::open(self.video.as_deref(), self.audio.as_deref())?))
    }
}
