//! A node as a process of its own, to be killed.

use std::net::TcpListener;
use std::process::Stdio;

use super::fleet::{SOON, get_status};
use super::process::Process;
use super::wait::eventually;

/// A `headwater node` process.
#[derive(Debug)]
pub(crate) struct ChildNode {
    process: Process,
    public: u16,
    operators: u16,
}

impl ChildNode {
    /// Starts a node with these further variables and waits until it is ready.
    pub(crate) async fn start(name: &str, region: &str, nats: &str, more: &[(&str, &str)]) -> Self {
        let (public, operators) = (free_port(), free_port());
        let process = Process::spawn(env!("CARGO_BIN_EXE_headwater"), |command| {
            command
                .args(["node", "--name", name, "--region", region, "--nats", nats])
                .env("HEADWATER_NATS__STORAGE", "memory")
                .env("HEADWATER_MEDIA__WORKERS", "1")
                .env("HEADWATER_WEBRTC__PORT", "0")
                .env("HEADWATER_HTTP__LISTEN", format!("127.0.0.1:{public}"))
                .env("HEADWATER_OPERATORS__LISTEN", format!("127.0.0.1:{operators}"))
                .envs(more.iter().copied())
                .stdin(Stdio::null())
                .stdout(Stdio::null());
        })
        .expect("the node starts");
        let node = Self { process, public, operators };
        let ready = format!("{}/readyz", node.operators_url());
        eventually(SOON, "the node is ready", || async { (get_status(&ready).await == 200).then_some(()) })
            .await;
        node
    }

    pub(crate) fn public_url(&self) -> String {
        format!("http://127.0.0.1:{}", self.public)
    }

    pub(crate) fn operators_url(&self) -> String {
        format!("http://127.0.0.1:{}", self.operators)
    }

    /// The process, to signal it and to see how it ends.
    pub(crate) fn process(&mut self) -> &mut Process {
        &mut self.process
    }
}

pub(crate) fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}
