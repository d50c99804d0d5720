//! Beside nginx-rtmp, whose edges pull from their origin as ours do: how long a viewer waits for its first picture at an
//! edge that has nothing of the stream, and at one that has it.
//!
//! nginx and its module are Debian's; where they aren't, that is said. Its publisher is FFmpeg, its player GStreamer.

use std::fs;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use headwater::client::{Player, WatchOptions};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};
use tokio::time::{sleep, timeout};

use crate::load::{QUIET, publish};
use crate::support::child::ChildNode;
use crate::support::fleet::{SOON, get_json, plays};
use crate::support::nats::{NatsServer, free_port};
use crate::support::process::Process;
use crate::support::wait::eventually;
use crate::table::Samples;

/// Where Debian has the module.
const MODULE: &str = "/usr/lib/nginx/modules/ngx_rtmp_module.so";
const ROOT: &str = env!("CARGO_MANIFEST_DIR");
/// Edges that are joined, each by one viewer that finds nothing there and one that finds the stream.
const EDGES: u32 = 10;
/// What is published to nginx: as large as the clip, with a key frame every two seconds, as is usual.
const PICTURE: &str = "testsrc2=size=320x180:rate=25";
const KEY_FRAMES: &str = "50";
/// So much later after a key frame, which players wait for, each edge is joined than the one before.
const PHASE: Duration = Duration::from_millis(170);

pub(crate) async fn run() {
    if !Path::new(MODULE).exists() {
        return println!("    skipped: nginx-rtmp is not there; `apt-get install libnginx-mod-rtmp` has it");
    }
    let found = [("nginx-rtmp", theirs().await), ("Headwater", ours().await)];
    for (name, [cold, warm]) in found {
        cold.print(&format!("first picture at an edge that has nothing of the stream, {name}"));
        warm.print(&format!("first picture at an edge that has the stream, {name}"));
    }
}

/// An nginx that takes streams, or pulls them from another.
struct Nginx {
    port: u16,
    _process: Process,
    _folder: TempDir,
}

impl Nginx {
    async fn start(origin: Option<&Self>) -> Self {
        let (folder, port) = (tempfile::tempdir().expect("a folder"), free_port());
        let pull = origin.map(|origin| format!("pull rtmp://127.0.0.1:{}/live;", origin.port));
        let text = format!(
            "load_module {MODULE};\ndaemon off;\nmaster_process off;\npid {}/pid;\nerror_log stderr crit;\n\
             events {{}}\nrtmp {{ access_log off; server {{ listen 127.0.0.1:{port};\n\
             application live {{ live on; {} }} }} }}\n",
            folder.path().display(),
            pull.unwrap_or_default(),
        );
        let file = folder.path().join("nginx.conf");
        fs::write(&file, text).expect("its configuration");
        let process = Process::spawn("/usr/sbin/nginx", |command| {
            command.arg("-p").arg(folder.path()).arg("-c").arg(&file);
            command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        });
        eventually(SOON, "nginx listens", || async {
            TcpStream::connect(("127.0.0.1", port)).await.map(drop).map_err(|error| error.to_string())
        })
        .await;
        Self { port, _process: process.expect("nginx runs"), _folder: folder }
    }

    fn url(&self) -> String {
        format!("rtmp://127.0.0.1:{}/live/news", self.port)
    }

    /// A player once it has a picture, and how long it waited, in ms; it stays until it is dropped.
    async fn watch(&self) -> (Child, f64) {
        let mut player = Command::new("/usr/bin/python3")
            .arg(format!("{ROOT}/tests/clients/rtmp_client.py"))
            .arg(self.url())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("Python runs");
        let mut said = BufReader::new(player.stdout.take().expect("what it says")).lines();
        let line = timeout(SOON * 3, said.next_line()).await.expect("a picture in time").expect("a line");
        let waited = line.expect("a picture").parse().expect("a time in ms");
        (player, waited)
    }
}

/// Cold and warm.
async fn theirs() -> [Samples; 2] {
    let origin = Nginx::start(None).await;
    let _feed = Process::spawn(format!("{ROOT}/.tools/bin/ffmpeg"), |command| {
        command
            .args(["-loglevel", "error", "-re", "-f", "lavfi", "-i", PICTURE])
            .args(["-c:v", "libx264", "-preset", "ultrafast", "-tune", "zerolatency", "-pix_fmt", "yuv420p"])
            .args(["-g", KEY_FRAMES, "-f", "flv", &origin.url()])
            .stdin(Stdio::null())
            .stdout(Stdio::null());
    })
    .expect("FFmpeg runs: `make test-tools` has it");
    origin.watch().await;
    let (mut cold, mut warm) = (Vec::new(), Vec::new());
    for number in 0..EDGES {
        let edge = Nginx::start(Some(&origin)).await;
        sleep(PHASE * number).await;
        let (_stays, waited) = edge.watch().await;
        cold.push(waited);
        sleep(PHASE * number).await;
        warm.push(edge.watch().await.1);
    }
    [cold, warm].map(|times| times.into_iter().collect())
}

/// Cold and warm.
async fn ours() -> [Samples; 2] {
    let nats = NatsServer::start().await;
    let origin = ChildNode::start("origin", "west", &nats.url(), &QUIET).await;
    let _publishes = publish(&format!("{}/whip/news", origin.public_url()));
    let (mut cold, mut warm) = (Vec::new(), Vec::new());
    for number in 0..EDGES {
        // Each in a region of its own: none is another's relay.
        let (name, region) = (format!("edge-{number}"), format!("east-{number}"));
        let edge = ChildNode::start(&name, &region, &nats.url(), &QUIET).await;
        let status = format!("{}/api/status/news/main", edge.public_url());
        eventually(SOON, "the stream is heard of", || async { get_json(&status).await["live"] == true })
            .await;
        sleep(PHASE * number).await;
        let stays = watch(&edge).await;
        cold.push(first_picture(&stays));
        sleep(PHASE * number).await;
        let viewer = watch(&edge).await;
        warm.push(first_picture(&viewer));
        viewer.stop().await;
        stays.stop().await;
    }
    [cold, warm].map(|times| times.into_iter().collect())
}

/// A viewer that has its first pictures.
async fn watch(edge: &ChildNode) -> Player {
    let player = Player::start(WatchOptions::new(format!("{}/whep/news", edge.public_url()))).await;
    let player = player.expect("the viewer is served");
    plays(&player, 1).await;
    player
}

/// From the POST on, in ms.
fn first_picture(player: &Player) -> f64 {
    player.report().borrow().video.first_frame_ms.expect("it plays")
}
