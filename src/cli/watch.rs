//! `headwater watch`

use std::process::ExitCode;
use std::time::Duration;

use super::{elapsed, interrupted, quiet_log};
use crate::client::{Roaming, WatchOptions, WatchReport};

/// Flags of `headwater watch`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The WHEP endpoint, such as http://127.0.0.1:8080/whep/room.
    url: String,
    /// The bearer token.
    #[arg(long, env = "HEADWATER_TOKEN", hide_env_values = true)]
    token: Option<String>,
    /// End after this time; else at Ctrl-C.
    #[arg(long = "for", value_name = "TIME", value_parser = humantime::parse_duration)]
    duration: Option<Duration>,
    /// Wait this long for the stream to be published.
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration)]
    wait: Option<Duration>,
    /// Ask for the server's own offer, which it can then estimate bandwidth with.
    #[arg(long)]
    counter_offer: bool,
    /// Print what was measured as JSON.
    #[arg(long)]
    json: bool,
    /// What is logged.
    #[arg(long)]
    log: Option<String>,
}

impl Args {
    pub(super) async fn run(self) -> anyhow::Result<ExitCode> {
        quiet_log(self.log)?;
        let mut options = WatchOptions::new(self.url);
        options.token = self.token;
        options.retry_until_live = self.wait;
        options.counter_offer = self.counter_offer;
        let player = Roaming::start(options).await?;
        let mut reports = player.report();
        let mut second = tokio::time::interval(Duration::from_secs(1));
        // The task's end closes the channel.
        let ended = async {
            while reports.has_changed().is_ok() {
                second.tick().await;
                if !self.json {
                    line(&reports.borrow_and_update());
                }
            }
        };
        let failed = tokio::select! {
            () = elapsed(self.duration) => false,
            () = interrupted() => false,
            () = ended => true,
        };
        let report = player.stop().await;
        if self.json {
            println!("{}", serde_json::to_string_pretty(&report)?);
        } else {
            line(&report);
        }
        if failed {
            anyhow::bail!("disconnected: {}", report.reason.unwrap_or_else(|| "no reason given".to_owned()));
        }
        let received = report.has_audio() || report.has_video();
        Ok(if received { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }
}

fn line(report: &WatchReport) {
    let ms = |value: Option<f64>| value.map_or_else(|| "-".to_owned(), |ms| format!("{ms:.1} ms"));
    println!(
        "answer {}  first packet {}  first frame {}  {} kbit/s  {} packets, {} lost  {} frames, {} freezes",
        ms(report.answer_ms),
        ms(report.video.first_packet_ms.or(report.audio.first_packet_ms)),
        ms(report.video.first_frame_ms.or(report.audio.first_frame_ms)),
        report.bitrate_bps / 1000,
        report.packets,
        report.lost,
        report.video.frames,
        report.video.freezes,
    );
}
