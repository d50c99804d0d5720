//! What an address takes, told before anything is sent there (RFC 9725 sections 4.2 and 4.6).

use axum::Router;
use axum::extract::{Path, Request, State};
use axum::http::header::{self, HeaderMap, HeaderName, HeaderValue};
use axum::http::{Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use axum::routing::options;
use chrono::Utc;

use super::cors::is_preflight;
use super::request::{bearer, names};
use super::{App, FRAGMENT, SDP, ice, session};
use crate::config::Action;

const ACCEPT_POST: HeaderName = HeaderName::from_static("accept-post");
const ACCEPT_PATCH: HeaderName = HeaderName::from_static("accept-patch");

pub(super) fn routes() -> Router<App> {
    let whip =
        options(|app, Path(room), method, headers| answer(app, Action::Publish, room, None, method, headers));
    let whep =
        options(|app, Path(room), method, headers| answer(app, Action::Watch, room, None, method, headers));
    let whip_stream = options(|app, Path((room, stream)), method, headers| {
        answer(app, Action::Publish, room, Some(stream), method, headers)
    });
    let whep_stream = options(|app, Path((room, stream)), method, headers| {
        answer(app, Action::Watch, room, Some(stream), method, headers)
    });
    Router::new()
        .route("/whip/{room}", whip)
        .route("/whip/{room}/{stream}", whip_stream)
        .route(&format!("/whip/{}", session::PATH), options(StatusCode::OK))
        .route("/whep/{room}", whep)
        .route("/whep/{room}/{stream}", whep_stream)
        .route(&format!("/whep/{}", session::PATH), options(StatusCode::OK))
}

/// OPTIONS on an endpoint: ICE servers for who may publish or watch there, and never in a pre-flight, which has
/// no token.
async fn answer(
    State(app): State<App>,
    action: Action,
    room: String,
    stream: Option<String>,
    method: Method,
    headers: HeaderMap,
) -> Response {
    let mut response = StatusCode::OK.into_response();
    if !is_preflight(&method, &headers) && may(&app, action, &room, stream.as_deref(), &headers).await {
        ice::add_links(response.headers_mut(), &app.ctx.config.webrtc.ice_servers, Utc::now());
        // It may hold credentials.
        response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
    response
}

/// Whether a session would be let in. Where that is asked elsewhere it is only known once one is posted.
async fn may(app: &App, action: Action, room: &str, stream: Option<&str>, headers: &HeaderMap) -> bool {
    let Ok((room, stream)) = names(room, stream) else { return false };
    let found = app.verifier.check(bearer(headers), action, &room, &stream).await;
    app.callout.is_none() && found.is_ok_and(|found| app.gate.barred(&found.tokens).is_none())
}

/// Tells with each answer what the address takes.
pub(super) async fn accepts(request: Request, next: Next) -> Response {
    let told = taken(request.uri().path());
    let mut response = next.run(request).await;
    if let Some((name, value)) = told {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}

fn taken(path: &str) -> Option<(HeaderName, &'static str)> {
    let mut segments = path.split('/').skip(1);
    let kind = segments.next()?;
    match (kind, segments.count()) {
        ("whip" | "whep", 1 | 2) => Some((ACCEPT_POST, SDP)),
        ("whip", 4) => Some((ACCEPT_PATCH, FRAGMENT)),
        ("whep", 5) => Some((ACCEPT_POST, "application/json")),
        // A counter-offer is answered there.
        ("whep", 4) => Some((ACCEPT_PATCH, "application/trickle-ice-sdpfrag, application/sdp")),
        _ => None,
    }
}
