//! The directory by the page: what fits one message.

use std::ops::Bound;
use std::sync::Arc;

use super::{Directory, key, process};
use crate::protocol::claim::Claim;
use crate::protocol::directory::{Place, Whose};
use crate::protocol::ids::{Peer, StreamName};

/// What the message around the claims takes at most, in bytes.
const ENVELOPE: usize = 1_024;
/// What the fields of a claim take at most without what varies, in bytes.
const CLAIM: usize = 300;
/// What a producer takes at most without its codec's name, in bytes.
const PRODUCER: usize = 85;

impl Directory {
    /// Live claims behind `after`, in their order, as many as `max_bytes` hold but at least one; and
    /// where the next page begins.
    pub fn page(
        &self,
        of: Whose,
        me: &Peer,
        after: Option<&Place>,
        max_bytes: usize,
    ) -> (Vec<Claim>, Option<Place>) {
        let (mut page, mut bytes) = (Vec::new(), ENVELOPE);
        let mut last = None;
        for claim in self.ordered(of, me, after) {
            bytes = bytes.saturating_add(size(&claim));
            if bytes > max_bytes && last.is_some() {
                return (page, last);
            }
            last = Some(place(&claim));
            page.push(Claim::clone(&claim));
        }
        (page, None)
    }

    fn ordered<'a>(
        &'a self,
        of: Whose,
        me: &'a Peer,
        after: Option<&'a Place>,
    ) -> Box<dyn Iterator<Item = Arc<Claim>> + 'a> {
        let from = after.map(|place| (place.room_id.clone(), place.stream.clone()));
        let is_behind = move |claim: &Arc<Claim>| after.is_none_or(|after| place(claim) > *after);
        match of {
            Whose::Own => {
                let own = self.processes.get(&process(me)).map(|own| own.claims.from(from.as_ref()));
                Box::new(own.into_iter().flatten().filter(move |claim| is_behind(claim)).cloned())
            }
            Whose::All => {
                let range = (from.map_or(Bound::Unbounded, Bound::Included), Bound::Unbounded);
                Box::new(self.streams.range(range).flat_map(move |(_, stream)| {
                    let claims = stream.holding.all().iter().map(|held| Arc::clone(&held.claim));
                    let mut claims: Vec<_> = claims.filter(is_behind).collect();
                    claims.sort_by_key(|claim| claim.origin.incarnation);
                    claims
                }))
            }
        }
    }

    /// The own claims of a process in a part of their order: behind `after`, up to and with `upto`.
    pub(super) fn between(&self, of: &Peer, after: Option<&Place>, upto: Option<&Place>) -> Vec<Arc<Claim>> {
        self.ordered(Whose::Own, of, after).take_while(|claim| is_upto(claim, upto)).collect()
    }
}

/// Whether a claim belongs on a page behind `after`, up to and with `upto`.
pub(super) fn is_within(claim: &Claim, after: Option<&Place>, upto: Option<&Place>) -> bool {
    after.is_none_or(|after| place(claim) > *after) && is_upto(claim, upto)
}

fn is_upto(claim: &Claim, upto: Option<&Place>) -> bool {
    upto.is_none_or(|upto| place(claim) <= *upto)
}

/// Where a claim is in the order of claims.
fn place(claim: &Claim) -> Place {
    let (room_id, stream): (_, StreamName) = key(claim);
    Place { room_id, stream, origin: claim.origin.incarnation }
}

/// The bytes that a claim takes in a message, or a few more.
fn size(claim: &Claim) -> usize {
    let names = [
        claim.room_id.as_str(),
        claim.stream.as_str(),
        claim.origin.node.as_str(),
        claim.origin.region.as_str(),
    ];
    let producers = claim.producers.iter().map(|producer| PRODUCER + producer.mime_type.len());
    let path = claim.path.iter().map(|node| 2 + node.as_str().len());
    CLAIM
        + names.iter().map(|name| name.len()).sum::<usize>()
        + producers.sum::<usize>()
        + path.sum::<usize>()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fleet::samples::claim;
    use crate::protocol::codec;
    use proptest::prelude::*;
    use std::time::Instant;

    proptest! {
        #[test]
        fn no_claim_takes_more_than_it_is_thought_to(
            room in "[a-z]{1,64}", stream in "[a-z]{1,64}", node in "[a-z]{1,64}",
            term in any::<u64>(), producers in 0usize..64, path in proptest::collection::vec("[a-z]{1,64}", 0..16),
        ) {
            let mut claim = claim(&room, &stream, &node, 1, term);
            claim.term = term;
            claim.started_at = chrono::DateTime::from_timestamp(1_764_100_000, 123_456_789).unwrap();
            claim.path = path.iter().map(|node| node.parse().unwrap()).collect();
            let producer = claim.producers[0].clone();
            claim.producers.resize(producers, producer);
            let bytes = codec::encode(&claim).unwrap().len();
            prop_assert!(bytes <= size(&claim), "{} > {}", bytes, size(&claim));
            prop_assert!(size(&claim) < bytes + 300);
        }

        #[test]
        fn all_pages_together_are_all_claims_in_order(
            claims in proptest::collection::btree_set(("[a-c]{1,2}", "[a-c]{1}", "[a-c]{1}"), 0..30),
            own in "[a-c]{1}",
            max_bytes in 0usize..8_000,
        ) {
            let mut directory = Directory::default();
            for (revision, (room, stream, node)) in (1..).zip(&claims) {
                directory.hear(claim(room, stream, node, 1, revision), Instant::now());
            }
            let me = claim("r", "s", &own, 1, 1).origin;
            for of in [Whose::All, Whose::Own] {
                let (mut all, mut after): (Vec<Claim>, _) = (Vec::new(), None);
                loop {
                    let (page, next) = directory.page(of, &me, after.as_ref(), max_bytes);
                    prop_assert!(page.len() == 1 || ENVELOPE + page.iter().map(size).sum::<usize>() <= max_bytes.max(ENVELOPE));
                    all.extend(page);
                    after = next;
                    if after.is_none() {
                        break;
                    }
                }
                let of_me = claims.iter().filter(|(_, _, node)| *node == own).count();
                prop_assert_eq!(all.len(), if of == Whose::All { claims.len() } else { of_me });
                prop_assert!(all.is_sorted_by(|a, b| place(a) < place(b)));
            }
        }
    }
}
