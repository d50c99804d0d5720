//! The monitor's HTTP API.

use std::time::Duration;

use chrono::{DateTime, Utc};
use eventsource_stream::{EventStreamError, Eventsource};
use futures_util::stream::{BoxStream, StreamExt};
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderValue};
use reqwest::{Method, Response, StatusCode};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use url::Url;

use super::at::At;
use super::error::ApiError;
use super::format::plain;
use crate::client::{cause, connections};
use crate::monitor::view::{EventsPage, FleetView, Recorded, RoomView, RoomsQuery, RoomsView};
use crate::protocol::ids::RoomId;

const CONNECT: Duration = Duration::from_secs(5);
const ANSWER: Duration = Duration::from_secs(15);
/// Three times as long as the monitor is silent at most.
const SILENCE: Duration = Duration::from_secs(30);
/// The most events that are asked for at once.
pub(super) const PAGE: usize = 500;

/// A client of one monitor.
#[derive(Debug, Clone)]
pub(super) struct Api {
    client: reqwest::Client,
    base: Url,
    token: bool,
}

/// What the log holds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub(super) struct Log {
    first: Option<Entry>,
    last: Option<Entry>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
struct Entry {
    sequence: Option<u64>,
    time: Option<DateTime<Utc>>,
}

impl Log {
    /// The oldest event's number; 0 where there is none.
    pub(super) fn first(&self) -> u64 {
        self.first.and_then(|entry| entry.sequence).unwrap_or_default()
    }

    /// The newest event's number; 0 where there never was one.
    pub(super) fn last(&self) -> u64 {
        self.last.and_then(|entry| entry.sequence).unwrap_or_default()
    }

    /// Whether nothing in it is as new as that.
    pub(super) fn ends_before(&self, moment: At) -> bool {
        let last = self.last();
        last == 0
            || last < self.first()
            || match moment {
                At::Sequence(sequence) => last < sequence,
                At::Time(time) => self.last.and_then(|entry| entry.time).is_some_and(|last| last < time),
            }
    }
}

/// Which page of a room's events.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Page {
    /// The newest one.
    Newest,
    /// The first one after this sequence number.
    After(u64),
    /// The last one before it.
    Before(u64),
}

/// Events as they come; an error is the last of them.
pub(super) type Events = BoxStream<'static, Result<Recorded, ApiError>>;

impl Api {
    /// A client of the monitor at `base`.
    ///
    /// # Errors
    /// If the token can't be sent, or TLS can't be set up.
    pub(super) fn new(base: Url, token: Option<&str>) -> Result<Self, ApiError> {
        let mut headers = HeaderMap::new();
        if let Some(token) = token {
            let mut value =
                HeaderValue::try_from(format!("Bearer {token}")).map_err(|_| ApiError::TokenUnreadable)?;
            value.set_sensitive(true);
            headers.insert(AUTHORIZATION, value);
        }
        let client = connections(|builder| {
            builder.default_headers(headers.clone()).connect_timeout(CONNECT).read_timeout(SILENCE)
        });
        let client = client.map_err(|error| ApiError::Client(cause(&error)))?;
        Ok(Self { client, base, token: token.is_some() })
    }

    /// The monitor's address.
    pub(super) fn base(&self) -> &Url {
        &self.base
    }

    /// The fleet.
    pub(super) async fn fleet(&self, at: Option<At>) -> Result<FleetView, ApiError> {
        self.get(&["api", "fleet"], &moment(at)).await
    }

    /// A list of rooms.
    pub(super) async fn rooms(&self, query: &RoomsQuery, at: Option<At>) -> Result<RoomsView, ApiError> {
        let mut pairs = moment(at);
        // The names are those that the monitor reads the query by.
        if let Ok(Value::Object(fields)) = serde_json::to_value(query) {
            pairs.extend(fields.into_iter().filter_map(|(key, value)| match value {
                Value::Null => None,
                Value::String(text) => Some((key, text)),
                other => Some((key, other.to_string())),
            }));
        }
        self.get(&["api", "rooms"], &pairs).await
    }

    /// A room.
    ///
    /// # Errors
    /// [`ApiError::UnknownRoom`] where nothing is known of it at that moment.
    pub(super) async fn room(&self, room: &RoomId, at: Option<At>) -> Result<RoomView, ApiError> {
        known(room, self.get(&["api", "rooms", room.as_str()], &moment(at)).await)
    }

    /// A page of a room's events.
    ///
    /// # Errors
    /// [`ApiError::UnknownRoom`] where nothing is known of it.
    pub(super) async fn events(
        &self,
        room: &RoomId,
        page: Page,
        limit: usize,
    ) -> Result<EventsPage, ApiError> {
        let mut pairs = vec![pair("limit", limit.min(PAGE))];
        match page {
            Page::Newest => {}
            Page::After(sequence) => pairs.push(pair("after", sequence)),
            Page::Before(sequence) => pairs.push(pair("before", sequence)),
        }
        known(room, self.get(&["api", "rooms", room.as_str(), "events"], &pairs).await)
    }

    /// What the log holds.
    pub(super) async fn log(&self) -> Result<Log, ApiError> {
        self.get(&["api", "log"], &[]).await
    }

    /// The events from a moment on, those to come included; without one, only those to come.
    pub(super) async fn follow(&self, from: Option<At>, room: Option<&RoomId>) -> Result<Events, ApiError> {
        let mut pairs = Vec::new();
        match from {
            Some(At::Sequence(sequence)) => pairs.push(pair("from", sequence)),
            Some(time @ At::Time(_)) => pairs.push(pair("since", time.query())),
            None => {}
        }
        pairs.extend(room.map(|room| pair("room", room)));
        let request = self.client.get(self.url(&["api", "events"], &pairs));
        let response = self.answer(request).await?;
        let api = self.clone();
        let events = response.bytes_stream().eventsource().map(move |event| match event {
            Ok(event) => recorded(&event.data).map_err(|error| api.unreadable(error)),
            Err(EventStreamError::Transport(error)) => Err(api.unreachable(&error)),
            Err(error) => Err(api.unreadable(error)),
        });
        Ok(events.boxed())
    }

    /// Deletes a room's history.
    pub(super) async fn forget(&self, room: &RoomId) -> Result<(), ApiError> {
        let url = self.url(&["api", "rooms", room.as_str(), "history"], &[]);
        let request = self.client.request(Method::DELETE, url).timeout(ANSWER);
        known(room, self.answer(request).await.map(drop))
    }

    async fn get<T: DeserializeOwned>(
        &self,
        path: &[&str],
        query: &[(String, String)],
    ) -> Result<T, ApiError> {
        let response = self.answer(self.client.get(self.url(path, query)).timeout(ANSWER)).await?;
        let body = response.bytes().await.map_err(|error| self.unreachable(&error))?;
        let value = serde_json::from_slice(&body).map_err(|error| self.unreadable(error))?;
        tolerant(value).map_err(|error| self.unreadable(error))
    }

    async fn answer(&self, request: reqwest::RequestBuilder) -> Result<Response, ApiError> {
        let response = request.send().await.map_err(|error| self.unreachable(&error))?;
        let url = self.base.clone();
        match response.status() {
            status if status.is_success() => Ok(response),
            StatusCode::UNAUTHORIZED if self.token => Err(ApiError::TokenRefused { url }),
            StatusCode::UNAUTHORIZED => Err(ApiError::TokenNeeded { url }),
            status => {
                let title = title(status, &response.text().await.unwrap_or_default());
                Err(ApiError::Refused { url, status: status.as_u16(), title })
            }
        }
    }

    fn url(&self, path: &[&str], query: &[(String, String)]) -> Url {
        let mut url = self.base.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(path);
        }
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        url
    }

    fn unreachable(&self, error: &reqwest::Error) -> ApiError {
        ApiError::Unreachable { url: self.base.clone(), reason: cause(error) }
    }

    fn unreadable(&self, error: impl ToString) -> ApiError {
        ApiError::Unreadable { url: self.base.clone(), reason: plain(&error.to_string()) }
    }
}

fn pair(key: &str, value: impl ToString) -> (String, String) {
    (key.to_owned(), value.to_string())
}

fn moment(at: Option<At>) -> Vec<(String, String)> {
    at.map(|at| pair("at", at.query())).into_iter().collect()
}

fn known<T>(room: &RoomId, answer: Result<T, ApiError>) -> Result<T, ApiError> {
    answer.map_err(|error| match error {
        // Another server than a monitor knows no rooms at all.
        ApiError::Refused { status: 404, title, .. } if title.contains("the log tells nothing") => {
            ApiError::UnknownRoom { room: room.clone() }
        }
        error => error,
    })
}

fn recorded(data: &str) -> serde_json::Result<Recorded> {
    tolerant(serde_json::from_str(data)?)
}

/// Reads a value, and where it can't, the same without the events that a newer monitor may know.
fn tolerant<T: DeserializeOwned>(mut value: Value) -> serde_json::Result<T> {
    T::deserialize(&value).or_else(|_| {
        if let Some(events) = value.get_mut("events").and_then(Value::as_array_mut) {
            events.iter_mut().for_each(without_unknown);
        }
        without_unknown(&mut value);
        T::deserialize(value)
    })
}

fn without_unknown(recorded: &mut Value) {
    let Some(event) = recorded.get_mut("event") else { return };
    if crate::protocol::event::Event::deserialize(&*event).is_err() {
        *event = Value::Null;
    }
}

/// Title and detail of a problem body (RFC 9457), or the status' own name.
fn title(status: StatusCode, body: &str) -> String {
    #[derive(Default, Deserialize)]
    #[serde(default)]
    struct Problem {
        title: Option<String>,
        detail: Option<String>,
    }
    let problem: Problem = serde_json::from_str(body).unwrap_or_default();
    let reason = status.canonical_reason().unwrap_or_default();
    let title = problem.title.unwrap_or_else(|| reason.to_owned());
    plain(&problem.detail.map_or(title.clone(), |detail| format!("{title}: {detail}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn api(base: &str) -> Api {
        Api::new(base.parse().unwrap(), None).unwrap()
    }

    #[test]
    fn addresses_keep_the_path_of_a_proxy() {
        let url = |base: &str| api(base).url(&["api", "fleet"], &moment(Some(At::Sequence(7)))).to_string();
        assert_eq!(url("http://host:1"), "http://host:1/api/fleet?at=7");
        assert_eq!(url("https://host/monitor/"), "https://host/monitor/api/fleet?at=7");
    }

    #[test]
    fn an_event_of_a_newer_monitor_is_shown_by_its_text() {
        let event = r#"{"sequence":3,"stored":"2026-05-01T12:00:00Z","text":"It rained.",
            "event":{"id":1,"time":"2026-05-01T12:00:00Z","type":"weather.changed","data":{}}}"#;
        let read = recorded(event).unwrap();
        assert_eq!((read.sequence, read.text.as_str(), read.event), (3, "It rained.", None));
        let page: EventsPage =
            tolerant(serde_json::json!({"events": [serde_json::from_str::<Value>(event).unwrap()],
                "first": 3, "last": 3, "more": false}))
            .unwrap();
        assert_eq!(page.events[0].sequence, 3);
    }

    #[test]
    fn a_problem_is_told_by_title_and_detail() {
        let body = r#"{"title":"Bad moment","detail":"at must be a number"}"#;
        assert_eq!(title(StatusCode::BAD_REQUEST, body), "Bad moment: at must be a number");
        assert_eq!(title(StatusCode::BAD_GATEWAY, "<html>"), "Bad Gateway");
    }

    #[tokio::test]
    async fn a_missing_monitor_is_explained() {
        let unused = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let error = api(&format!("http://{unused}")).fleet(None).await.unwrap_err();
        let message = error.to_string();
        assert!(message.contains("headwater monitor") && message.contains("--monitor"), "{message}");
        assert!(message.contains(&unused.to_string()) && error.may_pass(), "{message}");
    }

    #[test]
    fn a_token_with_a_line_break_is_explained() {
        let error = Api::new("http://host".parse().unwrap(), Some("a\nb")).unwrap_err();
        assert!(error.to_string().contains("line breaks"), "{error}");
    }
}
