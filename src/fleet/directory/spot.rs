//! A process's claims in their order, each by nothing but a pointer: there may be 100,000.

use std::borrow::Borrow;
use std::cmp::Ordering;
use std::collections::BTreeSet;
use std::ops::Bound;
use std::sync::Arc;

use super::Key;
use crate::protocol::claim::Claim;
use crate::protocol::ids::{RoomId, StreamName};

/// Claims by room and stream.
#[derive(Debug, Default)]
pub(super) struct Spots(BTreeSet<Spot>);

#[derive(Debug)]
struct Spot(Arc<Claim>);

impl Spots {
    /// Holds a claim, in place of the former one to that stream.
    pub(super) fn put(&mut self, claim: Arc<Claim>) {
        self.0.replace(Spot(claim));
    }

    /// Holds the claim to a stream no more.
    pub(super) fn remove(&mut self, stream: &Key) {
        self.0.remove(stream as &dyn At);
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// Those from a stream on, or all.
    pub(super) fn from(&self, stream: Option<&Key>) -> impl Iterator<Item = &Arc<Claim>> + use<'_> {
        let from = stream.map_or(Bound::Unbounded, |stream| Bound::Included(stream as &dyn At));
        self.0.range::<dyn At, _>((from, Bound::Unbounded)).map(|spot| &spot.0)
    }
}

/// What has a place in the order.
trait At {
    fn at(&self) -> (&RoomId, &StreamName);
}

impl At for Spot {
    fn at(&self) -> (&RoomId, &StreamName) {
        (&self.0.room_id, &self.0.stream)
    }
}

impl At for Key {
    fn at(&self) -> (&RoomId, &StreamName) {
        (&self.0, &self.1)
    }
}

impl<'a> Borrow<dyn At + 'a> for Spot {
    fn borrow(&self) -> &(dyn At + 'a) {
        self
    }
}

impl Ord for dyn At + '_ {
    fn cmp(&self, other: &Self) -> Ordering {
        self.at().cmp(&other.at())
    }
}

impl PartialOrd for dyn At + '_ {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for dyn At + '_ {
    fn eq(&self, other: &Self) -> bool {
        self.at() == other.at()
    }
}

impl Eq for dyn At + '_ {}

impl Ord for Spot {
    fn cmp(&self, other: &Self) -> Ordering {
        self.at().cmp(&other.at())
    }
}

impl PartialOrd for Spot {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Spot {
    fn eq(&self, other: &Self) -> bool {
        self.at() == other.at()
    }
}

impl Eq for Spot {}
