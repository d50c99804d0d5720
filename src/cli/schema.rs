//! `headwater schema`

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;

use crate::protocol::schema;

/// Flags of `headwater schema`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The folder to write into.
    #[arg(default_value = "schemas")]
    folder: PathBuf,
}

impl Args {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        for (name, schema) in schema::all() {
            let path = self.folder.join(format!("{name}.json"));
            let text = format!("{}\n", serde_json::to_string_pretty(&schema)?);
            std::fs::write(&path, text).with_context(|| path.display().to_string())?;
        }
        Ok(ExitCode::SUCCESS)
    }
}
