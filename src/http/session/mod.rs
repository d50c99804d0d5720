//! A WHIP or WHEP session at its own address: trickle, restart, answer, end.
//!
//! The address names the node that has the session, so that any node may be asked: [`here`] answers where it is,
//! [`elsewhere`] carries the request to there.

mod elsewhere;
mod events;
mod here;
mod listeners;

use axum::extract::{Path, State};
use axum::http::header::{self, HeaderMap, HeaderName, HeaderValue};
use axum::http::{StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, delete};

use super::door::Whole;
use super::problem::Problem;
use super::request::{is_type, names, text};
use super::{App, FRAGMENT, SDP};
use crate::config::Action;
use crate::protocol::ids::NodeName;
use crate::protocol::session::{
    EndSession, LookAtSession, PatchKind, PatchSession, SessionAt, SessionReply, SessionRequest,
};
use crate::room::RoomError;
use crate::telemetry::Trace;

pub use elsewhere::answer_others;
pub(super) use events::{link as events_link, routes as events_routes};
pub use listeners::{Listeners, ListenersHandle};

/// A session's path below `/whip` and `/whep`, which [`super::request::Accepted`] writes.
pub(super) const PATH: &str = "{room}/{stream}/{node}/{session}";

type Address = Path<(String, String, String, String)>;

pub(super) fn methods() -> MethodRouter<App> {
    delete(end).patch(patch).get(look)
}

/// GET and HEAD on an endpoint: what may be posted there.
pub(super) async fn discover() -> Response {
    let mut response = StatusCode::OK.into_response();
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(SDP));
    response
}

/// Whether the session is there, and where it may go on if it no longer is.
async fn look(
    State(app): State<App>,
    Path(address): Address,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let (node, at) = read(&address)?;
    let action = if uri.path().starts_with("/whip/") { Action::Publish } else { Action::Watch };
    let (room, stream, session) = (at.room_id.clone(), at.stream.clone(), at.session);
    let mut response =
        ask(&app, &node, SessionRequest::LookAtSession(LookAtSession { at }), trace_of(&headers))
            .await
            .map(response)?;
    if response.status().is_success() {
        let ways = super::elsewhere::ways(&app, action, &room, &stream, &node, session).await;
        super::elsewhere::add_links(response.headers_mut(), &ways);
    }
    Ok(response)
}

/// The address is unguessable, so whoever has it may end the session.
async fn end(
    State(app): State<App>,
    Path(address): Address,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let (node, at) = read(&address)?;
    ask(&app, &node, SessionRequest::EndSession(EndSession { at }), trace_of(&headers)).await.map(response)
}

async fn patch(
    State(app): State<App>,
    Path(address): Address,
    headers: HeaderMap,
    Whole(body): Whole,
) -> Result<Response, Problem> {
    let (node, at) = read(&address)?;
    let kind = if is_type(&headers, SDP) {
        PatchKind::Answer
    } else if is_type(&headers, FRAGMENT) {
        PatchKind::Fragment
    } else {
        let detail = "send candidates with Content-Type: application/trickle-ice-sdpfrag";
        return Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, detail));
    };
    let patch = PatchSession { at, kind, if_match: if_match(&headers), body: text(&body)? };
    ask(&app, &node, SessionRequest::PatchSession(patch), trace_of(&headers)).await.map(response)
}

/// Asks the session, wherever it is.
async fn ask(
    app: &App,
    node: &NodeName,
    request: SessionRequest,
    trace: Trace,
) -> Result<SessionReply, Problem> {
    if *node == app.ctx.me.node {
        let reply = here::answer(app, request.clone()).await;
        // A process that drains may have left its name to this one, and its sessions not yet.
        if !reply.is_not_found() || !elsewhere::is_known(app, node) {
            return Ok(reply);
        }
    }
    elsewhere::answer(app, node, request, trace).await
}

fn trace_of(headers: &HeaderMap) -> Trace {
    Trace::from_header(headers.get("traceparent").and_then(|value| value.to_str().ok()))
}

fn read(
    (room, stream, node, session): &(String, String, String, String),
) -> Result<(NodeName, SessionAt), Problem> {
    let (room_id, stream) = names(room, Some(stream))?;
    let no_session = || Problem::from(RoomError::NoSession);
    let session = session.parse().map_err(|_| no_session())?;
    Ok((node.parse().map_err(|_| no_session())?, SessionAt { room_id, stream, session }))
}

/// The ETag that a request names. Some clients send it as `ETag` instead.
fn if_match(headers: &HeaderMap) -> Option<String> {
    let value = headers.get(header::IF_MATCH).or_else(|| headers.get(header::ETAG))?;
    Some(value.to_str().ok()?.trim().trim_start_matches("W/").trim_matches('"').to_owned())
}

/// The answer as HTTP has it.
fn response(reply: SessionReply) -> Response {
    let SessionReply::Answer(answer) = reply else {
        return Problem::new(StatusCode::BAD_GATEWAY, "the session's node answers something else")
            .into_response();
    };
    let status = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::BAD_GATEWAY);
    let mut response =
        if answer.body.is_empty() { status.into_response() } else { (status, answer.body).into_response() };
    let mut set = |name: HeaderName, value: Option<String>| {
        if let Some(Ok(value)) = value.map(HeaderValue::try_from) {
            response.headers_mut().insert(name, value);
        }
    };
    set(header::CONTENT_TYPE, answer.content_type);
    set(header::ETAG, answer.etag);
    set(header::RETRY_AFTER, answer.retry_after.map(|seconds| seconds.to_string()));
    response
}
