//! `headwater load` against real nodes, each a process of its own.

use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use headwater::client::{Clip, PublishOptions, Publisher};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Command;

use crate::program::{run, text};
use crate::support::child::ChildNode;
use crate::support::fleet::{SOON, get_json, node};
use crate::support::nats::{NatsServer, free_port};
use crate::support::wait::eventually;

/// What was found, of a run that went well.
async fn report(arguments: &[&str]) -> Value {
    let output = run(&[&["load", "--json"], arguments].concat(), &[]).await;
    assert!(output.status.success(), "{}", text(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("JSON")
}

async fn viewers(node: &ChildNode, room: &str) -> Option<u64> {
    get_json(&format!("{}/api/status/{room}/main", node.public_url())).await["viewersHere"].as_u64()
}

fn number(report: &Value, pointer: &str) -> f64 {
    report.pointer(pointer).and_then(Value::as_f64).unwrap_or_else(|| panic!("{pointer} of {report:#}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn all_join_what_came_is_what_was_sent_and_nobody_is_left() {
    let nats = NatsServer::start().await;
    let origin = ChildNode::start("origin", "west", &nats.url(), &[]).await;
    let one = ChildNode::start("one", "east", &nats.url(), &[]).await;
    let two = ChildNode::start("two", "south", &nats.url(), &[]).await;
    for node in [&origin, &one, &two] {
        node.hears(3).await;
    }
    let edges = format!("{},{}", one.public_url(), two.public_url());
    let whip = origin.public_url();
    let to = ["--whip", whip.as_str(), "--whep", edges.as_str()];
    let many = ["--viewers", "40", "--rate", "40/s", "--rooms", "2", "--publishers", "2", "--for", "5s"];
    let told = report(&[&to[..], &many[..]].concat()).await;

    for (pointer, expected) in [
        ("/viewers/asked", 40.0),
        ("/viewers/joined", 40.0),
        ("/viewers/connected", 40.0),
        ("/viewers/withMedia", 40.0),
        ("/viewers/sampled", 2.0),
        ("/publishers/joined", 2.0),
        ("/answerMs/count", 40.0),
        ("/firstPacketMs/count", 40.0),
        ("/firstFrameMs/count", 2.0),
        ("/pictures/viewers", 2.0),
    ] {
        assert_eq!(number(&told, pointer), expected, "{pointer} of {told:#}");
    }
    assert_eq!(
        (&told["viewers"]["refused"], &told["viewers"]["ended"]),
        (&serde_json::json!({}), &serde_json::json!({}))
    );
    let [min, p50, p99, max] =
        ["min", "p50", "p99", "max"].map(|of| number(&told, &format!("/answerMs/{of}")));
    assert!(0.0 < min && min <= p50 && p50 <= p99 && p99 <= max, "{told:#}");
    // Two viewers read 25 pictures a second whole; a busy machine brings some late, but not most.
    assert!(number(&told, "/delayMs/count") > 100.0 && number(&told, "/delayMs/p50") > 0.0, "{told:#}");
    assert!(number(&told, "/pictures/frames") > 100.0, "{told:#}");

    // Nodes count the bytes of their viewers twice a second, so that each session's last half second may be missing;
    // they count them before encryption, which adds 16 bytes at most.
    let sent =
        one.metric("headwater_sent_bytes_total").await + two.metric("headwater_sent_bytes_total").await;
    let (came, packets) = (number(&told, "/whole/bytes"), number(&told, "/whole/packets"));
    assert!(packets > 40.0 * 60.0 * 5.0, "{told:#}");
    assert!(sent > (came - 16.0 * packets) * 0.7 && sent < came * 1.1, "sent {sent}, came {came}");

    // Each is found by its port, and the edges' packets are theirs alone.
    let servers = told["servers"].as_array().expect("servers");
    assert_eq!(servers.len(), 3, "{told:#}");
    for server in servers {
        let edge = server["urls"][0] != whip;
        assert_eq!(server["viewers"], if edge { 20 } else { 0 }, "{server}");
        assert_eq!(server["microsPerPacket"].is_number(), edge, "{server}");
        assert!(
            server["cores"].as_f64() > Some(0.0) && server["memory"].as_u64() > Some(1 << 20),
            "{server}"
        );
    }
    assert!(number(&told, "/own/microsPerPacket") > 0.0, "{told:#}");

    for node in [&one, &two] {
        for room in ["load-1", "load-2"] {
            let left = || async { (viewers(node, room).await == Some(0)).then_some(()) };
            eventually(SOON, format!("no viewer of {room} is left"), left).await;
        }
    }
    eventually(SOON, "nobody publishes any more", || async {
        let status = get_json(&format!("{}/api/status/load-1/main", origin.public_url())).await;
        if status["live"] == false { Ok(()) } else { Err(status) }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_is_refused_is_counted_by_reason() {
    let nats = NatsServer::start().await;
    let node = ChildNode::start("only", "west", &nats.url(), &[("HEADWATER_LIMITS__VIEWERS", "5")]).await;
    let url = node.public_url();
    let to = ["--whip", url.as_str(), "--whep", url.as_str()];
    let many = ["--viewers", "12", "--publishers", "1", "--for", "1s", "--sample", "1"];
    let told = report(&[&to[..], &many[..]].concat()).await;
    assert_eq!((number(&told, "/viewers/asked"), number(&told, "/viewers/joined")), (12.0, 5.0), "{told:#}");
    let refused = told["viewers"]["refused"].as_object().expect("reasons");
    let [(reason, count)] = refused.iter().collect::<Vec<_>>()[..] else { panic!("{told:#}") };
    assert!(reason.starts_with("503 ") && count == 7, "{told:#}");
    assert_eq!(
        (number(&told, "/pictures/viewers"), number(&told, "/answerMs/count")),
        (5.0, 5.0),
        "{told:#}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_where_nobody_is_says_what_to_do() {
    let dead = format!("http://127.0.0.1:{}", free_port());
    let output = run(&["load", "--viewers", "2", "--whep", &dead], &[]).await;
    let said = text(&output.stderr);
    assert!(!output.status.success() && output.stdout.is_empty(), "{said}");
    for expected in [dead.as_str(), "refused", "is the server running"] {
        assert!(said.contains(expected), "{expected}: {said}");
    }
    let output = run(&["load", "--viewers", "2"], &[]).await;
    assert!(!output.status.success() && text(&output.stderr).contains("--whep"), "{}", text(&output.stderr));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_interrupted_run_tells_what_was_seen_and_leaves_nobody() {
    let nats = NatsServer::start().await;
    let node = ChildNode::start("only", "west", &nats.url(), &[]).await;
    let url = node.public_url();
    let mut loading = Command::new(env!("CARGO_BIN_EXE_headwater"))
        .args(["load", "--json", "--viewers", "6", "--publishers", "1", "--for", "1h"])
        .args(["--whip", &url, "--whep", &url])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .expect("the program runs");
    let mut lines = BufReader::new(loading.stderr.take().expect("its error output")).lines();
    let mut said = Vec::new();
    while let Some(line) = lines.next_line().await.expect("a line") {
        let is_steady = line.starts_with("steady");
        said.push(line);
        if is_steady {
            break;
        }
    }
    assert_eq!(viewers(&node, "load-1").await, Some(6), "{said:?}");
    let pid = loading.id().and_then(|id| Pid::from_raw(id.try_into().ok()?)).expect("its number");
    kill_process(pid, Signal::INT).expect("a signal");
    let output =
        tokio::time::timeout(SOON, loading.wait_with_output()).await.expect("an end").expect("output");
    let told: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!((&told["interrupted"], &told["viewers"]["withMedia"]), (&true.into(), &6.into()), "{told:#}");
    let left = || async { (viewers(&node, "load-1").await == Some(0)).then_some(()) };
    eventually(SOON, "no viewer is left", left).await;
}

/// A busy machine holds a publisher up again and again, and it has to catch up.
#[tokio::test(flavor = "multi_thread")]
async fn a_publisher_that_is_held_up_goes_on() {
    let nats = NatsServer::start().await;
    let node = node("only", "west", &nats.url()).await;
    let url = format!("{}/whip/news", node.public_url());
    // A thread of its own, which can be held up without anything else.
    let publishing = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let mut options = PublishOptions::new(url, Arc::new(Clip::builtin()));
            options.simulcast = true;
            let publisher = Publisher::start(options).await.expect("the publisher is taken");
            let mut stats = publisher.stats();
            stats.wait_for(|now| now.connected()).await.expect("it connects");
            for _ in 0..6 {
                std::thread::sleep(Duration::from_millis(950));
                tokio::time::sleep(Duration::from_millis(30)).await;
            }
            let before = stats.borrow().video_frames;
            let goes_on = stats.wait_for(|now| now.video_frames > before + 75).await;
            goes_on.unwrap_or_else(|_| panic!("it ended: {:?}", publisher.stats().borrow().reason));
            publisher.stop().await.expect("the publisher ends");
        });
    });
    tokio::task::spawn_blocking(move || publishing.join().expect("it goes on")).await.unwrap();
    node.stop().await;
}
