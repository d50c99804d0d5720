//! Which layers of a video a viewer is sent, decided from what its receiver reports: a value without clock, worker
//! or dice.
//!
//! Down at once, and as far as what gets through tells; up by trying: the next step is sent for three seconds and
//! kept if neither loss nor queue show, else it is left at once and remembered, with a wait that grows.

use std::time::{Duration, Instant};

use super::ladder::{Ladder, Rate, Step};
use super::link::{Condition, Counters, Link};
use super::memory::Memory;
use crate::protocol::media::{AdaptState, Layers};

/// What is known at a moment.
#[derive(Debug, Clone, Copy)]
pub(super) struct Observation<'a> {
    /// What arrives from the publisher; layers that are off are missing, or 0.
    pub(super) rates: &'a [Rate],
    /// The layers that the viewer is sent now.
    pub(super) sent: Option<Layers>,
    /// What was counted for the viewer.
    pub(super) counters: Counters,
    /// Whether a try may begin now: those of a room begin together, so that they need one key frame.
    pub(super) may_try: bool,
}

/// A change of what is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Switch {
    pub(super) to: Layers,
    pub(super) direction: Direction,
}

impl Switch {
    /// Whether what is sent is too much for the link.
    pub(super) fn is_relief(self) -> bool {
        matches!(self.direction, Direction::Down | Direction::Back)
    }
}

/// Why what is sent changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Direction {
    /// The first choice, or the publisher's layers are others now.
    Follow,
    /// A higher step is tried.
    Up,
    /// The link doesn't carry what is sent.
    Down,
    /// A try has failed.
    Back,
}

impl Direction {
    /// The direction as metrics name it.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Follow => "follow",
            Self::Up => "up",
            Self::Down => "down",
            Self::Back => "back",
        }
    }
}

/// After a switch, how long what is reported may still speak of before.
const SETTLE: Duration = Duration::from_millis(1_500);
/// How long to wait for a key frame.
const ARRIVE: Duration = Duration::from_secs(4);
/// How long a try has to hold.
const TRY: Duration = Duration::from_secs(3);
/// How long a step has to hold before the next is tried, after a try and otherwise.
const HOLD_CLIMBING: Duration = Duration::from_millis(250);
const HOLD: Duration = Duration::from_millis(1_500);
/// How long a link may do badly: longer than one report and the requests before it speak of one burst.
const BAD: Duration = Duration::from_millis(1_800);

/// Loss from which a link does badly, and from which it is given up at once.
const BAD_LOSS: f64 = 0.10;
const SEVERE_LOSS: f64 = 0.25;
/// The same for the queue.
const BAD_QUEUE: Duration = Duration::from_millis(300);
const SEVERE_QUEUE: Duration = Duration::from_millis(800);
/// What a try may add to the loss and the queue that were there before; it begins with a key frame.
const TRY_LOSS: f64 = 0.04;
const TRY_QUEUE: Duration = Duration::from_millis(250);

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Level {
    Good,
    Bad,
    Severe,
}

#[derive(Debug, Clone, Copy)]
enum Phase {
    /// What is reported still speaks of before.
    Settling { since: Instant, arrived: Option<Instant> },
    /// A step is kept; `climbed` if it was reached by a try and nothing has failed since.
    Keeping { since: Instant, bad: Option<Instant>, climbed: bool },
    /// A higher step is tried.
    Trying { from: Step, since: Instant, arrived: Option<Instant> },
}

/// The choice of layers for one viewer.
#[derive(Debug)]
pub(super) struct Controller {
    /// The bitrate to begin with.
    begin: f64,
    at: Option<Step>,
    phase: Option<Phase>,
    ladder: Ladder,
    link: Link,
    memory: Memory,
    condition: Condition,
    /// Whether a try waits only for its moment.
    ready: bool,
}

impl Controller {
    /// Begins with what costs at most `begin` bits per second.
    pub(super) fn new(begin: f64) -> Self {
        Self {
            begin,
            at: None,
            phase: None,
            ladder: Ladder::default(),
            link: Link::default(),
            memory: Memory::default(),
            condition: Condition::default(),
            ready: false,
        }
    }

    /// Another publication is sent on the same link: what is known of the link holds, its layers are others.
    pub(super) fn restart(&mut self) {
        let held = match self.phase {
            Some(Phase::Trying { from, .. }) => Some(from),
            _ => self.at,
        };
        // The same picture may cost a little more this time.
        self.begin = held.map_or(self.begin, |step| step.bitrate * 1.2);
        (self.at, self.phase, self.ladder) = (None, None, Ladder::default());
        self.link.restarted();
    }

    /// What was counted begins anew, of the same layers on the same link.
    pub(super) fn recount(&mut self) {
        self.link.restarted();
    }

    /// The layers that are wanted.
    pub(super) fn wanted(&self) -> Option<Layers> {
        self.at.map(|step| step.layers)
    }

    /// The best that the publisher sends now.
    pub(super) fn best(&self) -> Option<Layers> {
        self.ladder.highest().map(|step| step.layers)
    }

    /// What it is doing, and what it sees.
    pub(super) fn state(&self) -> (AdaptState, Condition) {
        let state = match self.phase {
            None => AdaptState::Waiting,
            Some(Phase::Settling { .. }) => AdaptState::Settling,
            Some(Phase::Keeping { bad: Some(_), .. }) => AdaptState::Strained,
            Some(Phase::Keeping { .. }) => AdaptState::Steady,
            Some(Phase::Trying { .. }) => AdaptState::Trying,
        };
        (state, self.condition)
    }

    /// Whether it wants to look again before long.
    pub(super) fn is_restless(&self) -> bool {
        self.ready || !matches!(self.phase, Some(Phase::Keeping { bad: None, .. }))
    }

    /// Takes what is known now; answers what is to be changed.
    pub(super) fn observe(&mut self, seen: &Observation<'_>, now: Instant) -> Option<Switch> {
        self.ladder.note(seen.rates, now);
        self.ready = false;
        let condition = self.link.note(seen.counters, now);
        if let Some(switch) = self.follow(now) {
            return Some(switch);
        }
        let Some(condition) = condition else {
            self.pause(now);
            return None;
        };
        self.condition = condition;
        let at = self.at?;
        match self.phase? {
            Phase::Settling { since, arrived } => {
                let arrived = self.arrival(arrived, seen.sent, at, now);
                let past = |at: Instant| now.saturating_duration_since(at);
                let settled = arrived.map_or(past(since) >= ARRIVE, |at| past(at) >= SETTLE);
                self.phase = Some(match settled {
                    true => Phase::Keeping { since: now, bad: None, climbed: false },
                    false => Phase::Settling { since, arrived },
                });
                None
            }
            Phase::Keeping { since, bad, climbed } => {
                let bad = (self.level() >= Level::Bad).then_some(bad.unwrap_or(now));
                self.phase = Some(Phase::Keeping { since, bad, climbed: climbed && bad.is_none() });
                self.keep(at, seen.may_try, now)
            }
            Phase::Trying { from, since, arrived } => {
                let arrived = self.arrival(arrived, seen.sent, at, now);
                self.try_on(at, from, since, arrived, now)
            }
        }
    }

    /// Goes where the publisher's layers are: at first, and when one of them is off.
    fn follow(&mut self, now: Instant) -> Option<Switch> {
        let to = match self.at {
            None => self.ladder.within(self.begin)?,
            Some(at) => {
                if let Some(same) = self.ladder.get(at.layers) {
                    self.at = Some(same);
                    return None;
                }
                self.ladder.nearest(at.layers)?
            }
        };
        Some(self.go(to, Direction::Follow, now))
    }

    fn go(&mut self, to: Step, direction: Direction, now: Instant) -> Switch {
        self.phase = Some(match (direction, self.at) {
            (Direction::Up, Some(from)) => Phase::Trying { from, since: now, arrived: None },
            _ => Phase::Settling { since: now, arrived: None },
        });
        self.at = Some(to);
        Switch { to: to.layers, direction }
    }

    /// Nothing is sent: paused, muted or not connected. What was under way begins anew when something is.
    fn pause(&mut self, now: Instant) {
        self.condition = Condition::default();
        match self.phase {
            // A key frame is still awaited.
            Some(Phase::Settling { arrived: None, .. } | Phase::Trying { arrived: None, .. }) | None => {}
            Some(_) => self.phase = Some(Phase::Settling { since: now, arrived: None }),
        }
    }

    /// Since when the wanted picture is sent. Frame rates change at once.
    fn arrival(
        &mut self,
        arrived: Option<Instant>,
        sent: Option<Layers>,
        wanted: Step,
        now: Instant,
    ) -> Option<Instant> {
        let here = sent.is_some_and(|sent| sent.spatial == wanted.layers.spatial);
        if arrived.is_none() && here {
            self.link.switched(!matches!(self.phase, Some(Phase::Trying { .. })));
            return Some(now);
        }
        arrived
    }

    fn keep(&mut self, at: Step, may_try: bool, now: Instant) -> Option<Switch> {
        let Some(Phase::Keeping { since, bad, climbed }) = self.phase else { return None };
        let lasting = now.saturating_duration_since(since);
        if let Some(bad) = bad {
            let enough = self.level() == Level::Severe || now.saturating_duration_since(bad) >= BAD;
            return if enough { self.go_down(at, now) } else { None };
        }
        if let Some(report) = self.condition.report.filter(|_| lasting >= HOLD) {
            self.memory.report(&report);
        }
        self.memory.held(at.bitrate, lasting);
        if lasting < if climbed { HOLD_CLIMBING } else { HOLD } {
            return None;
        }
        // What may fail again had better be little.
        let cautious = !self.memory.is_clean() && !climbed;
        let next =
            self.ladder.above(at.layers, cautious).find(|step| self.memory.allows(step.bitrate, now))?;
        self.ready = !may_try;
        may_try.then(|| self.go(next, Direction::Up, now))
    }

    fn go_down(&mut self, at: Step, now: Instant) -> Option<Switch> {
        let Condition { loss, growth, bitrate, .. } = self.condition;
        let through = if loss >= BAD_LOSS {
            bitrate * (1.0 - loss.min(0.9)) * 0.9
        } else if growth > 0.05 {
            bitrate / (1.0 + growth) * 0.9
        } else {
            at.bitrate
        };
        let to = self.ladder.below(at.layers, through)?;
        self.memory.failed(at.bitrate, now);
        Some(self.go(to, Direction::Down, now))
    }

    fn try_on(
        &mut self,
        at: Step,
        from: Step,
        since: Instant,
        arrived: Option<Instant>,
        now: Instant,
    ) -> Option<Switch> {
        let late = arrived.is_none() && now.saturating_duration_since(since) >= ARRIVE;
        let level = self.level();
        if late
            || level == Level::Severe
            || (arrived.is_some() && (level >= Level::Bad || self.is_too_much()))
        {
            self.memory.failed(at.bitrate, now);
            let to = self.ladder.nearest(from.layers).unwrap_or(from);
            return Some(self.go(to, Direction::Back, now));
        }
        let held = arrived.is_some_and(|at| now.saturating_duration_since(at) >= TRY);
        self.phase = Some(match held {
            true => Phase::Keeping { since: now, bad: None, climbed: true },
            false => Phase::Trying { from, since, arrived },
        });
        None
    }

    /// Whether a try has brought loss or a queue that weren't there before.
    fn is_too_much(&self) -> bool {
        let usual = self.memory.round_trip();
        let Condition { loss, packets, report, .. } = self.condition;
        let longer = report.and_then(|report| report.round_trip?.checked_sub(usual?));
        // Of few packets, more are lost by chance.
        let chance = 0.5 / (packets.max(1) as f64).sqrt();
        loss > self.memory.loss() * 1.5 + TRY_LOSS + chance || longer.is_some_and(|longer| longer > TRY_QUEUE)
    }

    fn level(&self) -> Level {
        let Condition { loss, queue, key_frames, .. } = self.condition;
        let queue = queue.unwrap_or_default();
        if loss >= SEVERE_LOSS || queue >= SEVERE_QUEUE {
            Level::Severe
        } else if loss >= BAD_LOSS || queue >= BAD_QUEUE || (key_frames >= 2 && loss >= TRY_LOSS) {
            Level::Bad
        } else {
            Level::Good
        }
    }
}
