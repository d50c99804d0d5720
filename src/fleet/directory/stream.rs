//! One stream in the directory: kept small, there may be 100,000.

use std::cmp::Reverse;
use std::sync::Arc;
use std::time::Instant;

use crate::fleet::Notice;
use crate::protocol::claim::{Claim, EndReason};
use crate::protocol::ids::{Peer, RoomId, StreamName};

/// What is known of one stream.
#[derive(Debug)]
pub(super) struct Stream {
    /// The highest term that was ever heard.
    pub(super) term: u64,
    pub(super) holding: Holding,
}

/// The live claims to a stream: one, but for takeovers.
#[derive(Debug)]
pub(super) enum Holding {
    /// None: only the term is remembered, and why the last one is over, until younger ones need the place.
    Nothing { age: u64, ended: Option<EndReason> },
    /// One.
    One(Held),
    /// Of several processes.
    Several(Vec<Held>),
}

/// A live claim.
#[derive(Debug, Clone)]
pub(super) struct Held {
    pub(super) claim: Arc<Claim>,
    /// When its publication was first heard of.
    pub(super) since: Instant,
}

impl Holding {
    /// The claims, in no order.
    pub(super) fn all(&self) -> &[Held] {
        match self {
            Self::Nothing { .. } => &[],
            Self::One(held) => std::slice::from_ref(held),
            Self::Several(held) => held,
        }
    }

    /// The claim of a process.
    pub(super) fn of(&self, origin: &Peer) -> Option<&Held> {
        self.all().iter().find(|held| is_of(&held.claim, origin))
    }

    /// These, with `held` in place of what its process claimed before.
    pub(super) fn with(self, held: Held) -> Self {
        match self.without(&held.claim.origin) {
            Self::Nothing { .. } => Self::One(held),
            Self::One(other) => Self::Several(vec![other, held]),
            Self::Several(mut others) => {
                others.push(held);
                Self::Several(others)
            }
        }
    }

    /// These, without the one of a process; nothing, of no age yet, if it was the last.
    pub(super) fn without(self, origin: &Peer) -> Self {
        const NOTHING: Holding = Holding::Nothing { age: 0, ended: None };
        match self {
            Self::One(held) if is_of(&held.claim, origin) => NOTHING,
            Self::Several(mut held) => {
                held.retain(|held| !is_of(&held.claim, origin));
                match held.len() {
                    0 | 1 => held.pop().map_or(NOTHING, Self::One),
                    _ => Self::Several(held),
                }
            }
            other => other,
        }
    }
}

impl Stream {
    /// What a room is told of it.
    pub(super) fn notice(&self, room: &RoomId, stream: &StreamName) -> Notice {
        let mut held: Vec<&Held> = self.holding.all().iter().collect();
        held.sort_by_key(|held| Reverse((held.claim.rank(), held.claim.origin.incarnation)));
        Notice {
            room: room.clone(),
            stream: stream.clone(),
            since: held.first().map(|held| held.since),
            ended: match &self.holding {
                Holding::Nothing { ended, .. } => *ended,
                _ => None,
            },
            claims: held.into_iter().map(|held| Arc::clone(&held.claim)).collect(),
            term: self.term,
        }
    }
}

fn is_of(claim: &Claim, origin: &Peer) -> bool {
    claim.origin.incarnation == origin.incarnation && claim.origin.node == origin.node
}
