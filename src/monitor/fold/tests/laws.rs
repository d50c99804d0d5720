//! What holds for every history.

use std::collections::{BTreeMap, VecDeque};

use chrono::{TimeDelta, Utc};
use proptest::prelude::*;

use super::history::history;
use crate::monitor::fold::State;
use crate::monitor::snapshot::{self, SnapshotError};
use crate::monitor::view::{Moment, RoomsQuery, StreamTree, TreeNode};
use crate::protocol::event::{About, Event, RoomForgotten, What};
use crate::protocol::ids::Incarnation;

/// A history in which rooms are forgotten too.
fn events(seed: u64, count: usize) -> Vec<Event> {
    let mut events = history(seed, count, 1 + seed as usize % 7, 2 + seed as usize % 5);
    for event in &mut events {
        if matches!(event.what, What::KeyFrameBurst(_)) && event.id % 2 == 0 {
            event.what = What::RoomForgotten(RoomForgotten {});
        }
    }
    events
}

fn fold<'a>(state: &mut State, events: impl IntoIterator<Item = &'a Event>) {
    for event in events {
        let sequence = state.position().sequence + 1;
        state.apply(sequence, event.time, Some(event));
    }
}

fn folded<'a>(events: impl IntoIterator<Item = &'a Event>) -> State {
    let mut state = State::default();
    fold(&mut state, events);
    state
}

/// The state without what is allowed to differ.
fn essence(mut state: State) -> State {
    state.at = Moment::default();
    state.duplicates = 0;
    state
}

/// The same, where not all came in one order: without what was told last by whom.
fn unordered(state: State) -> State {
    let mut state = essence(state);
    for process in state.processes.values_mut() {
        (process.heard_at, process.lost_at) = (None, None);
    }
    state
}

/// The same events with each queue's in their order, else shuffled.
fn interleaved<'a, K: Ord>(
    events: &'a [Event],
    key: impl Fn(&Event) -> K,
    choices: &[usize],
) -> Vec<&'a Event> {
    let mut queues: BTreeMap<K, VecDeque<&Event>> = BTreeMap::new();
    for event in events {
        queues.entry(key(event)).or_default().push_back(event);
    }
    let mut queues: Vec<_> = queues.into_values().collect();
    let mut mixed = Vec::with_capacity(events.len());
    let mut choices = choices.iter().cycle();
    while !queues.is_empty() {
        let at = choices.next().unwrap() % queues.len();
        mixed.extend(queues[at].pop_front());
        if queues[at].is_empty() {
            queues.swap_remove(at);
        }
    }
    mixed
}

fn choices() -> impl Strategy<Value = Vec<usize>> {
    proptest::collection::vec(0usize..1000, 1..100)
}

fn nodes(tree: &TreeNode, found: &mut Vec<String>) {
    found.push(tree.node.to_string());
    tree.children.iter().for_each(|child| nodes(child, found));
}

fn all_nodes(stream: &StreamTree) -> Vec<String> {
    let mut found = Vec::new();
    stream.tree.iter().chain(&stream.apart).for_each(|tree| nodes(tree, &mut found));
    found
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_snapshot_and_the_rest_are_all(seed: u64, at in 0usize..600) {
        let events = events(seed, 600);
        let mut state = snapshot::decode(&snapshot::encode(&folded(&events[..at])).unwrap()).unwrap();
        fold(&mut state, &events[at..]);
        prop_assert!(state == folded(&events));
    }

    #[test]
    fn duplicates_change_nothing_but_their_count(
        seed: u64,
        again in proptest::collection::vec((0usize..600, 0usize..600), 0..50),
    ) {
        let events = events(seed, 600);
        let mut repeated: Vec<(usize, &Event)> = events.iter().enumerate().collect();
        repeated.extend(again.iter().map(|(which, later)| (which + later, &events[*which])));
        repeated.sort_by_key(|(at, _)| *at);
        let repeated = repeated.into_iter().map(|(_, event)| event);
        let state = folded(repeated);
        prop_assert_eq!(state.duplicates, again.len() as u64);
        prop_assert!(essence(state) == essence(folded(&events)));
    }

    #[test]
    fn only_the_order_within_a_subject_matters(seed: u64, choices in choices()) {
        let events = events(seed, 600);
        let mixed = interleaved(&events, |event| event.subject.clone(), &choices);
        prop_assert!(unordered(folded(mixed)) == unordered(folded(&events)));
    }

    #[test]
    fn within_a_room_sources_may_interleave_in_any_way_but_for_the_peak(seed: u64, choices in choices()) {
        let events = history(seed, 600, 3, 4);
        let key = |event: &Event| (event.subject.clone(), event.source.node.clone());
        let [mut mixed, mut plain] =
            [folded(interleaved(&events, key, &choices)), folded(&events)].map(unordered);
        for room in mixed.rooms.values_mut().chain(plain.rooms.values_mut()) {
            room.peak = 0;
        }
        prop_assert!(mixed == plain);
    }

    #[test]
    fn what_comes_again_below_the_position_is_harmless(seed: u64, back in 1usize..300) {
        let events = events(seed, 600);
        let mut state = folded(&events);
        let position = state.position();
        let last = events.len() - back;
        for (index, event) in events.iter().enumerate().skip(last) {
            state.apply(index as u64 + 1, event.time, Some(event));
            state.apply(index as u64 + 1, event.time, None);
        }
        prop_assert_eq!(state.position(), position);
        prop_assert_eq!(state.skipped, 0);
        prop_assert!(essence(state) == essence(folded(&events)));
    }

    #[test]
    fn the_views_agree_with_each_other(seed: u64, count in 50usize..1500) {
        let events = events(seed, count);
        let state = folded(&events);
        let now = events.last().unwrap().time;
        let (fleet, list) = (state.fleet(now), state.rooms(&RoomsQuery::default(), now));
        let rooms: Vec<_> = list.rooms.iter().map(|line| (line, state.room(&line.room, now).unwrap())).collect();
        for (line, room) in &rooms {
            prop_assert_eq!(line.live, room.live);
            prop_assert_eq!(line.viewers, room.viewers);
            prop_assert_eq!(line.streams as usize, room.streams.iter().filter(|it| it.live).count());
            for stream in &room.streams {
                let mut found = all_nodes(stream);
                found.sort();
                let all = found.len();
                found.dedup();
                prop_assert_eq!(found.len(), all, "a node is at one place of a tree: {:?}", stream);
            }
        }
        prop_assert_eq!(fleet.totals.viewers, rooms.iter().map(|(_, room)| room.viewers).sum::<u32>());
        prop_assert_eq!(fleet.totals.viewers, fleet.regions.iter().map(|it| it.viewers).sum::<u32>());
        prop_assert_eq!(fleet.totals.streams, list.rooms.iter().map(|line| line.streams).sum::<u32>());
        let measures = state.measures(now);
        prop_assert_eq!(fleet.totals.streams, measures.depths.values().sum::<u32>());
        prop_assert_eq!(measures.totals, fleet.totals);
        prop_assert!(fleet.problems.is_sorted_by(|a, b| a >= b));
    }

    #[test]
    fn forgetting_leaves_what_is_live(seed: u64) {
        let events = events(seed, 1000);
        let mut state = folded(&events);
        let now = events.last().unwrap().time;
        let live = RoomsQuery { live: Some(true), ..RoomsQuery::default() };
        let before = (state.rooms(&live, now), state.fleet(now).totals);
        state.forget(now + TimeDelta::days(1));
        let after = (state.rooms(&live, now), state.fleet(now).totals);
        prop_assert_eq!(before, after);
        let others = state.rooms(&RoomsQuery { live: Some(false), ..live }, now).rooms;
        prop_assert!(others.iter().all(|line| line.nodes > 0), "somebody still waits there: {:?}", others);
        let newest = state.processes.keys().copied().collect::<Vec<Incarnation>>();
        prop_assert_eq!(newest.len(), 2 + seed as usize % 5, "one process for each node");
    }

    #[test]
    fn a_damaged_snapshot_is_an_error_and_never_a_panic(at: prop::sample::Index, to: u8) {
        let mut bytes = snapshot::encode(&folded(&events(3, 60))).unwrap();
        let at = at.index(bytes.len());
        bytes[at] = to;
        let _ = snapshot::decode(&bytes);
        let _ = snapshot::decode(&bytes[..at]);
    }
}

#[test]
fn a_snapshot_of_another_version_is_named_as_such() {
    #[derive(serde::Serialize)]
    struct Newer {
        version: u16,
        state: [u8; 3],
    }
    let bytes = rmp_serde::to_vec_named(&Newer { version: 99, state: [1, 2, 3] }).unwrap();
    assert!(matches!(snapshot::decode(&bytes), Err(SnapshotError::Version(99))));
}

#[test]
fn unknown_events_are_skipped_and_counted() {
    let mut state = State::default();
    state.apply(7, Utc::now(), None);
    assert_eq!((state.position().sequence, state.fleet(Utc::now()).totals.skipped), (7, 1));
    assert_eq!(state.fleet(Utc::now()).totals.events, 0);
}

#[test]
fn problems_and_sentences_name_who_and_where() {
    for event in events(11, 5000) {
        let text = crate::monitor::text::of(&event);
        assert!(text.starts_with(event.source.node.as_str()) && text.ends_with('.'), "{text}");
        assert!(!text.contains("..") && !text.contains("  "), "{text}");
    }
    let state = folded(&events(11, 5000));
    for room in state.rooms.values() {
        for problem in room.problems.iter() {
            assert!(problem.text.contains(problem.node.as_str()), "{problem:?}");
            assert!(problem.text.contains(problem.room.as_ref().unwrap().as_str()), "{problem:?}");
        }
    }
    assert!(events(11, 5000).iter().any(|event| matches!(event.subject, About::Node(_))));
}
