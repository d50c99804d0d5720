//! What a core is told of the world with every input: it has no clock, no fleet and no dice of its own.

use std::time::Instant;

use chrono::{DateTime, Utc};
use uuid::{Builder, Uuid};

use crate::fleet::Fleet;

/// The world as it is when an input is handled.
#[derive(Debug)]
pub struct Moment<'a> {
    /// Now: what is decided goes by this.
    pub now: Instant,
    /// The wall clock: for people, nothing is decided by it.
    pub wall: DateTime<Utc>,
    /// Who is there.
    pub fleet: &'a Fleet,
    /// Whether the node takes nothing new.
    pub draining: bool,
    /// Which log events go to: another one is told all that holds.
    pub log: u64,
    /// Where fresh ids come from.
    pub mint: &'a mut Mint,
}

/// A source of fresh ids.
#[derive(Debug)]
pub struct Mint {
    random: fn(&mut u128) -> u128,
    state: u128,
}

impl Mint {
    /// A mint that asks `random` for 128 bits each time; `state` is its to change.
    pub fn new(state: u128, random: fn(&mut u128) -> u128) -> Self {
        Self { random, state }
    }

    /// An id that nobody can guess, as far as `random` can't be guessed.
    pub fn id(&mut self) -> Uuid {
        Builder::from_random_bytes((self.random)(&mut self.state).to_be_bytes()).into_uuid()
    }
}
