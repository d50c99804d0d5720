//! Moments as people name them: an event's number, a time, or how long ago.

use std::str::FromStr;

use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};

use crate::monitor::view::Moment;

/// A moment in the fleet's past.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum At {
    /// Right after the event of this sequence number.
    Sequence(u64),
    /// A time.
    Time(DateTime<Utc>),
}

/// Why a text names no moment.
#[derive(Debug, thiserror::Error)]
#[error("give an event's number, a time such as 2026-05-01T12:00:00Z, or how long ago such as 10m")]
pub(super) struct NoMoment;

impl At {
    fn parse(text: &str, now: DateTime<Utc>) -> Result<Self, NoMoment> {
        let text = text.trim();
        if let Ok(sequence) = text.parse() {
            return Ok(Self::Sequence(sequence));
        }
        if let Ok(time) = DateTime::parse_from_rfc3339(text) {
            return Ok(Self::Time(time.to_utc()));
        }
        let ago = humantime::parse_duration(text.trim_end_matches("ago").trim_end()).map_err(|_| NoMoment)?;
        let ago = TimeDelta::from_std(ago).map_err(|_| NoMoment)?;
        now.checked_sub_signed(ago).map(Self::Time).ok_or(NoMoment)
    }

    /// The moment as the monitor reads it.
    pub(super) fn query(self) -> String {
        match self {
            Self::Sequence(sequence) => sequence.to_string(),
            Self::Time(time) => time.to_rfc3339_opts(SecondsFormat::Millis, true),
        }
    }

    /// What ages in a view are counted up to: the clock, or the moment that was asked for.
    pub(super) fn now(asked: Option<Self>, shown: &Moment) -> DateTime<Utc> {
        let clock = Utc::now();
        match asked {
            None => clock,
            Some(Self::Time(time)) => time.min(clock),
            Some(Self::Sequence(_)) => shown.time.unwrap_or(clock),
        }
    }
}

impl FromStr for At {
    type Err = NoMoment;

    fn from_str(text: &str) -> Result<Self, NoMoment> {
        Self::parse(text, Utc::now())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Option<String> {
        At::parse(text, "2026-05-01T12:00:00Z".parse().unwrap()).ok().map(At::query)
    }

    #[test]
    fn numbers_times_and_ages_name_moments() {
        assert_eq!(at("17").as_deref(), Some("17"));
        assert_eq!(at("2026-05-01T10:00:00+02:00").as_deref(), Some("2026-05-01T08:00:00.000Z"));
        assert_eq!(at("10m").as_deref(), Some("2026-05-01T11:50:00.000Z"));
        assert_eq!(at("1h 30m ago").as_deref(), Some("2026-05-01T10:30:00.000Z"));
    }

    #[test]
    fn anything_else_is_refused() {
        for bad in ["", "-1", "yesterday", "ago", "2026-05-01", "99999999999y"] {
            assert_eq!(at(bad), None, "{bad}");
        }
    }

    #[test]
    fn ages_count_up_to_the_moment_that_was_asked_for() {
        let time: DateTime<Utc> = "2026-05-01T12:00:00Z".parse().unwrap();
        let shown = Moment { sequence: 5, time: Some(time) };
        assert_eq!(At::now(Some(At::Sequence(5)), &shown), time);
        assert!(At::now(None, &shown) > time);
    }
}
