//! Each m-line by itself, in real browsers: what is heard and seen when one of the two has nothing to carry.

use std::net::{IpAddr, UdpSocket};
use std::path::Path;
use std::time::Duration;

use axum::Router;
use axum::response::Html;
use axum::routing::{get, post};
use headwater::node::Node;
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::support::browser::Browser;
use crate::support::fleet::{config, node, publish_with, start};
use crate::support::nats::NatsServer;
use crate::support::process::Process;

/// Plays a stream as many WHEP players do, and tells what has come of each kind.
const PLAYER: &str = r"
    window.play = async ({ url, lines, expect, stay }) => {
        const pc = new RTCPeerConnection();
        for (const { kind, direction, only } of lines) {
            const line = pc.addTransceiver(kind, { direction: direction ?? 'recvonly' });
            if (only) {
                const known = RTCRtpReceiver.getCapabilities(kind).codecs;
                line.setCodecPreferences(known.filter(({ mimeType }) => mimeType.toUpperCase().endsWith(only)));
            }
        }
        await pc.setLocalDescription();
        const answer = await fetch(url, {
            method: 'POST', body: pc.localDescription.sdp, headers: { 'Content-Type': 'application/sdp' },
        });
        if (answer.status !== 201) throw new Error(await answer.text());
        await pc.setRemoteDescription({ type: 'answer', sdp: await answer.text() });
        const flow = async () => {
            const flow = { audio: 0, video: 0 };
            for (const stat of (await pc.getStats()).values()) {
                if (stat.type !== 'inbound-rtp') continue;
                flow[stat.kind] += stat.kind === 'video' ? stat.framesDecoded ?? 0 : stat.packetsReceived ?? 0;
            }
            return flow;
        };
        const come = async (expect) => {
            let came;
            for (let round = 0; round < 150; round += 1) {
                came = await flow();
                if (expect.every((kind) => came[kind] > 20)) return '';
                await new Promise((done) => setTimeout(done, 200));
            }
            return `${JSON.stringify(came)}, ${pc.connectionState}, for\n${pc.remoteDescription.sdp}`;
        };
        window.come = come;
        const lacks = await come(expect);
        if (!stay) pc.close();
        return lacks;
    };
    undefined
";

/// Rooms with sound, picture and both.
async fn rooms(node: &Node) -> Vec<headwater::client::Publisher> {
    vec![
        publish_with(node, "audio", |options| options.video = false).await,
        publish_with(node, "video", |options| options.audio = false).await,
        publish_with(node, "both", |_| {}).await,
    ]
}

/// What is played, in both orders.
fn plays(node: &Node) -> Vec<Value> {
    let url = |room: &str| format!("{}/whep/{room}", node.public_url());
    let line = |kind: &str| json!({ "kind": kind });
    let mut plays = Vec::new();
    let mut both_ways = |room: &str, lines: [Value; 2], expect: &[&str]| {
        let [first, second] = lines;
        for lines in [json!([first, second]), json!([second, first])] {
            plays.push(json!({ "url": url(room), "lines": lines, "expect": expect }));
        }
    };
    both_ways("video", [line("video"), line("audio")], &["video"]);
    both_ways("audio", [line("video"), line("audio")], &["audio"]);
    both_ways("both", [line("video"), line("audio")], &["video", "audio"]);
    let without_vp8 = json!({ "kind": "video", "only": "VP9" });
    both_ways("both", [without_vp8, line("audio")], &["audio"]);
    let without_opus = json!({ "kind": "audio", "only": "PCMU" });
    both_ways("both", [without_opus, line("video")], &["video"]);
    for (kind, other) in [("audio", "video"), ("video", "audio")] {
        let inactive = json!({ "kind": kind, "direction": "inactive" });
        both_ways("both", [inactive, line(other)], &[other]);
    }
    plays
}

#[tokio::test(flavor = "multi_thread")]
async fn chromium_plays_what_there_is() {
    let nats = NatsServer::start().await;
    let node = node("origin", "west", &nats.url()).await;
    let _publishers = rooms(&node).await;
    let browser = Browser::start().await;
    let page = browser.page(&node.public_url()).await;
    let _: () = page.eval(PLAYER).await;
    let mut silent = Vec::new();
    for play in plays(&node) {
        let lacks: String = page.eval(&format!("window.play({play})")).await;
        if !lacks.is_empty() {
            silent.push(format!("{play}: {lacks}"));
        }
    }
    assert!(silent.is_empty(), "{} are silent:\n{}", silent.len(), silent.join("\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_publisher_returns_with_is_heard_in_chromium_too() {
    let nats = NatsServer::start().await;
    let node = node("origin", "west", &nats.url()).await;
    let browser = Browser::start().await;
    for (lacking, lines) in [("audio", ["video", "audio"]), ("video", ["audio", "video"])] {
        let first = publish_with(&node, lacking, |options| {
            (options.audio, options.video) = (lacking != "audio", lacking != "video");
        });
        let first = first.await;
        let page = browser.page(&node.public_url()).await;
        let _: () = page.eval(PLAYER).await;
        let lines: Vec<_> = lines.iter().map(|kind| json!({ "kind": kind })).collect();
        let url = format!("{}/whep/{lacking}", node.public_url());
        let play = json!({ "url": url, "lines": lines, "expect": [lines[0]["kind"]], "stay": true });
        let lacks: String = page.eval(&format!("window.play({play})")).await;
        assert_eq!(lacks, "");
        first.stop().await.unwrap();
        let _again = publish_with(&node, lacking, |_| {}).await;
        let lacks: String = page.eval("window.come(['audio', 'video'])").await;
        assert_eq!(lacks, "", "{lacking} is there now");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn firefox_plays_what_there_is() {
    let nats = NatsServer::start().await;
    let mut settings = config("origin", "west", &nats.url());
    // It takes no candidate on loopback from a page that doesn't capture.
    settings.webrtc.listen = vec![own_address()];
    let node = start(settings).await;
    let _publishers = rooms(&node).await;
    let (reports, mut told) = mpsc::channel(64);
    let script = format!(
        "<script>{PLAYER};(async () => {{
            await Promise.all({}.map(async (play) => {{
                const lacks = await window.play(play).catch((error) => String(error));
                await fetch('/told', {{ method: 'POST', body: lacks && `${{JSON.stringify(play)}}: ${{lacks}}` }});
            }}));
        }})();</script>",
        json!(plays(&node))
    );
    let hear = move |lacks: String| async move { drop(reports.send(lacks).await) };
    let app = Router::new().route("/", get(|| async { Html(script) })).route("/told", post(hear));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let mut serving = JoinSet::new();
    serving.spawn(async move { axum::serve(listener, app).await });
    let _firefox = firefox(&format!("http://{address}/"));
    let mut silent = Vec::new();
    for _ in plays(&node) {
        let lacks = tokio::time::timeout(Duration::from_secs(60), told.recv()).await;
        let lacks = lacks.expect("firefox tells what it plays").unwrap();
        if !lacks.is_empty() {
            silent.push(lacks);
        }
    }
    assert!(silent.is_empty(), "{} are silent:\n{}", silent.len(), silent.join("\n"));
}

/// The address from which this machine reaches others; no packet is sent for it.
fn own_address() -> IpAddr {
    let socket = UdpSocket::bind("0.0.0.0:0").unwrap();
    socket.connect("192.0.2.1:9").expect("a network beside loopback");
    socket.local_addr().unwrap().ip()
}

/// A headless Firefox with a profile of its own that shows this page, while it is kept.
fn firefox(url: &str) -> (Process, tempfile::TempDir) {
    let program = std::env::var_os("FIREFOX").unwrap_or_else(|| "/usr/bin/firefox".into());
    assert!(
        Path::new(&program).is_file(),
        "no browser at {}; install firefox-esr or name one in FIREFOX",
        program.display()
    );
    let profile = tempfile::Builder::new().prefix("headwater-firefox-").tempdir().unwrap();
    let settings = r#"
        user_pref("network.proxy.type", 0);
        user_pref("datareporting.policy.dataSubmissionEnabled", false);
        user_pref("app.update.enabled", false);
        user_pref("browser.shell.checkDefaultBrowser", false);
    "#;
    std::fs::write(profile.path().join("user.js"), settings).unwrap();
    let log = std::fs::File::create(profile.path().join("stderr")).unwrap();
    let process = Process::spawn(&program, |command| {
        command.args(["--headless", "--no-remote", "--profile"]).arg(profile.path()).arg(url).stderr(log);
    });
    (process.expect("start firefox"), profile)
}
