//! The NATS server of `headwater dev`: a child process with JetStream.

use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, bail};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};
use uuid::Uuid;

/// How long the server may take to listen.
const START: Duration = Duration::from_secs(10);

/// A server that ends when this is dropped.
#[derive(Debug)]
pub(super) struct NatsChild {
    _child: Child,
    port: u16,
    /// A folder to remove at the end.
    temporary: Option<PathBuf>,
}

impl NatsChild {
    pub(super) async fn start(program: Option<&Path>, store: Option<&Path>) -> anyhow::Result<Self> {
        let program = program.filter(|program| program.exists()).unwrap_or(Path::new("nats-server"));
        let temporary =
            store.is_none().then(|| std::env::temp_dir().join(format!("headwater-{}", Uuid::new_v4())));
        let folder = store.or(temporary.as_deref()).context("no folder")?;
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port();
        let child = Command::new(program)
            .args(["-a", "127.0.0.1", "-p", &port.to_string(), "-js", "-sd"])
            .arg(folder)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            // Ctrl-C is for us: the server must outlive the nodes' last words.
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .with_context(|| {
                format!(
                    "starting {}: install nats-server (`make tools` does) or name one with --nats-server",
                    program.display()
                )
            })?;
        let mut nats = Self { _child: child, port, temporary };
        let listening = async {
            while TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await.is_err() {
                if let Some(status) = nats._child.try_wait()? {
                    bail!("{} ended at once: {status}", program.display());
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            Ok(())
        };
        tokio::time::timeout(START, listening).await.context("nats-server does not listen")??;
        Ok(nats)
    }

    pub(super) fn url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.port)
    }
}

impl Drop for NatsChild {
    fn drop(&mut self) {
        if let Some(folder) = &self.temporary {
            let _ = std::fs::remove_dir_all(folder);
        }
    }
}
