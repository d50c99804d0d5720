//! The monitor's HTTP API and page, for operators alone.

mod events;
mod feed;
mod metrics;
mod moment;
mod pages;
mod rooms;

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::middleware;
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get};
use axum::{Json, Router};
use serde_json::json;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::past::Past;
use super::projection::Live;
use super::sources::Sources;
use crate::broker::Broker;
use crate::broker::events::{EventsError, Recorder};
use crate::config::Config;
use crate::http::{Guard, Problem, authorize, not_found, observe};

/// What every handler needs.
#[derive(Debug, Clone)]
pub(super) struct Api {
    pub(super) broker: Broker,
    pub(super) recorder: Recorder,
    pub(super) live: Live,
    pub(super) sources: watch::Receiver<Sources>,
    pub(super) past: Past,
    pub(super) config: Arc<Config>,
    pub(super) stop: CancellationToken,
}

/// What is served.
pub(super) fn routes(api: Api) -> Router {
    let Config { operators, monitor, .. } = &*api.config;
    let guard = Guard::new(operators.token.as_ref(), monitor.listen, "monitor.listen");
    let guarded = Router::new()
        .route("/api/fleet", get(rooms::fleet))
        .route("/api/rooms", get(rooms::rooms))
        .route("/api/rooms/{room}", get(rooms::room))
        .route("/api/rooms/{room}/events", get(events::page))
        .route("/api/rooms/{room}/history", delete(events::forget))
        .route("/api/events", get(feed::feed))
        .route("/api/log", get(events::log))
        .route("/api/log/events", get(events::all))
        .route_layer(middleware::from_fn_with_state(guard.clone(), authorize));
    let figures = Router::new()
        .route("/metrics", get(metrics::metrics))
        .route_layer(middleware::from_fn_with_state(guard, observe));
    Router::new()
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(ready))
        .merge(figures)
        .merge(guarded)
        .merge(pages::routes())
        .fallback(not_found)
        .with_state(api)
}

/// Whether the picture is complete: NATS is there, and all that was stored is folded in.
async fn ready(State(api): State<Api>) -> Response {
    let progress = api.live.progress();
    let nats = api.broker.is_connected();
    let status = if nats && progress.caught_up { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let body = json!({ "nats": nats, "caughtUp": progress.caught_up, "behind": progress.behind });
    (status, Json(body)).into_response()
}

impl From<EventsError> for Problem {
    fn from(error: EventsError) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, error.to_string())
    }
}

fn stopping() -> Problem {
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, "the monitor stops")
}
