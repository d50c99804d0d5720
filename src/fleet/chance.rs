//! Chance that its seed decides: the same seed, the same run.

use std::time::Duration;

/// A small generator (splitmix64): for jitter and choice, not for secrets.
#[derive(Debug, Clone)]
pub(super) struct Chance(u64);

impl Chance {
    /// A generator that `seed` decides.
    pub(super) fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// A duration below `limit`, to the millisecond.
    pub(super) fn within(&mut self, limit: Duration) -> Duration {
        let millis = u64::try_from(limit.as_millis()).unwrap_or(u64::MAX);
        Duration::from_millis(self.next().checked_rem(millis).unwrap_or(0))
    }

    /// One of them; none of none.
    pub(super) fn one_of<T>(&mut self, mut of: Vec<T>) -> Option<T> {
        let index = usize::try_from(self.next().checked_rem(of.len() as u64)?).ok()?;
        (index < of.len()).then(|| of.swap_remove(index))
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}
