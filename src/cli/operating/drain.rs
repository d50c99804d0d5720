//! `headwater drain`, `headwater undrain`

use std::process::ExitCode;
use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::Value;

use super::Connect;
use crate::cli::monitoring::count;
use crate::cli::quiet_log;
use crate::protocol::ids::NodeName;

/// How often it is asked what is left.
const LOOK: Duration = Duration::from_millis(500);

/// Flags of `headwater drain`.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    /// The node.
    node: NodeName,
    /// Wait until nothing is left there, at most so long, as `10m`; fails when something is left then.
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration)]
    wait: Option<Duration>,
    #[command(flatten)]
    connect: Connect,
    /// Print JSON, as the node answers it.
    #[arg(long)]
    json: bool,
}

/// Flags of `headwater undrain`.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Undo {
    /// The node.
    node: NodeName,
    #[command(flatten)]
    connect: Connect,
    /// Print JSON, as the node answers it.
    #[arg(long)]
    json: bool,
}

impl Args {
    pub(in crate::cli) async fn run(self) -> anyhow::Result<ExitCode> {
        quiet_log(None)?;
        let path = ["api", "nodes", self.node.as_str(), "drain"];
        let mut drain = self.connect.ask(Method::POST, &path, &[]).await?;
        let begin = Instant::now();
        while self.wait.is_some_and(|wait| !is_empty(&drain) && begin.elapsed() < wait) {
            tokio::time::sleep(LOOK).await;
            drain = self.connect.ask(Method::GET, &path, &[]).await?;
        }
        print(&drain, self.json);
        let waits_in_vain = self.wait.is_some() && !is_empty(&drain);
        Ok(if waits_in_vain { ExitCode::FAILURE } else { ExitCode::SUCCESS })
    }
}

impl Undo {
    pub(in crate::cli) async fn run(self) -> anyhow::Result<ExitCode> {
        quiet_log(None)?;
        let path = ["api", "nodes", self.node.as_str(), "drain"];
        print(&self.connect.ask(Method::DELETE, &path, &[]).await?, self.json);
        Ok(ExitCode::SUCCESS)
    }
}

fn print(drain: &Value, json: bool) {
    match json {
        true => println!("{drain:#}"),
        false => println!("{}", told(drain)),
    }
}

fn left(drain: &Value, what: &str) -> u32 {
    drain
        .pointer(&format!("/left/{what}"))
        .and_then(Value::as_u64)
        .and_then(|n| n.try_into().ok())
        .unwrap_or(0)
}

fn is_empty(drain: &Value) -> bool {
    ["streams", "viewers", "children"].iter().all(|what| left(drain, what) == 0)
}

/// How it stands, for people.
fn told(drain: &Value) -> String {
    let text = |key: &str| drain.get(key).and_then(Value::as_str).unwrap_or("?");
    let node = text("node");
    if text("phase") != "draining" {
        return format!("{node} takes everything");
    }
    let has = match is_empty(drain) {
        true => "has nothing left".to_owned(),
        false => {
            let part = |what, one| count(left(drain, what), one);
            let (streams, viewers) = (part("streams", "stream"), part("viewers", "viewer"));
            format!("still has {streams}, {viewers} and {} to other nodes", part("children", "pipe"))
        }
    };
    let ends = drain.get("ends").and_then(Value::as_bool).unwrap_or(false);
    let end = if ends { "; it ends once it is empty, or at its deadline" } else { "" };
    format!("{node} takes nothing new and {has}{end}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn how_a_node_stands_is_one_sentence() {
        let drain = |phase: &str, viewers: u32, ends: bool| {
            let left = json!({"streams": 0, "viewers": viewers, "children": 0});
            told(&json!({"node": "east-1", "phase": phase, "byOperator": true, "ends": ends, "left": left}))
        };
        assert_eq!(drain("serving", 3, false), "east-1 takes everything");
        assert_eq!(drain("draining", 0, false), "east-1 takes nothing new and has nothing left");
        assert_eq!(
            drain("draining", 1, true),
            "east-1 takes nothing new and still has 0 streams, 1 viewer and 0 pipes to other nodes; it ends once \
             it is empty, or at its deadline"
        );
    }
}
