//! The fixed hash: the same in every build and version, because nodes of different ones compare it.

use std::hash::Hasher;

use siphasher::sip::SipHasher13;

use crate::protocol::claim::Claim;
use crate::protocol::gate::Bar;
use crate::protocol::ids::{NodeName, RoomId, StreamName};
use crate::protocol::presence::Beat;

/// The keys are part of the protocol: another pair and no two nodes agree.
const CLAIM_KEYS: (u64, u64) = (0x6865_6164_7761_7465, 0x7220_636c_6169_6d73);
const BAR_KEYS: (u64, u64) = (0x6865_6164_7761_7465, 0x7220_6261_7273_2e2e);
const WEIGHT_KEYS: (u64, u64) = (0x6865_6164_7761_7465, 0x7220_7765_6967_6874);

/// Claims of one process in two figures, whatever the order in which they came.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Digest {
    /// How many claims.
    pub count: u32,
    /// The sum of their hashes.
    pub sum: u64,
}

impl Digest {
    /// One more claim.
    pub fn add(&mut self, claim: &Claim) {
        self.count = self.count.saturating_add(1);
        self.sum = self.sum.wrapping_add(of(claim));
    }

    /// One claim less, of those that were added.
    pub fn remove(&mut self, claim: &Claim) {
        self.count = self.count.saturating_sub(1);
        self.sum = self.sum.wrapping_sub(of(claim));
    }

    /// Whether these are the claims of which a beat tells.
    pub fn matches(&self, beat: &Beat) -> bool {
        self.count == beat.claims && self.sum == beat.digest
    }
}

/// The hash of a live claim: of what identifies it, so that later versions may say more.
pub fn of(claim: &Claim) -> u64 {
    let mut bytes = Vec::with_capacity(192);
    text(&mut bytes, claim.room_id.as_str());
    text(&mut bytes, claim.stream.as_str());
    bytes.extend_from_slice(claim.origin.incarnation.0.as_bytes());
    bytes.extend_from_slice(&claim.term.to_le_bytes());
    bytes.extend_from_slice(claim.publication.0.as_bytes());
    bytes.extend_from_slice(&claim.revision.to_le_bytes());
    hash(CLAIM_KEYS, &bytes)
}

/// The hash of a bar.
pub fn of_bar(bar: &Bar) -> u64 {
    let mut bytes = Vec::with_capacity(128);
    text(&mut bytes, bar.token.kind());
    text(&mut bytes, bar.token.value());
    bytes.extend_from_slice(&bar.until.timestamp_millis().to_le_bytes());
    bytes.push(u8::from(bar.lifted));
    bytes.extend_from_slice(&bar.version.to_le_bytes());
    hash(BAR_KEYS, &bytes)
}

/// How much a node is preferred for a stream (rendezvous hashing): streams spread over the nodes, and
/// few move when one comes or goes.
pub fn weight(room: &RoomId, stream: &StreamName, node: &NodeName) -> u64 {
    weights(room, stream)(node)
}

/// How much each node is preferred for a stream; see [`weight`].
pub fn weights(room: &RoomId, stream: &StreamName) -> impl Fn(&NodeName) -> u64 + use<> {
    let of_stream = then(then(weigher(), room.as_str()), stream.as_str());
    move |node| then(of_stream, node.as_str()).finish()
}

/// How much a node is preferred as the source of `asker`: those who ask spread over those that have it.
pub fn spread(asker: &NodeName, node: &NodeName) -> u64 {
    then(then(weigher(), asker.as_str()), node.as_str()).finish()
}

fn weigher() -> SipHasher13 {
    SipHasher13::new_with_keys(WEIGHT_KEYS.0, WEIGHT_KEYS.1)
}

/// The hash goes on with a text, as [`text`] has it.
fn then(mut hasher: SipHasher13, text: &str) -> SipHasher13 {
    hasher.write(&(text.len() as u64).to_le_bytes());
    hasher.write(text.as_bytes());
    hasher
}

fn hash((first, second): (u64, u64), bytes: &[u8]) -> u64 {
    SipHasher13::new_with_keys(first, second).hash(bytes)
}

/// Its length goes first, so that no two rows of names have the same bytes.
fn text(bytes: &mut Vec<u8>, text: &str) {
    bytes.extend_from_slice(&(text.len() as u64).to_le_bytes());
    bytes.extend_from_slice(text.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::super::samples::claim;
    use super::*;
    use uuid::Uuid;

    #[test]
    fn the_hash_never_changes() {
        let claim = claim("ch-11", "main", "a", 3, 7);
        assert_eq!(of(&claim), 16_823_770_986_679_889_625);
        let weight = |node: &str| weight(&claim.room_id, &claim.stream, &node.parse().unwrap());
        assert_eq!((weight("a"), weight("b")), (14_296_528_812_409_228_696, 3_155_657_059_832_818_813));
    }

    #[test]
    fn every_identifying_part_counts_and_nothing_else() {
        let first = claim("ch-11", "main", "a", 3, 7);
        let mut others = vec![first.clone(); 6];
        others[0].room_id = "ch-1".parse().unwrap();
        others[1].stream = "1main".parse().unwrap();
        others[2].term = 4;
        others[3].revision = 8;
        others[4].publication.0 = Uuid::from_u128(99);
        others[5].origin.incarnation.0 = Uuid::from_u128(99);
        assert!(others.iter().all(|other| of(other) != of(&first)));
        let mut same = first.clone();
        same.producers.clear();
        same.flowing = !same.flowing;
        assert_eq!(of(&same), of(&first));
    }

    #[test]
    fn the_order_of_claims_does_not_count() {
        let claims: Vec<_> = (1..9).map(|n| claim("r", "main", "a", n, n)).collect();
        let (mut there, mut back) = (Digest::default(), Digest::default());
        claims.iter().for_each(|claim| there.add(claim));
        claims.iter().rev().for_each(|claim| back.add(claim));
        assert_eq!(there, back);
        claims.iter().for_each(|claim| there.remove(claim));
        assert_eq!(there, Digest::default());
    }
}
