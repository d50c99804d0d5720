//! A client that a script in `tests/clients` drives.

use std::env;
use std::fmt;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use serde::Deserialize;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader, Lines};
use tokio::process::{ChildStdin, ChildStdout};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::support::process::Process;

/// How long a browser may take to start while others do the same.
pub(super) const START: Duration = Duration::from_secs(60);
/// How long a client may take to end its session and itself.
const END: Duration = Duration::from_secs(30);

/// What a script tells twice a second; `tests/clients/client.py` says what it means.
#[derive(Debug, Clone, Default, Deserialize)]
pub(super) struct Report {
    pub(super) state: String,
    #[expect(dead_code, reason = "shown where a test fails")]
    pub(super) codec: String,
    pub(super) frames: u64,
    pub(super) gap: f64,
    pub(super) left: f64,
    pub(super) right: f64,
    pub(super) error: Option<String>,
}

/// A running client; killed with all that it started on drop.
pub(super) struct Script {
    name: String,
    reports: watch::Receiver<Report>,
    stdin: Option<ChildStdin>,
    reading: JoinSet<()>,
    process: Process,
}

impl fmt::Debug for Script {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {:?}", self.name, *self.reports.borrow())
    }
}

impl Script {
    /// Starts one of `chromium`, `firefox`, `aiortc`, `gstreamer`.
    pub(super) fn start(client: &str, action: &str, url: &str, codec: &str) -> Script {
        let name = format!("{client} {action} {codec}");
        let arguments = [action, url, "--codec", codec];
        match client {
            "aiortc" => Script::run(name, "python3", "aiortc_client.py", &arguments),
            "gstreamer" => Script::run(name, DEBIAN_PYTHON, "gstreamer_client.py", &arguments),
            browser => {
                let arguments = [&[browser][..], &arguments].concat();
                Script::run(name, "python3", "browser_client.py", &arguments)
            }
        }
    }

    /// Runs a command line as people type it.
    pub(super) fn line(line: &str) -> Script {
        let mut words = line.split_whitespace();
        let name = words.by_ref().take(2).collect::<Vec<_>>().join(" ");
        Script::run(name, DEBIAN_PYTHON, "line_client.py", &[line])
    }

    pub(super) fn run(name: String, python: &str, script: &str, arguments: &[&str]) -> Script {
        let root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
        let tools = root.join(".tools");
        assert!(tools.join("python").is_dir() && tools.join("gstreamer").is_dir(), "run `make test-tools`");
        let path = env::join_paths(
            [tools.join("bin")].into_iter().chain(env::split_paths(&env::var_os("PATH").unwrap_or_default())),
        );
        let mut process = Process::spawn(python, |command| {
            command
                .arg(root.join("tests/clients").join(script))
                .args(arguments)
                .env("PATH", path.expect("a path"))
                .env("PYTHONPATH", tools.join("python"))
                .env("PYTHONDONTWRITEBYTECODE", "1")
                .env("GST_PLUGIN_PATH", tools.join("gstreamer"))
                .env("GST_REGISTRY_FORK", "no")
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .stderr(Stdio::piped());
        })
        .expect("start the client");
        let child = process.child();
        let stdin = child.stdin.take().map(|pipe| ChildStdin::from_std(pipe).expect("its input"));
        let stdout = child.stdout.take().map(|pipe| ChildStdout::from_std(pipe).expect("its output"));
        let stderr =
            child.stderr.take().map(|pipe| tokio::process::ChildStderr::from_std(pipe).expect("its errors"));
        let (sender, reports) = watch::channel(Report { state: "starting".to_owned(), ..Report::default() });
        let mut reading = JoinSet::new();
        let lines = BufReader::new(stdout.expect("piped")).lines();
        let mut stderr = stderr.expect("piped");
        reading.spawn(async move {
            let mut said = String::new();
            let (_, ()) = tokio::join!(stderr.read_to_string(&mut said), read(lines, &sender));
            if sender.borrow().state != "closed" {
                let end = said.len().saturating_sub(2000);
                let said = said.get(end..).unwrap_or(&said).to_owned();
                sender.send_modify(|report| {
                    report.error.get_or_insert(said);
                });
            }
        });
        Script { name, reports, stdin, reading, process }
    }

    /// What it told last.
    pub(super) fn report(&self) -> Report {
        self.reports.borrow().clone()
    }

    /// Waits until the report is so, or the client has given up.
    pub(super) async fn until(&self, limit: Duration, so: impl Fn(&Report) -> bool) -> Result<(), String> {
        let mut reports = self.reports.clone();
        let waited = reports.wait_for(|report| report.error.is_some() || so(report));
        let found = tokio::time::timeout(limit, waited).await.map(|found| found.map(|report| report.clone()));
        match found {
            Ok(Ok(report)) if report.error.is_none() => Ok(()),
            _ => Err(format!("{self:?}")),
        }
    }

    /// Lets it end its session; the last report.
    pub(super) async fn stop(mut self) -> Result<Report, String> {
        drop(self.stdin.take());
        let ended = tokio::time::timeout(END, self.reading.join_next()).await;
        let report = self.report();
        if ended.is_ok() && report.state == "closed" && report.error.is_none() {
            Ok(report)
        } else {
            // A library that crashes says nothing by itself.
            Err(format!("does not end: {self:?}, {:?}", self.process.exited()))
        }
    }
}

/// GStreamer's bindings belong to the system's own Python.
const DEBIAN_PYTHON: &str = "/usr/bin/python3";

async fn read(mut lines: Lines<BufReader<ChildStdout>>, sender: &watch::Sender<Report>) {
    while let Ok(Some(line)) = lines.next_line().await {
        // A library may say something of its own.
        if let Ok(report) = serde_json::from_str(&line) {
            sender.send_replace(report);
        }
    }
}

/// Waits until all of these are so, and collects what is not.
pub(super) async fn all<T>(waits: impl IntoIterator<Item = T>) -> Vec<String>
where
    T: Future<Output = Result<(), String>>,
{
    let waited = futures_util::future::join_all(waits).await;
    waited.into_iter().filter_map(Result::err).collect()
}
