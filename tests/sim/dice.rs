//! Chance that its seed decides: the same seed, the same run.

use std::time::Duration;

use uuid::{Builder, Uuid};

/// A small generator (splitmix64).
#[derive(Debug, Clone)]
pub struct Dice(u64);

impl Dice {
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x2545_f491_4f6c_dd1d) ^ 0x9e37_79b9_7f4a_7c15)
    }

    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mix(self.0)
    }

    /// Below `limit`, which is not 0.
    pub fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit as u64) as usize
    }

    pub fn chance(&mut self, percent: u64) -> bool {
        self.next() % 100 < percent
    }

    pub fn millis(&mut self, from: u64, to: u64) -> Duration {
        Duration::from_millis(from + self.next() % (to - from))
    }

    /// To the microsecond, as messages travel.
    pub fn micros(&mut self, from: u64, to: u64) -> Duration {
        Duration::from_micros(from + self.next() % (to - from))
    }

    pub fn pick<T: Clone>(&mut self, of: &[T]) -> T {
        of[self.below(of.len())].clone()
    }

    pub fn id(&mut self) -> Uuid {
        Builder::from_random_bytes(self.wide().to_be_bytes()).into_uuid()
    }

    /// What a process start is called: the upper bits are its machine's wall clock.
    pub fn id_at(&mut self, millis: u64) -> Uuid {
        let mut rest = [0; 10];
        rest.copy_from_slice(&self.wide().to_be_bytes()[..10]);
        Builder::from_unix_timestamp_millis(millis, &rest).into_uuid()
    }

    pub fn wide(&mut self) -> u128 {
        (u128::from(self.next()) << 64) | u128::from(self.next())
    }
}

/// What a room's mint asks: its state is a counter behind a number of its own.
pub fn mint(state: &mut u128) -> u128 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835);
    let (high, low) = ((*state >> 64) as u64, *state as u64);
    (u128::from(mix(high ^ low.rotate_left(17))) << 64) | u128::from(mix(low.wrapping_add(high)))
}

fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
