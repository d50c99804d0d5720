//! `headwater bar`

use std::process::ExitCode;
use std::time::Duration;

use reqwest::Method;

use super::{Connect, bar_line, told};
use crate::cli::quiet_log;

/// Flags of `headwater bar`. Without a token it lists who is kept out.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    #[command(flatten)]
    token: Token,
    /// For how long, as `10m`.
    #[arg(long = "for", value_name = "TIME", value_parser = humantime::parse_duration, requires = "Token")]
    time: Option<Duration>,
    /// Let it in again.
    #[arg(long, requires = "Token", conflicts_with = "time")]
    lift: bool,
    #[command(flatten)]
    connect: Connect,
    /// Print JSON, as the node answers it.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, clap::Args)]
#[group(multiple = false)]
struct Token {
    /// The signed token with this `jti`.
    #[arg(long)]
    id: Option<String>,
    /// All signed tokens with this `sub`.
    #[arg(long)]
    subject: Option<String>,
    /// The configured token with this name.
    #[arg(long)]
    name: Option<String>,
}

impl Token {
    fn named(&self) -> Option<(&'static str, &str)> {
        let named = [("id", &self.id), ("subject", &self.subject), ("name", &self.name)];
        named.into_iter().find_map(|(kind, value)| Some((kind, value.as_deref()?)))
    }
}

impl Args {
    pub(in crate::cli) async fn run(self) -> anyhow::Result<ExitCode> {
        quiet_log(None)?;
        let Some((kind, value)) = self.token.named() else { return self.list().await };
        let path = ["api", "bars", kind, value];
        let outcome = match (self.time, self.lift) {
            (_, true) => self.connect.ask(Method::DELETE, &path, &[]).await?,
            (Some(time), false) => {
                let time = humantime::format_duration(time).to_string();
                self.connect.ask(Method::POST, &path, &[("for", time)]).await?
            }
            (None, false) => {
                anyhow::bail!("say for how long it is kept out with --for, as --for 10m, or give --lift")
            }
        };
        match self.json {
            true => println!("{outcome:#}"),
            false => print!("{}", told(&outcome)),
        }
        Ok(ExitCode::SUCCESS)
    }

    async fn list(self) -> anyhow::Result<ExitCode> {
        let bars = self.connect.ask(Method::GET, &["api", "bars"], &[]).await?;
        if self.json {
            println!("{bars:#}");
            return Ok(ExitCode::SUCCESS);
        }
        let bars = bars.as_array().cloned().unwrap_or_default();
        bars.iter().map(bar_line).for_each(|line| println!("{line}"));
        if bars.is_empty() {
            println!("no token is kept out");
        }
        Ok(ExitCode::SUCCESS)
    }
}
