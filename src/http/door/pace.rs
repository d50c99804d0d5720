//! How fast an address may ask.

use std::num::NonZeroU32;
use std::time::Duration;

use governor::clock::{Clock, MonotonicClock};
use governor::nanos::Nanos;
use governor::state::{InMemoryState, NotKeyed, StateStore};
use governor::{Quota, RateLimiter};

use super::addresses::{Cell, Cells};

/// What may come at once, in seconds' worth: the viewers of a company behind one address, or a page with its files.
const BURST: u32 = 10;

/// So much a second from each address.
#[derive(Debug)]
pub(super) struct Pace {
    per_second: u32,
    /// None where there is no limit.
    limiter: Option<RateLimiter<Cell, Cells<InMemoryState>, MonotonicClock>>,
}

impl Pace {
    /// A pace at which everybody may ask; 0 is without limit.
    pub(super) fn new(per_second: u32) -> Self {
        let rate = NonZeroU32::new(per_second);
        let limiter = rate.map(|rate| {
            let burst = NonZeroU32::new(BURST).map_or(rate, |burst| rate.saturating_mul(burst));
            RateLimiter::new(Quota::per_second(rate).allow_burst(burst), Cells::default(), MonotonicClock)
        });
        Self { per_second, limiter }
    }

    pub(super) fn per_second(&self) -> u32 {
        self.per_second
    }

    /// How long whoever asks has to wait before it may ask again; none if it may now.
    pub(super) fn ask(&self, cell: Cell) -> Option<Duration> {
        let limiter = self.limiter.as_ref()?;
        limiter.check_key(&cell).err().map(|until| until.wait_time_from(MonotonicClock.now()))
    }
}

impl StateStore for Cells<InMemoryState> {
    type Key = Cell;

    fn measure_and_replace<T, F, E>(&self, cell: &Cell, decide: F) -> Result<T, E>
    where
        F: Fn(Option<Nanos>) -> Result<(T, Nanos), E>,
    {
        match self.get(*cell) {
            Some(state) => state.measure_and_replace(&NotKeyed::NonKey, decide),
            None => decide(None).map(|(outcome, _)| outcome),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ten_seconds_worth_may_come_at_once_and_then_some_each_second() {
        let pace = Pace::new(2);
        let at_once = (0..100).filter(|_| pace.ask(7).is_none()).count();
        assert_eq!(at_once, 20);
        let wait = pace.ask(7).expect("a wait");
        assert!(wait <= Duration::from_millis(500), "{wait:?}");
        assert_eq!(pace.ask(8), None, "another address");
        assert!((0..100_000).all(|_| Pace::new(0).ask(7).is_none() || unreachable!()));
    }
}
