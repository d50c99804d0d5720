//! `headwater node`

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;

use super::Signals;
use super::reload::Reload;
use crate::config::Config;
use crate::node::Node;
use crate::protocol::ids::{NodeName, Region};
use crate::telemetry::log;

/// Flags of `headwater node`; each wins over the environment and the file.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    pub(super) options: Options,
}

/// What a node's configuration is made of.
#[derive(Debug, clap::Args)]
pub(super) struct Options {
    /// The configuration file; every key may also come as HEADWATER_SECTION__KEY.
    #[arg(long, short, env = "HEADWATER_CONFIG_FILE")]
    pub(super) config: Option<PathBuf>,
    /// The node's name: node.name.
    #[arg(long)]
    name: Option<NodeName>,
    /// The node's datacenter: node.region.
    #[arg(long)]
    region: Option<Region>,
    /// A NATS server, may be repeated: nats.urls.
    #[arg(long)]
    nats: Vec<String>,
    /// What is logged, as `info` or `headwater=debug`: log.filter.
    #[arg(long)]
    log: Option<String>,
}

impl Options {
    pub(super) fn config(&self) -> anyhow::Result<Config> {
        let mut config = Config::load(self.config.as_deref())?;
        if let Some(name) = &self.name {
            config.node.name = name.clone();
        }
        if let Some(region) = &self.region {
            config.node.region = region.clone();
        }
        if !self.nats.is_empty() {
            config.nats.urls.clone_from(&self.nats);
        }
        if let Some(log) = &self.log {
            config.log.filter = Some(log.clone());
        }
        config.check()?;
        Ok(config)
    }
}

impl Args {
    pub(super) async fn run(self) -> anyhow::Result<ExitCode> {
        // Before anything else: SIGHUP ends a process that doesn't listen to it.
        let mut reload = Reload::new(&self.options)?;
        let config = self.options.config()?;
        log::start(&config.log).context("log.filter")?;
        let node = Node::start(config).await?;
        let mut signals = Signals::new();
        tokio::select! {
            () = signals.next() => {}
            () = reload.follow(&node) => {}
            reason = node.failed() => {
                signals.stopped(node.stop()).await;
                anyhow::bail!(reason);
            }
        }
        let drained = async {
            node.drain().await;
            node.stop().await;
        };
        Ok(signals.stopped(drained).await)
    }
}
