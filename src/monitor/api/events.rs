//! A room's events by the page, and what the log holds.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Api, stopping};
use crate::broker::events::{EventsError, Logged, Start};
use crate::http::{Asked, Problem};
use crate::monitor::fold::problems;
use crate::monitor::text;
use crate::monitor::view::{EventsPage, Recorded};
use crate::protocol::event::{About, RoomForgotten, What};
use crate::protocol::ids::RoomId;

const PAGE: usize = 100;
const LONGEST_PAGE: usize = 1000;
/// Looking back begins with so many places of the log, and goes on with eight times as many each time.
const LOOK_BACK: u64 = 4_096;

/// Which events of a room.
#[derive(Debug, Deserialize)]
pub(super) struct PageQuery {
    after: Option<u64>,
    before: Option<u64>,
    limit: Option<usize>,
}

/// The events of a room, by the page.
pub(super) async fn page(
    State(api): State<Api>,
    Path(room): Path<String>,
    Asked(query): Asked<PageQuery>,
) -> Result<Json<EventsPage>, Problem> {
    let room: RoomId = room.parse()?;
    let page = read(&api, Some(&room), &query).await?;
    if page.events.is_empty() && api.broker.read_events(Start::Sequence(1), Some(&room)).await?.stored == 0 {
        return Err(unknown_room());
    }
    Ok(page)
}

/// All events, by the page.
pub(super) async fn all(
    State(api): State<Api>,
    Asked(query): Asked<PageQuery>,
) -> Result<Json<EventsPage>, Problem> {
    read(&api, None, &query).await
}

async fn read(api: &Api, room: Option<&RoomId>, query: &PageQuery) -> Result<Json<EventsPage>, Problem> {
    let limit = query.limit.unwrap_or(PAGE).clamp(1, LONGEST_PAGE);
    let (events, more) = match (query.after, query.before) {
        (Some(_), Some(_)) => {
            return Err(Problem::new(StatusCode::BAD_REQUEST, "give after or before, not both"));
        }
        (Some(after), None) => forwards(api, room, after, limit).await?,
        (None, before) => backwards(api, room, before.unwrap_or(u64::MAX), limit).await?,
    };
    let events: Vec<Recorded> = events.into_iter().map(recorded).collect();
    let first = events.first().map(|event| event.sequence);
    let last = events.last().map(|event| event.sequence);
    Ok(Json(EventsPage { events, first, last, more }))
}

async fn forwards(
    api: &Api,
    room: Option<&RoomId>,
    after: u64,
    limit: usize,
) -> Result<(Vec<Logged>, bool), EventsError> {
    let start = Start::Sequence(after.saturating_add(1));
    let mut reading = api.broker.read_events(start, room).await?;
    let mut events = Vec::new();
    while events.len() < limit
        && let Some(logged) = reading.next_stored().await?
    {
        events.push(logged);
    }
    Ok((events, reading.stored > 0))
}

/// The last events before a place. The log is read forwards only: from further and further back.
async fn backwards(
    api: &Api,
    room: Option<&RoomId>,
    before: u64,
    limit: usize,
) -> Result<(Vec<Logged>, bool), EventsError> {
    let span = api.broker.events_span().await?;
    let before = before.min(span.last.0.saturating_add(1));
    let mut back = LOOK_BACK;
    loop {
        let from = before.saturating_sub(back).max(span.first.0);
        let mut reading = api.broker.read_events(Start::Sequence(from), room).await?;
        let mut events = std::collections::VecDeque::new();
        let mut more = false;
        while let Some(logged) = reading.next_stored().await? {
            if logged.sequence >= before {
                break;
            }
            if events.len() == limit {
                events.pop_front();
                more = true;
            }
            events.push_back(logged);
        }
        if events.len() == limit || from <= span.first.0 {
            return Ok((events.into(), more || from > span.first.0));
        }
        back = back.saturating_mul(8);
    }
}

/// An event as it is shown.
pub(super) fn recorded(logged: Logged) -> Recorded {
    let text = logged
        .event
        .as_ref()
        .map_or_else(|| "an event that this version of the monitor can't read".to_owned(), text::of);
    let severity = logged.event.as_ref().and_then(|event| problems::severity(&event.what));
    Recorded { sequence: logged.sequence, stored: logged.stored, event: logged.event, text, severity }
}

/// Deletes a room's history, and has every monitor forget the room.
pub(super) async fn forget(State(api): State<Api>, Path(room): Path<String>) -> Result<StatusCode, Problem> {
    let room: RoomId = room.parse()?;
    let purged = api.broker.purge_events(&room).await?;
    let of = room.clone();
    let shown = api.live.see(move |state, now| state.room(&of, now).is_some()).await.ok_or_else(stopping)?;
    if purged == 0 && !shown {
        return Err(unknown_room());
    }
    tracing::info!(%room, events = purged, "history deleted");
    api.recorder.record(About::Room(room), What::RoomForgotten(RoomForgotten {}));
    Ok(StatusCode::NO_CONTENT)
}

pub(super) fn unknown_room() -> Problem {
    Problem::new(StatusCode::NOT_FOUND, "the log tells nothing of that room")
}

/// What moments can be asked for.
pub(super) async fn log(State(api): State<Api>) -> Result<Json<Value>, Problem> {
    let span = api.broker.events_span().await?;
    let moment = |(sequence, time)| {
        let time = (span.first.0 > 0).then_some(time);
        json!({ "sequence": sequence, "time": time })
    };
    Ok(Json(json!({ "first": moment(span.first), "last": moment(span.last) })))
}
