//! How often a stream crosses between two regions when many come at once, to nodes that know each other for
//! long, and to nodes that have just started.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use headwater::client::Player;
use headwater::config::Config;
use headwater::node::Node;

use crate::joins::quiet;
use crate::support::fleet::{
    SOON, acquainted, heard_of, plays, plays_on, publish, readiness, room, start, watch,
};
use crate::support::nats::NatsServer;
use crate::support::wait::eventually;
use crate::table::{self, Samples};

/// Nodes of the other region, and first viewers on them.
const EDGES: usize = 8;
const VIEWERS: usize = 20;
/// Within this time there is one copy.
const WITHIN: Duration = Duration::from_secs(5);
/// What the viewers of a node that changes its parent may miss.
const GAP_MS: f64 = 100.0;

pub(crate) async fn run(trials: usize) {
    let nats = NatsServer::start().await;
    let origin = start(quiet("origin", "west", &nats.url())).await;
    let mut known = Rushes::default();
    let edges = join_all((0..EDGES).map(|number| start(edge(&nats, 0, number)))).await;
    acquainted(&edges.iter().chain([&origin]).collect::<Vec<_>>()).await;
    for trial in 0..trials {
        let name = format!("known-{trial}");
        let publisher = publish(&origin, &name).await;
        for edge in &edges {
            heard_of(edge, &name).await;
        }
        known.rush(&origin, &edges, &name).await;
        publisher.stop().await.expect("the publisher ends");
    }
    join_all(edges.into_iter().map(Node::stop)).await;
    known.print("edges that know each other");
    let mut fresh = Rushes::default();
    for trial in 0..trials {
        let name = format!("fresh-{trial}");
        let publisher = publish(&origin, &name).await;
        let edges = join_all((0..EDGES).map(|number| fresh_edge(&nats, trial + 1, number))).await;
        fresh.rush(&origin, &edges, &name).await;
        publisher.stop().await.expect("the publisher ends");
        join_all(edges.into_iter().map(Node::stop)).await;
    }
    fresh.print("edges that start then");
    origin.stop().await;
}

/// One that has just begun to take viewers, and may know nothing of the others yet.
async fn fresh_edge(nats: &NatsServer, generation: usize, number: usize) -> Node {
    let node = Node::start(edge(nats, generation, number)).await.expect("the node starts");
    let operators = node.operators_url();
    eventually(SOON, "the node takes viewers", || async { readiness(&operators).await.0 == 200 }).await;
    node
}

/// A node of the other region.
fn edge(nats: &NatsServer, generation: usize, number: usize) -> Config {
    quiet(&format!("east-{generation}-{number}"), "east", &nats.url())
}

/// What came of many rushes.
#[derive(Debug, Default)]
struct Rushes {
    at_first: Vec<f64>,
    at_last: Vec<f64>,
    one_after: Vec<f64>,
    gaps: Vec<f64>,
}

impl Rushes {
    /// All come at once to these edges, for a live stream that none of them has.
    async fn rush(&mut self, origin: &Node, edges: &[Node], name: &str) {
        let asked = Instant::now();
        let viewers = join_all((0..VIEWERS).map(|number| watch(&edges[number % EDGES], name))).await;
        for viewer in &viewers {
            plays(viewer, 1).await;
        }
        self.at_first.push(copies(origin, name).await);
        while asked.elapsed() < WITHIN && copies(origin, name).await > 1.0 {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        self.one_after.push(asked.elapsed().as_secs_f64() * 1000.0);
        self.at_last.push(copies(origin, name).await);
        // What changing the parent took from viewers.
        for viewer in &viewers {
            plays_on(viewer).await;
            self.gaps.push(viewer.report().borrow().video.longest_gap_ms as f64);
        }
        join_all(viewers.into_iter().map(Player::stop)).await;
    }

    fn print(self, what: &str) {
        let rush = |when: &str| format!("copies, {VIEWERS} viewers, {EDGES} {what}: {when}");
        table::values_wanted(&rush("at first"), self.at_first, "x", 1.0);
        table::values_wanted(&rush("after 5 s"), self.at_last, "x", 1.0);
        Samples::from_iter(self.one_after).print(&rush("from POST until it is one, or 5 s"));
        Samples::from_iter(self.gaps).print_wanted(&rush("longest gap of each viewer"), GAP_MS);
    }
}

/// How many nodes the origin sends the room to: all are of the other region.
async fn copies(origin: &Node, name: &str) -> f64 {
    room(origin, name).await.map_or(0, |view| view.children.len()) as f64
}
