//! Places of which there are so many and no more, and how many may change while some are taken.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::watch;

use crate::config::Limits;

/// The places that a limit gives. Cheap to clone; all clones are one.
#[derive(Debug, Clone)]
pub(crate) struct Places {
    limits: watch::Receiver<Limits>,
    limit: fn(&Limits) -> usize,
    taken: Arc<AtomicUsize>,
}

/// A place; given back when dropped.
#[derive(Debug)]
pub(crate) struct Place(Arc<AtomicUsize>);

impl Places {
    /// As many places as `limit` is of the limits that hold.
    pub(crate) fn new(limits: watch::Receiver<Limits>, limit: fn(&Limits) -> usize) -> Self {
        Self { limits, limit, taken: Arc::new(AtomicUsize::new(0)) }
    }

    /// A place, if one is left. Who has one keeps it, though there may be fewer by now.
    pub(crate) fn take(&self) -> Option<Place> {
        let limit = self.limit();
        let more = |taken| (taken < limit).then_some(taken + 1);
        let taken = self.taken.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more);
        taken.is_ok().then(|| Place(Arc::clone(&self.taken)))
    }

    /// Whether a place is left.
    pub(crate) fn are_left(&self) -> bool {
        self.taken.load(Ordering::Relaxed) < self.limit()
    }

    fn limit(&self) -> usize {
        (self.limit)(&self.limits.borrow())
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lower_limit_takes_no_place_away_and_gives_none_until_there_are_fewer() {
        let viewers = |viewers| Limits { viewers, ..Limits::default() };
        let (limits, seen) = watch::channel(viewers(2));
        let places = Places::new(seen, |limits| limits.viewers);
        let (first, second) = (places.take().unwrap(), places.clone().take().unwrap());
        assert!(places.take().is_none() && !places.are_left());
        limits.send_replace(viewers(1));
        drop(first);
        assert!(places.take().is_none(), "one is still taken");
        drop(second);
        let third = places.take().unwrap();
        assert!(places.take().is_none());
        limits.send_replace(viewers(5));
        assert!(places.take().is_some());
        drop(third);
        limits.send_replace(viewers(0));
        assert!(places.take().is_none());
    }
}
