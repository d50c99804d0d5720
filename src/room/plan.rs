//! What should be, compared with what is. Pure: data and `now` in, decisions out.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use crate::protocol::ids::{NodeName, ProducerId, StreamName};

/// What to tell a child about a pipe.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum PipeChange {
    /// Stop sending it, then tell the child.
    Close(ProducerId),
    /// Start sending it and tell the child.
    Create(ProducerId),
    /// Tell the child that its source paused.
    Pause(ProducerId),
    /// Tell the child that its source goes on.
    Resume(ProducerId),
}

/// `desired − told`: what a child must be told so that it has these producers in these states.
/// Ends come first: an id that ended must be free before anything new is created.
pub(super) fn pipe_changes(
    desired: &BTreeMap<ProducerId, bool>,
    told: &BTreeMap<ProducerId, bool>,
) -> Vec<PipeChange> {
    let closed = told.keys().filter(|id| !desired.contains_key(id)).map(|id| PipeChange::Close(*id));
    let others = desired.iter().filter_map(|(id, paused)| match (told.get(id), paused) {
        (None, _) => Some(PipeChange::Create(*id)),
        (Some(false), true) => Some(PipeChange::Pause(*id)),
        (Some(true), false) => Some(PipeChange::Resume(*id)),
        _ => None,
    });
    closed.chain(others).collect()
}

/// What to do about a parent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum ParentAction {
    /// Ask it for these streams: for the first time, for others than before, or to renew the lease.
    Join(NodeName, BTreeSet<StreamName>),
    /// Tell it that nothing of it is wanted any more.
    Leave(NodeName),
}

/// What is known of a parent, as far as deciding needs it.
#[derive(Debug, Clone)]
pub(super) struct ParentFacts {
    /// What it was asked for and agreed to.
    pub(super) asked: BTreeSet<StreamName>,
    /// Whether it is being asked or left right now.
    pub(super) in_flight: bool,
    /// When it may or must be asked next: the retry after a failure, or the lease's renewal.
    pub(super) next_join: Instant,
    /// How long it has been here: one that just opened a pipe by itself is not left at once.
    pub(super) since: Instant,
}

/// Which parents to ask and which to leave, so that every wanted stream has its source.
pub(super) fn parent_actions(
    desired: &BTreeMap<NodeName, BTreeSet<StreamName>>,
    parents: &BTreeMap<NodeName, ParentFacts>,
    idle: Duration,
    now: Instant,
) -> Vec<ParentAction> {
    let mut actions = Vec::new();
    for (node, streams) in desired {
        let ask = match parents.get(node) {
            None => true,
            Some(parent) if parent.in_flight => false,
            Some(parent) => now >= parent.next_join || !streams.is_subset(&parent.asked),
        };
        // After a failure even new wishes wait: the node is not there.
        let held = parents.get(node).is_some_and(|parent| parent.asked.is_empty() && now < parent.next_join);
        if ask && !held {
            actions.push(ParentAction::Join(node.clone(), streams.clone()));
        }
    }
    for (node, parent) in parents {
        let unwanted = !desired.contains_key(node) && !parent.in_flight;
        // What was asked for was kept wanted for the idle time already (`wanted_at`).
        let idle_since_start = parent.asked.is_empty() && now.duration_since(parent.since) < idle;
        if unwanted && !idle_since_start {
            actions.push(ParentAction::Leave(node.clone()));
        }
    }
    actions
}

/// The pause before the next try after so many failures in a row: doubling, at most two seconds.
pub(super) fn backoff(failures: u32) -> Duration {
    Duration::from_millis(100) * 2_u32.pow(failures.saturating_sub(1).min(5)).min(20)
}

/// What is known of a pipe's other end.
#[derive(Debug, Clone, Copy)]
pub(super) struct PipeFacts {
    /// Whether the bus says that the node is gone.
    pub(super) absent: bool,
    /// Whether the pipe carries anything that should be flowing.
    pub(super) expects_media: bool,
    /// When bytes last arrived from there.
    pub(super) heard: Instant,
    /// When the pipe was opened.
    pub(super) opened: Instant,
    /// Whether the other end has told its address.
    pub(super) connected: bool,
}

/// How long nothing may arrive from a node that the bus doesn't hear of either.
const SILENCE: Duration = Duration::from_millis(1_500);

/// Whether a pipe is lost: it never connected, or the bus **and** the media say so. A silent bus
/// alone tears nothing down, and media alone may pause.
pub(super) fn is_lost(pipe: PipeFacts, connect_timeout: Duration, now: Instant) -> bool {
    let silent = now.duration_since(pipe.heard) > SILENCE || !pipe.expects_media;
    let never = !pipe.connected && now.duration_since(pipe.opened) > connect_timeout;
    never || (pipe.absent && silent)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use uuid::Uuid;

    fn id(n: u8) -> ProducerId {
        ProducerId(Uuid::from_u128(n.into()))
    }

    fn producers() -> impl Strategy<Value = BTreeMap<ProducerId, bool>> {
        proptest::collection::btree_map((0u8..6).prop_map(id), any::<bool>(), 0..6)
    }

    proptest! {
        #[test]
        fn telling_the_changes_leads_to_what_is_desired(desired in producers(), told in producers()) {
            let mut after = told.clone();
            for change in pipe_changes(&desired, &told) {
                match change {
                    PipeChange::Close(id) => { prop_assert!(after.remove(&id).is_some()); }
                    PipeChange::Create(id) => {
                        prop_assert!(after.insert(id, desired[&id]).is_none());
                    }
                    PipeChange::Pause(id) => { prop_assert_eq!(after.insert(id, true), Some(false)); }
                    PipeChange::Resume(id) => { prop_assert_eq!(after.insert(id, false), Some(true)); }
                }
            }
            prop_assert_eq!(&after, &desired);
            prop_assert!(pipe_changes(&desired, &after).is_empty());
        }

        #[test]
        fn a_retry_is_never_longer_than_two_seconds(failures in any::<u32>()) {
            prop_assert!(backoff(failures) <= Duration::from_secs(2));
        }

        #[test]
        fn no_parent_is_asked_while_it_is_being_asked(
            asked in proptest::collection::btree_set("[a-c]", 0..3),
            wanted in proptest::collection::btree_set("[a-c]", 1..3),
            due in any::<bool>(),
        ) {
            let now = Instant::now() + Duration::from_secs(100);
            let names = |set: &BTreeSet<String>| set.iter().map(|s| s.parse().unwrap()).collect::<BTreeSet<StreamName>>();
            let node: NodeName = "n".parse().unwrap();
            let facts = ParentFacts {
                asked: names(&asked),
                in_flight: true,
                next_join: if due { now } else { now + Duration::from_secs(1) },
                since: now,
            };
            let desired = BTreeMap::from([(node.clone(), names(&wanted))]);
            let parents = BTreeMap::from([(node, facts)]);
            prop_assert!(parent_actions(&desired, &parents, Duration::from_secs(10), now).is_empty());
        }
    }

    #[test]
    fn a_pipe_is_lost_only_if_bus_and_media_agree() {
        let start = Instant::now();
        let later = start + Duration::from_secs(5);
        let timeout = Duration::from_secs(10);
        let pipe =
            PipeFacts { absent: true, expects_media: true, heard: later, opened: start, connected: true };
        assert!(!is_lost(pipe, timeout, later), "media still flows");
        assert!(!is_lost(PipeFacts { absent: false, heard: start, ..pipe }, timeout, later), "it is present");
        assert!(is_lost(PipeFacts { heard: start, ..pipe }, timeout, later));
        let never = PipeFacts { absent: false, connected: false, ..pipe };
        assert!(is_lost(never, timeout, start + Duration::from_secs(11)));
    }
}
