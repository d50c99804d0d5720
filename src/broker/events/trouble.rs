//! What keeps the log from being written: told once, then now and then. Pure: time is an argument.

use std::time::{Duration, Instant};

/// After what time the same trouble is told again.
const AGAIN: Duration = Duration::from_secs(300);
/// How many different troubles are told in that time.
const MOST: usize = 8;
/// The first and the longest pause after a failure.
const PAUSE: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(2));

/// The troubles since the log was last written.
#[derive(Debug, Default)]
pub(super) struct Trouble {
    told: Vec<(String, Instant)>,
    failures: u32,
}

impl Trouble {
    /// It failed again: answers whether that is to be told, as the reason is new or was told long ago.
    pub(super) fn failed(&mut self, why: &str, now: Instant) -> bool {
        self.failures = self.failures.saturating_add(1);
        self.told.retain(|(_, at)| now.duration_since(*at) < AGAIN);
        if self.told.len() >= MOST || self.told.iter().any(|(told, _)| told == why) {
            return false;
        }
        self.told.push((why.to_owned(), now));
        true
    }

    /// It is over: answers whether it had been told.
    pub(super) fn is_over(&mut self) -> bool {
        !std::mem::take(self).told.is_empty()
    }

    /// How long to wait before trying again.
    pub(super) fn pause(&self) -> Duration {
        let doublings = self.failures.saturating_sub(1).min(8);
        (PAUSE.0 * 2_u32.pow(doublings)).min(PAUSE.1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_trouble_is_told_once_in_five_minutes_and_its_end_is_told() {
        let (mut trouble, start) = (Trouble::default(), Instant::now());
        let at = |second| start + Duration::from_secs(second);
        assert!(!trouble.is_over(), "there was none");
        assert!(trouble.failed("overlap", at(0)));
        let again = (1..300).filter(|second| trouble.failed("overlap", at(*second))).count();
        assert_eq!(again, 0);
        assert!(trouble.failed("timed out", at(299)), "another trouble");
        assert!(trouble.failed("overlap", at(300)));
        assert!(trouble.is_over());
        assert!(trouble.failed("overlap", at(301)), "it began anew");
    }

    #[test]
    fn trouble_of_ever_other_words_is_told_a_few_times_only() {
        let (mut trouble, now) = (Trouble::default(), Instant::now());
        assert_eq!((0..100).filter(|n| trouble.failed(&n.to_string(), now)).count(), MOST);
        assert_eq!(trouble.told.len(), MOST);
    }

    #[test]
    fn pauses_grow_to_two_seconds() {
        let (mut trouble, now) = (Trouble::default(), Instant::now());
        let mut pauses = Vec::new();
        for _ in 0..20 {
            trouble.failed("x", now);
            pauses.push(trouble.pause());
        }
        assert_eq!(pauses[0], PAUSE.0);
        assert_eq!(pauses[19], PAUSE.1);
        assert!(pauses.is_sorted());
    }
}
