//! A real `nats-server` of the test's own.

use std::env;
use std::fs;
use std::io;
use std::net::{IpAddr, Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{self, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::net::TcpStream;

use super::process::Process;
use super::wait::eventually;

const READY: Duration = Duration::from_secs(20);

/// A `nats-server`, on 127.0.0.1 and with JetStream unless said otherwise, its store in a temporary folder.
///
/// Killed, and its folder removed, on drop.
#[derive(Debug)]
pub(crate) struct NatsServer {
    process: Option<Process>,
    port: u16,
    name: String,
    recipe: Recipe,
    dir: TempDir,
}

/// How a server is to be.
#[derive(Debug)]
pub(crate) struct Recipe {
    /// Further configuration in its own format: accounts, permissions, limits, routes.
    ///
    /// Address and port are set here, whatever it says, and `/var/lib/nats` is the test's folder; with
    /// `accounts` in it, JetStream has to be enabled for each account that uses it.
    pub(crate) config: String,
    /// Whether it has JetStream, where its configuration doesn't say so.
    pub(crate) jetstream: bool,
    /// Where it listens.
    pub(crate) ip: IpAddr,
    /// Its environment beside ours.
    pub(crate) variables: Vec<(String, String)>,
    /// What starts it elsewhere, as `ip netns exec`.
    pub(crate) launcher: Vec<String>,
}

impl Default for Recipe {
    fn default() -> Self {
        Self {
            config: String::new(),
            jetstream: true,
            ip: Ipv4Addr::LOCALHOST.into(),
            variables: Vec::new(),
            launcher: Vec::new(),
        }
    }
}

impl NatsServer {
    /// Starts a server that lets everyone in and returns when it answers.
    pub(crate) async fn start() -> Self {
        Self::with_config("").await
    }

    /// Starts a server with `config` in its own format: see [`Recipe::config`].
    pub(crate) async fn with_config(config: &str) -> Self {
        Self::of(Recipe { config: config.to_owned(), ..Recipe::default() }).await
    }

    /// Starts a server that is made so.
    pub(crate) async fn of(recipe: Recipe) -> Self {
        let mut server = Self::stopped(recipe);
        server.launch().await;
        server
    }

    /// A server that [`restart`](Self::restart) starts.
    pub(crate) fn stopped(recipe: Recipe) -> Self {
        let dir = tempfile::Builder::new()
            .prefix("headwater-nats-")
            .tempdir()
            .expect("a temporary folder for nats-server");
        let store = dir.path().join("store").display().to_string();
        fs::write(dir.path().join("nats.conf"), recipe.config.replace("/var/lib/nats", &store))
            .expect("write the server's configuration");
        let port = free_port();
        Self { process: None, port, name: format!("test-{}-{port}", process::id()), recipe, dir }
    }

    /// Where clients connect, as `nats://127.0.0.1:port`; the same after a restart.
    pub(crate) fn url(&self) -> String {
        format!("nats://{}:{}", self.recipe.ip, self.port)
    }

    /// A new client without credentials.
    pub(crate) async fn client(&self) -> async_nats::Client {
        async_nats::connect(self.url()).await.expect("connect to the test's nats-server")
    }

    /// Kills the server, as a crash would; connections are reset.
    pub(crate) fn stop(&mut self) {
        self.process = None;
    }

    /// Kills the server if it runs and starts it again with the same port and store.
    pub(crate) async fn restart(&mut self) {
        self.stop();
        self.launch().await;
    }

    /// Kills the server and takes all that it has stored; [`restart`](Self::restart) starts it empty.
    pub(crate) fn wipe(&mut self) {
        self.stop();
        let _ = fs::remove_dir_all(self.dir.path().join("store"));
    }

    /// Copies what the server has stored, as a backup does; for [`restore`](Self::restore).
    pub(crate) fn back_up(&self) {
        copy(&self.dir.path().join("store"), &self.dir.path().join("backup")).expect("copy the store");
    }

    /// Kills the server and puts back what it had stored at the last [`back_up`](Self::back_up);
    /// [`restart`](Self::restart) starts it with that.
    pub(crate) fn restore(&mut self) {
        self.wipe();
        copy(&self.dir.path().join("backup"), &self.dir.path().join("store")).expect("copy the backup");
    }

    /// Whether JetStream is there from the next start on.
    pub(crate) fn set_jetstream(&mut self, jetstream: bool) {
        self.recipe.jetstream = jetstream;
    }

    /// Freezes the server (SIGSTOP): connections stay open and nothing answers.
    pub(crate) fn pause(&self) {
        self.running().signal("STOP");
    }

    /// Lets a paused server go on (SIGCONT).
    pub(crate) fn resume(&self) {
        self.running().signal("CONT");
    }

    /// What the server has logged since the first start.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.dir.path().join("log")).unwrap_or_default()
    }

    fn running(&self) -> &Process {
        self.process.as_ref().expect("the nats-server is stopped")
    }

    async fn launch(&mut self) {
        let dir = self.dir.path();
        let program = nats_server();
        let mut process = Process::spawn_through(&self.recipe.launcher, &program, |command| {
            if self.recipe.jetstream {
                command.arg("--jetstream").arg("--store_dir").arg(dir.join("store"));
            }
            command
                .args(["--addr", &self.recipe.ip.to_string(), "--port", &self.port.to_string()])
                .args(["--name", &self.name])
                .arg("--config")
                .arg(dir.join("nats.conf"))
                .arg("--log")
                .arg(dir.join("log"))
                .envs(self.recipe.variables.iter().map(|(name, value)| (name, value)))
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(fs::File::create(dir.join("stderr")).expect("a file for its errors"));
        })
        .unwrap_or_else(|error| panic!("could not start {}: {error}", program.display()));
        eventually(READY, "nats-server to answer", || {
            if let Some(status) = process.exited() {
                let stderr = fs::read_to_string(dir.join("stderr")).unwrap_or_default();
                panic!("nats-server ended ({status}):\n{stderr}{}", self.log());
            }
            async { self.greets().await.ok_or_else(|| self.log()) }
        })
        .await;
        self.process = Some(process);
    }

    /// Whether the server on our port is ours and takes clients.
    async fn greets(&self) -> Option<()> {
        let stream = TcpStream::connect((self.recipe.ip, self.port)).await.ok()?;
        let mut info = String::new();
        BufReader::new(stream).read_line(&mut info).await.ok()?;
        info.contains(&self.name).then_some(())
    }
}

fn copy(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let to = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy(&entry.path(), &to)?;
        } else {
            fs::copy(entry.path(), to)?;
        }
    }
    Ok(())
}

/// `NATS_SERVER`, else what the search path has.
fn nats_server() -> PathBuf {
    let named = env::var_os("NATS_SERVER").map(PathBuf::from);
    let path = env::var_os("PATH").unwrap_or_default();
    named
        .clone()
        .into_iter()
        .chain(env::split_paths(&path).map(|folder| folder.join("nats-server")))
        .find(|program| program.is_file())
        .unwrap_or_else(|| {
            panic!(
                "no nats-server: NATS_SERVER is {named:?}, which is no file, and there is none \
                 in PATH; run `make tools`"
            )
        })
}

/// An address of loopback that no other server of a test has: there ports are as in the files.
pub(crate) fn loopback() -> Ipv4Addr {
    static NEXT: AtomicU32 = AtomicU32::new(1);
    let (process, next) = (process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
    assert!(next < 64, "no more addresses for one process");
    // Twenty-four bits: eighteen of the process, six of the server.
    let bits = (process & 0x3_ffff) << 6 | next;
    Ipv4Addr::from(127 << 24 | bits)
}

/// A port below those the system hands out, so that nothing takes it while the server is down,
/// not even a client that reconnects to it and happens to get it as its own.
pub(crate) fn free_port() -> u16 {
    const FIRST: u32 = 20_000;
    const COUNT: u32 = 12_000;
    static NEXT: AtomicU32 = AtomicU32::new(0);
    (0..COUNT)
        .find_map(|_| {
            // Each process begins elsewhere, for many run at once.
            let step = NEXT.fetch_add(1, Ordering::Relaxed);
            let offset = process::id().wrapping_mul(16).wrapping_add(step) % COUNT;
            let port = u16::try_from(FIRST + offset).ok()?;
            TcpListener::bind(("127.0.0.1", port)).ok().map(|_| port)
        })
        .expect("a free port on 127.0.0.1")
}
