//! SIGHUP: the configuration file is read anew, and what may change at run time taken over.

use anyhow::Context;
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::node::Options;
use crate::config::{Changed, Config, Keys};
use crate::node::Node;
use crate::telemetry::log;

/// Hears SIGHUP from the moment on that this is made.
pub(super) struct Reload<'a> {
    options: &'a Options,
    /// What holds, and what it is compared with.
    keys: Keys,
    /// None without a file: then nothing can change, and SIGHUP ends the process as usual.
    signals: Option<Signal>,
}

impl<'a> Reload<'a> {
    pub(super) fn new(options: &'a Options) -> anyhow::Result<Self> {
        let signals = options.config.as_ref().map(|_| signal(SignalKind::hangup())).transpose()?;
        Ok(Self { options, keys: Keys::read(options.config.as_deref())?, signals })
    }

    /// Reads the file anew with each signal. Never ends.
    pub(super) async fn follow(&mut self, node: &Node) {
        loop {
            let Some(signals) = &mut self.signals else { return std::future::pending().await };
            if signals.recv().await.is_none() {
                return std::future::pending().await;
            }
            match self.read() {
                Ok((config, changed)) => take_over(node, &config, changed),
                Err(error) => {
                    let error = format!("{error:#}");
                    tracing::error!(error, "the configuration can't be read anew: all stays as it was");
                }
            }
        }
    }

    fn read(&mut self) -> anyhow::Result<(Config, Changed)> {
        let config = self.options.config()?;
        let keys = Keys::read(self.options.config.as_deref())?;
        log::change(&config.log).context("log.filter")?;
        Ok((config, self.keys.take_over(&keys)))
    }
}

fn take_over(node: &Node, config: &Config, changed: Changed) {
    node.limit(config.limits);
    let keys = changed.now.join(", ");
    match keys.is_empty() {
        true => tracing::info!("configuration read anew: nothing has changed that can be taken over"),
        false => tracing::info!(keys, "configuration read anew and taken over"),
    }
    if !changed.at_restart.is_empty() {
        let keys = changed.at_restart.join(", ");
        tracing::warn!(keys, "these keys have changed as well, and count from the next start on");
    }
}
