//! Rooms that are pushed: they are opened here as soon as one of their streams is live elsewhere.

use std::collections::BTreeSet;
use std::time::Instant;

use super::{Effect, Membership};
use crate::fleet::directory::Key;
use crate::protocol::ids::RoomId;
use crate::protocol::presence::Role;

/// The rooms that are pushed here and have live streams.
#[derive(Debug, Default)]
pub(super) struct Pushed(BTreeSet<RoomId>);

impl Membership {
    /// Takes note of changed streams.
    pub(super) fn note_pushed(&mut self, changed: &BTreeSet<Key>) {
        let Self { profile, me, pushed, .. } = self;
        if profile.roles.contains(&Role::Edge) {
            let pushes = |room: &&RoomId| profile.pushes.pushes(room, &me.region);
            pushed.0.extend(changed.iter().map(|(room, _)| room).filter(pushes).cloned());
        }
    }

    /// Has the pushed rooms opened that aren't, as long as another node that is there claims a stream of them.
    pub(super) fn carry_pushed(&mut self, now: Instant, effects: &mut Vec<Effect>) {
        let Self { pushed, followed, directory, fleet, me, .. } = self;
        pushed.0.retain(|room| {
            let known = directory.known(room);
            let mut claims = known.iter().flat_map(|notice| &notice.claims).peekable();
            let is_live = claims.peek().is_some();
            let elsewhere =
                claims.any(|claim| claim.origin.node != me.node && !fleet.is_absent(&claim.origin, now));
            if elsewhere && !followed.contains(room) {
                effects.push(Effect::Carry(room.clone()));
            }
            is_live
        });
    }
}
