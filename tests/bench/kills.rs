//! Nodes die and drain: what viewers elsewhere miss.

use std::sync::Arc;
use std::time::{Duration, Instant};

use headwater::client::{Clip, Player, PublishOptions, Publisher, WatchReport};

use crate::support::child::ChildNode;
use crate::support::fleet::{SOON, heard_of, plays, plays_on, publish, watch};
use crate::support::nats::NatsServer;
use crate::support::wait::eventually;
use crate::table::{self, Samples};

/// The nodes of the other region.
const EAST: [&str; 3] = ["east-a", "east-b", "east-c"];
const AGAIN_MS: f64 = 1_000.0;
const KILLED_MS: f64 = 2_000.0;
const DRAINED_MS: f64 = 100.0;

pub(crate) async fn run(trials: usize) {
    origin_killed(trials).await;
    // A bus of their own: nobody waits for nodes of before.
    let nats = NatsServer::start().await;
    let mut killed = Vec::new();
    let mut drained = Vec::new();
    let mut lost = Vec::new();
    let mut fleet = Fleet::start(&nats).await;
    for trial in 0..trials {
        killed.extend(fleet.relay_goes(&nats, &format!("killed-{trial}"), "KILL").await.gaps);
    }
    for trial in 0..trials {
        let missed = fleet.relay_goes(&nats, &format!("drained-{trial}"), "TERM").await;
        drained.extend(missed.gaps);
        lost.push(missed.lost as f64);
    }
    let relay = |what: &str| format!("relay {what}: gap at the viewers of its edges");
    Samples::from_iter(killed).print_wanted(&relay("killed"), KILLED_MS);
    Samples::from_iter(drained).print_wanted(&relay("drained"), DRAINED_MS);
    table::values_wanted("relay drained: packets lost for good in a trial", lost, "packets", 0.0);
}

/// The node and how it is started: nothing of its log takes time, and nobody waits for its viewers.
async fn start(nats: &NatsServer, name: &str, region: &str) -> ChildNode {
    let quiet = [("HEADWATER_LOG__FILTER", "error"), ("HEADWATER_TIMEOUTS__DRAIN", "5s")];
    ChildNode::start(name, region, &nats.url(), &quiet).await
}

async fn origin_killed(trials: usize) {
    let nats = &NatsServer::start().await;
    let (mut since_answer, mut beyond) = (Vec::new(), Vec::new());
    let second = start(nats, "west-b", "west").await;
    let edge = start(nats, "east-a", "east").await;
    for trial in 0..trials {
        let room = format!("again-{trial}");
        let mut first = start(nats, "west-a", "west").await;
        let publisher = publish(&first, &room).await;
        heard_of(&edge, &room).await;
        let viewer = watch(&edge, &room).await;
        plays(&viewer, 10).await;
        let killed = Instant::now();
        first.process().kill();
        let options =
            PublishOptions::new(format!("{}/whip/{room}", second.public_url()), Arc::new(Clip::builtin()));
        let again = Publisher::start(options).await.expect("the stream is taken again");
        let answered = Instant::now();
        // It sends a key frame as soon as it is connected.
        let mut stats = again.stats();
        stats.wait_for(|stats| stats.connected()).await.expect("the publisher connects");
        let sends = Instant::now();
        plays_on(&viewer).await;
        let gap = Duration::from_millis(viewer.report().borrow().video.longest_gap_ms);
        // The gap began with the last frame, not with the end of the process: a frame's time at most.
        since_answer.push((killed + gap).saturating_duration_since(answered));
        beyond.push((killed + gap).saturating_duration_since(sends));
        drop(publisher);
        viewer.stop().await;
        again.stop().await.expect("the publisher ends");
    }
    let again = |what: &str| format!("origin killed, published again: {what}");
    Samples::from_iter(since_answer).print(&again("201 to viewer's frame"));
    Samples::from_iter(beyond).print_wanted(&again("key frame to viewer's"), AGAIN_MS);
}

/// An origin in one region, and three nodes of another, one of which feeds the others.
struct Fleet {
    origin: ChildNode,
    east: Vec<ChildNode>,
}

/// What viewers missed.
struct Missed {
    gaps: Vec<Duration>,
    lost: u64,
}

impl Fleet {
    async fn start(nats: &NatsServer) -> Self {
        let origin = start(nats, "origin", "west").await;
        let mut east = Vec::new();
        for name in EAST {
            east.push(start(nats, name, "east").await);
        }
        Self { origin, east }
    }

    /// A relay of a new room gets a signal: what the viewers of its edges miss. Then it is back.
    async fn relay_goes(&mut self, nats: &NatsServer, room: &str, signal: &str) -> Missed {
        // Who doesn't know the others can't know whom they take for their relay.
        for node in self.east.iter().chain([&self.origin]) {
            node.hears(EAST.len() + 1).await;
        }
        let publisher = publish(&self.origin, room).await;
        let mut viewers: Vec<Player> = Vec::new();
        for node in &self.east {
            heard_of(node, room).await;
            let viewer = watch(node, room).await;
            plays(&viewer, 25).await;
            viewers.push(viewer);
        }
        let (relay, edges) = eventually(SOON, "one feeds others", || self.relay(room)).await;
        let edges: Vec<_> = edges.into_iter().map(|edge| &viewers[edge]).collect();
        let before: Vec<_> = edges.iter().map(|viewer| viewer.report().borrow().lost).collect();
        self.east[relay].process().signal(signal);
        let process = self.east[relay].process();
        eventually(SOON, "the relay ends", || {
            let ended = process.exited().is_some();
            async move { ended }
        })
        .await;
        let reports = || edges.iter().map(|viewer| viewer.report().borrow().clone());
        for viewer in &edges {
            // What was under way when it ended is no sign of another way.
            let frames = viewer.report().borrow().video.frames + 50;
            plays(viewer, frames).await;
        }
        let gap = |report: WatchReport| report.video.longest_gap_ms.max(report.audio.longest_gap_ms);
        let gaps = reports().map(|report| Duration::from_millis(gap(report))).collect();
        let lost = reports().zip(&before).map(|(report, before)| report.lost.saturating_sub(*before)).sum();
        self.east[relay] = start(nats, EAST[relay], "east").await;
        for (number, viewer) in viewers.into_iter().enumerate() {
            // The relay's own is gone with it.
            if number != relay {
                viewer.stop().await;
            }
        }
        publisher.stop().await.expect("the publisher ends");
        Missed { gaps, lost }
    }

    /// Which of the three feeds most others, and which these are.
    async fn relay(&self, room: &str) -> Option<(usize, Vec<usize>)> {
        let mut most = None;
        for (number, node) in self.east.iter().enumerate() {
            let view = node.room(room).await;
            let children = view["children"].as_array()?;
            let fed = |name: &&str| children.iter().any(|child| child["peer"]["node"] == **name);
            let fed: Vec<_> = (0..EAST.len()).filter(|number| fed(&EAST[*number])).collect();
            if fed.len() > most.as_ref().map_or(0, |(_, before): &(usize, Vec<usize>)| before.len()) {
                most = Some((number, fed));
            }
        }
        most
    }
}
