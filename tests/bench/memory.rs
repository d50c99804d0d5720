//! What a node process takes in memory: idle, with a stream, for each viewer, and once a crowd has left.

use std::fs;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use headwater::client::{Clip, Http, Player, PublishOptions, Publisher, WatchOptions};
use tokio::time::sleep;

use crate::load::{QUIET, Run, Server, publish};
use crate::support::child::ChildNode;
use crate::support::fleet::{SOON, get_json, plays};
use crate::support::nats::NatsServer;
use crate::support::wait::eventually;
use crate::table;

const ROOM: &str = "crowd";
const VIEWERS: usize = 100;
/// Frames of video that every viewer has got before its share is counted: one second of the clip.
const FRAMES: u64 = 25;
/// A crowd, after which a node is to have at most so much of what it had before, so long after it.
const CROWD: [&str; 6] = ["--viewers", "1000", "--rate", "200/s", "--for", "10s"];
const LATER: Duration = Duration::from_secs(60);
const AFTER_CROWD: f64 = 1.3;

pub(crate) async fn run() {
    let nats = NatsServer::start().await;
    let quiet = [("HEADWATER_LOG__FILTER", "error")];
    let mut node = ChildNode::start("node", "west", &nats.url(), &quiet).await;
    let idle = resident(&mut node);
    let url = |way| format!("{}/{way}/{ROOM}", node.public_url());
    let (whip, whep) = (url("whip"), url("whep"));
    let publisher = Publisher::start(PublishOptions::new(whip, Arc::new(Clip::builtin()))).await;
    let publisher = publisher.expect("the publisher is taken");
    let first = watch(&whep, None).await;
    plays(&first, FRAMES).await;
    first.stop().await;
    let before = resident(&mut node);
    let http = Http::new().expect("an http client");
    let viewers = join_all((0..VIEWERS).map(|_| watch(&whep, Some(http.clone())))).await;
    for viewer in &viewers {
        plays(viewer, FRAMES).await;
    }
    let after = resident(&mut node);
    table::value("memory of an idle node process, 1 worker (VmRSS)", idle, "MiB", 1);
    table::value("memory of a node with one stream that was watched once", before, "MiB", 1);
    let each = (after - before) * 1024.0 / VIEWERS as f64;
    table::value("memory for each viewer of one stream that plays", each, "KiB", VIEWERS);
    join_all(viewers.into_iter().map(Player::stop)).await;
    publisher.stop().await.expect("the publisher ends");
    a_crowd(&nats).await;
}

async fn a_crowd(nats: &NatsServer) {
    let mut node = ChildNode::start("other", "west", &nats.url(), &QUIET).await;
    let _publishes = publish(&format!("{}/whip/load-1", node.public_url()));
    let server = Server { url: node.public_url(), pid: node.process().child().id() };
    let status = format!("{}/api/status/load-1/main", server.url);
    eventually(SOON, "the stream is live", || async { get_json(&status).await["live"] == true }).await;
    Run::of(&[&server], &["--viewers", "1", "--for", "1s"]).await;
    let before = resident(&mut node);
    Run::of(&[&server], &CROWD).await;
    let with = resident(&mut node);
    sleep(LATER).await;
    let after = resident(&mut node);
    table::value("memory of a node as 1,000 viewers leave", with, "MiB", 1);
    let what = "memory a minute after 1,000 viewers / before them";
    table::values_wanted(what, vec![after / before], "x", AFTER_CROWD);
}

async fn watch(url: &str, http: Option<Http>) -> Player {
    let mut options = WatchOptions::new(url);
    options.retry_until_live = Some(SOON);
    options.http = http;
    let player = Player::start(options).await.expect("the viewer is served");
    let report = player.report();
    eventually(SOON, "the viewer gets video", || {
        let plays = report.borrow().has_video();
        async move { plays }
    })
    .await;
    player
}

/// The process's resident memory in MiB.
fn resident(node: &mut ChildNode) -> f64 {
    let path = format!("/proc/{}/status", node.process().child().id());
    let status = fs::read_to_string(path).expect("the process runs");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("VmRSS");
    let kib: f64 = line.trim().trim_end_matches("kB").trim().parse().expect("a number");
    kib / 1024.0
}
