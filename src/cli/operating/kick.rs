//! `headwater kick`

use std::process::ExitCode;
use std::time::Duration;

use reqwest::Method;

use super::{Connect, told};
use crate::cli::quiet_log;
use crate::protocol::ids::{RoomId, StreamName};

/// Flags of `headwater kick`.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    /// The room.
    room: RoomId,
    #[command(flatten)]
    whom: Whom,
    /// Keep out the token that it came with, on all nodes, as `10m`.
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration)]
    bar_for: Option<Duration>,
    #[command(flatten)]
    connect: Connect,
    /// Print JSON, as the node answers it.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, clap::Args)]
#[group(required = true, multiple = false)]
struct Whom {
    /// The viewer, by the id that events and `/api/rooms/<room>` give it.
    #[arg(long, value_name = "ID")]
    viewer: Option<uuid::Uuid>,
    /// Whoever publishes this stream.
    #[arg(long, value_name = "STREAM")]
    publisher: Option<StreamName>,
}

impl Args {
    pub(in crate::cli) async fn run(self) -> anyhow::Result<ExitCode> {
        quiet_log(None)?;
        let (kind, who) = match (self.whom.viewer, self.whom.publisher) {
            (Some(viewer), _) => ("viewers", viewer.to_string()),
            (None, stream) => ("streams", stream.unwrap_or_default().to_string()),
        };
        let path = ["api", "rooms", self.room.as_str(), kind, who.as_str()];
        let query: Vec<_> = self
            .bar_for
            .map(|time| ("barFor", humantime::format_duration(time).to_string()))
            .into_iter()
            .collect();
        let outcome = self.connect.ask(Method::DELETE, &path, &query).await?;
        if self.json {
            println!("{outcome:#}");
        } else {
            print!("{}", told(&outcome));
        }
        Ok(ExitCode::SUCCESS)
    }
}
