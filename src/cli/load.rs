//! `headwater load`

use std::io::IsTerminal;
use std::process::ExitCode;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::{Signals, clip, quiet_log};
use crate::load::{self, LoadOptions, Phase, Progress, Rate};

const DEPTH: &str = "One viewer in so many does all that a browser does: it decrypts what comes, puts pictures together, \
    asks for what is lost and for key frames, and lets the server estimate its bandwidth. The others read the headers, \
    which are not encrypted, and send empty receiver reports: they cost this program a fraction, and the server a \
    little less than browsers do (no bandwidth estimation, nothing sent again). 1: all do all";

/// Flags of `headwater load`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// How many watch.
    #[arg(long, default_value_t = 0)]
    viewers: usize,
    /// How many publish the test clip; with none, others do.
    #[arg(long, default_value_t = 0)]
    publishers: usize,
    /// Over how many rooms these are spread: load-1, load-2 and on.
    #[arg(long, default_value_t = 1)]
    rooms: usize,
    /// How fast they come, such as 50/s or 90/m.
    #[arg(long, default_value = "50/s")]
    rate: Rate,
    /// How long all watch, once the last one is there.
    #[arg(long = "for", value_name = "TIME", default_value = "60s", value_parser = humantime::parse_duration)]
    duration: Duration,
    /// Where to publish, by turns where several are given: a Headwater node, as http://127.0.0.1:8080, or any WHIP
    /// endpoint, as http://127.0.0.1:8889/{room}/whip.
    #[arg(long, value_name = "URL", value_delimiter = ',')]
    whip: Vec<String>,
    /// Where to watch, by turns; likewise. {stream} is replaced where a room has several publishers.
    #[arg(long, value_name = "URL", value_delimiter = ',')]
    whep: Vec<String>,
    /// The bearer token.
    #[arg(long, env = "HEADWATER_TOKEN", hide_env_values = true)]
    token: Option<String>,
    /// What the rooms' names begin with.
    #[arg(long, default_value = "load")]
    name: String,
    #[command(flatten)]
    clip: clip::Media,
    /// Ask for the servers' own offers.
    #[arg(long)]
    counter_offer: bool,
    /// How long a viewer asks again where its stream is not live yet (409).
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = humantime::parse_duration)]
    wait: Duration,
    /// One viewer in so many reads all that it gets, the others headers alone.
    #[arg(long, value_name = "N", default_value_t = 20, long_help = DEPTH)]
    sample: usize,
    /// How many threads carry the sessions; else one for each core.
    #[arg(long, value_name = "N", default_value_t = 0)]
    threads: usize,
    /// A server process to measure, with what it has started; those that listen at the addresses on this machine are
    /// found by themselves.
    #[arg(long, value_name = "PID", value_delimiter = ',')]
    pid: Vec<u32>,
    /// Print the report as JSON.
    #[arg(long)]
    json: bool,
    /// What is logged.
    #[arg(long)]
    log: Option<String>,
}

impl Args {
    pub(super) async fn run(self) -> anyhow::Result<ExitCode> {
        // A session that fails is counted; a line for each would hide the report.
        quiet_log(Some(self.log.clone().unwrap_or_else(|| "error".to_owned())))?;
        let json = self.json;
        let options = self.options()?;
        let (viewers, publishers) = (options.viewers, options.publishers);
        let (sender, progress) = watch::channel(Progress::default());
        let stop = CancellationToken::new();
        let loading = load::run(options, sender, stop.clone());
        let mut signals = Signals::new();
        let ended = async {
            signals.next().await;
            stop.cancel();
            signals.stopped(std::future::pending()).await
        };
        let report = tokio::select! {
            report = loading => report?,
            code = ended => return Ok(code),
            never = show(progress, viewers) => never,
        };
        if json {
            println!("{}", serde_json::to_string_pretty(&report)?);
        } else {
            print!("{report}");
        }
        let served =
            report.viewers.with_media > 0 || (viewers == 0 && report.publishers.joined == publishers);
        Ok(if served { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }

    fn options(self) -> anyhow::Result<LoadOptions> {
        Ok(LoadOptions {
            viewers: self.viewers,
            rate: self.rate,
            publishers: self.publishers,
            rooms: self.rooms,
            name: self.name,
            steady: self.duration,
            whip: self.whip,
            whep: self.whep,
            token: self.token,
            clip: self.clip.open()?,
            simulcast: self.clip.simulcast,
            counter_offer: self.counter_offer,
            wait: self.wait,
            sample: self.sample,
            threads: self.threads,
            pids: self.pid,
        })
    }
}

/// How often progress is printed where there is no terminal to draw on.
const LINE: Duration = Duration::from_secs(5);
/// Steps of the bar.
const STEPS: u64 = 1000;

/// Draws how it goes, on the error output, for as long as it is waited for.
async fn show<T>(mut progress: watch::Receiver<Progress>, viewers: usize) -> T {
    let bar = ProgressBar::new(STEPS);
    if let Ok(style) = ProgressStyle::with_template("{prefix:9} {bar:24} {msg}") {
        bar.set_style(style);
    }
    let terminal = std::io::stderr().is_terminal();
    let mut printed: Option<(Phase, tokio::time::Instant)> = None;
    while progress.changed().await.is_ok() {
        let now = progress.borrow_and_update().clone();
        let line = line(&now, viewers);
        if terminal {
            bar.set_position((now.done * STEPS as f64) as u64);
            bar.set_prefix(name(now.phase));
            bar.set_message(line);
        } else if printed.is_none_or(|(phase, at)| phase != now.phase || at.elapsed() >= LINE) {
            printed = Some((now.phase, tokio::time::Instant::now()));
            eprintln!("{:9} {line}", name(now.phase));
        }
    }
    bar.finish_and_clear();
    std::future::pending().await
}

fn name(phase: Phase) -> &'static str {
    match phase {
        Phase::Publishing => "publish",
        Phase::Ramp => "ramp",
        Phase::Settling => "settle",
        Phase::Steady => "steady",
        Phase::Ending => "end",
    }
}

fn line(now: &Progress, viewers: usize) -> String {
    let flow = &now.flow;
    let servers = now
        .servers
        .iter()
        .map(|(name, cores, memory)| format!("  {name} {cores:.2} cores {} MiB", memory >> 20));
    format!(
        "{}/{viewers} viewers, {} refused, {} publishers  {:.0} packets/s {:.1} Mbit/s {:.2} % lost{}  own {:.2} cores",
        now.viewers,
        now.refused,
        now.publishers,
        flow.packets_per_second,
        flow.bits_per_second / 1e6,
        flow.loss_ratio * 100.0,
        servers.collect::<String>(),
        now.own,
    )
}
