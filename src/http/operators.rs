//! What operators see and do: health, metrics, rooms.

use std::time::Instant;

use axum::extract::{Path, Request, State};
use axum::http::{StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get, post};
use axum::{Json, Router};
use serde_json::{Value, json};

use super::App;
use super::problem::Problem;
use super::request::{bearer, names};
use crate::config::Secret;
use crate::protocol::presence::Phase;
use crate::room::{RoomError, RoomView};

/// The media type of OpenMetrics text.
pub(crate) const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

pub(super) fn routes(app: &App) -> Router<App> {
    let api = Router::new()
        .route("/api/rooms", get(rooms))
        .route("/api/rooms/{room}", get(room))
        .route("/api/rooms/{room}/streams/{stream}", delete(close))
        .route("/api/rooms/{room}/streams/{stream}/pause", post(pause))
        .route("/api/rooms/{room}/streams/{stream}/resume", post(resume))
        .route("/api/fleet", get(fleet))
        .route_layer(middleware::from_fn_with_state(app.ctx.config.operators.token.clone(), authorize));
    Router::new()
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics))
        .merge(api)
}

/// Lets through who sends the operators' token, and everyone where there is none.
pub(crate) async fn authorize(State(token): State<Option<Secret>>, request: Request, next: Next) -> Response {
    let allowed = match &token {
        Some(token) => bearer(request.headers()).is_some_and(|given| token.is(given)),
        None => true,
    };
    if allowed {
        return next.run(request).await;
    }
    Problem::new(StatusCode::UNAUTHORIZED, "send the operators' bearer token").into_response()
}

/// Whether the node takes publishers and viewers: it has started, neither drains nor has failed. What it
/// can't do now is said beside: that takes no node that works out of a load balancer.
async fn ready(State(app): State<App>) -> Response {
    let ctx = &app.ctx;
    let serving = *ctx.phase.borrow() == Phase::Serving;
    let body = json!({
        "serving": serving,
        "directory": ctx.metrics.directory_ready.get() == 1,
        "joins": ctx.fleet().hears_itself(Instant::now()),
        "log": ctx.broker.is_connected() && ctx.metrics.log_ready.get() == 1,
    });
    let status = if serving { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(body)).into_response()
}

async fn metrics(State(app): State<App>) -> Response {
    ([(header::CONTENT_TYPE, OPEN_METRICS)], app.ctx.metrics.text()).into_response()
}

async fn rooms(State(app): State<App>) -> Json<Vec<RoomView>> {
    let mut rooms = app.rooms.all().await;
    rooms.sort_by(|a, b| a.room.cmp(&b.room));
    Json(rooms)
}

async fn room(State(app): State<App>, Path(room): Path<String>) -> Result<Json<RoomView>, Problem> {
    let (room, _) = names(&room, None)?;
    let missing = || Problem::new(StatusCode::NOT_FOUND, "this node does not carry that room");
    app.rooms.inspect(room).await.map(Json).ok_or_else(missing)
}

async fn close(
    State(app): State<App>,
    Path((room, stream)): Path<(String, String)>,
) -> Result<StatusCode, Problem> {
    let (room, stream) = names(&room, Some(&stream))?;
    app.rooms.close(room, stream).await.map_err(absent)?;
    Ok(StatusCode::NO_CONTENT)
}

async fn pause(app: State<App>, path: Path<(String, String)>) -> Result<StatusCode, Problem> {
    set_paused(app, path, true).await
}

async fn resume(app: State<App>, path: Path<(String, String)>) -> Result<StatusCode, Problem> {
    set_paused(app, path, false).await
}

async fn set_paused(
    State(app): State<App>,
    Path((room, stream)): Path<(String, String)>,
    paused: bool,
) -> Result<StatusCode, Problem> {
    let (room, stream) = names(&room, Some(&stream))?;
    app.rooms.set_paused(room, stream, paused).await.map_err(absent)?;
    Ok(StatusCode::NO_CONTENT)
}

/// A room that isn't here has no such stream either.
fn absent(error: RoomError) -> RoomError {
    match error {
        RoomError::NoSession => RoomError::NoStream,
        other => other,
    }
}

async fn fleet(State(app): State<App>) -> Json<Value> {
    let fleet = app.ctx.fleet();
    let nodes: Vec<_> = fleet.present(Instant::now()).collect();
    Json(json!(nodes))
}
