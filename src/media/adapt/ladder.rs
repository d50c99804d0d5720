//! The steps between a publisher's lowest and highest quality, and what each costs.

use std::time::{Duration, Instant};

use crate::protocol::media::Layers;

/// Layers that arrive from the publisher now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::media) struct Rate {
    pub(super) layers: Layers,
    /// Bits per second of these layers with all that they build on.
    pub(in crate::media) bitrate: u64,
}

/// A quality that a viewer can be sent.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Step {
    pub(super) layers: Layers,
    /// Bits per second; of what varies, rather more than less.
    pub(super) bitrate: f64,
}

/// How much a frame rate must add to be a step of its own.
const WORTH: f64 = 1.05;
/// How fast a past peak is forgotten: this part of it is left after a second.
const KEPT: f64 = 0.95;

/// The steps, lowest first. A layer that doesn't arrive is none.
#[derive(Debug, Clone, Default)]
pub(super) struct Ladder {
    steps: Vec<Step>,
    noted: Option<Instant>,
}

impl Ladder {
    /// Takes what arrives now. The lowest picture comes in all its frame rates, a higher one in its two highest:
    /// the second is a step in between.
    pub(super) fn note(&mut self, rates: &[Rate], now: Instant) {
        let past = self.noted.map_or(Duration::ZERO, |at| now.saturating_duration_since(at));
        let kept = KEPT.powf(past.as_secs_f64());
        let mut live: Vec<_> = rates.iter().filter(|rate| rate.bitrate > 0).copied().collect();
        live.sort_by_key(|rate| rate.layers);
        let lowest = live.first().map(|rate| rate.layers.spatial);
        let mut steps = Vec::<Step>::new();
        for picture in live.chunk_by(|a, b| a.layers.spatial == b.layers.spatial) {
            let mut own = Vec::<Step>::new();
            for rate in picture {
                let bitrate = rate.bitrate as f64;
                if own.last().is_none_or(|below| bitrate > below.bitrate * WORTH) {
                    own.push(Step { layers: rate.layers, bitrate });
                }
            }
            let all = picture.first().map(|rate| rate.layers.spatial) == lowest;
            let skipped = if all { 0 } else { own.len().saturating_sub(2) };
            steps.extend(own.into_iter().skip(skipped));
        }
        for step in &mut steps {
            let before = self.steps.iter().find(|old| old.layers == step.layers);
            step.bitrate = before.map_or(step.bitrate, |old| step.bitrate.max(old.bitrate * kept));
        }
        (self.steps, self.noted) = (steps, Some(now));
    }

    pub(super) fn get(&self, layers: Layers) -> Option<Step> {
        self.steps.iter().find(|step| step.layers == layers).copied()
    }

    pub(super) fn lowest(&self) -> Option<Step> {
        self.steps.first().copied()
    }

    pub(super) fn highest(&self) -> Option<Step> {
        self.steps.last().copied()
    }

    /// The step itself, else the one next below it, else the lowest.
    pub(super) fn nearest(&self, layers: Layers) -> Option<Step> {
        self.steps.iter().rfind(|step| step.layers <= layers).copied().or(self.lowest())
    }

    /// The highest step that costs no more, else the lowest.
    pub(super) fn within(&self, bitrate: f64) -> Option<Step> {
        self.steps.iter().rfind(|step| step.bitrate <= bitrate).copied().or(self.lowest())
    }

    /// The highest step below this one that costs no more, else the lowest; none below the lowest.
    pub(super) fn below(&self, layers: Layers, bitrate: f64) -> Option<Step> {
        let lower = || self.steps.iter().filter(|step| step.layers < layers);
        lower().rfind(|step| step.bitrate <= bitrate).or(lower().next()).copied()
    }

    /// Where to go from a step: the next picture in full first, or the step in between if `cautious`.
    pub(super) fn above(&self, layers: Layers, cautious: bool) -> impl Iterator<Item = Step> {
        let next = self.steps.iter().find(|step| step.layers > layers).copied();
        let full = next.and_then(|next| {
            self.steps.iter().rfind(|step| step.layers.spatial == next.layers.spatial).copied()
        });
        let (first, second) = if cautious { (next, full) } else { (full, next) };
        first.into_iter().chain(second.filter(|_| full != next))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rate(spatial: u8, temporal: u8, bitrate: u64) -> Rate {
        Rate { layers: Layers { spatial, temporal }, bitrate }
    }

    fn shape(ladder: &Ladder) -> Vec<(u8, u8)> {
        ladder.steps.iter().map(|step| (step.layers.spatial, step.layers.temporal)).collect()
    }

    #[test]
    fn frame_rates_are_steps_where_they_differ_and_silent_layers_are_none() {
        let mut ladder = Ladder::default();
        let now = Instant::now();
        let pictures = [(0, 100), (1, 500), (2, 2000)];
        let rates =
            pictures.map(|(s, full)| [rate(s, 0, full / 2), rate(s, 1, full * 3 / 4), rate(s, 2, full)]);
        ladder.note(&rates.concat(), now);
        assert_eq!(shape(&ladder), [(0, 0), (0, 1), (0, 2), (1, 1), (1, 2), (2, 1), (2, 2)]);
        ladder.note(&[rate(0, 0, 100), rate(0, 1, 100), rate(1, 0, 500), rate(2, 0, 0)], now);
        assert_eq!(shape(&ladder), [(0, 0), (1, 0)]);
    }

    #[test]
    fn the_way_up_is_the_next_picture_in_full_or_the_step_in_between() {
        let mut ladder = Ladder::default();
        ladder.note(&[rate(0, 0, 100), rate(1, 1, 350), rate(1, 2, 500)], Instant::now());
        let way = |spatial, temporal, cautious| {
            let above = ladder.above(Layers { spatial, temporal }, cautious);
            above.map(|step| (step.layers.spatial, step.layers.temporal)).collect::<Vec<_>>()
        };
        assert_eq!(way(0, 0, false), [(1, 2), (1, 1)]);
        assert_eq!(way(0, 0, true), [(1, 1), (1, 2)]);
        assert_eq!(way(1, 1, false), [(1, 2)]);
        assert_eq!(way(1, 2, false), []);
    }

    #[test]
    fn a_peak_is_forgotten_slowly() {
        let mut ladder = Ladder::default();
        let now = Instant::now();
        ladder.note(&[rate(0, 0, 1000)], now);
        ladder.note(&[rate(0, 0, 100)], now + Duration::from_secs(1));
        let cost = ladder.lowest().map(|step| step.bitrate);
        assert!(cost.is_some_and(|cost| (900.0..1000.0).contains(&cost)), "{cost:?}");
    }
}
