//! What holds no longer: the claims of processes that are gone, and who was lost.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::{Effect, Membership};
use crate::fleet::directory::Key;
use crate::protocol::ids::{Incarnation, NodeName, Peer};

/// How often is looked.
const EVERY: Duration = Duration::from_secs(1);
/// How long an absent process is still shown.
const SHOWN: Duration = Duration::from_secs(60);
/// How long the claims of an absent process are kept: all of it holds again when it is heard.
const REMEMBER: Duration = Duration::from_secs(3_600);

/// Who is absent.
#[derive(Debug, Default)]
pub(super) struct Absences {
    next_look: Option<Instant>,
    since: BTreeMap<(NodeName, Incarnation), Instant>,
    /// The lost ones of which this node has told.
    told: BTreeMap<Incarnation, Peer>,
}

impl Absences {
    /// A process was heard: if it falls silent again, that is told again.
    pub(super) fn heard(&mut self, peer: &Peer) {
        self.told.remove(&peer.incarnation);
    }
}

impl Membership {
    /// Forgets void claims, and those of who has been absent for very long.
    pub(super) fn clean(&mut self, now: Instant) -> Vec<Key> {
        if self.absences.next_look.is_some_and(|next| now < next) {
            return Vec::new();
        }
        self.absences.next_look = Some(now + EVERY);
        self.fleet.forget(SHOWN, now);
        self.absences.told.retain(|_, told| self.fleet.process(told).is_some());
        self.fetches.keep(|peer| self.fleet.process(peer).is_some());
        self.rivals.keep(|incarnation| {
            let rival = Peer { incarnation, ..self.me.clone() };
            self.fleet.process(&rival).is_some()
        });
        let (fleet, directory) = (&self.fleet, &self.directory);
        let absent: Vec<Peer> =
            directory.processes().filter(|peer| fleet.is_absent(peer, now)).cloned().collect();
        let mut since = BTreeMap::new();
        let mut changed = Vec::new();
        for peer in absent {
            let key = (peer.node.clone(), peer.incarnation);
            let from = self.absences.since.get(&key).copied().unwrap_or(now);
            if self.fleet.is_void(&peer, now) || now.saturating_duration_since(from) > REMEMBER {
                self.fetches.forget(&peer);
                changed.extend(self.directory.forget(&peer));
            } else {
                since.insert(key, from);
            }
        }
        self.absences.since = since;
        changed
    }

    /// Tells of processes that have fallen silent: one of the nodes that are there does it for all.
    pub(super) fn tell_lost(&mut self, now: Instant, effects: &mut Vec<Effect>) {
        if !self.fleet.hears_itself(now) {
            return;
        }
        for peer in self.fleet.lost(now) {
            let mine = self.fleet.teller_of(peer, now) == Some(&self.me.node);
            if mine && self.absences.told.insert(peer.incarnation, peer.clone()).is_none() {
                effects.push(Effect::NodeLost(peer.clone()));
            }
        }
    }
}
