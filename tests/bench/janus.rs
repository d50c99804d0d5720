//! Beside Janus: its streaming plugin sends the clip to as many viewers as an edge does, and what a packet costs either is
//! compared. The load tool speaks WHEP to it by way of a few lines here: Janus makes the offer, as a WHEP server may.
//!
//! Janus and what it is fed by (FFmpeg) are Debian's; where there is none, that is said.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;

use axum::Router;
use axum::extract::{self, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{patch, post};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::load::{QUIET, ROUNDS, Run, Server, VIEWERS, publish};
use crate::support::child::ChildNode;
use crate::support::fleet::{SOON, get_json, http};
use crate::support::nats::{NatsServer, free_port};
use crate::support::process::Process;
use crate::support::wait::eventually;
use crate::support::web::Site;
use crate::table;

/// Where Debian has its parts.
const PARTS: &str = "/usr/lib/x86_64-linux-gnu/janus";
/// An edge's processor time a packet by that of Janus.
const AGAINST_JANUS: f64 = 0.5;
const CLIP: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/src/client/clip");

pub(crate) async fn run() {
    let Some(janus) = Janus::start().await else {
        return println!("    skipped: Janus is not there; `apt-get install janus` has it");
    };
    let nats = NatsServer::start().await;
    let origin = ChildNode::start("origin", "west", &nats.url(), &QUIET).await;
    let mut edge = ChildNode::start("edge", "east", &nats.url(), &QUIET).await;
    for node in [&origin, &edge] {
        node.hears(2).await;
    }
    let _publishes = publish(&format!("{}/whip/load-1", origin.public_url()));
    let status = format!("{}/api/status/load-1/main", edge.public_url());
    eventually(SOON, "the stream is heard of", || async { get_json(&status).await["live"] == true }).await;
    let servers = [
        Server { url: format!("{}/whep", janus.site.url()), pid: janus.pid },
        Server { url: edge.public_url(), pid: edge.process().child().id() },
    ];
    let mut found = [Vec::new(), Vec::new()];
    let mut lost = [Vec::new(), Vec::new()];
    for _ in 0..ROUNDS {
        for (server, (found, lost)) in servers.iter().zip(found.iter_mut().zip(&mut lost)) {
            let pid = server.pid.to_string();
            let arguments =
                ["--viewers", VIEWERS, "--rate", "25/s", "--for", "8s", "--counter-offer", "--pid", &pid];
            let run = Run::of(&[server], &arguments).await;
            found.push(1e6 * run.of_server(server, "cores") / run.number("/steady/packetsPerSecond"));
            lost.push(100.0 * run.number("/steady/lossRatio"));
        }
    }
    let ratios = found[1].iter().zip(&found[0]).map(|(edge, janus)| edge / janus).collect();
    for (name, (found, lost)) in ["Janus", "an edge"].iter().zip(found.into_iter().zip(lost)) {
        table::values(&format!("processor time a packet, {VIEWERS} viewers of {name}"), found, "us");
        table::values(&format!("packets lost, viewers of {name}"), lost, "%");
    }
    table::values_wanted("processor time a packet, edge / Janus", ratios, "x", AGAINST_JANUS);
}

/// Janus with one mountpoint, which plays the clip, and WHEP before it.
struct Janus {
    pid: u32,
    site: Site,
    _janus: Process,
    _feed: Process,
    _folder: TempDir,
}

impl Janus {
    async fn start() -> Option<Self> {
        if !Path::new(PARTS).exists() {
            return None;
        }
        let folder = tempfile::tempdir().expect("a folder");
        let (port, audio, video) = (free_port(), free_port(), free_port());
        configure(folder.path(), port, audio, video);
        let mut janus = Process::spawn("janus", |command| {
            command.arg("--configs-folder").arg(folder.path()).stdout(Stdio::null()).stderr(Stdio::null());
        })
        .expect("Janus runs");
        let to = |port| format!("rtp://127.0.0.1:{port}?pkt_size=1200");
        let feed = Process::spawn(concat!(env!("CARGO_MANIFEST_DIR"), "/.tools/bin/ffmpeg"), |command| {
            command
                .args(["-loglevel", "error", "-re", "-stream_loop", "-1", "-i", &format!("{CLIP}/test.ivf")])
                .args(["-re", "-stream_loop", "-1", "-i", &format!("{CLIP}/test.ogg")])
                .args(["-map", "0:v", "-c", "copy", "-payload_type", "96", "-f", "rtp", &to(video)])
                .args(["-map", "1:a", "-c", "copy", "-payload_type", "111", "-f", "rtp", &to(audio)])
                .stdin(Stdio::null())
                .stdout(Stdio::null());
        })
        .expect("FFmpeg runs: `make test-tools` has it");
        let api = format!("http://127.0.0.1:{port}/janus");
        eventually(SOON, "Janus answers", || async {
            http().get(format!("{api}/info")).send().await.map(drop).map_err(|error| error.to_string())
        })
        .await;
        let routes = Router::new()
            .route("/whep", post(offer))
            .route("/session/{session}/{handle}", patch(answer).delete(end))
            .with_state(Arc::from(api));
        let pid = janus.child().id();
        Some(Self { pid, site: Site::serve(routes).await, _janus: janus, _feed: feed, _folder: folder })
    }
}

/// Writes what it needs: one plugin, one way in, one mountpoint, one thread for all viewers as our worker is one: with a
/// thread for each, its default, a packet costs it twice as much here.
fn configure(folder: &Path, port: u16, audio: u16, video: u16) {
    for (part, library) in [("plugins", "libjanus_streaming.so"), ("transports", "libjanus_http.so")] {
        fs::create_dir(folder.join(part)).expect("a folder");
        symlink(format!("{PARTS}/{part}/{library}"), folder.join(part).join(library)).expect("a link");
    }
    let path = |part: &str| folder.join(part).display().to_string();
    let general = format!(
        "general: {{\n plugins_folder = \"{}\"\n transports_folder = \"{}\"\n events_folder = \"{}\"\n \
         loggers_folder = \"{}\"\n debug_level = 2\n session_timeout = 0\n event_loops = 1\n}}\n",
        path("plugins"),
        path("transports"),
        path("none"),
        path("none"),
    );
    let way = format!("general: {{\n http = true\n port = {port}\n ip = \"127.0.0.1\"\n https = false\n}}\n");
    let mountpoint = format!(
        "clip: {{\n type = \"rtp\"\n id = 1\n audio = true\n audioport = {audio}\n audiopt = 111\n \
         audiocodec = \"opus\"\n video = true\n videoport = {video}\n videopt = 96\n videocodec = \"vp8\"\n \
         videobufferkf = true\n}}\n"
    );
    for (file, text) in [
        ("janus.jcfg", general),
        ("janus.transport.http.jcfg", way),
        ("janus.plugin.streaming.jcfg", mountpoint),
    ] {
        fs::write(folder.join(file), text).expect("its configuration");
    }
}

/// A viewer's offer is answered with Janus's own (WHEP: 406, to be answered with PATCH).
async fn offer(State(api): State<Arc<str>>) -> Response {
    let session = ask(&api, json!({"janus": "create"})).await["data"]["id"].clone();
    let api = format!("{api}/{session}");
    let attach = json!({"janus": "attach", "plugin": "janus.plugin.streaming"});
    let handle = ask(&api, attach).await["data"]["id"].clone();
    let watch = json!({"janus": "message", "body": {"request": "watch", "id": 1}});
    ask(&format!("{api}/{handle}"), watch).await;
    let offered = loop {
        let event = http().get(format!("{api}?maxev=1")).send().await.expect("an event");
        let event = json_of(event).await;
        if let Some(sdp) = event["jsep"]["sdp"].as_str() {
            break sdp.to_owned();
        }
    };
    let location = format!("/session/{session}/{handle}");
    let headers = [(header::CONTENT_TYPE, "application/sdp".to_owned()), (header::LOCATION, location)];
    (StatusCode::NOT_ACCEPTABLE, headers, offered).into_response()
}

async fn answer(
    State(api): State<Arc<str>>,
    extract::Path((session, handle)): extract::Path<(u64, u64)>,
    sdp: String,
) -> StatusCode {
    let jsep = json!({"type": "answer", "sdp": sdp});
    let start = json!({"janus": "message", "body": {"request": "start"}, "jsep": jsep});
    ask(&format!("{api}/{session}/{handle}"), start).await;
    StatusCode::NO_CONTENT
}

async fn end(
    State(api): State<Arc<str>>,
    extract::Path((session, _)): extract::Path<(u64, u64)>,
) -> StatusCode {
    ask(&format!("{api}/{session}"), json!({"janus": "destroy"})).await;
    StatusCode::OK
}

/// A request of Janus's own API.
async fn ask(url: &str, mut request: Value) -> Value {
    request["transaction"] = "t".into();
    json_of(http().post(url).body(request.to_string()).send().await.expect("Janus answers")).await
}

async fn json_of(reply: reqwest::Response) -> Value {
    serde_json::from_str(&reply.text().await.expect("a body")).expect("JSON")
}
