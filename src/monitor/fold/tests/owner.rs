//! Who has a stream: terms and the order of the log decide, clocks and the order of ids never.

use chrono::{DateTime, TimeDelta};
use proptest::prelude::*;
use uuid::Uuid;

use super::fleet::{Fleet, drawn_all, publication};
use crate::monitor::fold::State;
use crate::monitor::view::{Condition, RoomsQuery};
use crate::protocol::claim::EndReason;
use crate::protocol::event::*;
use crate::protocol::ids::*;

#[test]
fn a_node_thought_lost_is_back_with_its_next_word() {
    let mut fleet = Fleet::with_tree();
    fleet.lost("west-1", "east-2");
    fleet.join("east-2", 4);
    assert_eq!(fleet.stream().viewers, 11);
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
fn a_stream_that_others_call_lost_is_back_with_its_origins_next_word() {
    let mut fleet = Fleet::with_tree();
    fleet.end("east-2", 1, EndReason::Lost);
    assert_eq!(fleet.room().problems.len(), 1, "an older version told it in the room");
    assert!(fleet.stream().live, "its origin alone ends it");
    fleet.lost("east-2", "west-1");
    let stream = fleet.stream();
    assert_eq!((stream.live, stream.ended), (false, Some(EndReason::Lost)));
    assert_eq!(fleet.state.fleet(fleet.now()).totals.streams, 0);
    fleet.join("west-1", 2);
    let stream = fleet.stream();
    assert_eq!((stream.live, stream.ended, stream.ended_at), (true, None, None));
    assert_eq!(drawn_all(&stream).0, "west-1:2(east-1:2(east-2:3),west-2:4)");
}

#[test]
fn of_two_origins_the_higher_term_holds_and_the_other_again_once_that_is_over_or_lost() {
    let mut fleet = Fleet::default();
    let origin = |fleet: &Fleet| drawn_all(&fleet.stream()).0;
    fleet.publish("east-1", 3);
    fleet.publish("west-1", 2);
    assert_eq!(origin(&fleet), "east-1:0", "who tells later has no advantage");
    fleet.lost("west-1", "east-1");
    assert_eq!(origin(&fleet), "west-1:0");
    fleet.tell("east-1", What::RoomSummary(RoomSummary::default()));
    assert_eq!(origin(&fleet), "west-1:0", "it is heard again, and has nothing");
    fleet.publish("east-1", 4);
    assert_eq!(origin(&fleet), "east-1:0");
    fleet.end("east-1", 4, EndReason::Unpublished);
    assert_eq!(origin(&fleet), "west-1:0", "it was cut off and never heard of the other");
    fleet.end("west-1", 2, EndReason::Unpublished);
    let stream = fleet.stream();
    assert_eq!((stream.live, stream.publication), (false, Some(publication(4))));
}

#[test]
fn a_process_that_comes_later_holds_whatever_its_id() {
    let mut fleet = Fleet::with_tree();
    fleet.restart("west-1");
    assert_eq!(fleet.stream().ended, Some(EndReason::Lost), "what its former self had is void");
    fleet.publish("west-1", 2);
    fleet.join("west-1", 5);
    let stream = fleet.stream();
    assert!(stream.live && stream.publication == Some(publication(2)));
    assert_eq!(stream.tree.unwrap().viewers, 5);
    assert_eq!(fleet.room().counters.peak_viewers, 14, "2, 3 and 4 elsewhere, and 5");
}

/// What happens to one of three nodes that publish one stream.
#[derive(Debug, Clone)]
enum Step {
    Publish { term: u64 },
    Change,
    End,
    Summarize,
    Lose,
    Restart,
}

fn steps() -> impl Strategy<Value = Vec<(usize, Step, u128, i64)>> {
    let step = prop_oneof![
        3 => (1u64..6).prop_map(|term| Step::Publish { term }),
        1 => Just(Step::Change),
        2 => Just(Step::End),
        1 => Just(Step::Summarize),
        2 => Just(Step::Lose),
        1 => Just(Step::Restart),
    ];
    proptest::collection::vec((0usize..3, step, any::<u128>(), -7200i64..7200), 1..60)
}

/// A node as it should be seen.
struct Model {
    peer: Peer,
    next: u64,
    live: Option<(u64, PublicationId)>,
    lost: bool,
}

impl Model {
    fn tell(&mut self, state: &mut State, skew: i64, subject: About, what: What) {
        let position = state.position();
        // The log's clock goes on; that of each node is anything.
        let stored = DateTime::from_timestamp(1_790_000_000, 0).unwrap()
            + TimeDelta::milliseconds(position.sequence as i64);
        let (time, source) = (stored + TimeDelta::seconds(skew), self.peer.clone());
        let event = Event { id: self.next, time, source, subject, what };
        (self.next, self.lost) = (self.next + 1, false);
        state.apply(position.sequence + 1, stored, Some(&event));
    }

    fn tell_room(&mut self, state: &mut State, skew: i64, what: What) {
        self.tell(state, skew, About::Room("demo".parse().unwrap()), what);
    }

    fn summary(&self) -> RoomSummary {
        let here = self.live.map(|(term, publication)| StreamHere {
            stream: StreamName::default(),
            term,
            publication: Some(publication),
            path: Vec::new(),
            started_at: None,
            producers: Vec::new(),
            bitrate: 1,
            lost: 0,
            viewers: 0,
            muted: false,
            participant: false,
            locks: false,
            warnings: Vec::new(),
            quality: Quality::default(),
        });
        RoomSummary { streams: here.into_iter().collect(), ..RoomSummary::default() }
    }

    fn take(&mut self, state: &mut State, step: &Step, random: u128, skew: i64) {
        let stream = StreamName::default();
        match (step, self.live) {
            (Step::Publish { term }, _) => {
                let (term, publication) = (*term, PublicationId(Uuid::from_u128(random)));
                self.live = Some((term, publication));
                let what = StreamStarted {
                    stream,
                    term,
                    publication,
                    producers: Vec::new(),
                    takeover: true,
                    participant: false,
                };
                self.tell_room(state, skew, What::StreamStarted(what));
            }
            (Step::Change, Some((term, publication))) => {
                let what = StreamChanged { stream, term, publication, producers: Vec::new() };
                self.tell_room(state, skew, What::StreamChanged(what));
            }
            (Step::End, Some((term, publication))) => {
                self.live = None;
                let reason = EndReason::Unpublished;
                let what = StreamEnded { stream, term, publication, reason, duration_ms: 1, bytes: 1 };
                self.tell_room(state, skew, What::StreamEnded(what));
            }
            (Step::Summarize, _) => self.tell_room(state, skew, What::RoomSummary(self.summary())),
            (Step::Restart, _) => {
                self.peer.incarnation = Incarnation(Uuid::from_u128(random));
                (self.next, self.live) = (1, None);
                let subject = About::Node(self.peer.node.clone());
                self.tell(state, skew, subject, What::EventsDropped(EventsDropped { count: 1 }));
                self.tell_room(state, skew, What::RoomSummary(RoomSummary::default()));
            }
            _ => {}
        }
    }
}

proptest! {
    #[test]
    fn the_highest_rank_among_those_not_lost_is_shown_whatever_clocks_and_ids_say(steps in steps()) {
        let mut state = State::default();
        let mut nodes: Vec<Model> = (0..4u32)
            .map(|number| Model {
                peer: Peer {
                    node: format!("node-{number}").parse().unwrap(),
                    incarnation: Incarnation(Uuid::from_u128(number.into())),
                    region: "west".parse().unwrap(),
                },
                next: 1,
                live: None,
                lost: false,
            })
            .collect();
        for (at, step, random, skew) in steps {
            if matches!(step, Step::Lose | Step::Restart) {
                // Of a process that another of its name follows others tell that it fell silent, too.
                let lost = nodes[at].peer.clone();
                let subject = About::Node(nodes[3].peer.node.clone());
                nodes[3].tell(&mut state, skew, subject, What::NodeLost(NodeLost { lost }));
                nodes[at].lost = true;
            }
            nodes[at].take(&mut state, &step, random, skew);
            let now = state.clock();
            let heard = nodes.iter().filter(|node| !node.lost);
            let holds = heard.filter_map(|node| Some((node.live?, &node.peer.node))).max();
            let room = state.room(&"demo".parse().unwrap(), now);
            let stream = room.and_then(|room| room.streams.into_iter().next());
            let shown = stream.as_ref().filter(|it| it.live).and_then(|it| it.publication);
            prop_assert_eq!(shown, holds.map(|((_, publication), _)| publication), "{:?}", stream);
            let line = state.rooms(&RoomsQuery::default(), now).rooms.into_iter().next();
            let origins = line.map(|line| line.origins).unwrap_or_default();
            prop_assert_eq!(origins.iter().collect::<Vec<_>>(), holds.iter().map(|(_, node)| *node).collect::<Vec<_>>());
            prop_assert_eq!(state.fleet(now).totals.streams, u32::from(holds.is_some()));
        }
    }
}
