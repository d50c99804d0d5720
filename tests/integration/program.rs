//! The program as its users run it.

use std::path::Path;
use std::process::Output;

use tokio::process::Command;

use crate::support::child::{ChildNode, free_port};
use crate::support::nats::NatsServer;

const PROGRAM: &str = env!("CARGO_BIN_EXE_headwater");

async fn run(arguments: &[&str], variables: &[(&str, &str)]) -> Output {
    Command::new(PROGRAM)
        .args(arguments)
        .envs(variables.iter().copied())
        .kill_on_drop(true)
        .output()
        .await
        .expect("the program runs")
}

fn text(bytes: &[u8]) -> String {
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
