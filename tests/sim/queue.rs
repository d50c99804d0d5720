//! What is going to happen, in its order. What is far away is only put by, so that but little has to be kept sorted.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::time::Duration;

use crate::world::{At, Event};

/// What happens within this long is sorted together.
const SLOT: Duration = Duration::from_millis(16);

#[derive(Default)]
pub struct Queue {
    /// All before `slot`.
    near: BinaryHeap<Reverse<Entry>>,
    slot: u128,
    far: BTreeMap<u128, Vec<Entry>>,
    /// How much was ever put in: of what happens at one moment the first comes first.
    order: u64,
}

struct Entry {
    at: At,
    order: u64,
    event: Box<Event>,
}

impl Ord for Entry {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.at, self.order).cmp(&(other.at, other.order))
    }
}

impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Entry {}

impl Queue {
    pub fn push(&mut self, at: At, event: Event) {
        self.order += 1;
        let entry = Entry { at, order: self.order, event: Box::new(event) };
        let slot = at.as_millis() / SLOT.as_millis();
        match slot < self.slot {
            true => self.near.push(Reverse(entry)),
            false => self.far.entry(slot).or_default().push(entry),
        }
    }

    /// What happens next, if it does by then.
    pub fn pop(&mut self, until: At) -> Option<(At, Event)> {
        if self.near.is_empty() {
            let (slot, entries) = self.far.pop_first()?;
            self.slot = slot + 1;
            self.near.extend(entries.into_iter().map(Reverse));
        }
        if self.near.peek()?.0.at > until {
            return None;
        }
        let Reverse(Entry { at, event, .. }) = self.near.pop()?;
        Some((at, *event))
    }
}
