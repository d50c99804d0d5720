//! `headwater monitor`

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;

use super::Signals;
use crate::config::Config;
use crate::monitor::Monitor;
use crate::telemetry::log;

/// Flags of `headwater monitor`; each wins over the environment and the file.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The configuration file, which may be a node's; every key may also come as HEADWATER_SECTION__KEY.
    #[arg(long, short, env = "HEADWATER_CONFIG_FILE")]
    config: Option<PathBuf>,
    /// Where the page and its API are found: monitor.listen.
    #[arg(long)]
    listen: Option<SocketAddr>,
    /// A NATS server, may be repeated: nats.urls.
    #[arg(long)]
    nats: Vec<String>,
    /// What is logged, as `info` or `headwater=debug`: log.filter.
    #[arg(long)]
    log: Option<String>,
}

impl Args {
    pub(super) async fn run(self) -> anyhow::Result<ExitCode> {
        let mut config = Config::load(self.config.as_deref())?;
        if let Some(listen) = self.listen {
            config.monitor.listen = listen;
        }
        if !self.nats.is_empty() {
            config.nats.urls = self.nats;
        }
        if self.log.is_some() {
            config.log.filter = self.log;
        }
        config.check()?;
        log::start(&config.log).context("log.filter")?;
        let monitor = Monitor::start(config).await?;
        let mut signals = Signals::new();
        signals.next().await;
        Ok(signals.stopped(monitor.stop()).await)
    }
}
