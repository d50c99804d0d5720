//! Before a WHIP or WHEP request is read: whether it may start a session at all.

use std::net::IpAddr;
use std::time::Instant;

use axum::extract::{RawPathParams, Request, State};
use axum::http::header::{self, HeaderName};
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use chrono::{DateTime, Utc};

use super::super::App;
use super::super::door;
use super::super::forwarded::Reached;
use super::super::problem::Problem;
use super::super::request::{bearer, names};
use super::{AuthError, Found};
use crate::config::Action;
use crate::protocol::admission::{Authorize, Opaque};
use crate::protocol::event::{About, Turned, What};
use crate::protocol::ids::{RoomId, StreamName};
use crate::room::Pass;

/// The longest header that a callout is told, in characters.
const MAX_HEADER: usize = 512;

/// Lets through who may start a session, with its [`Pass`] among the request's extensions; other requests
/// than those that start one pass as they are.
pub(in crate::http) async fn admit(
    State((app, action)): State<(App, Action)>,
    params: RawPathParams,
    request: Request,
    next: Next,
) -> Response {
    let param = |name: &str| params.iter().find(|(key, _)| *key == name).map(|(_, value)| value);
    if request.method() != Method::POST || param("session").is_some() {
        return next.run(request).await;
    }
    let (room, stream) = match names(param("room").unwrap_or_default(), param("stream")) {
        Ok(named) => named,
        Err(problem) => return problem.into_response(),
    };
    if let Err(problem) = door::session(&app, request.extensions()) {
        return problem.into_response();
    }
    let (mut parts, body) = request.into_parts();
    let asker = Asker::of(&parts, bearer(&parts.headers));
    let pass = match may(&app, action, &room, &stream, &asker).await {
        Ok(pass) => pass,
        Err(error) => return refuse(&app, action, room, stream, error),
    };
    parts.extensions.insert(pass.clone());
    let response = next.run(Request::from_parts(parts, body)).await;
    // It may have been barred while it was let in.
    match app.gate.barred(&pass.tokens) {
        Some(until) => {
            app.gate.send_out(&pass.tokens).await;
            refuse(&app, action, room, stream, AuthError::Barred(until))
        }
        None => response,
    }
}

/// Who asks.
#[derive(Debug, Clone, Default)]
pub(in crate::http) struct Asker {
    /// Its bearer token.
    token: Option<String>,
    address: Option<IpAddr>,
    user_agent: Option<String>,
}

impl Asker {
    /// Who sent a request, with its token.
    pub(in crate::http) fn of(request: &Parts, token: Option<&str>) -> Self {
        Self {
            token: token.map(str::to_owned),
            address: request.extensions.get::<Reached>().and_then(|reached| reached.client),
            user_agent: text(&request.headers, &header::USER_AGENT),
        }
    }
}

/// What whoever asks may be let in with.
///
/// # Errors
/// [`AuthError`].
pub(in crate::http) async fn may(
    app: &App,
    action: Action,
    room: &RoomId,
    stream: &StreamName,
    asker: &Asker,
) -> Result<Pass, AuthError> {
    let token = asker.token.as_deref();
    let Found { tokens, mut until, claims, name } = app.verifier.check(token, action, room, stream).await?;
    if let Some(until) = app.gate.barred(&tokens) {
        return Err(AuthError::Barred(until));
    }
    if let Some(callout) = &app.callout {
        let question = Authorize {
            node: app.ctx.me.node.clone(),
            action,
            room_id: room.clone(),
            stream: stream.clone(),
            claims,
            token_name: name,
            token: token.filter(|_| !app.verifier.checks()).map(|token| Opaque(token.to_owned())),
            address: asker.address,
            user_agent: asker.user_agent.clone(),
        };
        let verdict = callout.ask(&question).await?;
        until = verdict.expires_at.or(until);
    }
    Ok(Pass { tokens, until: until.and_then(instant) })
}

/// A moment by the clock that sessions go by; none for one that never comes.
fn instant(at: DateTime<Utc>) -> Option<Instant> {
    Instant::now().checked_add((at - Utc::now()).to_std().unwrap_or_default())
}

fn text(headers: &HeaderMap, name: &HeaderName) -> Option<String> {
    let value = headers.get(name)?.to_str().ok()?;
    Some(value.chars().take(MAX_HEADER).collect())
}

fn refuse(app: &App, action: Action, room: RoomId, stream: StreamName, error: AuthError) -> Response {
    tell(app, action, room, stream, &error);
    Problem::from(error).into_response()
}

/// Tells the log who was refused: about the node, so that strangers make no rooms known.
pub(in crate::http) fn tell(app: &App, action: Action, room: RoomId, stream: StreamName, error: &AuthError) {
    let (reason, detail) = error.told();
    let turned = Turned { room: Some(room), stream, reason: reason.to_owned(), detail, times: 1 };
    let what = match action {
        Action::Publish => What::PublisherRejected(turned),
        Action::Watch | Action::Moderate => What::ViewerRejected(turned),
    };
    app.ctx.events.record_often(About::Node(app.ctx.me.node.clone()), reason, what);
}
