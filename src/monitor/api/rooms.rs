//! The fleet and the rooms, now or at a past moment.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use chrono::Utc;

use super::Api;
use super::moment::Moment;
use crate::http::{Asked, Problem};
use crate::monitor::sources;
use crate::monitor::view::{FleetView, RoomView, RoomsQuery, RoomsView};
use crate::protocol::ids::RoomId;

pub(super) async fn fleet(
    State(api): State<Api>,
    Asked(moment): Asked<Moment>,
) -> Result<Json<FleetView>, Problem> {
    let mut fleet = moment.see(&api, |state, now| state.fleet(now)).await?;
    if moment.is_now() {
        let unheard = sources::problems(&api.sources.borrow(), Utc::now(), &api.config.monitor.name);
        fleet.problems.splice(0..0, unheard);
    }
    Ok(Json(fleet))
}

pub(super) async fn rooms(
    State(api): State<Api>,
    Asked(moment): Asked<Moment>,
    Asked(query): Asked<RoomsQuery>,
) -> Result<Json<RoomsView>, Problem> {
    moment.see(&api, move |state, now| state.rooms(&query, now)).await.map(Json)
}

pub(super) async fn room(
    State(api): State<Api>,
    Asked(moment): Asked<Moment>,
    Path(room): Path<String>,
) -> Result<Json<RoomView>, Problem> {
    let room: RoomId = room.parse()?;
    let view = moment.see(&api, move |state, now| state.room(&room, now)).await?;
    let unknown = || Problem::new(StatusCode::NOT_FOUND, "the log tells nothing of that room at that moment");
    view.map(Json).ok_or_else(unknown)
}
