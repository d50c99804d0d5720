//! What the room knows of its streams: the directory's notices.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::Moment;
use crate::fleet::Notice;
use crate::protocol::claim::{Claim, EndReason, Rank};
use crate::protocol::ids::{Peer, ProducerId, PublicationId, StreamName};

/// The claims to this room's streams.
#[derive(Debug, Default)]
pub(super) struct Known {
    notices: BTreeMap<StreamName, Notice>,
    /// Raised with each notice.
    changes: u64,
}

impl Known {
    pub(super) fn learn(&mut self, notice: Notice) {
        // The term of a stream that is over stays worth knowing for as long as the room lives.
        self.notices.insert(notice.stream.clone(), notice);
        self.changes += 1;
    }

    pub(super) fn changes(&self) -> u64 {
        self.changes
    }

    fn claims(&self, stream: &StreamName) -> &[Arc<Claim>] {
        self.notices.get(stream).map_or(&[], |notice| notice.claims.as_slice())
    }

    /// The claim that holds: the highest of those whose origin is heard.
    pub(super) fn holds(&self, stream: &StreamName, m: &Moment<'_>) -> Option<&Arc<Claim>> {
        self.claims(stream).iter().find(|claim| !m.fleet.is_absent(&claim.origin, m.now))
    }

    /// The streams that can be watched now.
    pub(super) fn live(&self, m: &Moment<'_>) -> impl Iterator<Item = &StreamName> {
        self.notices.keys().filter(move |stream| self.holds(stream, m).is_some())
    }

    /// The claim of another process than `me` that holds.
    pub(super) fn of_others(&self, stream: &StreamName, me: &Peer, m: &Moment<'_>) -> Option<&Arc<Claim>> {
        let heard = |claim: &&Arc<Claim>| claim.origin != *me && !m.fleet.is_absent(&claim.origin, m.now);
        self.claims(stream).iter().find(heard)
    }

    /// Whether any stream is claimed by another process than `me`, heard or not.
    pub(super) fn has_others(&self, me: &Peer) -> bool {
        self.notices.values().flat_map(|notice| &notice.claims).any(|claim| claim.origin != *me)
    }

    /// Whether the stream is claimed, but by nobody who is heard now.
    pub(super) fn is_unheard(&self, stream: &StreamName, m: &Moment<'_>) -> bool {
        !self.claims(stream).is_empty() && self.holds(stream, m).is_none()
    }

    /// Why a stream is over that nobody claims any more, as its origin said.
    pub(super) fn ended(&self, stream: &StreamName) -> Option<EndReason> {
        self.notices.get(stream)?.ended
    }

    /// The rank of a publication, if it is claimed, heard or not.
    pub(super) fn rank(&self, stream: &StreamName, publication: PublicationId) -> Option<Rank> {
        let claim = self.claims(stream).iter().find(|claim| claim.publication == publication)?;
        Some(claim.rank())
    }

    /// What a publication has, as its origin says; nothing where that isn't known.
    pub(super) fn producers_of(
        &self,
        stream: &StreamName,
        publication: PublicationId,
    ) -> impl Iterator<Item = ProducerId> {
        let claim = self.claims(stream).iter().find(move |claim| claim.publication == publication);
        claim.into_iter().flat_map(|claim| &claim.producers).map(|own| own.id)
    }

    /// The claim that holds of the stream that a producer belongs to.
    pub(super) fn of_producer(&self, id: ProducerId, m: &Moment<'_>) -> Option<&Arc<Claim>> {
        let mut holding = self.notices.keys().filter_map(|stream| self.holds(stream, m));
        holding.find(|claim| claim.producers.iter().any(|own| own.id == id))
    }

    /// Whether anybody claims that a stream has a producer, heard or not.
    pub(super) fn claims_producer(&self, stream: &StreamName, id: ProducerId) -> bool {
        self.claims(stream).iter().any(|claim| claim.producers.iter().any(|own| own.id == id))
    }

    /// Whether anybody has come by the session API, on any node.
    pub(super) fn has_participants(&self) -> bool {
        self.notices.values().flat_map(|notice| &notice.claims).any(|claim| claim.participant)
    }

    /// Whether another process than `me` that is heard lets nobody new in.
    pub(super) fn locks(&self, me: &Peer, m: &Moment<'_>) -> bool {
        let claims = self.notices.values().flat_map(|notice| &notice.claims);
        let mut locking = claims.filter(|claim| claim.locks && claim.origin != *me);
        locking.any(|claim| !m.fleet.is_absent(&claim.origin, m.now))
    }

    /// Whether a publication's origin says that media comes from its publisher.
    pub(super) fn is_flowing(&self, stream: &StreamName, publication: PublicationId) -> Option<bool> {
        let claim = self.claims(stream).iter().find(|claim| claim.publication == publication)?;
        Some(claim.flowing)
    }

    /// The highest term that was heard of the stream.
    pub(super) fn term(&self, stream: &StreamName) -> u64 {
        self.notices.get(stream).map_or(0, |notice| notice.term)
    }

    /// For how long the first claim's publication has been known here.
    pub(super) fn age(&self, stream: &StreamName, now: Instant) -> Option<Duration> {
        let since = self.notices.get(stream)?.since?;
        Some(now.saturating_duration_since(since))
    }
}
