//! Waiting for what a test expects: until it is so, never for a fixed time.

use std::fmt::{Debug, Display};
use std::panic::Location;
use std::time::Duration;

use tokio::time::{Instant, sleep, timeout_at};

const EVERY: Duration = Duration::from_millis(20);

/// What a probe may answer: `true`, `Some`, `Ok` when it is so; else the state it saw instead.
pub(crate) trait Verdict {
    /// What the wait returns.
    type Value;

    /// The value, or the state to show when the wait fails.
    fn verdict(self) -> Result<Self::Value, String>;
}

impl Verdict for bool {
    type Value = ();

    fn verdict(self) -> Result<(), String> {
        self.then_some(()).ok_or_else(|| "false".into())
    }
}

impl<T> Verdict for Option<T> {
    type Value = T;

    fn verdict(self) -> Result<T, String> {
        self.ok_or_else(|| "none".into())
    }
}

impl<T, E: Debug> Verdict for Result<T, E> {
    type Value = T;

    fn verdict(self) -> Result<T, String> {
        self.map_err(|state| format!("{state:?}"))
    }
}

/// Probes every 20 ms until the answer is positive and returns its value.
///
/// Answer `Err(state)` rather than `None` to have the last state in the failure.
///
/// # Panics
/// After `limit`, also when a probe hangs.
#[track_caller]
pub(crate) fn eventually<F: Future<Output: Verdict>>(
    limit: Duration,
    what: impl Display,
    probe: impl FnMut() -> F,
) -> impl Future<Output = <F::Output as Verdict>::Value> {
    wait_until(Location::caller(), limit, what, probe)
}

async fn wait_until<F: Future<Output: Verdict>>(
    at: &Location<'_>,
    limit: Duration,
    what: impl Display,
    mut probe: impl FnMut() -> F,
) -> <F::Output as Verdict>::Value {
    let deadline = Instant::now() + limit;
    let mut last = "no answer yet".to_owned();
    loop {
        match timeout_at(deadline, probe()).await.map(Verdict::verdict) {
            Ok(Ok(value)) => return value,
            Ok(Err(state)) => last = state,
            Err(_) => last = format!("the last probe hangs; before it: {last}"),
        }
        let now = Instant::now();
        assert!(now < deadline, "{at}: waited {limit:?} for {what}; last state: {last}");
        sleep(EVERY.min(deadline - now)).await;
    }
}

/// Probes at once and then at every `every` for `duration`: each answer has to be positive.
///
/// # Panics
/// At the first answer that is not, or when a probe takes longer than what is left.
#[track_caller]
pub(crate) fn assert_holds<F: Future<Output: Verdict>>(
    duration: Duration,
    every: Duration,
    what: impl Display,
    probe: impl FnMut() -> F,
) -> impl Future<Output = ()> {
    hold(Location::caller(), duration, every, what, probe)
}

async fn hold<F: Future<Output: Verdict>>(
    at: &Location<'_>,
    duration: Duration,
    every: Duration,
    what: impl Display,
    mut probe: impl FnMut() -> F,
) {
    let started = Instant::now();
    let end = started + duration;
    loop {
        let probed = Instant::now();
        // A probe begun near the end still gets one interval to answer.
        let answer = timeout_at(end.max(probed + every), probe()).await;
        let state = match answer.map(Verdict::verdict) {
            Ok(Ok(_)) if probed >= end => return,
            Ok(Ok(_)) => None,
            Ok(Err(state)) => Some(state),
            Err(_) => Some("the probe hangs".into()),
        };
        if let Some(state) = state {
            panic!("{at}: {what} did not hold after {:?} of {duration:?}: {state}", started.elapsed());
        }
        sleep((probed + every).min(end).saturating_duration_since(Instant::now())).await;
    }
}
