//! What everyone may know of a node and a stream.

use axum::extract::{Path, State};
use axum::routing::get;
use axum::{Json, Router};
use chrono::Utc;
use serde_json::{Value, json};

use super::App;
use super::problem::Problem;
use super::request::names;
use crate::room::RoomError;

pub(super) fn routes() -> Router<App> {
    Router::new().route("/api/node", get(node)).route("/api/status/{room}/{stream}", get(stream_status))
}

async fn node(State(app): State<App>) -> Json<Value> {
    let me = &app.ctx.me;
    Json(json!({"name": me.node, "region": me.region, "version": env!("CARGO_PKG_VERSION")}))
}

async fn stream_status(
    State(app): State<App>,
    Path((room, stream)): Path<(String, String)>,
) -> Result<Json<Value>, Problem> {
    let (room, stream) = names(&room, Some(&stream))?;
    let status = app.rooms.status(room.clone(), stream.clone()).await.ok_or(RoomError::Stopped)?;
    let me = &app.ctx.me;
    Ok(Json(json!({
        "room": room,
        "stream": stream,
        "live": status.live,
        "node": {"name": me.node, "region": me.region},
        "origin": status.origin.map(|origin| json!({"name": origin.node, "region": origin.region})),
        "hops": status.hops,
        "viewers": status.viewers,
        "since": status.since,
        "serverTime": Utc::now(),
    })))
}
