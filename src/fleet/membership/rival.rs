//! One name, one process: which of two goes on.

use std::collections::BTreeSet;
use std::time::Instant;

use super::{Effect, Membership};
use crate::protocol::directory::Claims;
use crate::protocol::ids::{Incarnation, Peer};
use crate::protocol::presence::Phase;

/// A process with as many signs of life as this carries on: its streams are worth more than order.
const ESTABLISHED: u64 = 10;

/// What was told of other processes of our own name.
#[derive(Debug, Default)]
pub(super) struct Rivals {
    /// Whether our name was found taken: that is told once.
    is_taken: bool,
    /// Those with which it is shared, each told once.
    shared: BTreeSet<Incarnation>,
}

impl Rivals {
    /// Forgets all but those.
    pub(super) fn keep(&mut self, known: impl Fn(Incarnation) -> bool) {
        self.shared.retain(|incarnation| known(*incarnation));
    }
}

impl Membership {
    /// A process that may go by our own name said what it does, and how many signs of life it has given.
    ///
    /// One that drains, on either side, is no conflict. Nobody starts beside one that serves. Of two that
    /// started at once, unheard by each other, the older goes on, on both sides by the same comparison.
    pub(super) fn meet_rival(&mut self, peer: &Peer, phase: Phase, number: u64, effects: &mut Vec<Effect>) {
        if peer.node != self.me.node
            || self.is_me(peer)
            || self.phase != Phase::Serving
            || self.rivals.is_taken
        {
            return;
        }
        let is_older = (number, peer.incarnation) > (self.number, self.me.incarnation);
        let is_young = self.number < ESTABLISHED;
        let is_taken = match phase {
            Phase::Serving => !self.is_serving() || (is_young && is_older),
            Phase::Starting => !self.is_serving() && is_older,
            _ => false,
        };
        if is_taken {
            self.rivals.is_taken = true;
            effects.push(Effect::NameTaken(peer.clone()));
        } else if phase == Phase::Serving
            && !is_young
            && number >= ESTABLISHED
            && self.rivals.shared.insert(peer.incarnation)
        {
            effects.push(Effect::NameShared(peer.clone()));
        }
    }

    /// Whether another process serves under our name now.
    pub fn shares_name(&self, now: Instant) -> bool {
        let serving = self.fleet.present(now).filter(|node| node.phase == Phase::Serving);
        let mut others = serving.filter(|node| node.peer.node == self.me.node && !self.is_me(&node.peer));
        self.is_serving() && others.next().is_some()
    }

    /// Whoever goes by our own name answered, or nobody did.
    pub(super) fn name_probed(&mut self, answer: Option<Claims>, effects: &mut Vec<Effect>) {
        if let Some(start) = &mut self.start {
            start.probed();
            if let Some(answer) = answer {
                self.meet_rival(&answer.from, answer.phase, answer.beat.number, effects);
            }
        }
    }
}
