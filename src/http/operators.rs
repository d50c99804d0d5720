//! What operators see and do: health, metrics, rooms, who is sent out and kept out, which nodes drain.

use std::time::{Duration, Instant};

use axum::extract::{Path, State};
use axum::http::{StatusCode, header};
use axum::middleware;
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get, post};
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::{Value, json};

use super::App;
use super::guard::{Guard, authorize, observe};
use super::problem::Problem;
use super::request::{Asked, names};
use crate::drain::DrainError;
use crate::gate::{GateError, Outcome};
use crate::protocol::drain::{Drain, DrainRequest, GetDrain, SetDrain};
use crate::protocol::event::ViewerId;
use crate::protocol::gate::{Bar, TokenKey, Whom};
use crate::protocol::ids::RoomId;
use crate::protocol::presence::Phase;
use crate::room::{RoomError, RoomView};

/// The media type of OpenMetrics text.
pub(crate) const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

pub(super) fn routes(app: &App) -> Router<App> {
    let config = &app.ctx.config.operators;
    let guard = Guard::new(config.token.as_ref(), config.listen, "operators.listen");
    let api = Router::new()
        .route("/api/rooms", get(rooms))
        .route("/api/rooms/{room}", get(room))
        .route("/api/rooms/{room}/streams/{stream}", delete(end_publisher))
        .route("/api/rooms/{room}/streams/{stream}/pause", post(pause))
        .route("/api/rooms/{room}/streams/{stream}/resume", post(resume))
        .route("/api/rooms/{room}/viewers/{viewer}", delete(end_viewer))
        .route("/api/bars", get(bars))
        .route("/api/bars/{kind}/{token}", post(bar).delete(lift))
        .route("/api/fleet", get(fleet))
        .route("/api/nodes/{node}/drain", get(drained).post(drain).delete(undrain))
        .route_layer(middleware::from_fn_with_state(guard.clone(), authorize));
    let figures = Router::new()
        .route("/metrics", get(metrics))
        .route_layer(middleware::from_fn_with_state(guard, observe));
    Router::new()
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(ready))
        .merge(figures)
        .merge(api)
}

/// Whether the node takes publishers and viewers: it has started, neither drains nor has failed. What it
/// can't do now is said beside: that takes no node that works out of a load balancer.
async fn ready(State(app): State<App>) -> Response {
    let ctx = &app.ctx;
    let serving = *ctx.phase.borrow() == Phase::Serving;
    let here = app.drain.here();
    let body = json!({
        "serving": serving,
        "phase": here.phase,
        "left": here.left,
        "directory": ctx.metrics.directory_ready.get() == 1,
        "joins": ctx.fleet().hears_itself(Instant::now()),
        "log": ctx.broker.is_connected() && ctx.metrics.log_ready.get() == 1,
        "keys": app.verifier.has_keys(),
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

/// For how long a token is barred.
#[derive(Debug, Deserialize)]
struct For {
    #[serde(default, rename = "for", with = "humantime_serde")]
    bar_for: Option<Duration>,
}

/// Whether who is sent out is kept out, too.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Barring {
    #[serde(default, with = "humantime_serde")]
    bar_for: Option<Duration>,
}

async fn end_publisher(
    State(app): State<App>,
    Path((room, stream)): Path<(String, String)>,
    Asked(barring): Asked<Barring>,
) -> Result<Json<Outcome>, Problem> {
    let (room, stream) = names(&room, Some(&stream))?;
    kick(&app, room, Whom::Publisher(stream), barring, "there is no such stream").await
}

async fn end_viewer(
    State(app): State<App>,
    Path((room, viewer)): Path<(String, String)>,
    Asked(barring): Asked<Barring>,
) -> Result<Json<Outcome>, Problem> {
    let (room, _) = names(&room, None)?;
    let wrong = "a viewer is named by the id that rooms and events give it";
    let viewer = viewer.parse().map_err(|_| Problem::new(StatusCode::BAD_REQUEST, wrong))?;
    kick(&app, room, Whom::Viewer(ViewerId(viewer)), barring, "there is no such viewer").await
}

/// Ends sessions wherever they are in the fleet.
async fn kick(
    app: &App,
    room: RoomId,
    whom: Whom,
    barring: Barring,
    missing: &str,
) -> Result<Json<Outcome>, Problem> {
    let outcome = app.gate.kick(room, whom, barring.bar_for).await?;
    if !outcome.ended.is_empty() {
        return Ok(Json(outcome));
    }
    let silent: Vec<_> = outcome.unanswered.iter().map(ToString::to_string).collect();
    Err(match silent.as_slice() {
        [] => Problem::new(StatusCode::NOT_FOUND, format!("{missing} on any node")),
        silent => {
            let detail = format!("{missing} on any node that answers; {} did not answer", silent.join(", "));
            Problem::new(StatusCode::SERVICE_UNAVAILABLE, detail)
        }
    })
}

async fn bars(State(app): State<App>) -> Json<Vec<Bar>> {
    Json(app.gate.bars())
}

async fn bar(
    State(app): State<App>,
    Path((kind, token)): Path<(String, String)>,
    Asked(time): Asked<For>,
) -> Result<Json<Outcome>, Problem> {
    let missing = || Problem::new(StatusCode::BAD_REQUEST, "say for how long, as ?for=10m");
    let outcome = app.gate.bar(key(&kind, &token)?, time.bar_for.ok_or_else(missing)?).await?;
    Ok(Json(outcome))
}

async fn lift(
    State(app): State<App>,
    Path((kind, token)): Path<(String, String)>,
) -> Result<Json<Outcome>, Problem> {
    Ok(Json(app.gate.lift(key(&kind, &token)?).await?))
}

fn key(kind: &str, token: &str) -> Result<TokenKey, Problem> {
    let wrong =
        "name a token as /api/bars/id/<its jti>, /api/bars/subject/<its sub> or /api/bars/name/<its name>";
    TokenKey::of(kind, token).ok_or_else(|| Problem::new(StatusCode::BAD_REQUEST, wrong))
}

impl From<GateError> for Problem {
    fn from(error: GateError) -> Self {
        let status = match error {
            GateError::Room(error) => return error.into(),
            GateError::Full | GateError::Stopped => StatusCode::SERVICE_UNAVAILABLE,
            GateError::NoBar => StatusCode::NOT_FOUND,
            GateError::Duration => StatusCode::BAD_REQUEST,
        };
        Self::new(status, error.to_string())
    }
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

async fn drained(app: State<App>, node: Path<String>) -> Result<Json<Drain>, Problem> {
    ask(app, node, DrainRequest::GetDrain(GetDrain {})).await
}

async fn drain(app: State<App>, node: Path<String>) -> Result<Json<Drain>, Problem> {
    ask(app, node, DrainRequest::SetDrain(SetDrain { draining: true })).await
}

async fn undrain(app: State<App>, node: Path<String>) -> Result<Json<Drain>, Problem> {
    ask(app, node, DrainRequest::SetDrain(SetDrain { draining: false })).await
}

async fn ask(
    State(app): State<App>,
    Path(node): Path<String>,
    request: DrainRequest,
) -> Result<Json<Drain>, Problem> {
    let node = node.parse()?;
    Ok(Json(app.drain.ask(&node, request).await?))
}

impl From<DrainError> for Problem {
    fn from(error: DrainError) -> Self {
        let status = match error {
            DrainError::NoNode(_) => StatusCode::NOT_FOUND,
            DrainError::Refused(_) => StatusCode::CONFLICT,
            DrainError::Unanswered(_) => StatusCode::SERVICE_UNAVAILABLE,
        };
        Self::new(status, error.to_string())
    }
}

async fn fleet(State(app): State<App>) -> Json<Value> {
    let fleet = app.ctx.fleet();
    let nodes: Vec<_> = fleet.present(Instant::now()).collect();
    Json(json!(nodes))
}
