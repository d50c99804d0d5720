//! The program as its users run it.

use std::path::Path;
use std::process::Output;

use tokio::process::Command;

use crate::support::child::ChildNode;
use crate::support::fleet::{SOON, acquainted, heard_of, node, plays, publish, watch};
use crate::support::monitors;
use crate::support::nats::{NatsServer, free_port};
use crate::support::wait::eventually;

const PROGRAM: &str = env!("CARGO_BIN_EXE_headwater");

pub(crate) async fn run(arguments: &[&str], variables: &[(&str, &str)]) -> Output {
    Command::new(PROGRAM)
        .args(arguments)
        .envs(variables.iter().copied())
        .kill_on_drop(true)
        .output()
        .await
        .expect("the program runs")
}

pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn dev_shows_media_on_both_edges_and_ends_by_itself() {
    let port = free_port().to_string();
    let output = run(&["dev", "--for", "6s", "--port", &port], &[]).await;
    let (out, err) = (text(&output.stdout), text(&output.stderr));
    assert!(output.status.success(), "{out}\n{err}");
    for expected in ["west-1", "east-1", "east-2", "origin", "relay", "edge", "/watch?room=demo"] {
        assert!(out.contains(expected), "{expected}: {out}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn publish_and_watch_work_from_the_command_line() {
    let nats = NatsServer::start().await;
    let origin = ChildNode::start("origin", "west", &nats.url(), &[]).await;
    let edge = ChildNode::start("edge", "east", &nats.url(), &[]).await;
    let (whip, whep) =
        (format!("{}/whip/news", origin.public_url()), format!("{}/whep/news", edge.public_url()));
    let publish = ["publish", whip.as_str(), "--for", "12s", "--json"];
    let watch = ["watch", whep.as_str(), "--wait", "10s", "--for", "4s", "--json"];
    let (published, watched) = tokio::join!(run(&publish, &[]), run(&watch, &[]));
    assert!(published.status.success(), "{}", text(&published.stderr));
    assert!(watched.status.success(), "{}", text(&watched.stderr));
    let report: serde_json::Value = serde_json::from_slice(&watched.stdout).expect("JSON");
    assert!(report["video"]["frames"].as_u64().unwrap() > 10, "{report}");
    assert!(report["audio"]["frames"].as_u64().unwrap() > 10, "{report}");
    assert_eq!(report["node"], "edge", "{report}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_fleet_is_looked_at_from_the_command_line() {
    let nats = NatsServer::start().await;
    let mut settings = monitors::config("monitor", &nats.url());
    settings.operators.token = Some("hunter2".into());
    let monitor = monitors::start(settings).await;
    let origin = node("origin", "west", &nats.url()).await;
    let edge = node("edge", "east", &nats.url()).await;
    acquainted(&[&origin, &edge]).await;
    let publisher = publish(&origin, "news").await;
    heard_of(&edge, "news").await;
    let viewer = watch(&edge, "news").await;
    plays(&viewer, 3).await;
    let url = monitor.url();
    let ask = async |arguments: &[&str]| {
        let variables = [("HEADWATER_MONITOR", url.as_str()), ("HEADWATER_TOKEN", "hunter2")];
        let output = run(arguments, &variables).await;
        assert!(output.status.success(), "{arguments:?}: {}", text(&output.stderr));
        text(&output.stdout)
    };
    eventually(SOON, "the tree is drawn", || async {
        let drawn = ask(&["room", "news"]).await;
        let both = drawn.contains("origin") && drawn.lines().any(|line| line.contains("─ edge"));
        if both { Ok(()) } else { Err(drawn) }
    })
    .await;
    let fleet = ask(&["fleet"]).await;
    assert!(fleet.contains("origin") && fleet.contains("edge") && fleet.contains("west"), "{fleet}");
    let rooms: serde_json::Value = serde_json::from_str(&ask(&["rooms", "--json"]).await).unwrap();
    assert_eq!(rooms["rooms"][0]["room"], "news", "{rooms}");
    let events = ask(&["events", "--room", "news", "--json"]).await;
    let types: Vec<String> = events
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap()["event"]["type"].to_string())
        .collect();
    assert!(types.contains(&"\"viewer.joined\"".to_owned()), "{types:?}");
    let told = ask(&["events", "--since", "10m"]).await;
    assert!(told.contains("origin has started") || told.contains("started"), "{told}");
    viewer.stop().await;
    publisher.stop().await.unwrap();
    ask(&["forget", "news", "--yes"]).await;
    eventually(SOON, "the room is forgotten", || async {
        let events = ask(&["events", "--room", "news", "--json"]).await;
        if events.contains("stream.started") { Err(events) } else { Ok(()) }
    })
    .await;
    // Without the token, and without a monitor: what to do is said.
    let refused = run(&["fleet"], &[("HEADWATER_MONITOR", url.as_str())]).await;
    assert!(!refused.status.success() && text(&refused.stderr).contains("--token"), "{refused:?}");
    let absent = run(&["fleet", "--monitor", "http://127.0.0.1:9"], &[]).await;
    assert!(!absent.status.success() && text(&absent.stderr).contains("headwater monitor"), "{absent:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn config_prints_what_is_in_force_and_refuses_what_is_wrong() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("node.toml");
    std::fs::write(&file, "[node]\nname = 'from-file'\nregion = 'west'\n[operators]\ntoken = 'hunter2'\n")
        .unwrap();
    let path = file.to_str().unwrap();
    let variables = [("HEADWATER_NODE__REGION", "east"), ("HEADWATER_LIMITS__VIEWERS", "7")];
    let output = run(&["config", "--config", path, "--name", "from-flag"], &variables).await;
    let out = text(&output.stdout);
    assert!(output.status.success(), "{}", text(&output.stderr));
    for expected in ["name = \"from-flag\"", "region = \"east\"", "viewers = 7"] {
        assert!(out.contains(expected), "{expected}: {out}");
    }
    assert!(!out.contains("hunter2"), "{out}");
    std::fs::write(&file, "[nats]\nserver = 'nats://a'\n").unwrap();
    let output = run(&["config", "--config", path], &[]).await;
    assert!(!output.status.success());
    assert!(text(&output.stderr).contains("server"), "{}", text(&output.stderr));
}

#[tokio::test(flavor = "multi_thread")]
async fn version_tells_how_the_worker_was_built() {
    let output = run(&["--version"], &[]).await;
    let out = text(&output.stdout);
    assert!(out.contains("mediasoup 0.33"), "{out}");
    assert!(out.contains("registry") || out.contains("upstream"), "{out}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_operators_are_given_is_valid() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let output = Command::new("bash")
        .arg(root.join("deploy/validate.sh"))
        .current_dir(root)
        .env("HEADWATER", PROGRAM)
        .output()
        .await
        .unwrap();
    let out = text(&output.stdout);
    assert!(output.status.success(), "{out}{}", text(&output.stderr));
    assert!(out.contains("ok"), "{out}");
}
