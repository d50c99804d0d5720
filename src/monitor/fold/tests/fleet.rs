//! A fleet by hand.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};
use uuid::Uuid;

use crate::monitor::fold::State;
use crate::monitor::view::{Condition, RoomView, StreamTree, TreeNode};
use crate::protocol::claim::EndReason;
use crate::protocol::event::*;
use crate::protocol::ids::*;
use crate::protocol::presence::{Load, Phase};

/// A fleet by hand: nodes are named as `west-1`, of the region `west`.
#[derive(Default)]
pub(super) struct Fleet {
    pub(super) state: State,
    /// Of each node its process and the number of its last event.
    pub(super) nodes: BTreeMap<&'static str, (u128, u64)>,
    pub(super) seconds: i64,
    /// What they tell of, `demo` where none.
    pub(super) room: Option<&'static str>,
}

impl Fleet {
    pub(super) fn now(&self) -> DateTime<Utc> {
        DateTime::from_timestamp(1_790_000_000, 0).unwrap() + TimeDelta::seconds(self.seconds)
    }

    pub(super) fn peer(&mut self, node: &'static str) -> Peer {
        let number = self.nodes.len() as u128 + 1000;
        let (process, _) = *self.nodes.entry(node).or_insert((number, 0));
        Peer {
            node: node.parse().unwrap(),
            incarnation: Incarnation(Uuid::from_u128(process)),
            region: node.split('-').next().unwrap().parse().unwrap(),
        }
    }

    /// A second passes and the node tells something of the room, or of itself.
    pub(super) fn tell(&mut self, node: &'static str, what: What) -> Event {
        self.seconds += 1;
        let source = self.peer(node);
        let known = self.nodes.get_mut(node).unwrap();
        known.1 += 1;
        let subject = match what.name().starts_with("node.") {
            true => About::Node(source.node.clone()),
            false => About::Room(self.room.unwrap_or("demo").parse().unwrap()),
        };
        let event = Event { id: known.1, time: self.now(), source, subject, what };
        self.state.apply(self.state.position().sequence + 1, event.time, Some(&event));
        event
    }

    /// The node's next process.
    pub(super) fn restart(&mut self, node: &'static str) {
        // The later the lower: its order means nothing.
        let number = self.nodes.values().map(|(process, _)| process).min().unwrap() - 1;
        self.nodes.insert(node, (number, 0));
        self.tell(node, What::NodeStarted(summary(Phase::Serving)));
    }

    pub(super) fn publish(&mut self, node: &'static str, term: u64) {
        let (stream, publication) = (StreamName::default(), publication(term));
        let what = StreamStarted {
            stream,
            term,
            publication,
            producers: Vec::new(),
            takeover: false,
            participant: false,
        };
        self.tell(node, What::StreamStarted(what));
    }

    pub(super) fn end(&mut self, node: &'static str, term: u64, reason: EndReason) {
        let (stream, publication) = (StreamName::default(), publication(term));
        let what = StreamEnded { stream, term, publication, reason, duration_ms: 3000, bytes: 9 };
        self.tell(node, What::StreamEnded(what));
    }

    pub(super) fn join(&mut self, node: &'static str, viewers: u32) -> Event {
        let (stream, viewer) = (StreamName::default(), ViewerId(Uuid::nil()));
        let what = ViewerJoined { stream, viewer, warm: viewers > 1, join_us: 40_000, viewers };
        self.tell(node, What::ViewerJoined(what))
    }

    pub(super) fn open(&mut self, from: &'static str, to: &'static str, pipe: u128) {
        let (pipe, to, streams) = (PipeId(Uuid::from_u128(pipe)), self.peer(to), vec![StreamName::default()]);
        self.tell(from, What::PipeOpening(PipeOpening { pipe, to: to.clone(), attempt: 2, hop: 1 }));
        let opened = PipeOpened { pipe, to, attempt: 2, hop: 1, streams, setup_us: 12_000 };
        self.tell(from, What::PipeOpened(opened));
    }

    pub(super) fn lose_pipe(&mut self, from: &'static str, to: &'static str, pipe: u128) {
        let (pipe, to) = (PipeId(Uuid::from_u128(pipe)), self.peer(to));
        let reason = "it has fallen silent".into();
        let what = PipeClosed { pipe, to, reason, lost: true, duration_ms: 5, bytes: 7 };
        self.tell(from, What::PipeClosed(what));
    }

    pub(super) fn summarize(
        &mut self,
        node: &'static str,
        term: Option<u64>,
        path: &[&str],
        pipes: &[(u128, &'static str)],
        viewers: u32,
    ) {
        let since = self.now();
        let stream = StreamHere {
            stream: StreamName::default(),
            term: term.unwrap_or_default(),
            publication: term.map(publication),
            path: path.iter().map(|node| node.parse().unwrap()).collect(),
            started_at: path.is_empty().then_some(since),
            producers: Vec::new(),
            bitrate: 1_000_000,
            lost: 0,
            viewers,
            muted: false,
            participant: false,
            locks: false,
            warnings: Vec::new(),
            quality: Quality { sampled: 1, bitrate: 500_000, ..Quality::default() },
        };
        let pipe = |(pipe, to): &(u128, &'static str)| PipeHere {
            pipe: PipeId(Uuid::from_u128(*pipe)),
            to: self.peer(to),
            open: true,
            since,
            streams: vec![StreamName::default()],
            bitrate: 1_000_000,
        };
        let pipes = pipes.iter().map(pipe).collect();
        self.tell(node, What::RoomSummary(RoomSummary { streams: vec![stream], pipes, waiting: 1 }));
    }

    pub(super) fn lost(&mut self, teller: &'static str, lost: &'static str) {
        let lost = self.peer(lost);
        self.tell(teller, What::NodeLost(NodeLost { lost }));
    }

    pub(super) fn room(&self) -> RoomView {
        self.state.room(&"demo".parse().unwrap(), self.now()).unwrap()
    }

    pub(super) fn stream(&self) -> StreamTree {
        self.room().streams.remove(0)
    }

    /// west-1 publishes, east-1 relays it, east-2 and west-2 are edges, with 1, 2, 3 and 4 viewers.
    pub(super) fn with_tree() -> Self {
        let mut fleet = Self::default();
        for node in ["west-1", "east-1", "east-2", "west-2"] {
            fleet.tell(node, What::NodeStarted(summary(Phase::Serving)));
        }
        fleet.publish("west-1", 1);
        fleet.open("west-1", "east-1", 11);
        fleet.open("east-1", "east-2", 12);
        fleet.open("west-1", "west-2", 13);
        fleet.summarize("west-1", Some(1), &[], &[(11, "east-1"), (13, "west-2")], 1);
        fleet.summarize("east-1", Some(1), &["west-1"], &[(12, "east-2")], 2);
        fleet.summarize("east-2", Some(1), &["west-1", "east-1"], &[], 3);
        fleet.summarize("west-2", Some(1), &["west-1"], &[], 4);
        fleet
    }
}

/// That of a term, here: the later the lower, as its order means nothing.
pub(super) fn publication(term: u64) -> PublicationId {
    PublicationId(Uuid::from_u128(u128::MAX - u128::from(term)))
}

pub(super) fn summary(phase: Phase) -> NodeSummary {
    NodeSummary {
        roles: Vec::new(),
        version: "1".into(),
        phase,
        started_at: DateTime::UNIX_EPOCH,
        load: Load::default(),
        public_url: String::new(),
        every_ms: 10_000,
    }
}

/// As `west-1:1(east-1:2,…)`: nodes and their viewers, `!` where one is lost.
pub(super) fn drawn(node: &TreeNode) -> String {
    let lost = if node.condition == Condition::Lost { "!" } else { "" };
    let below: Vec<String> = node.children.iter().map(drawn).collect();
    let below = if below.is_empty() { String::new() } else { format!("({})", below.join(",")) };
    format!("{}{lost}:{}{below}", node.node, node.viewers)
}

pub(super) fn drawn_all(stream: &StreamTree) -> (String, Vec<String>) {
    (stream.tree.as_ref().map(drawn).unwrap_or_default(), stream.apart.iter().map(drawn).collect())
}
