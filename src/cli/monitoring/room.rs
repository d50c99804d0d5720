//! `headwater room`

use std::process::ExitCode;

use super::MonitorArgs;
use super::at::At;
use super::line::painted;
use super::{output, tree};
use crate::cli::quiet_log;
use crate::protocol::ids::RoomId;

/// Flags of `headwater room`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The room.
    room: RoomId,
    #[command(flatten)]
    monitor: MonitorArgs,
    /// As it was then: an event's number, an RFC 3339 time, or how long ago such as 10m.
    #[arg(long, value_name = "MOMENT")]
    at: Option<At>,
}

impl Args {
    pub(crate) async fn run(self) -> anyhow::Result<ExitCode> {
        quiet_log(None)?;
        let view = self.monitor.connect.api()?.room(&self.room, self.at).await?;
        let _ = if self.monitor.json {
            output::json(&view)?
        } else {
            output::print(&painted(&tree::room(&view, At::now(self.at, &view.at))))?
        };
        Ok(ExitCode::SUCCESS)
    }
}
