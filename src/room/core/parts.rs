//! Which parts of a stream are asked for: all of it, or the producers that participants here and at other nodes are sent.

use std::collections::{BTreeMap, BTreeSet};

use super::upstream::{Parent, Streams};
use super::wishes::Selection;
use super::{Core, Moment};
use crate::protocol::ids::{Incarnation, ProducerId, StreamName};

impl Core {
    /// Whether a parent was asked for all that is wanted of a stream.
    pub(super) fn has_asked(&self, parent: &Parent, stream: &StreamName) -> bool {
        let asked = match parent.only.get(stream) {
            Some(only) => Selection::Only(only.clone()),
            None => Selection::All,
        };
        let wanted = self.audience.wishes.selection(stream);
        parent.asked.contains_key(stream) && wanted.is_none_or(|wanted| asked.covers(&wanted))
    }

    /// Of which streams a parent is asked for single producers: what is wanted no longer stays as it was.
    pub(super) fn only(
        &self,
        parent: Incarnation,
        streams: &Streams,
    ) -> BTreeMap<StreamName, BTreeSet<ProducerId>> {
        let former = |stream: &StreamName| self.upstream.parents.get(&parent)?.only.get(stream).cloned();
        let of = |stream: &StreamName| match self.audience.wishes.selection(stream) {
            Some(Selection::Only(ids)) => Some((stream.clone(), ids)),
            Some(Selection::All) => None,
            None => Some((stream.clone(), former(stream)?)),
        };
        streams.iter().filter_map(of).collect()
    }

    /// Whether a stream has anything of what is wanted of it: a participant may send nothing.
    pub(super) fn has_wanted(&self, stream: &StreamName, m: &Moment<'_>) -> bool {
        let Some(claim) = self.known.holds(stream, m) else { return true };
        let wanted = self.audience.wishes.selection(stream);
        claim.producers.iter().any(|own| wanted.as_ref().is_none_or(|wanted| wanted.has(own.id)))
    }
}
