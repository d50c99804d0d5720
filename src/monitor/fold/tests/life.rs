//! What a user would notice of a room's life.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};
use uuid::Uuid;

use crate::monitor::fold::State;
use crate::monitor::view::{Condition, RoomSort, RoomView, RoomsQuery, StreamTree, TreeNode, TreeRole};
use crate::protocol::announcement::EndReason;
use crate::protocol::event::*;
use crate::protocol::ids::*;
use crate::protocol::presence::{Load, Phase};

/// A fleet by hand: nodes are named as `west-1`, of the region `west`.
#[derive(Default)]
struct Fleet {
    state: State,
    /// Of each node its process and the number of its last event.
    nodes: BTreeMap<&'static str, (u128, u64)>,
    seconds: i64,
    /// What they tell of, `demo` where none.
    room: Option<&'static str>,
}

impl Fleet {
    fn now(&self) -> DateTime<Utc> {
        DateTime::from_timestamp(1_790_000_000, 0).unwrap() + TimeDelta::seconds(self.seconds)
    }

    fn peer(&mut self, node: &'static str) -> Peer {
        let number = self.nodes.len() as u128 + 1;
        let (process, _) = *self.nodes.entry(node).or_insert((number, 0));
        Peer {
            node: node.parse().unwrap(),
            incarnation: Incarnation(Uuid::from_u128(process)),
            region: node.split('-').next().unwrap().parse().unwrap(),
        }
    }

    /// A second passes and the node tells something of the room, or of itself.
    fn tell(&mut self, node: &'static str, what: What) -> Event {
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
    fn restart(&mut self, node: &'static str) {
        let number = self.nodes.values().map(|(process, _)| process).max().unwrap() + 100;
        self.nodes.insert(node, (number, 0));
        self.tell(node, What::NodeStarted(summary(Phase::Serving)));
    }

    fn publish(&mut self, node: &'static str, publication: u128) {
        let (stream, publication) = (StreamName::default(), PublicationId(Uuid::from_u128(publication)));
        let what = StreamStarted { stream, publication, producers: Vec::new(), takeover: false };
        self.tell(node, What::StreamStarted(what));
    }

    fn end(&mut self, node: &'static str, publication: u128, reason: EndReason) {
        let (stream, publication) = (StreamName::default(), PublicationId(Uuid::from_u128(publication)));
        let what = StreamEnded { stream, publication, reason, duration_ms: 3000, bytes: 9 };
        self.tell(node, What::StreamEnded(what));
    }

    fn join(&mut self, node: &'static str, viewers: u32) -> Event {
        let (stream, viewer) = (StreamName::default(), ViewerId(Uuid::nil()));
        let what = ViewerJoined { stream, viewer, warm: viewers > 1, join_us: 40_000, viewers };
        self.tell(node, What::ViewerJoined(what))
    }

    fn open(&mut self, from: &'static str, to: &'static str, pipe: u128) {
        let (pipe, to, streams) = (PipeId(Uuid::from_u128(pipe)), self.peer(to), vec![StreamName::default()]);
        self.tell(from, What::PipeOpening(PipeOpening { pipe, to: to.clone(), attempt: 2, hop: 1 }));
        let opened = PipeOpened { pipe, to, attempt: 2, hop: 1, streams, setup_us: 12_000 };
        self.tell(from, What::PipeOpened(opened));
    }

    fn lose_pipe(&mut self, from: &'static str, to: &'static str, pipe: u128) {
        let (pipe, to) = (PipeId(Uuid::from_u128(pipe)), self.peer(to));
        let reason = "it has fallen silent".into();
        let what = PipeClosed { pipe, to, reason, lost: true, duration_ms: 5, bytes: 7 };
        self.tell(from, What::PipeClosed(what));
    }

    fn summarize(
        &mut self,
        node: &'static str,
        publication: Option<u128>,
        path: &[&str],
        pipes: &[(u128, &'static str)],
        viewers: u32,
    ) {
        let since = self.now();
        let stream = StreamHere {
            stream: StreamName::default(),
            publication: publication.map(|id| PublicationId(Uuid::from_u128(id))),
            path: path.iter().map(|node| node.parse().unwrap()).collect(),
            started_at: path.is_empty().then_some(since),
            producers: Vec::new(),
            bitrate: 1_000_000,
            lost: 0,
            viewers,
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

    fn lost(&mut self, teller: &'static str, lost: &'static str) {
        let lost = self.peer(lost);
        self.tell(teller, What::NodeLost(NodeLost { lost }));
    }

    fn room(&self) -> RoomView {
        self.state.room(&"demo".parse().unwrap(), self.now()).unwrap()
    }

    fn stream(&self) -> StreamTree {
        self.room().streams.remove(0)
    }

    /// west-1 publishes, east-1 relays it, east-2 and west-2 are edges, with 1, 2, 3 and 4 viewers.
    fn with_tree() -> Self {
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

fn summary(phase: Phase) -> NodeSummary {
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
fn drawn(node: &TreeNode) -> String {
    let lost = if node.condition == Condition::Lost { "!" } else { "" };
    let below: Vec<String> = node.children.iter().map(drawn).collect();
    let below = if below.is_empty() { String::new() } else { format!("({})", below.join(",")) };
    format!("{}{lost}:{}{below}", node.node, node.viewers)
}

fn drawn_all(stream: &StreamTree) -> (String, Vec<String>) {
    (stream.tree.as_ref().map(drawn).unwrap_or_default(), stream.apart.iter().map(drawn).collect())
}

#[test]
fn a_publisher_is_live_at_once_and_its_viewers_count() {
    let mut fleet = Fleet::default();
    fleet.publish("west-1", 1);
    fleet.join("west-1", 1);
    fleet.join("west-1", 2);
    let stream = fleet.stream();
    assert!(stream.live && stream.started_at.is_some());
    assert_eq!(drawn_all(&stream), ("west-1:2".into(), vec![]));
    assert_eq!(fleet.room().counters.peak_viewers, 2);
    let durations = fleet.state.measures(fleet.now()).durations;
    assert_eq!((durations.join_cold.count(), durations.join_warm.count()), (1, 1));
}

#[test]
fn a_tree_shows_relays_pipes_and_regions() {
    let fleet = Fleet::with_tree();
    let stream = fleet.stream();
    assert_eq!(drawn_all(&stream), ("west-1:1(east-1:2(east-2:3),west-2:4)".into(), vec![]));
    assert_eq!((stream.viewers, stream.depth, stream.crossings), (10, 2, 1));
    let origin = stream.tree.unwrap();
    let relay = &origin.children[0];
    assert_eq!(
        (origin.role, relay.role, relay.children[0].role),
        (TreeRole::Origin, TreeRole::Relay, TreeRole::Edge)
    );
    assert_eq!((relay.hops, relay.children[0].hops), (1, 2));
    let pipe = relay.pipe.as_ref().unwrap();
    assert_eq!((pipe.open, pipe.setup_us, pipe.attempt, pipe.bitrate), (true, Some(12_000), 2, 1_000_000));

    let view = fleet.state.fleet(fleet.now());
    assert_eq!((view.links.len(), view.links[0].pipes, view.links[0].bitrate), (1, 1, 1_000_000));
    let west = view.regions.iter().find(|it| it.region.as_str() == "west").unwrap();
    assert_eq!((west.streams, west.viewers, west.published, west.watched), (1, 5, 1_000_000, 2_500_000));
    assert_eq!((view.totals.nodes, view.totals.pipes, view.totals.rooms), (4, 3, 1));
    let line = fleet.state.rooms(&RoomsQuery::default(), fleet.now()).rooms.remove(0);
    assert_eq!((line.streams, line.viewers, line.nodes, line.regions, line.depth), (1, 10, 4, 2, 2));
    assert_eq!((line.origins[0].as_str(), line.origins.len(), line.bitrate), ("west-1", 1, 1_000_000));
    assert_eq!(fleet.room().waiting, 4, "one on each node");
    let on = |node: &str| {
        let query = RoomsQuery { node: node.parse().ok(), ..RoomsQuery::default() };
        fleet.state.rooms(&query, fleet.now()).total
    };
    assert_eq!((on("east-2"), on("west-3")), (1, 0));
    let measures = fleet.state.measures(fleet.now());
    assert_eq!((measures.max_crossings, measures.crossings), (1, 1));
    assert_eq!(measures.depths, [(2, 1)].into());
}

#[test]
fn an_edge_shows_from_the_moment_its_pipe_is_being_opened() {
    let mut fleet = Fleet::default();
    fleet.publish("west-1", 1);
    fleet.join("east-1", 1);
    assert_eq!(drawn_all(&fleet.stream()), ("west-1:0".into(), vec!["east-1:1".into()]));
    let to = fleet.peer("east-1");
    let pipe = PipeId(Uuid::from_u128(11));
    fleet.tell("west-1", What::PipeOpening(PipeOpening { pipe, to, attempt: 1, hop: 1 }));
    let to = fleet.peer("north-1");
    let pipe = PipeId(Uuid::from_u128(12));
    fleet.tell("west-1", What::PipeOpening(PipeOpening { pipe, to, attempt: 1, hop: 1 }));
    let stream = fleet.stream();
    assert_eq!(drawn_all(&stream), ("west-1:0(east-1:1,north-1:0)".into(), vec![]));
    assert_eq!(stream.depth, 0, "no media has gone anywhere");
    let children = stream.tree.unwrap().children;
    assert!(children.iter().all(|child| !child.pipe.as_ref().unwrap().open && child.bitrate == 0));
}

#[test]
fn the_viewers_of_a_lost_edge_vanish_and_come_back_with_it() {
    let mut fleet = Fleet::with_tree();
    fleet.lost("west-1", "east-2");
    let stream = fleet.stream();
    assert_eq!(drawn_all(&stream).0, "west-1:1(east-1:2(east-2!:0),west-2:4)");
    assert_eq!((stream.viewers, stream.depth), (7, 1));
    assert_eq!(fleet.state.fleet(fleet.now()).totals.viewers, 7);
    fleet.lose_pipe("east-1", "east-2", 12);
    assert_eq!(drawn_all(&fleet.stream()).0, "west-1:1(east-1:2,west-2:4)");

    fleet.restart("east-2");
    fleet.open("east-1", "east-2", 14);
    fleet.summarize("east-2", Some(1), &["west-1", "east-1"], &[], 5);
    assert_eq!(drawn_all(&fleet.stream()).0, "west-1:1(east-1:2(east-2:5),west-2:4)");
    let view = fleet.state.fleet(fleet.now());
    assert_eq!((view.totals.nodes, view.totals.viewers), (4, 12));
    assert_eq!(fleet.room().counters.peak_viewers, 12, "those of the lost process don't count twice");
    let kinds: Vec<_> = view.problems.iter().map(|problem| problem.kind.as_str()).collect();
    assert_eq!(kinds, ["pipe.closed", "node.lost"]);
    let text = &view.problems[0].text;
    assert!(["east-1", "east-2", "demo"].iter().all(|name| text.contains(name)), "{text}");
}

#[test]
fn a_node_thought_lost_is_back_with_its_next_word() {
    let mut fleet = Fleet::with_tree();
    fleet.lost("west-1", "east-2");
    fleet.join("east-2", 4);
    assert_eq!(fleet.stream().viewers, 11);
}

#[test]
fn below_a_lost_relay_viewers_wait_apart() {
    let mut fleet = Fleet::with_tree();
    fleet.lost("west-1", "east-1");
    fleet.lose_pipe("west-1", "east-1", 11);
    assert_eq!(drawn_all(&fleet.stream()), ("west-1:1(west-2:4)".into(), vec!["east-2:3".into()]));
    fleet.open("west-1", "east-2", 15);
    fleet.summarize("east-2", Some(1), &["west-1"], &[], 3);
    assert_eq!(drawn_all(&fleet.stream()), ("west-1:1(east-2:3,west-2:4)".into(), vec![]));
}

#[test]
fn a_lost_origin_ends_its_stream_and_a_newer_publication_replaces_it() {
    let mut fleet = Fleet::with_tree();
    fleet.lost("west-2", "west-1");
    let stream = fleet.stream();
    assert_eq!((stream.live, stream.ended), (false, Some(EndReason::Lost)));
    assert_eq!(stream.tree.unwrap().condition, Condition::Lost);
    for (node, viewers) in [("east-1", 2), ("east-2", 3), ("west-2", 4)] {
        fleet.summarize(node, None, &[], &[], viewers);
    }
    fleet.publish("north-1", 2);
    let stream = fleet.stream();
    assert!(stream.live && stream.ended.is_none());
    let apart = vec!["east-1:2".into(), "east-2:3".into(), "west-2:4".into()];
    assert_eq!(drawn_all(&stream), ("north-1:0".into(), apart));
}

#[test]
fn a_stream_that_ended_stays_with_its_reason_until_it_is_published_anew() {
    let mut fleet = Fleet::with_tree();
    fleet.end("west-1", 1, EndReason::Disconnected);
    fleet.summarize("west-1", None, &[], &[(13, "west-2")], 1);
    let stream = fleet.stream();
    assert_eq!((stream.live, stream.ended), (false, Some(EndReason::Disconnected)));
    assert!(stream.ended_at > stream.started_at && stream.tree.is_none());
    assert_eq!(stream.viewers, 10, "all wait for it");
    let listed = RoomsQuery { live: Some(true), ..RoomsQuery::default() };
    assert_eq!(fleet.state.rooms(&listed, fleet.now()).total, 1, "whoever waits is not overlooked");

    fleet.publish("west-1", 2);
    let stream = fleet.stream();
    assert_eq!((stream.live, stream.ended, stream.ended_at), (true, None, None));
    fleet.end("west-1", 1, EndReason::Replaced);
    assert!(fleet.stream().live, "an older publication's end is no news");
}

#[test]
fn a_takeover_on_another_node_leaves_one_origin() {
    let mut fleet = Fleet::default();
    fleet.publish("west-1", 1);
    fleet.publish("east-1", 2);
    assert_eq!(drawn_all(&fleet.stream()).0, "east-1:0");
    assert_eq!(fleet.state.fleet(fleet.now()).totals.streams, 1);
    fleet.end("west-1", 1, EndReason::Replaced);
    assert!(fleet.stream().live);
}

#[test]
fn a_stopped_node_is_shown_as_such_and_carries_nothing() {
    let mut fleet = Fleet::with_tree();
    fleet.tell("west-2", What::NodeDraining(summary(Phase::Draining)));
    let condition = |fleet: &Fleet| {
        let regions = fleet.state.fleet(fleet.now()).regions;
        let mut nodes = regions.into_iter().flat_map(|region| region.nodes);
        nodes.find(|node| node.node.as_str() == "west-2").map(|node| node.condition)
    };
    assert_eq!(condition(&fleet), Some(Condition::Draining));
    assert_eq!(fleet.stream().viewers, 10);
    fleet.tell("west-2", What::NodeStopped(summary(Phase::Stopped)));
    assert_eq!(condition(&fleet), Some(Condition::Stopped));
    assert_eq!(drawn_all(&fleet.stream()), ("west-1:1(east-1:2(east-2:3))".into(), vec![]));
    fleet.state.forget(fleet.now() + TimeDelta::days(1));
    assert_eq!(condition(&fleet), None);
}

#[test]
fn a_summary_repairs_what_was_missed_and_an_old_event_does_not_undo_it() {
    let mut fleet = Fleet::with_tree();
    let late = fleet.join("west-2", 9);
    fleet.nodes.get_mut("west-2").unwrap().1 = 20;
    fleet.summarize("west-2", Some(1), &["west-1"], &[], 6);
    let late = Event { id: 15, ..late };
    fleet.state.apply(99, fleet.now(), Some(&late));
    assert_eq!(fleet.stream().viewers, 12);
    assert_eq!(fleet.room().counters.viewers_joined, 2, "it counts all the same");
}

#[test]
fn a_room_that_all_have_closed_is_over_and_then_forgotten() {
    let mut fleet = Fleet::with_tree();
    fleet.end("west-1", 1, EndReason::Unpublished);
    for node in ["east-2", "east-1", "west-2", "west-1"] {
        fleet.tell(node, What::RoomClosed(RoomClosed { duration_ms: 1 }));
    }
    let room = fleet.room();
    assert_eq!((room.live, room.viewers, room.streams.len()), (false, 0, 1));
    assert_eq!(drawn_all(&room.streams[0]), (String::new(), vec![]));
    fleet.state.forget(fleet.now() - TimeDelta::hours(1));
    assert_eq!(fleet.room(), room);
    fleet.state.forget(fleet.now() + TimeDelta::hours(1));
    assert_eq!(fleet.state.room(&"demo".parse().unwrap(), fleet.now()), None);
}

#[test]
fn a_forgotten_room_leaves_nothing_behind() {
    let mut fleet = Fleet::with_tree();
    fleet.lose_pipe("east-1", "east-2", 12);
    assert_eq!(fleet.state.fleet(fleet.now()).problems.len(), 1);
    fleet.tell("west-1", What::RoomForgotten(RoomForgotten {}));
    assert_eq!(fleet.state.rooms(&RoomsQuery::default(), fleet.now()).total, 0);
    assert_eq!(fleet.state.fleet(fleet.now()).problems, []);
}

#[test]
fn rooms_are_searched_sorted_and_paged() {
    let mut fleet = Fleet::default();
    for (room, viewers) in [("Alpha", 2), ("beta", 3), ("gamma", 1), ("over", 0)] {
        fleet.room = Some(room);
        fleet.publish("west-1", 1);
        fleet.join("west-1", viewers);
    }
    fleet.end("west-1", 1, EndReason::Unpublished);
    let names = |query: RoomsQuery| -> Vec<String> {
        let view = fleet.state.rooms(&query, fleet.now());
        view.rooms.into_iter().map(|line| line.room.to_string()).collect()
    };
    let by = |sort| RoomsQuery { sort, ..RoomsQuery::default() };
    assert_eq!(names(by(RoomSort::Viewers)), ["beta", "Alpha", "gamma", "over"]);
    assert_eq!(names(by(RoomSort::Name)), ["Alpha", "beta", "gamma", "over"]);
    assert_eq!(names(by(RoomSort::Age)), ["Alpha", "beta", "gamma", "over"]);
    assert_eq!(names(RoomsQuery { live: Some(true), ..by(RoomSort::Viewers) }), ["beta", "Alpha", "gamma"]);
    assert_eq!(names(RoomsQuery { search: "AMM".into(), ..by(RoomSort::Name) }), ["gamma"]);
    let page = fleet.state.rooms(&RoomsQuery { offset: 1, limit: 1, ..by(RoomSort::Name) }, fleet.now());
    assert_eq!((page.total, page.rooms.len(), page.rooms[0].room.as_str()), (4, 1, "beta"));
}

#[test]
fn the_newest_problems_of_a_room_are_kept_and_told_for_a_day() {
    let mut fleet = Fleet::with_tree();
    let to = fleet.peer("east-2");
    for attempt in 1..=60 {
        let (pipe, to) = (PipeId(Uuid::from_u128(attempt)), to.clone());
        let (reason, detail) = ("timeout".into(), "east-2 did not answer in time.".into());
        let what = PipeFailed { pipe, to, attempt: attempt as u32, reason, detail, duration_ms: 1 };
        fleet.tell("west-1", What::PipeFailed(what));
    }
    let problems = fleet.room().problems;
    assert_eq!(problems.len(), 50);
    assert_eq!(
        problems[0].text,
        "In room demo, west-1's pipe to east-2 failed at attempt 60: east-2 did not answer in time. \
         Look at east-2 and the network between it and west-1."
    );
    let line = |fleet: &Fleet| fleet.state.rooms(&RoomsQuery::default(), fleet.now()).rooms.remove(0);
    assert_eq!((line(&fleet).problems, fleet.room().counters.pipes_failed), (50, 60));
    fleet.seconds += 2 * 3600;
    assert_eq!((line(&fleet).problems, fleet.room().problems.len()), (0, 50));
    fleet.seconds += 86_400;
    assert_eq!((fleet.room().problems.len(), fleet.state.fleet(fleet.now()).problems.len()), (0, 0));
}

#[test]
fn a_fleet_that_has_fallen_silent_as_a_whole_is_lost() {
    let mut fleet = Fleet::with_tree();
    fleet.seconds += 30;
    assert!(fleet.room().live, "summaries may be late");
    fleet.seconds += 30;
    let view = fleet.state.fleet(fleet.now());
    assert_eq!((view.totals.nodes, view.totals.viewers), (0, 0));
    assert_eq!(fleet.stream().ended, Some(EndReason::Lost));
}

#[test]
fn what_a_node_tells_no_more_of_a_room_is_over_in_the_end() {
    let mut fleet = Fleet::with_tree();
    for _ in 0..30 {
        fleet.seconds += 9;
        for node in ["west-1", "east-1", "east-2", "west-2"] {
            fleet.tell(node, What::NodeSummary(summary(Phase::Serving)));
        }
        fleet.summarize("west-1", Some(1), &[], &[(11, "east-1"), (13, "west-2")], 1);
    }
    assert_eq!((fleet.room().viewers, fleet.stream().live), (1, true));
}

#[test]
fn a_stream_that_others_call_lost_is_back_with_its_origins_next_word() {
    let mut fleet = Fleet::with_tree();
    fleet.end("east-2", 1, EndReason::Lost);
    assert_eq!(fleet.stream().ended, Some(EndReason::Lost));
    assert_eq!(fleet.room().problems.len(), 1, "the room tells it too");
    fleet.summarize("west-1", Some(1), &[], &[(11, "east-1"), (13, "west-2")], 1);
    assert!(fleet.stream().live);
}
