//! A node as a process of its own, to be killed, stopped, put on another machine or given a wrong clock.

use std::fs::{self, File};
use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::process::Stdio;

use serde_json::Value;
use tempfile::TempDir;

use super::fleet::{SOON, get_status, http};
use super::nats::free_port;
use super::netns::Host;
use super::process::Process;
use super::wait::eventually;

/// The operators' token of nodes that other machines reach.
const TOKEN: &str = "operators-of-the-test";

/// What gives a program another wall clock: `clock.c`, as `make test-tools` compiles it.
const CLOCK: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/.tools/clock.so");

/// A `headwater node` process. What it logs is shown if the test fails.
#[derive(Debug)]
pub(crate) struct ChildNode {
    process: Process,
    name: String,
    ip: IpAddr,
    public: u16,
    operators: u16,
    folder: TempDir,
}

/// Where and how a node process runs, beyond its own configuration.
#[derive(Debug, Default)]
pub(crate) struct Place<'a> {
    /// Another machine than the test's.
    pub(crate) host: Option<&'a Host>,
    /// So many seconds is its wall clock ahead; its monotonic clock is right.
    pub(crate) clock: Option<i64>,
}

impl ChildNode {
    /// Starts a node with these further variables and waits until it is ready.
    pub(crate) async fn start(name: &str, region: &str, nats: &str, more: &[(&str, &str)]) -> Self {
        let node = Self::spawn(name, region, nats, more, &Place::default());
        node.ready().await;
        node
    }

    /// The same on a machine of its own.
    pub(crate) async fn on(host: &Host, name: &str, region: &str, nats: &str, more: &[(&str, &str)]) -> Self {
        let node = Self::spawn(name, region, nats, more, &Place { host: Some(host), ..Place::default() });
        node.ready().await;
        node
    }

    /// Starts a node and returns at once.
    pub(crate) fn spawn(
        name: &str,
        region: &str,
        nats: &str,
        more: &[(&str, &str)],
        place: &Place<'_>,
    ) -> Self {
        let folder = tempfile::tempdir().expect("a folder for its log");
        let log = File::create(folder.path().join("log")).expect("a file for its log");
        // A machine of its own has every port, and an address that others reach.
        let ip = place.host.map_or(IpAddr::V4(Ipv4Addr::LOCALHOST), |host| host.ip.into());
        let (public, operators) =
            if place.host.is_some() { (8080, 8081) } else { (free_port(), free_port()) };
        let launcher = place.host.map(Host::launcher).unwrap_or_default();
        let process = Process::spawn_through(&launcher, env!("CARGO_BIN_EXE_headwater"), |command| {
            command
                .args(["node", "--name", name, "--region", region, "--nats", nats])
                .env("HEADWATER_NATS__STORAGE", "memory")
                .env("HEADWATER_MEDIA__WORKERS", "1")
                .env("HEADWATER_WEBRTC__PORT", "0")
                .env("HEADWATER_WEBRTC__LISTEN", format!("[\"{ip}\"]"))
                .env("HEADWATER_PIPE__LISTEN", ip.to_string())
                .env("HEADWATER_HTTP__LISTEN", format!("{ip}:{public}"))
                .env("HEADWATER_OPERATORS__LISTEN", format!("{ip}:{operators}"))
                .envs(more.iter().copied())
                .stdin(Stdio::null())
                .stdout(log.try_clone().expect("its log a second time"))
                .stderr(log);
            // A file says by itself what is logged.
            if !more.iter().any(|(key, _)| ["HEADWATER_CONFIG_FILE", "HEADWATER_LOG__FILTER"].contains(key)) {
                command.env("HEADWATER_LOG__FILTER", "headwater=debug,info");
            }
            if place.host.is_some() {
                // Other machines reach it, so that it answers operators with a token alone.
                command.env("HEADWATER_OPERATORS__TOKEN", TOKEN);
            }
            if let Some(offset) = place.clock {
                assert!(Path::new(CLOCK).is_file(), "{CLOCK}: run `make test-tools`");
                command
                    .env("LD_PRELOAD", CLOCK)
                    .env("CLOCK_OFFSET", offset.to_string())
                    // The allocator's own threads wait by the wall clock.
                    .env("MALLOC_CONF", "background_thread:false");
            }
        })
        .expect("the node starts");
        Self { process, name: name.to_owned(), ip, public, operators, folder }
    }

    /// Waits until it is ready.
    pub(crate) async fn ready(&self) {
        let ready = format!("{}/readyz", self.operators_url());
        let what = format!("node {} is ready", self.name);
        eventually(SOON, what, || async { (get_status(&ready).await == 200).then_some(()) }).await;
    }

    pub(crate) fn public_url(&self) -> String {
        format!("http://{}:{}", self.ip, self.public)
    }

    pub(crate) fn operators_url(&self) -> String {
        format!("http://{}:{}", self.ip, self.operators)
    }

    /// The process, to signal it and to see how it ends.
    pub(crate) fn process(&mut self) -> &mut Process {
        &mut self.process
    }

    /// What it has logged so far.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    /// A room as it sees it; null if it has none.
    pub(crate) async fn room(&self, room: &str) -> Value {
        serde_json::from_str(&self.ask(&format!("/api/rooms/{room}")).await).unwrap_or(Value::Null)
    }

    /// Waits until it hears so many nodes, itself among them.
    pub(crate) async fn hears(&self, nodes: usize) {
        eventually(SOON, format!("node {} hears {nodes} nodes", self.name), || async {
            let fleet: Value = serde_json::from_str(&self.ask("/api/fleet").await).unwrap_or(Value::Null);
            let heard = fleet.as_array().map_or(0, Vec::len);
            if heard == nodes { Ok(()) } else { Err(heard) }
        })
        .await;
    }

    /// The value of a metric with these labels.
    pub(crate) async fn metric(&self, sample: &str) -> f64 {
        super::fleet::value(&self.ask("/metrics").await, sample)
    }

    /// What it answers to operators; nothing while it can't be reached.
    async fn ask(&self, path: &str) -> String {
        let request = http().get(format!("{}{path}", self.operators_url())).bearer_auth(TOKEN);
        match request.send().await {
            Ok(response) => response.text().await.unwrap_or_default(),
            Err(_) => String::new(),
        }
    }
}

impl Drop for ChildNode {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("--- log of node {}\n{}", self.name, self.log());
        }
    }
}
