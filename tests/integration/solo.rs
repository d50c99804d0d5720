//! `headwater solo`: a node and its NATS server in one command.

use std::fs::{self, File};
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use tempfile::TempDir;
use tokio::net::TcpStream;

use crate::support::fleet::{Address, SOON, get_status, plays, plays_on, publish, watch};
use crate::support::nats::free_port;
use crate::support::process::Process;
use crate::support::wait::eventually;

struct Solo {
    process: Process,
    nats: u16,
    public: u16,
    operators: u16,
    folder: TempDir,
}

impl Address for Solo {
    fn public(&self) -> String {
        format!("http://127.0.0.1:{}", self.public)
    }
}

impl Solo {
    fn spawn(folder: TempDir) -> Self {
        let [nats, public, operators] = [(); 3].map(|()| free_port());
        let file = folder.path().join("node.toml");
        let config = format!(
            "[node]\nname = 'alone'\nregion = 'here'\n[nats]\nurls = ['nats://127.0.0.1:{nats}']\n\
             [media]\nworkers = 1\n[webrtc]\nport = 0\n[http]\nlisten = '127.0.0.1:{public}'\n\
             [operators]\nlisten = '127.0.0.1:{operators}'\n[log]\nfilter = 'headwater=debug,nats_server=debug,info'\n"
        );
        fs::write(&file, config).unwrap();
        let log = File::create(folder.path().join("log")).unwrap();
        let process = Process::spawn(env!("CARGO_BIN_EXE_headwater"), |command| {
            command
                .arg("solo")
                .arg("--config")
                .arg(&file)
                .arg("--store")
                .arg(folder.path().join("data"))
                .stdin(Stdio::null())
                .stdout(log.try_clone().unwrap())
                .stderr(log);
        })
        .expect("it starts");
        Self { process, nats, public, operators, folder }
    }

    async fn start(folder: TempDir) -> Self {
        let solo = Self::spawn(folder);
        solo.ready().await;
        solo
    }

    async fn ready(&self) {
        let ready = format!("http://127.0.0.1:{}/readyz", self.operators);
        eventually(SOON, "it is ready", || async {
            if get_status(&ready).await == 200 { Ok(()) } else { Err(self.log()) }
        })
        .await;
    }

    fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    /// How many events are kept, and the first that is.
    async fn kept(&self) -> (u64, u64) {
        let client = async_nats::connect(format!("nats://127.0.0.1:{}", self.nats)).await.unwrap();
        let stream = async_nats::jetstream::new(client).get_stream("HEADWATER_EVENTS").await.unwrap();
        let state = stream.get_info().await.unwrap().state;
        (state.messages, state.first_sequence)
    }

    async fn nats_is_gone(&self) {
        eventually(SOON, "its NATS server has ended", || async {
            TcpStream::connect(("127.0.0.1", self.nats)).await.is_err()
        })
        .await;
    }
}

/// The process that works in a folder, other than the one that started it.
fn nats_in(store: &Path) -> u32 {
    let store = store.as_os_str().as_encoded_bytes();
    let processes = fs::read_dir("/proc").unwrap().flatten();
    let mut found = processes.filter_map(|entry| {
        let id = entry.file_name().to_str()?.parse().ok()?;
        let line = fs::read(entry.path().join("cmdline")).ok()?;
        let program = line.split(|byte| *byte == 0).next()?;
        let works = line.split(|byte| *byte == 0).any(|word| word == store);
        (program.ends_with(b"nats-server") && works).then_some(id)
    });
    found.next().expect("its NATS server")
}

#[tokio::test(flavor = "multi_thread")]
async fn one_command_serves_and_its_nats_server_comes_back() {
    let mut solo = Solo::start(tempfile::tempdir().unwrap()).await;
    let publisher = publish(&solo, "news").await;
    let viewer = watch(&solo, "news").await;
    plays(&viewer, 10).await;
    // What it had stored, and those who watch, outlive the death of the server.
    let first = nats_in(&solo.folder.path().join("data"));
    let kill = std::process::Command::new("sh").args(["-c", &format!("kill -9 {first}")]).status();
    assert!(kill.unwrap().success());
    eventually(SOON, "there is another", || async { solo.log().contains("nats-server is there again") })
        .await;
    solo.ready().await;
    assert_ne!(nats_in(&solo.folder.path().join("data")), first);
    plays_on(&viewer).await;
    let late = watch(&solo, "news").await;
    plays(&late, 10).await;
    for viewer in [viewer, late] {
        viewer.stop().await;
    }
    publisher.stop().await.unwrap();
    let before = eventually(SOON, "what happened is kept", || async {
        let kept = solo.kept().await;
        (kept.0 > 0).then_some(kept)
    })
    .await;

    solo.process.signal("TERM");
    eventually(SOON, "it ends", || {
        let status = solo.process.exited();
        async move { status.map(|status| assert!(status.success(), "{status}")) }
    })
    .await;
    solo.nats_is_gone().await;

    // Its data are there when it starts again.
    let Solo { process, folder, .. } = solo;
    drop(process);
    let again = Solo::start(folder).await;
    let after = again.kept().await;
    assert!(after.0 >= before.0 && after.1 == before.1, "{before:?} {after:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn its_nats_server_never_outlives_it_and_shares_its_folder_with_nobody() {
    let mut solo = Solo::start(tempfile::tempdir().unwrap()).await;
    // Another one in the same folder is refused, with what to do.
    let file = solo.folder.path().join("node.toml");
    let other = tokio::process::Command::new(env!("CARGO_BIN_EXE_headwater"))
        .args(["solo", "--nats", &format!("nats://127.0.0.1:{}", free_port()), "--config"])
        .arg(&file)
        .arg("--store")
        .arg(solo.folder.path().join("data"))
        .kill_on_drop(true)
        .output();
    let other = tokio::time::timeout(Duration::from_secs(60), other).await.expect("it gives up").unwrap();
    let told = String::from_utf8_lossy(&other.stderr).into_owned();
    assert!(!other.status.success() && told.contains("choose another folder"), "{told}");
    // Killed, it takes its server with it, and may start again at once.
    solo.process.kill();
    solo.nats_is_gone().await;
    let Solo { process, folder, .. } = solo;
    drop(process);
    let again = Solo::start(folder).await;
    let publisher = publish(&again, "news").await;
    publisher.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_nats_server_it_says_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let output = tokio::process::Command::new(env!("CARGO_BIN_EXE_headwater"))
        .args(["solo", "--nats", &format!("nats://127.0.0.1:{}", free_port()), "--store"])
        .arg(folder.path())
        .env("PATH", folder.path())
        .env_remove("NATS_SERVER")
        .kill_on_drop(true)
        .output()
        .await
        .unwrap();
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success() && told.contains("--nats-server"), "{told}");
}
