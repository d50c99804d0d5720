//! `headwater publish`

use std::process::ExitCode;
use std::time::Duration;

use super::{clip, elapsed, interrupted, quiet_log};
use crate::client::{PublishOptions, Republishing};

/// Flags of `headwater publish`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The WHIP endpoint, such as http://127.0.0.1:8080/whip/room.
    url: String,
    /// The bearer token.
    #[arg(long, env = "HEADWATER_TOKEN", hide_env_values = true)]
    token: Option<String>,
    #[command(flatten)]
    clip: clip::Media,
    /// End after this time; else at Ctrl-C.
    #[arg(long = "for", value_name = "TIME", value_parser = humantime::parse_duration)]
    duration: Option<Duration>,
    /// Print what was sent as JSON at the end.
    #[arg(long)]
    json: bool,
    /// What is logged.
    #[arg(long)]
    log: Option<String>,
}

impl Args {
    pub(super) async fn run(self) -> anyhow::Result<ExitCode> {
        quiet_log(self.log)?;
        let mut options = PublishOptions::new(self.url, self.clip.open()?);
        options.token = self.token;
        options.simulcast = self.clip.simulcast;
        let publisher = Republishing::start(options).await?;
        let mut stats = publisher.stats();
        let ended = async {
            // The task's end closes the channel.
            while stats.changed().await.is_ok() {}
        };
        let failed = tokio::select! {
            () = elapsed(self.duration) => false,
            () = interrupted() => false,
            () = ended => true,
        };
        let last = publisher.stats().borrow().clone();
        if self.json {
            println!("{}", serde_json::to_string(&last)?);
        } else {
            println!(
                "sent {} packets, {} video frames, {} audio frames; {} key-frame requests",
                last.packets, last.video_frames, last.audio_frames, last.key_frame_requests
            );
        }
        if failed {
            anyhow::bail!("disconnected: {}", last.reason.unwrap_or_else(|| "no reason given".to_owned()));
        }
        publisher.stop().await?;
        Ok(ExitCode::SUCCESS)
    }
}
