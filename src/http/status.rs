//! What everyone may know of a node and a stream.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::extract::{Path, State};
use axum::routing::get;
use axum::{Json, Router};
use chrono::{DateTime, Utc};
use moka::future::Cache;
use serde::Serialize;
use serde_json::{Value, json};

use super::App;
use super::problem::Problem;
use super::request::names;
use crate::protocol::ids::{RoomId, StreamName};

/// How old an answer may be.
const KEPT: Duration = Duration::from_millis(250);
/// Of how many streams one is kept.
const STREAMS: u64 = 10_000;

/// What was last told of streams. However many pages ask, a room is asked a few times a second.
#[derive(Debug, Clone)]
pub struct Statuses(Cache<(RoomId, StreamName), Arc<Value>>);

impl Default for Statuses {
    fn default() -> Self {
        Self(Cache::builder().max_capacity(STREAMS).time_to_live(KEPT).build())
    }
}

/// What is told of a stream.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Told {
    #[serde(flatten)]
    status: Arc<Value>,
    server_time: DateTime<Utc>,
}

pub(super) fn routes() -> Router<App> {
    Router::new().route("/api/node", get(node)).route("/api/status/{room}/{stream}", get(stream_status))
}

async fn node(State(app): State<App>) -> Json<Value> {
    let me = &app.ctx.me;
    let phase = *app.ctx.phase.borrow();
    // Load balancers go by the phase: a node that drains serves who is there, and takes nobody new.
    Json(json!({"name": me.node, "region": me.region, "version": env!("CARGO_PKG_VERSION"), "phase": phase}))
}

async fn stream_status(
    State(app): State<App>,
    Path((room, stream)): Path<(String, String)>,
) -> Result<Json<Told>, Problem> {
    let (room, stream) = names(&room, Some(&stream))?;
    let asked = look_up(app.clone(), room.clone(), stream.clone());
    let status = app.statuses.0.get_with((room, stream), asked).await;
    Ok(Json(Told { status, server_time: Utc::now() }))
}

async fn look_up(app: App, room: RoomId, stream: StreamName) -> Arc<Value> {
    // One after the other: asked at once, each would wake a thread of its own.
    let claim = app.ctx.directory.look_up(room.clone(), stream.clone()).await;
    let here = app.rooms.status(room.clone(), stream.clone()).await;
    let claims = claim.map(|notice| notice.claims).unwrap_or_default();
    let (fleet, now) = (app.ctx.fleet(), Instant::now());
    let holds = claims.iter().find(|claim| !fleet.is_absent(&claim.origin, now));
    let hops = here.as_ref().and_then(|here| here.hops);
    let shown = holds.or(claims.first());
    let me = &app.ctx.me;
    let live = hops.is_some() || holds.is_some();
    Arc::new(json!({
        "room": room,
        "stream": stream,
        "live": live,
        // Published, but its origin can't be heard now.
        "unheard": !claims.is_empty() && holds.is_none(),
        "node": {"name": me.node, "region": me.region},
        "origin": shown.map(|claim| json!({"name": claim.origin.node, "region": claim.origin.region})),
        "hops": hops,
        // On all nodes; unknown where the stream is published and isn't watched here.
        "viewers": if live { here.as_ref().and_then(|here| here.everywhere) } else { Some(0) },
        "viewersHere": here.as_ref().map_or(0, |here| here.viewers),
        // Its publisher is there, and sends nothing.
        "muted": holds.is_some_and(|claim| !claim.flowing),
        // What is wrong with what the publisher sends; known where it is published.
        "warnings": here.map(|here| here.warnings).unwrap_or_default(),
        "since": shown.map(|claim| claim.started_at),
    }))
}
