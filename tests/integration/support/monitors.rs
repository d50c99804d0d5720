//! Monitors: within the test, or as a process that can be killed.

use std::process::Stdio;
use std::time::Duration;

use headwater::config::{Config, Storage};
use headwater::monitor::Monitor;
use serde_json::Value;

use super::fleet::{SOON, get_json, get_status};
use super::nats::free_port;
use super::process::Process;
use super::wait::eventually;

/// A monitor's configuration: any free port.
pub(crate) fn config(name: &str, nats: &str) -> Config {
    let mut config = Config::default();
    config.monitor.name = name.parse().unwrap();
    config.monitor.listen.set_port(0);
    config.nats.urls = vec![nats.to_owned()];
    config.nats.storage = Storage::Memory;
    config
}

/// A started monitor that has read everything.
pub(crate) async fn monitor(nats: &str) -> Monitor {
    start(config("monitor", nats)).await
}

pub(crate) async fn start(config: Config) -> Monitor {
    headwater::telemetry::log::start(&config.log).unwrap();
    let monitor = Monitor::start(config).await.expect("the monitor starts");
    caught_up(&monitor.url()).await;
    monitor
}

/// Waits until a monitor has read everything.
pub(crate) async fn caught_up(url: &str) {
    eventually(SOON, "the monitor has caught up", || async {
        (get_status(&format!("{url}/readyz")).await == 200).then_some(())
    })
    .await;
}

/// What its API answers.
pub(crate) async fn get(url: &str, path: &str) -> Value {
    get_json(&format!("{url}{path}")).await
}

/// A room's first stream as a monitor draws it: `origin(relay(edge))`.
pub(crate) async fn tree(url: &str, path: &str) -> String {
    let room = get(url, path).await;
    drawn(&room["streams"][0]["tree"])
}

fn drawn(node: &Value) -> String {
    let Some(name) = node["node"].as_str() else { return "-".to_owned() };
    let children: Vec<_> = node["children"].as_array().into_iter().flatten().map(drawn).collect();
    if children.is_empty() { name.to_owned() } else { format!("{name}({})", children.join(",")) }
}

/// Waits until a room is drawn so.
pub(crate) async fn draws(url: &str, room: &str, expected: &str) {
    eventually(SOON, "the tree is drawn", || async {
        let tree = tree(url, &format!("/api/rooms/{room}")).await;
        if tree == expected { Ok(()) } else { Err(tree) }
    })
    .await;
}

/// A monitor as a process of its own.
#[derive(Debug)]
pub(crate) struct ChildMonitor {
    process: Process,
    port: u16,
}

impl ChildMonitor {
    pub(crate) fn spawn(nats: &str, variables: &[(&str, &str)]) -> Self {
        let port = free_port();
        let process = Process::spawn(env!("CARGO_BIN_EXE_headwater"), |command| {
            command
                .args(["monitor", "--listen", &format!("127.0.0.1:{port}"), "--nats", nats])
                .env("HEADWATER_NATS__STORAGE", "memory")
                .envs(variables.iter().copied())
                .stdout(Stdio::null())
                .stderr(Stdio::null());
        });
        Self { process: process.expect("start the monitor"), port }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Kills it without a last word.
    pub(crate) fn kill(&mut self) {
        self.process.kill();
    }
}

/// Within this the picture shows a change, on a machine that does much else: alone it takes some 0.3 s.
pub(crate) const SHOWN: Duration = Duration::from_secs(5);
