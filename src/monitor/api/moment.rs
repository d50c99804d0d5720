//! The moment that a request asks for: now, an event's place, or a time.

use std::sync::Arc;

use axum::http::StatusCode;
use chrono::{DateTime, Utc};
use serde::Deserialize;

use super::{Api, stopping};
use crate::http::Problem;
use crate::monitor::fold::State;
use crate::monitor::past::At;

/// `?at=`: the place of an event, or a time as in RFC 3339; none is now.
#[derive(Debug, Clone, Default, Deserialize)]
pub(super) struct Moment {
    at: Option<String>,
}

impl Moment {
    pub(super) fn is_now(&self) -> bool {
        self.at.is_none()
    }

    pub(super) fn parse(text: &str) -> Result<At, Problem> {
        if let Ok(sequence) = text.parse() {
            return Ok(At::Sequence(sequence));
        }
        let time = DateTime::parse_from_rfc3339(text).map_err(|_| {
            let hint = "give the sequence number of an event, or a time such as 2026-01-31T12:00:00Z";
            Problem::new(StatusCode::BAD_REQUEST, hint)
        })?;
        Ok(At::Time(time.to_utc()))
    }

    /// What `look` makes of the state at this moment; it is told the moment's time.
    pub(super) async fn see<T: Send + 'static>(
        &self,
        api: &Api,
        look: impl FnOnce(&State, DateTime<Utc>) -> T + Send + 'static,
    ) -> Result<T, Problem> {
        let now = Utc::now();
        let asked = self.at.as_deref().map(Self::parse).transpose()?;
        // What is yet to come shows as now.
        let at = asked.filter(|at| !matches!(at, At::Time(time) if *time >= now));
        match at {
            None => api.live.see(look).await.ok_or_else(stopping),
            Some(at) => {
                let state: Arc<State> = api.past.at(at).await?;
                Ok(look(&state, state.clock()))
            }
        }
    }
}
