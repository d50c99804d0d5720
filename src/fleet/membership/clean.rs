//! What holds no longer: the claims of processes that are gone, and who was lost.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::{Effect, Membership};
use crate::fleet::directory::Key;
use crate::protocol::ids::{Incarnation, NodeName, Peer};

/// How often is looked.
const EVERY: Duration = Duration::from_secs(1);
/// After what time a loss is told by another node as well: the first may not have known of the lost one, or what that said
/// to the log later, unheard by the first alone, looks like life.
const AGAIN: Duration = Duration::from_secs(5);
/// How long an absent process is still shown.
const SHOWN: Duration = Duration::from_secs(60);
/// How long the claims of an absent process are kept: all of it holds again when it is heard.
const REMEMBER: Duration = Duration::from_secs(3_600);

/// Who is absent.
#[derive(Debug, Default)]
pub(super) struct Absences {
    next_look: Option<Instant>,
    since: BTreeMap<(NodeName, Incarnation), Instant>,
    /// The lost ones, since when they are, and whether this node has told of them.
    lost: BTreeMap<Incarnation, (Peer, Instant, bool)>,
}

impl Absences {
    /// A process was heard: if it falls silent again, that is told again. Whether it was lost until now.
    pub(super) fn heard(&mut self, peer: &Peer) -> bool {
        self.lost.remove(&peer.incarnation).is_some()
    }
}

impl Membership {
    /// Forgets void claims, and those of who has been absent for very long.
    pub(super) fn clean(&mut self, now: Instant) -> Vec<Key> {
        if self.absences.next_look.is_some_and(|next| now < next) {
            return Vec::new();
        }
        self.absences.next_look = Some(now + EVERY);
        self.fleet.note_losses(now);
        self.fleet.forget(SHOWN, now);
        self.absences.lost.retain(|_, (lost, ..)| self.fleet.process(lost).is_some());
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

    /// Tells of processes that have fallen silent: one of the nodes that are there does it for all, and a second one
    /// later.
    pub(super) fn tell_lost(&mut self, now: Instant, effects: &mut Vec<Effect>) {
        if !self.fleet.hears_itself(now) {
            return;
        }
        for peer in self.fleet.lost(now) {
            let new = || (peer.clone(), now, false);
            let (_, since, told) = self.absences.lost.entry(peer.incarnation).or_insert_with(new);
            let turn = self.fleet.tellers_of(peer, now).position(|teller| *teller == self.me.node);
            let is_due = match turn {
                Some(0) => true,
                Some(_) => now.saturating_duration_since(*since) >= AGAIN,
                None => false,
            };
            if is_due && !std::mem::replace(told, true) {
                effects.push(Effect::NodeLost(peer.clone()));
            }
        }
    }
}
