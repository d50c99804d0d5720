//! Reads the log through the monitor: what is stored, then what comes.

use std::collections::VecDeque;
use std::io;
use std::ops::ControlFlow;
use std::time::Duration;

use chrono::{DateTime, Utc};
use futures_util::StreamExt;

use super::api::{Api, Events, PAGE, Page};
use super::at::At;
use super::error::ApiError;
use crate::monitor::view::Recorded;
use crate::protocol::ids::RoomId;

/// A log that says nothing for so long has nothing stored left: its last events were deleted.
const QUIET: Duration = Duration::from_secs(5);
const RETRY: Duration = Duration::from_secs(1);

/// Which events are wanted.
#[derive(Debug, Clone)]
pub(super) struct Wanted {
    /// Of this room only.
    pub(super) room: Option<RoomId>,
    /// From this moment on.
    pub(super) since: Option<At>,
    /// Only so many of those that are stored, the newest.
    pub(super) limit: Option<usize>,
    /// The summaries too.
    pub(super) summaries: bool,
}

/// Why reading ended.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(super) enum ReadError {
    /// The monitor.
    #[error(transparent)]
    Api(#[from] ApiError),
    /// Whoever the events are shown to.
    #[error("what was read can't be written")]
    Output(#[from] io::Error),
}

/// How far reading came: broken off by whom it was shown to, or up to this sequence number.
pub(super) type Reached = Result<ControlFlow<(), u64>, ReadError>;

/// Whom events are shown to, in the order of the log.
pub(super) trait Show: FnMut(&Recorded) -> io::Result<ControlFlow<()>> {}
impl<F: FnMut(&Recorded) -> io::Result<ControlFlow<()>>> Show for F {}

impl Wanted {
    fn shows(&self, recorded: &Recorded) -> bool {
        self.summaries || recorded.event.as_ref().is_none_or(|event| !event.what.is_summary())
    }

    fn is_early(&self, recorded: &Recorded) -> bool {
        match self.since {
            Some(At::Sequence(sequence)) => recorded.sequence < sequence,
            Some(At::Time(time)) => recorded.stored < time,
            None => false,
        }
    }
}

/// Shows what is stored.
pub(super) async fn stored(api: &Api, wanted: &Wanted, show: &mut impl Show) -> Reached {
    match (&wanted.room, wanted.limit) {
        (Some(room), Some(limit)) => newest_of_room(api, room, wanted, limit, show).await,
        (Some(room), None) => all_of_room(api, room, wanted, show).await,
        (None, Some(limit)) => newest_of_fleet(api, wanted, limit, show).await,
        (None, None) => all_of_fleet(api, wanted, show).await,
    }
}

/// Shows what comes after an event, for as long as anyone looks; waits for a monitor that is away.
pub(super) async fn coming(
    api: &Api,
    wanted: &Wanted,
    mut after: u64,
    show: &mut impl Show,
) -> Result<(), ReadError> {
    let mut away = false;
    loop {
        let error = match api.follow(Some(At::Sequence(after + 1)), wanted.room.as_ref()).await {
            Ok(mut events) => loop {
                match events.next().await {
                    Some(Ok(recorded)) => {
                        away = false;
                        after = after.max(recorded.sequence);
                        if wanted.shows(&recorded)
                            && !wanted.is_early(&recorded)
                            && show(&recorded)?.is_break()
                        {
                            return Ok(());
                        }
                    }
                    Some(Err(error)) => break Some(error),
                    None => break None,
                }
            },
            Err(error) => Some(error),
        };
        if let Some(error) = error {
            if !error.may_pass() {
                return Err(error.into());
            }
            if !std::mem::replace(&mut away, true) {
                tracing::warn!(error = %error, "monitor unreachable; trying again");
            }
        }
        tokio::time::sleep(RETRY).await;
    }
}

async fn newest_of_room(
    api: &Api,
    room: &RoomId,
    wanted: &Wanted,
    limit: usize,
    show: &mut impl Show,
) -> Reached {
    let mut found = VecDeque::new();
    let mut page = api.events(room, Page::Newest, PAGE).await?;
    let reached = page.last.unwrap_or_default();
    loop {
        let (first, more) = (page.first, page.more);
        let early = page.events.first().is_some_and(|oldest| wanted.is_early(oldest));
        let fitting =
            page.events.into_iter().rev().filter(|event| wanted.shows(event) && !wanted.is_early(event));
        fitting.take(limit - found.len()).for_each(|event| found.push_front(event));
        match first {
            Some(first) if more && !early && found.len() < limit => {
                page = api.events(room, Page::Before(first), PAGE).await?;
            }
            _ => break,
        }
    }
    show_all(&found, reached, show)
}

async fn all_of_room(api: &Api, room: &RoomId, wanted: &Wanted, show: &mut impl Show) -> Reached {
    let mut after = match wanted.since {
        None => 0,
        Some(At::Sequence(sequence)) => sequence.saturating_sub(1),
        Some(At::Time(time)) => before(api, room, time).await?,
    };
    loop {
        let page = api.events(room, Page::After(after), PAGE).await?;
        for event in page.events.iter().filter(|event| wanted.shows(event) && !wanted.is_early(event)) {
            if show(event)?.is_break() {
                return Ok(ControlFlow::Break(()));
            }
        }
        after = page.last.map_or(after, |last| last.max(after));
        if !page.more || page.last.is_none() {
            return Ok(ControlFlow::Continue(after));
        }
    }
}

/// An event of the room older than that time, or 0: what must be read from there on is kept nowhere.
async fn before(api: &Api, room: &RoomId, time: DateTime<Utc>) -> Result<u64, ApiError> {
    let mut page = api.events(room, Page::Newest, PAGE).await?;
    loop {
        match (page.events.first(), page.more) {
            (Some(oldest), _) if oldest.stored < time => return Ok(oldest.sequence),
            (Some(oldest), true) => page = api.events(room, Page::Before(oldest.sequence), PAGE).await?,
            _ => return Ok(0),
        }
    }
}

async fn all_of_fleet(api: &Api, wanted: &Wanted, show: &mut impl Show) -> Reached {
    let log = api.log().await?;
    let from = wanted.since.unwrap_or(At::Sequence(log.first().max(1)));
    if log.ends_before(from) {
        return Ok(ControlFlow::Continue(log.last()));
    }
    let mut events = api.follow(Some(from), None).await?;
    let mut shown = |event: Recorded| {
        if wanted.shows(&event) && !wanted.is_early(&event) {
            show(&event)
        } else {
            Ok(ControlFlow::Continue(()))
        }
    };
    until(api, &mut events, log.last(), &mut shown).await
}

/// Reads ever longer ends of the log, as it can't be read backwards.
async fn newest_of_fleet(api: &Api, wanted: &Wanted, limit: usize, show: &mut impl Show) -> Reached {
    let log = api.log().await?;
    let last = log.last();
    if log.ends_before(wanted.since.unwrap_or(At::Sequence(log.first().max(1)))) {
        return Ok(ControlFlow::Continue(last));
    }
    let mut window = (limit as u64).saturating_mul(4).max(PAGE as u64);
    loop {
        let from = last.saturating_sub(window).max(log.first()).max(1);
        let mut found = VecDeque::new();
        let mut whole = from <= log.first().max(1);
        let mut keep = |event: Recorded| {
            whole |= wanted.is_early(&event);
            if wanted.shows(&event) && !wanted.is_early(&event) {
                found.push_back(event);
                if found.len() > limit {
                    found.pop_front();
                }
            }
            Ok(ControlFlow::Continue(()))
        };
        let mut events = api.follow(Some(At::Sequence(from)), None).await?;
        let reached = until(api, &mut events, last, &mut keep).await?;
        if whole || found.len() >= limit {
            return show_all(&found, reached.continue_value().unwrap_or(last), show);
        }
        window = window.saturating_mul(8);
    }
}

/// Hands over events up to the one of that number.
async fn until(
    api: &Api,
    events: &mut Events,
    last: u64,
    each: &mut impl FnMut(Recorded) -> io::Result<ControlFlow<()>>,
) -> Reached {
    while let Ok(event) = tokio::time::timeout(QUIET, events.next()).await {
        let Some(event) = event else {
            let reason = "it ended its answer early".to_owned();
            return Err(ApiError::Unreachable { url: api.base().clone(), reason }.into());
        };
        let event = event?;
        let sequence = event.sequence;
        // What was stored after the question was asked is left to whoever follows.
        if sequence <= last && each(event)?.is_break() {
            return Ok(ControlFlow::Break(()));
        }
        if sequence >= last {
            break;
        }
    }
    Ok(ControlFlow::Continue(last))
}

fn show_all(events: &VecDeque<Recorded>, reached: u64, show: &mut impl Show) -> Reached {
    for event in events {
        if show(event)?.is_break() {
            return Ok(ControlFlow::Break(()));
        }
    }
    Ok(ControlFlow::Continue(reached))
}

#[cfg(test)]
mod tests {
    use futures_util::stream;

    use super::super::sample::{now, recorded};
    use super::*;

    fn wanted(since: Option<At>, summaries: bool) -> Wanted {
        Wanted { room: None, since, limit: None, summaries }
    }

    fn api() -> Api {
        Api::new("http://monitor".parse().unwrap(), None).unwrap()
    }

    async fn read(events: Vec<Result<Recorded, ApiError>>, last: u64) -> (Reached, Vec<u64>) {
        let mut seen = Vec::new();
        let mut each = |event: Recorded| {
            seen.push(event.sequence);
            Ok(if event.text == "enough" { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
        };
        let reached = until(&api(), &mut stream::iter(events).boxed(), last, &mut each).await;
        (reached, seen)
    }

    #[test]
    fn summaries_are_shown_only_to_who_asks() {
        assert!(!wanted(None, false).shows(&recorded(1, "room.summary")));
        assert!(wanted(None, true).shows(&recorded(1, "room.summary")));
        assert!(wanted(None, false).shows(&recorded(1, "room.forgotten")));
        assert!(wanted(None, false).shows(&Recorded { event: None, ..recorded(1, "room.summary") }));
    }

    #[test]
    fn what_came_before_is_early() {
        let event = recorded(5, "room.forgotten");
        let early = |since| wanted(Some(since), false).is_early(&event);
        assert!(early(At::Sequence(6)) && !early(At::Sequence(5)));
        let later = now() + chrono::TimeDelta::milliseconds(1);
        assert!(early(At::Time(later)) && !early(At::Time(now())));
    }

    #[tokio::test]
    async fn reading_ends_with_what_was_stored() {
        let stored = |sequence| Ok(recorded(sequence, "room.forgotten"));
        let (reached, seen) = read(vec![stored(1), stored(3), stored(4)], 3).await;
        assert_eq!((reached.unwrap(), seen), (ControlFlow::Continue(3), vec![1, 3]));
        // The last one was deleted meanwhile.
        let (reached, seen) = read(vec![stored(1), stored(4)], 3).await;
        assert_eq!((reached.unwrap(), seen), (ControlFlow::Continue(3), vec![1]));
    }

    #[tokio::test]
    async fn a_log_cut_short_is_no_success() {
        let (reached, seen) = read(vec![Ok(recorded(1, "room.forgotten"))], 3).await;
        assert!(reached.unwrap_err().to_string().contains("ended its answer early"));
        assert_eq!(seen, [1]);
    }

    #[tokio::test]
    async fn a_reader_that_has_enough_is_left_alone() {
        let enough = Recorded { text: "enough".into(), ..recorded(1, "room.forgotten") };
        let (reached, seen) = read(vec![Ok(enough), Ok(recorded(2, "room.forgotten"))], 2).await;
        assert_eq!((reached.unwrap(), seen), (ControlFlow::Break(()), vec![1]));
    }
}
