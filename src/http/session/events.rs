//! What happens to a viewer's stream, as server-sent events (the extension `server-sent-events` of draft-ietf-wish-whep):
//! POSTed for at the session's `/events`, read at the address that is answered, by way of any node.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::time::Duration;

use axum::extract::{Path, State};
use axum::http::header::{self, HeaderMap, HeaderName, HeaderValue};
use axum::http::{StatusCode, Uri};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use futures_util::stream;
use serde_json::json;
use tokio::sync::watch;
use uuid::Uuid;

use super::listeners::Hearing;
use super::{ask, read, response, trace_of};
use crate::http::App;
use crate::http::door::Whole;
use crate::http::problem::Problem;
use crate::protocol::ids::NodeName;
use crate::protocol::presence::Phase;
use crate::protocol::session::{
    HearSession, Heard, ListenToSession, SessionAt, SessionEvent, SessionReply, SessionRequest, StopListening,
};
use crate::telemetry::Trace;

/// How often a session of another node is asked.
const ASK: Duration = Duration::from_secs(5);
const KEEP_ALIVE: Duration = Duration::from_secs(15);
/// The most names of events that are read.
const NAMES: usize = 32;
/// Proxies must not wait for more before they pass on what has come.
const BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");

type Address = Path<(String, String, String, String, String)>;

pub(in crate::http) fn routes() -> axum::Router<App> {
    let below = format!("/whep/{}/events", super::PATH);
    axum::Router::new()
        .route(&below, post(listen))
        .route(&format!("{below}/{{listener}}"), get(hear).delete(stop))
}

/// The `Link` that tells of the events of a session at this path.
pub(in crate::http) fn link(session: &str) -> String {
    let events = SessionEvent::ALL.map(SessionEvent::name).join(",");
    format!(
        "<{session}/events>; rel=\"urn:ietf:params:whep:ext:core:server-sent-events\"; events=\"{events}\""
    )
}

async fn listen(
    State(app): State<App>,
    Path(address): Path<(String, String, String, String)>,
    uri: Uri,
    headers: HeaderMap,
    Whole(body): Whole,
) -> Result<Response, Problem> {
    let (node, at) = read(&address)?;
    let request = SessionRequest::ListenToSession(ListenToSession { at, events: wanted(&body)? });
    match ask(&app, &node, request, trace_of(&headers)).await? {
        SessionReply::Listening(listening) => {
            let location = format!("{}/{}", uri.path(), listening.listener);
            Ok((StatusCode::CREATED, [(header::LOCATION, location)]).into_response())
        }
        other => Ok(response(other)),
    }
}

/// The events that are asked for: all where none is named. Unknown ones don't come.
fn wanted(body: &[u8]) -> Result<Vec<SessionEvent>, Problem> {
    if body.trim_ascii().is_empty() {
        return Ok(SessionEvent::ALL.to_vec());
    }
    let names: Vec<String> = serde_json::from_slice(body).map_err(|error| {
        let detail = format!(
            "send a JSON list of events, such as [\"active\",\"reconnect\"], or nothing for all: {error}"
        );
        Problem::new(StatusCode::BAD_REQUEST, detail)
    })?;
    Ok(SessionEvent::ALL
        .into_iter()
        .filter(|event| names.iter().take(NAMES).any(|name| name == event.name()))
        .collect())
}

async fn stop(
    State(app): State<App>,
    Path(address): Address,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let (node, at, listener) = listener(address)?;
    let request = SessionRequest::StopListening(StopListening { at, listener });
    ask(&app, &node, request, trace_of(&headers)).await.map(response)
}

async fn hear(
    State(app): State<App>,
    Path(address): Address,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let (node, at, listener) = listener(address)?;
    let wake = match app.listeners.find(at.clone(), listener).await {
        Some(hearing) => Wake::Here(hearing, app.ctx.phase.clone()),
        None => Wake::There,
    };
    let mut hearer = Hearer {
        request: SessionRequest::HearSession(HearSession { at, listener }),
        trace: trace_of(&headers),
        app,
        node,
        wake,
        said: None,
        ready: VecDeque::new(),
    };
    // The first answer tells whether there is anything to hear.
    match hearer.ask().await? {
        SessionReply::Heard(heard) => hearer.take(heard),
        other => return Ok(response(other)),
    }
    let events = stream::unfold(hearer, async |mut hearer| {
        let event = hearer.next().await?;
        Some((Ok::<_, Infallible>(event), hearer))
    });
    let sse = Sse::new(events).keep_alive(KeepAlive::new().interval(KEEP_ALIVE));
    Ok(([(BUFFERING, HeaderValue::from_static("no"))], sse).into_response())
}

fn listener(
    (room, stream, node, session, listener): (String, String, String, String, String),
) -> Result<(NodeName, SessionAt, Uuid), Problem> {
    let (node, at) = read(&(room, stream, node, session))?;
    let unknown =
        || Problem::new(StatusCode::NOT_FOUND, "nobody listens here: POST to the session's events first");
    Ok((node, at, listener.parse().map_err(|_| unknown())?))
}

/// What there is to wait for.
enum Wake {
    /// The session is here: whatever changes.
    Here(Hearing, watch::Receiver<Phase>),
    /// It is elsewhere: asked again and again.
    There,
}

/// One who reads.
struct Hearer {
    app: App,
    node: NodeName,
    request: SessionRequest,
    trace: Trace,
    wake: Wake,
    /// What was last told.
    said: Option<Heard>,
    ready: VecDeque<Event>,
}

impl Hearer {
    async fn ask(&self) -> Result<SessionReply, Problem> {
        ask(&self.app, &self.node, self.request.clone(), self.trace).await
    }

    /// The next event; none once the session or the listener has ended.
    async fn next(&mut self) -> Option<Event> {
        while self.ready.is_empty() {
            match &mut self.wake {
                Wake::Here(hearing, phase) => tokio::select! {
                    () = hearing.over.cancelled() => return None,
                    changed = hearing.facts.changed() => changed.ok()?,
                    changed = phase.changed() => changed.ok()?,
                },
                Wake::There => tokio::time::sleep(ASK).await,
            }
            match self.ask().await {
                Ok(SessionReply::Heard(heard)) => self.take(heard),
                Ok(_) => return None,
                // Its node can't be asked now: that passes, or the session's address is unknown at last.
                Err(problem) if problem.is_passing() => {}
                Err(_) => return None,
            }
        }
        self.ready.pop_front()
    }

    /// Makes events of what is new.
    fn take(&mut self, heard: Heard) {
        let said = self.said.replace(heard.clone());
        for (event, data) in news(said.as_ref(), &heard) {
            if heard.events.contains(&event) {
                self.ready.push_back(Event::default().event(event.name()).data(data.to_string()));
            }
        }
    }
}

/// What has changed since `said`: nobody is told in the beginning that there is no media yet.
fn news(said: Option<&Heard>, heard: &Heard) -> Vec<(SessionEvent, serde_json::Value)> {
    let mut news = Vec::new();
    match (said.is_some_and(|said| said.active), heard.active) {
        (false, true) => news.push((SessionEvent::Active, json!({}))),
        (true, false) => news.push((SessionEvent::Inactive, json!({}))),
        _ => {}
    }
    if let Some(viewers) =
        heard.viewers.filter(|viewers| said.and_then(|said| said.viewers) != Some(*viewers))
    {
        news.push((SessionEvent::Viewercount, json!({"viewercount": viewers})));
    }
    if heard.draining && !said.is_some_and(|said| said.draining) {
        let data = heard.url.as_ref().map_or_else(|| json!({}), |url| json!({"url": url}));
        news.push((SessionEvent::Reconnect, data));
    }
    news
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heard(active: bool, viewers: u32, draining: bool) -> Heard {
        let url = draining.then(|| "https://b.example.com/whep/news/main".to_owned());
        Heard { events: SessionEvent::ALL.to_vec(), active, viewers: Some(viewers), draining, url }
    }

    fn told(said: Option<&Heard>, heard: &Heard) -> Vec<String> {
        news(said, heard).into_iter().map(|(event, data)| format!("{} {data}", event.name())).collect()
    }

    #[test]
    fn only_what_changes_is_told() {
        let silent = heard(false, 1, false);
        assert_eq!(told(None, &silent), [r#"viewercount {"viewercount":1}"#]);
        let plays = heard(true, 1, false);
        assert_eq!(told(Some(&silent), &plays), ["active {}"]);
        assert!(told(Some(&plays), &plays).is_empty());
        assert_eq!(
            told(Some(&plays), &heard(false, 2, true)),
            [
                "inactive {}",
                r#"viewercount {"viewercount":2}"#,
                r#"reconnect {"url":"https://b.example.com/whep/news/main"}"#
            ]
        );
    }

    #[test]
    fn unknown_events_are_passed_over_and_none_named_is_all() {
        assert_eq!(wanted(b"").unwrap(), SessionEvent::ALL);
        assert_eq!(wanted(br#"["layers","reconnect"]"#).unwrap(), [SessionEvent::Reconnect]);
        assert!(wanted(b"{}").is_err() && wanted(b"[1]").is_err());
    }
}
