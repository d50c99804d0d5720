//! Which events of a source were folded in.

use serde::{Deserialize, Serialize};

/// The most gaps that are told apart: then the oldest counts as seen.
const MAX_RANGES: usize = 1024;

/// A set of event ids of one process, as ranges: mostly one, as ids are handed out without gaps.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Seen {
    /// First and last of each, ascending, never touching.
    ranges: Vec<(u64, u64)>,
}

impl Seen {
    /// Adds an id, and tells whether it is new.
    pub(crate) fn insert(&mut self, id: u64) -> bool {
        match self.ranges.last_mut() {
            Some((_, last)) if id <= *last => return self.insert_between(id),
            Some((_, last)) if id - *last == 1 => *last = id,
            _ => self.ranges.push((id, id)),
        }
        self.bound();
        true
    }

    fn insert_between(&mut self, id: u64) -> bool {
        let at = self.ranges.partition_point(|(_, last)| *last < id);
        let Some((first, _)) = self.ranges.get(at).copied() else { return false };
        if first <= id {
            return false;
        }
        let follows = at.checked_sub(1).and_then(|before| self.ranges.get(before)).map(|(_, last)| *last);
        match (follows.is_some_and(|last| id - last == 1), first - id == 1) {
            (true, true) => {
                let (_, end) = self.ranges.remove(at);
                self.set_last(at - 1, end);
            }
            (true, false) => self.set_last(at - 1, id),
            (false, true) => {
                if let Some((first, _)) = self.ranges.get_mut(at) {
                    *first = id;
                }
            }
            (false, false) => self.ranges.insert(at, (id, id)),
        }
        self.bound();
        true
    }

    fn set_last(&mut self, at: usize, to: u64) {
        if let Some((_, last)) = self.ranges.get_mut(at) {
            *last = to;
        }
    }

    fn bound(&mut self) {
        if self.ranges.len() > MAX_RANGES {
            let (first, _) = self.ranges.remove(0);
            if let Some(oldest) = self.ranges.first_mut() {
                oldest.0 = first;
            }
        }
    }

    /// Forgets all.
    pub(crate) fn clear(&mut self) {
        self.ranges = Vec::new();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    proptest! {
        #[test]
        fn it_is_a_set_in_any_order(ids in proptest::collection::vec(1u64..60, 0..200)) {
            let (mut seen, mut model) = (Seen::default(), BTreeSet::new());
            for id in ids {
                prop_assert_eq!(seen.insert(id), model.insert(id), "{}", id);
            }
            for pair in seen.ranges.windows(2) {
                prop_assert!(pair[0].1 + 1 < pair[1].0, "{:?}", seen);
            }
        }
    }

    #[test]
    fn its_size_is_bounded_and_newer_gaps_stay() {
        let mut seen = Seen::default();
        for id in 1..=5_000 {
            assert!(seen.insert(id * 2));
        }
        assert_eq!(seen.ranges.len(), MAX_RANGES);
        assert!(seen.insert(9_999), "a recent gap is still open");
        assert!(!seen.insert(3), "the oldest gaps count as seen");
    }
}
