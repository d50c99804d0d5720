//! A NATS server of our own: a child process with JetStream, on loopback.

use std::collections::VecDeque;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context, bail};
use rustix::process::{Pid, Signal, kill_process};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::net::TcpStream;
use tokio::process::{Child, ChildStderr, Command};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use uuid::Uuid;

use super::tied;

/// How long the server may take to listen: it reads all that it has stored first.
const START: Duration = Duration::from_secs(60);
/// How long it may take to write what it has and end.
const STOP: Duration = Duration::from_secs(10);
const RESTART: Duration = Duration::from_millis(200);
const RESTART_LONGEST: Duration = Duration::from_secs(10);
/// How many of its last lines tell why it ended.
const LAST_LINES: usize = 6;

/// A server that ends when this is dropped, and when this process ends in whatever way.
#[derive(Debug)]
pub(super) struct NatsServer {
    program: PathBuf,
    store: PathBuf,
    listen: SocketAddr,
    child: Child,
    /// Reads what it says; gives its last lines when it has ended.
    log: JoinSet<VecDeque<String>>,
    /// Whether the folder goes with it.
    temporary: bool,
}

impl NatsServer {
    /// Starts `program`, or the `nats-server` of PATH, with its data in `store`, and waits until it listens.
    pub(super) async fn start(
        program: Option<&Path>,
        store: &Path,
        listen: SocketAddr,
    ) -> anyhow::Result<Self> {
        if let Err(error) = TcpListener::bind(listen) {
            bail!("nats-server can't listen on {listen}: {error}");
        }
        std::fs::create_dir_all(store).with_context(|| format!("the folder {}", store.display()))?;
        let program =
            program.filter(|program| program.exists()).unwrap_or(Path::new("nats-server")).to_owned();
        let (child, log) = spawn(&program, store, listen)?;
        let mut server = Self { program, store: store.to_owned(), listen, child, log, temporary: false };
        server.listening().await?;
        Ok(server)
    }

    /// The same on any port, with a folder that is removed at the end.
    pub(super) async fn start_temporary(program: Option<&Path>) -> anyhow::Result<Self> {
        let store = std::env::temp_dir().join(format!("headwater-{}", Uuid::new_v4()));
        let mut server = Self::start(program, &store, Self::any_port()?).await?;
        server.temporary = true;
        Ok(server)
    }

    /// A free port of loopback.
    pub(super) fn any_port() -> anyhow::Result<SocketAddr> {
        Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?)
    }

    pub(super) fn url(&self) -> String {
        format!("nats://{}", self.listen)
    }

    /// Starts the server again whenever it ends, for ever.
    pub(super) async fn keep(&mut self) {
        loop {
            let ended = self.child.wait().await;
            let why = ended.map_or_else(|error| error.to_string(), |status| status.to_string());
            tracing::error!(why, "nats-server has ended: starting it again");
            let mut pause = RESTART;
            while let Err(error) = self.restart().await {
                tracing::error!(error = format!("{error:#}"), "nats-server does not start again");
                sleep(pause).await;
                pause = (pause * 2).min(RESTART_LONGEST);
            }
            tracing::info!("nats-server is there again");
        }
    }

    async fn restart(&mut self) -> anyhow::Result<()> {
        (self.child, self.log) = spawn(&self.program, &self.store, self.listen)?;
        self.listening().await
    }

    /// Lets it write what it has, then ends it.
    pub(super) async fn stop(mut self) {
        if let Some(pid) = self.child.id().and_then(|id| Pid::from_raw(id.try_into().ok()?)) {
            let _ = kill_process(pid, Signal::TERM);
        }
        if timeout(STOP, self.child.wait()).await.is_err() {
            tracing::warn!("nats-server does not end: killed");
        }
    }

    async fn listening(&mut self) -> anyhow::Result<()> {
        let answers = async {
            while TcpStream::connect(self.listen).await.is_err() {
                if let Some(status) = self.child.try_wait()? {
                    bail!("{}", self.last_words(status).await);
                }
                sleep(Duration::from_millis(20)).await;
            }
            Ok(())
        };
        timeout(START, answers).await.context("nats-server does not listen")?
    }

    async fn last_words(&mut self, status: ExitStatus) -> String {
        let lines = self.log.join_next().await.and_then(Result::ok).unwrap_or_default();
        let lines: Vec<_> = lines.into_iter().collect();
        format!("nats-server ended at once ({status}): {}", lines.join("; "))
    }
}

impl Drop for NatsServer {
    fn drop(&mut self) {
        if self.temporary {
            let _ = std::fs::remove_dir_all(&self.store);
        }
    }
}

fn spawn(
    program: &Path,
    store: &Path,
    listen: SocketAddr,
) -> anyhow::Result<(Child, JoinSet<VecDeque<String>>)> {
    let mut child = Command::new(tied::own_program()?)
        .args(tied::arguments(&store.join("lock")))
        .arg(program)
        .args(["--addr", &listen.ip().to_string(), "--port", &listen.port().to_string()])
        .args(["--jetstream", "--logtime=false", "--store_dir"])
        .arg(store)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        // Ctrl-C is for us: the server must outlive the node's last words.
        .process_group(0)
        .kill_on_drop(true)
        .spawn()
        .context("starting nats-server")?;
    let mut log = JoinSet::new();
    if let Some(said) = child.stderr.take() {
        log.spawn(tell(said));
    }
    Ok((child, log))
}

/// Tells our log what the server says, until it has ended.
async fn tell(said: ChildStderr) -> VecDeque<String> {
    let mut lines = BufReader::new(said).lines();
    let mut last = VecDeque::new();
    while let Ok(Some(line)) = lines.next_line().await {
        // As in `[4711] [INF] Server is ready`.
        let text = line.split_once("] [").map_or(line.as_str(), |(_, rest)| rest);
        match text.split_once("] ") {
            Some(("INF" | "DBG" | "TRC", text)) => tracing::debug!(target: "nats_server", "{text}"),
            Some(("WRN", text)) => tracing::warn!(target: "nats_server", "{text}"),
            Some((_, text)) => tracing::error!(target: "nats_server", "{text}"),
            None => tracing::debug!(target: "nats_server", "{text}"),
        }
        if last.len() == LAST_LINES {
            last.pop_front();
        }
        last.push_back(text.trim().to_owned());
    }
    last
}
