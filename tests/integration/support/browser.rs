//! A headless Chromium with a camera and a microphone that are not there.

use std::env;
use std::fs;
use std::path::Path;
use std::process::Stdio;

use serde_json::json;
use tempfile::TempDir;
use tokio::process::{ChildStdin, ChildStdout};
use tokio::task::JoinSet;

use super::cdp::Cdp;
use super::page::Page;
use super::process::Process;

/// What every run needs; beyond it, see [`Browser::start_with`].
const FLAGS: &[&str] = &[
    "--headless=new",
    "--remote-debugging-pipe",
    // The sandbox refuses to run as root.
    "--no-sandbox",
    "--disable-gpu",
    // Containers often have too little shared memory.
    "--disable-dev-shm-usage",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-extensions",
    "--disable-breakpad",
    // Nothing leaves the machine, whatever a page asks for.
    "--no-proxy-server",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE localhost, EXCLUDE 127.0.0.1",
    "--use-fake-device-for-media-stream",
    "--use-fake-ui-for-media-stream",
    "--autoplay-policy=no-user-gesture-required",
    "--mute-audio",
    // Every page plays at full speed, not only the one in front.
    "--disable-background-timer-throttling",
    "--disable-backgrounding-occluded-windows",
    "--disable-renderer-backgrounding",
];

/// A browser with a profile of its own; killed with all its processes on drop.
#[derive(Debug)]
pub(crate) struct Browser {
    cdp: Cdp,
    _pipe: JoinSet<()>,
    // In this order: the profile goes when nothing writes to it any more.
    _process: Process,
    _profile: TempDir,
}

impl Browser {
    /// Starts `CHROMIUM`, or `/usr/bin/chromium`.
    pub(crate) async fn start() -> Self {
        Self::start_with(&[]).await
    }

    /// Starts it with more flags.
    pub(crate) async fn start_with(flags: &[&str]) -> Self {
        Self::start_in(None, flags).await
    }

    /// Starts it with a home, where it finds whom its user trusts.
    pub(crate) async fn start_in(home: Option<&Path>, flags: &[&str]) -> Self {
        let program = env::var_os("CHROMIUM").unwrap_or_else(|| "/usr/bin/chromium".into());
        assert!(
            Path::new(&program).is_file(),
            "no browser at {}; install chromium or name one in CHROMIUM",
            program.display()
        );
        let profile = tempfile::Builder::new()
            .prefix("headwater-browser-")
            .tempdir()
            .expect("a temporary folder for the browser");
        let log = profile.path().join("stderr");
        // The browser wants its pipe at 3 and 4, and ends when the test's side of it closes.
        let mut process = Process::spawn("sh", |command| {
            command
                .args(["-c", r#"exec "$@" 3<&0 4>&1 </dev/null >&2"#, "sh"])
                .arg(&program)
                .args(FLAGS)
                .args(flags)
                .arg(format!("--user-data-dir={}", profile.path().display()))
                .arg("about:blank")
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .stderr(fs::File::create(&log).expect("a file for the browser's errors"));
            if let Some(home) = home {
                command.env("HOME", home);
            }
        })
        .expect("start the browser");
        let child = process.child();
        let to_browser = child.stdin.take().map(ChildStdin::from_std);
        let from_browser = child.stdout.take().map(ChildStdout::from_std);
        let (cdp, serve) = Cdp::new(
            to_browser.expect("piped").expect("its input, async"),
            from_browser.expect("piped").expect("its output, async"),
        );
        let mut pipe = JoinSet::new();
        pipe.spawn(serve);
        if let Err(error) = cdp.call(None, "Browser.getVersion", json!({})).await {
            let stderr = fs::read_to_string(&log).unwrap_or_default();
            panic!("the browser did not start: {error}\n{stderr}");
        }
        Self { cdp, _pipe: pipe, _process: process, _profile: profile }
    }

    /// Opens `url` and returns when it has loaded.
    pub(crate) async fn page(&self, url: &str) -> Page {
        Page::open(self.cdp.clone(), url, "").await
    }

    /// The same with a script that runs before those of the page.
    pub(crate) async fn page_after(&self, script: &str, url: &str) -> Page {
        Page::open(self.cdp.clone(), url, script).await
    }
}
