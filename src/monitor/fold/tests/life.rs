//! What a user would notice of a room's life.

use chrono::TimeDelta;
use uuid::Uuid;

use super::fleet::{Fleet, drawn_all, summary};
use crate::monitor::view::{Condition, RoomSort, RoomsQuery, Severity, TreeRole};
use crate::protocol::claim::EndReason;
use crate::protocol::event::*;
use crate::protocol::ids::*;
use crate::protocol::presence::Phase;

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
fn what_a_publisher_does_wrong_is_shown_until_it_is_over() {
    let mut fleet = Fleet::default();
    fleet.publish("west-1", 1);
    let publication = fleet.stream().publication.unwrap();
    let kind = WarningKind::BFrames;
    let (stream, detail) = (StreamName::default(), "pictures come out of order".to_owned());
    let warning = StreamWarning { stream: stream.clone(), term: 1, publication, kind, detail };
    fleet.tell("west-1", What::StreamWarning(warning.clone()));
    let shown = fleet.stream().warnings;
    assert_eq!((shown.len(), shown[0].kind), (1, kind));
    let problem = &fleet.room().problems[0];
    assert!(problem.text.contains("b_frames") && problem.severity == Severity::Warning, "{problem:?}");
    let cleared = StreamCleared { stream, term: 1, publication, kind, duration_ms: 9_000 };
    fleet.tell("west-1", What::StreamCleared(cleared));
    assert_eq!(fleet.stream().warnings, []);
    // Of a publication that is over nothing is shown.
    let stale = PublicationId(Uuid::from_u128(99));
    fleet.tell("west-1", What::StreamWarning(StreamWarning { publication: stale, ..warning }));
    assert_eq!(fleet.stream().warnings, []);
}

#[test]
fn a_room_is_locked_for_as_long_as_its_moderator_wants_and_is_there() {
    let mut fleet = Fleet::default();
    let (stream, publication) = (StreamName::default(), PublicationId(Uuid::from_u128(1)));
    let started = StreamStarted {
        stream: stream.clone(),
        term: 1,
        publication,
        producers: Vec::new(),
        takeover: false,
        participant: true,
    };
    fleet.tell("west-1", What::StreamStarted(started));
    assert!(fleet.stream().participant);
    let does = |fleet: &mut Fleet, deed| {
        let by = stream.clone();
        fleet.tell(
            "west-1",
            What::RoomModerated(RoomModerated { by, deed, participant: None, producer: None }),
        );
        fleet.room().locked_by
    };
    assert_eq!(does(&mut fleet, Deed::Locked), [StreamName::default()]);
    assert_eq!(does(&mut fleet, Deed::Unlocked), []);
    assert_eq!(does(&mut fleet, Deed::Locked), [StreamName::default()]);
    let reason = EndReason::Unpublished;
    let ended = StreamEnded { stream, term: 1, publication, reason, duration_ms: 3_000, bytes: 0 };
    fleet.tell("west-1", What::StreamEnded(ended));
    assert_eq!(fleet.room().locked_by, []);
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
fn a_pipe_without_media_and_a_producer_that_a_child_cant_take_say_what_to_do() {
    let mut fleet = Fleet::with_tree();
    let (from, to, pipe) = (fleet.peer("west-1"), fleet.peer("east-1"), PipeId(Uuid::from_u128(11)));
    let (streams, address) = (vec![StreamName::default()], Some("192.0.2.7:40000".into()));
    fleet.tell("east-1", What::PipeStarved(PipeStarved { pipe, from, streams, address, silent_ms: 3_200 }));
    let (stream, producer) = (Some(StreamName::default()), ProducerId(Uuid::nil()));
    let (reason, detail) = ("unsupported".into(), "video/AV1 is none of its codecs".into());
    let what = PipeRefused { pipe, to, stream, producer, reason, detail };
    fleet.tell("west-1", What::PipeRefused(what));
    let problems = fleet.room().problems;
    assert_eq!(
        problems[1].text,
        "In room demo, east-1 got no media over its pipe from west-1 for 3.2 s, though west-1 sends main. \
         Let UDP from 192.0.2.7:40000 through to east-1, or correct pipe.announced on west-1."
    );
    assert_eq!(
        problems[0].text,
        "In room demo, west-1 has a producer of stream main that east-1 can't take: video/AV1 is none of its \
         codecs. Give west-1 and east-1 the same media.codecs, or publish what both can."
    );
    assert_eq!((problems[1].severity, problems[0].severity), (Severity::Error, Severity::Warning));
    assert_eq!(drawn_all(&fleet.stream()).0, "west-1:1(east-1:2(east-2:3),west-2:4)", "both tell no end");
}
