//! What a packet and a viewer cost: many viewers by `headwater load`, each server a process of its own.
//!
//! What is compared runs in turns, as what else the machine does changes with time. A run that the tool or the machine
//! limited says so beside its figure.

use std::process::Stdio;
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Command;

use crate::support::child::ChildNode;
use crate::support::fleet::{SOON, get_json};
use crate::support::nats::NatsServer;
use crate::support::process::Process;
use crate::support::station::Station;
use crate::support::wait::eventually;
use crate::{table, threads};

/// What the program is called with that is the router alone.
pub(crate) const ROUTER: &str = "router";
/// Viewers of a run where packets are counted: far below what fills a core.
pub(crate) const VIEWERS: &str = "150";
/// How often what is compared has its turn.
pub(crate) const ROUNDS: usize = 3;
pub(crate) const QUIET: [(&str, &str); 2] = [
    ("HEADWATER_LOG__FILTER", "error"),
    // Pipes stay from one run to the next.
    ("HEADWATER_TIMEOUTS__PIPE_IDLE", "60s"),
];
/// The edge's processor time a packet by that of a router alone.
const AGAINST_ROUTER: f64 = 1.03;
/// Viewers that all report what has arrived.
const REPORTING: &str = "60";
/// A packet's processor time without estimates by that with them.
const ESTIMATE: f64 = 0.8;
/// The origin's processor time with 400 viewers behind two edges by that with one.
const ORIGIN: f64 = 1.1;
const STORM_MS: f64 = 100.0;
/// Of a core, at 100 joins a second.
const CONTROL: f64 = 15.0;
const VIEWER_KIB: f64 = 200.0;

pub(crate) async fn run() {
    let nats = NatsServer::start().await;
    let start = async |name, region, more: &[_]| {
        ChildNode::start(name, region, &nats.url(), &[&QUIET[..], more].concat()).await
    };
    // The origin feeds one node: the second of the other region is fed by the first.
    let one_child = ("HEADWATER_LIMITS__CHILDREN", "1");
    let mut nodes = [
        start("origin", "west", &[one_child]).await,
        start("one", "east", &[]).await,
        start("two", "east", &[]).await,
        // With a worker for each core, as by default.
        start("whole", "east", &[("HEADWATER_MEDIA__WORKERS", "0")]).await,
    ];
    for node in &nodes {
        node.hears(nodes.len()).await;
    }
    let _publishes = publish(&format!("{}/whip/load-1", nodes[0].public_url()));
    for node in &nodes {
        let status = format!("{}/api/status/load-1/main", node.public_url());
        eventually(SOON, "the stream is heard of", || async { get_json(&status).await["live"] == true })
            .await;
    }
    let servers =
        nodes.each_mut().map(|node| Server { url: node.public_url(), pid: node.process().child().id() });
    a_packet(&servers).await;
    a_crowd(&servers).await;
}

/// Who serves, and the process whose time is taken.
pub(crate) struct Server {
    pub(crate) url: String,
    pub(crate) pid: u32,
}

/// A publisher of the test clip, in a process of its own: its time is nobody else's.
pub(crate) fn publish(whip: &str) -> Process {
    publish_with(whip, &[])
}

/// One with these arguments as well.
pub(crate) fn publish_with(whip: &str, more: &[&str]) -> Process {
    let publisher = Process::spawn(env!("CARGO_BIN_EXE_headwater"), |command| {
        command.args(["publish", "--log", "error", whip]).args(more);
    });
    publisher.expect("the program runs")
}

/// A run's report.
pub(crate) struct Run(Value);

impl Run {
    pub(crate) async fn of(servers: &[&Server], arguments: &[&str]) -> Self {
        let whep: Vec<_> = servers.iter().map(|server| server.url.as_str()).collect();
        let output = Command::new(env!("CARGO_BIN_EXE_headwater"))
            .args(["load", "--json", "--whep", &whep.join(",")])
            .args(arguments)
            .stderr(Stdio::inherit())
            .kill_on_drop(true)
            .output()
            .await
            .expect("the program runs");
        let run = Self(serde_json::from_slice(&output.stdout).expect("a report"));
        let without = run.number("/viewers/asked") - run.number("/viewers/withMedia");
        if without > 0.0 {
            println!(
                "    {without} without media: {} {}",
                run.0["viewers"]["refused"], run.0["viewers"]["ended"]
            );
        }
        for limit in run.0["limits"].as_array().into_iter().flatten() {
            println!("    limited: {}", limit.as_str().unwrap_or_default());
        }
        run
    }

    pub(crate) fn number(&self, pointer: &str) -> f64 {
        self.0.pointer(pointer).and_then(Value::as_f64).unwrap_or_else(|| panic!("{pointer}: {:#}", self.0))
    }

    /// What is said of a server.
    pub(crate) fn of_server(&self, server: &Server, what: &str) -> f64 {
        let mut servers = self.0["servers"].as_array().into_iter().flatten();
        let found =
            servers.find(|found| found["pid"] == server.pid).unwrap_or_else(|| panic!("{:#}", self.0));
        found[what].as_f64().unwrap_or_else(|| panic!("{what}: {found:#}"))
    }
}

/// A router alone, until it is killed: in a process of its own, as what a process has started counts as its own.
pub(crate) async fn router() {
    let station = Station::start(1).await;
    println!("{}", station.url(""));
    std::future::pending::<()>().await;
}

/// Processor time a packet: a router alone, an origin, an edge one hop away and one of two hops.
async fn a_packet(nodes: &[Server]) {
    let mut alone = Command::new(std::env::current_exe().expect("this program"))
        .arg(ROUTER)
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .expect("a router");
    let mut said = BufReader::new(alone.stdout.take().expect("what it says")).lines();
    let url = said.next_line().await.expect("a line").expect("where it is");
    let router = Server { url: format!("{url}whep"), pid: alone.id().expect("it runs") };
    let _publishes = publish(&format!("{url}whip"));
    let names = ["a mediasoup router alone", "an origin", "an edge", "an edge two hops away"];
    let mut found: [Vec<f64>; 4] = Default::default();
    for _ in 0..ROUNDS {
        for (server, found) in std::iter::once(&router).chain(nodes).zip(&mut found) {
            let run = Run::of(&[server], &["--viewers", VIEWERS, "--rate", "100/s", "--for", "8s"]).await;
            found.push(run.of_server(server, "microsPerPacket"));
        }
    }
    for (name, micros) in names.iter().zip(&found) {
        table::values(&format!("processor time a packet, {VIEWERS} viewers of {name}"), micros.clone(), "us");
    }
    let ratios = found[2].iter().zip(&found[0]).map(|(edge, router)| edge / router).collect();
    table::values_wanted("processor time a packet, edge / router alone", ratios, "x", AGAINST_ROUTER);
    an_estimate(&url, router.pid).await;
}

/// The same router and stream, to viewers whose bandwidth is estimated though there is nothing to choose, and to others.
async fn an_estimate(url: &str, pid: u32) {
    let layers = format!("{url}whip/layers");
    let published = Command::new(env!("CARGO_BIN_EXE_headwater"))
        .args(["publish", "--log", "error", "--simulcast", "--for", "1s", &layers])
        .stdout(Stdio::null())
        .status();
    assert!(published.await.expect("the program runs").success(), "something has layers");
    let [with, without] = ["whep/estimated", "whep"].map(|way| Server { url: format!("{url}{way}"), pid });
    let mut found: [Vec<f64>; 2] = Default::default();
    for _ in 0..ROUNDS {
        for (server, found) in [&with, &without].into_iter().zip(&mut found) {
            // All do all that a browser does: else nobody tells what has arrived.
            let all = ["--viewers", REPORTING, "--rate", "100/s", "--for", "8s", "--sample", "1"];
            found.push(Run::of(&[server], &all).await.of_server(server, "microsPerPacket"));
        }
    }
    let ratios = found[1].iter().zip(&found[0]).map(|(without, with)| without / with).collect();
    for (name, micros) in ["estimated", "not estimated"].iter().zip(found) {
        let what = format!("processor time a packet, {REPORTING} viewers whose bandwidth is {name}");
        table::values(&what, micros, "us");
    }
    let what = "processor time a packet, one layer: without / with an estimate";
    table::values_wanted(what, ratios, "x", ESTIMATE);
}

/// What many viewers cost, and how fast they are let in.
async fn a_crowd([origin, one, two, whole]: &[Server; 4]) {
    // It has the stream already when the crowd comes.
    Run::of(&[whole], &["--viewers", "1", "--for", "1s"]).await;
    let (mut slowest, mut medians, mut lost, mut control, mut memory) =
        (vec![], vec![], vec![], vec![], None);
    for _ in 0..ROUNDS {
        let (storm, used) = watched(whole, &["--viewers", "500", "--rate", "100/s", "--for", "5s"]).await;
        slowest.push(storm.number("/answerMs/p99"));
        medians.push(storm.number("/answerMs/p50"));
        lost.push(100.0 * storm.number("/steady/lossRatio"));
        control.push(100.0 * used);
        // What a later storm needs is there already.
        memory.get_or_insert(storm.of_server(whole, "memoryPerViewer") / 1024.0);
    }
    table::values_wanted("500 joins in 5 s at one edge: POST to 201, p99", slowest, "ms", STORM_MS);
    table::values("500 joins in 5 s at one edge: POST to 201, median", medians, "ms");
    table::values("500 joins in 5 s at one edge: packets lost", lost, "%");
    let what = "500 joins in 5 s at one edge: of a core, beside the media workers";
    table::values_wanted(what, control, "%", CONTROL);
    let memory = memory.into_iter().collect();
    table::values_wanted("memory for each of 500 viewers, 420 kbit/s", memory, "KiB", VIEWER_KIB);

    let pid = origin.pid.to_string();
    let mut ratios = Vec::new();
    for _ in 0..ROUNDS {
        let few = Run::of(&[one, two], &["--viewers", "2", "--for", "8s", "--pid", &pid]).await;
        let many = ["--viewers", "400", "--rate", "100/s", "--for", "8s", "--pid", &pid];
        let many = Run::of(&[one, two], &many).await;
        ratios.push(many.of_server(origin, "cores") / few.of_server(origin, "cores"));
    }
    table::values_wanted("origin's processor time, 400 viewers behind two edges / 2", ratios, "x", ORIGIN);
}

/// A run, and what a server's threads beside its media workers used of a core in the 5 s when they used most.
async fn watched(server: &Server, arguments: &[&str]) -> (Run, f64) {
    let mut tick = tokio::time::interval(Duration::from_millis(250));
    let servers = [server];
    let mut run = std::pin::pin!(Run::of(&servers, arguments));
    let mut used = Vec::new();
    let run = loop {
        tokio::select! {
            run = &mut run => break run,
            _ = tick.tick() => {
                let now = threads::used(server.pid);
                used.push(now.all - now.media);
            }
        }
    };
    (run, used.windows(21).map(|five| (five[20] - five[0]) / 5.0).fold(0.0, f64::max))
}
