//! `headwater config`

use std::process::ExitCode;

use super::node::Options;

/// Flags of `headwater config`: those of `headwater node`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    options: Options,
}

impl Args {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        print!("{}", self.options.config()?.to_toml()?);
        Ok(ExitCode::SUCCESS)
    }
}
