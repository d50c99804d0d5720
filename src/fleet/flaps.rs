//! Names whose processes are lost again and again. Pure: time is an argument.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::protocol::ids::NodeName;

/// So many losses…
const LOSSES: usize = 3;
/// …within so long make a name flap…
const WITHIN: Duration = Duration::from_secs(60);
/// …for so long after the last of them.
const DAMPED: Duration = Duration::from_secs(300);
/// How many names are remembered.
const NAMES: usize = 4_096;

/// What was lost lately, by name.
#[derive(Debug, Clone, Default)]
pub(super) struct Flaps(BTreeMap<NodeName, Flap>);

#[derive(Debug, Clone)]
struct Flap {
    /// The latest losses, at most [`LOSSES`], the last one last.
    losses: Vec<Instant>,
    until: Option<Instant>,
}

impl Flaps {
    /// A process of that name was lost.
    pub(super) fn lost(&mut self, node: &NodeName, now: Instant) {
        if !self.0.contains_key(node) && self.0.len() >= NAMES {
            // The one that is nearest to being forgotten anyway.
            let oldest = self.0.iter().min_by_key(|(_, flap)| (flap.until, flap.losses.last().copied()));
            oldest.map(|(name, _)| name.clone()).map(|name| self.0.remove(&name));
        }
        let flap = self.0.entry(node.clone()).or_insert(Flap { losses: Vec::new(), until: None });
        flap.losses.retain(|at| now.saturating_duration_since(*at) <= WITHIN);
        flap.losses.push(now);
        if flap.losses.len() >= LOSSES {
            flap.losses.remove(0);
            flap.until = Some(now + DAMPED);
        }
    }

    /// Whether a name was lost too often lately.
    pub(super) fn is_flapping(&self, node: &NodeName, now: Instant) -> bool {
        self.0.get(node).and_then(|flap| flap.until).is_some_and(|until| now < until)
    }

    /// Forgets what counts no longer.
    pub(super) fn forget(&mut self, now: Instant) {
        self.0.retain(|_, flap| {
            let recent = |at: &Instant| now.saturating_duration_since(*at) <= WITHIN;
            flap.until.is_some_and(|until| now < until) || flap.losses.last().is_some_and(recent)
        });
    }
}

#[cfg(test)]
mod tests {
    use super::super::samples::Timeline;
    use super::*;

    #[test]
    fn three_losses_in_a_minute_damp_a_name_for_five() {
        let (at, mut flaps) = (Timeline::new(), Flaps::default());
        let (bad, good) = ("bad".parse().unwrap(), "good".parse().unwrap());
        for s in [0, 50, 61] {
            flaps.lost(&good, at.ms(s * 1_000));
        }
        assert!(!flaps.is_flapping(&good, at.ms(61_000)), "the first was too long ago");
        for s in [0, 30, 60] {
            assert!(!flaps.is_flapping(&bad, at.ms(s * 1_000)));
            flaps.lost(&bad, at.ms(s * 1_000));
        }
        assert!(flaps.is_flapping(&bad, at.ms(60_000)) && flaps.is_flapping(&bad, at.ms(359_000)));
        assert!(!flaps.is_flapping(&bad, at.ms(360_000)));
        flaps.lost(&bad, at.ms(80_000));
        assert!(flaps.is_flapping(&bad, at.ms(379_000)), "five minutes from the last one");
    }

    #[test]
    fn memory_is_bounded_and_what_is_over_is_forgotten() {
        let (at, mut flaps) = (Timeline::new(), Flaps::default());
        let bad = "bad".parse().unwrap();
        for ms in 0..3 {
            flaps.lost(&bad, at.ms(ms));
        }
        for n in 0..2 * NAMES {
            flaps.lost(&format!("n{n}").parse().unwrap(), at.ms(10 + n as u64));
        }
        assert_eq!(flaps.0.len(), NAMES);
        assert!(flaps.is_flapping(&bad, at.ms(20_000)), "once lost, a crowd doesn't push out who flaps");
        flaps.forget(at.ms(100_000));
        assert_eq!(flaps.0.len(), 1);
        flaps.forget(at.ms(301_000));
        assert!(flaps.0.is_empty());
    }
}
