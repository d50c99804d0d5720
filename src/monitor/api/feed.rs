//! Events as they come, as server-sent events (HTML Living Standard, section 9.2).

use std::convert::Infallible;
use std::time::Duration;

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::sse::{Event, KeepAlive, Sse};
use chrono::{DateTime, Utc};
use futures_util::{Stream, StreamExt, stream};
use serde::Deserialize;
use tokio::time::timeout;

use super::Api;
use super::events::recorded;
use crate::broker::events::{EventsError, Logged, Reading, Start};
use crate::http::{Asked, Problem};
use crate::protocol::ids::RoomId;

const KEEP_ALIVE: Duration = Duration::from_secs(10);
/// After so long without an event it is asked whether the log is still the same.
const QUIET: Duration = Duration::from_secs(5);
const RETRY: Duration = Duration::from_millis(500);

/// Which events, and from where on.
#[derive(Debug, Deserialize)]
pub(super) struct FeedQuery {
    from: Option<u64>,
    since: Option<DateTime<Utc>>,
    room: Option<String>,
}

pub(super) async fn feed(
    State(api): State<Api>,
    Asked(query): Asked<FeedQuery>,
    headers: HeaderMap,
) -> Result<Sse<impl Stream<Item = Result<Event, Infallible>>>, Problem> {
    let room = query.room.map(|room| room.parse::<RoomId>()).transpose()?;
    let resumed = headers.get("last-event-id").and_then(|id| id.to_str().ok()?.parse::<u64>().ok());
    let start = match (resumed, query.from, query.since) {
        (Some(last), _, _) => Start::Sequence(last.saturating_add(1)),
        (None, Some(from), None) => Start::Sequence(from),
        (None, None, Some(since)) => Start::Time(since),
        (None, None, None) => Start::Now,
        (None, Some(_), Some(_)) => {
            return Err(Problem::new(StatusCode::BAD_REQUEST, "give from or since, not both"));
        }
    };
    let mut feed = Feed { api, room, start, created: None, reading: None };
    feed.open().await?;
    let events = stream::unfold(feed, async |mut feed| {
        let logged = feed.next().await?;
        let id = logged.sequence.to_string();
        let event = Event::default().id(id).json_data(recorded(logged)).unwrap_or_default();
        Some((Ok(event), feed))
    });
    // Said at once, so that whoever asks knows that it is heard.
    let heard = stream::once(async { Ok(Event::default().comment("reading")) });
    Ok(Sse::new(heard.chain(events)).keep_alive(KeepAlive::new().interval(KEEP_ALIVE)))
}

struct Feed {
    api: Api,
    room: Option<RoomId>,
    /// Where reading begins anew.
    start: Start,
    /// When the log that is read was made.
    created: Option<DateTime<Utc>>,
    reading: Option<Reading>,
}

impl Feed {
    /// The next event, without a gap, whatever becomes of NATS; none once the monitor stops.
    async fn next(&mut self) -> Option<Logged> {
        let stop = self.api.stop.clone();
        stop.run_until_cancelled(async {
            loop {
                match self.read().await {
                    Ok(logged) => {
                        self.start = Start::Sequence(logged.sequence + 1);
                        return logged;
                    }
                    Err(error) => {
                        tracing::debug!(%error, "feed interrupted; reading on");
                        self.reading = None;
                        tokio::time::sleep(RETRY).await;
                    }
                }
            }
        })
        .await
    }

    async fn read(&mut self) -> Result<Logged, EventsError> {
        if self.reading.is_none() {
            self.open().await?;
        }
        let Some(reading) = &mut self.reading else { return Err(EventsError::new("not open")) };
        loop {
            match timeout(QUIET, reading.next()).await {
                Ok(logged) => return logged,
                // A log that was made anew says nothing to those who wait where the old one ended.
                Err(_) if Some(self.api.broker.events_span().await?.created) != self.created => {
                    return Err(EventsError::new("the log was made anew"));
                }
                Err(_) => {}
            }
        }
    }

    /// Opens the log; one that was made anew is read from its beginning.
    async fn open(&mut self) -> Result<(), EventsError> {
        let span = self.api.broker.events_span().await?;
        let another = self.created.is_some_and(|created| created != span.created);
        let beyond = matches!(self.start, Start::Sequence(next) if next > span.last.0.saturating_add(1));
        if another || beyond {
            self.start = Start::Sequence(1);
        }
        self.created = Some(span.created);
        self.reading = Some(self.api.broker.read_events(self.start, self.room.as_ref()).await?);
        Ok(())
    }
}
