//! Which other nodes a client may go to: asked by anyone at `GET /api/where`, told with each session, and to whom this
//! node can't take.

use std::sync::Arc;
use std::time::Instant;

use axum::extract::State;
use axum::http::header::{self, HeaderMap, HeaderValue};
use axum::http::{HeaderName, Uri};
use axum::routing::get;
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::{Value, json};
use url::Url;

use super::App;
use super::problem::Problem;
use super::request::{Asked, names};
use crate::config::Action;
use crate::fleet::{Place, Wanted, nearby};
use crate::protocol::claim::Claim;
use crate::protocol::ids::{NodeName, RoomId, SessionId, StreamName};
use crate::room::RoomError;

/// The most addresses that a session is told to go on at.
const WAYS: usize = 3;
/// The query's key by which a redirected request says so, and how often it may be.
const REDIRECTED: &str = "redirected";
const REDIRECTS: usize = 2;

pub(super) fn routes() -> Router<App> {
    Router::new().route("/api/where", get(answer))
}

#[derive(Debug, Deserialize)]
struct Question {
    room: String,
    stream: Option<String>,
    #[serde(default)]
    action: Option<Action>,
}

async fn answer(
    State(app): State<App>,
    Asked(asked): Asked<Question>,
) -> Result<([(HeaderName, HeaderValue); 1], Json<Value>), Problem> {
    let (room, stream) = names(&asked.room, asked.stream.as_deref())?;
    let action = asked.action.unwrap_or(Action::Watch);
    let origin = origin(&app, &room, &stream).await;
    let nodes: Vec<Value> = places(&app, action, &room, &stream, origin.as_ref())
        .into_iter()
        .map(|place| {
            let endpoint = endpoint(&place, action, &room, &stream);
            json!({"name": place.node, "region": place.region, "url": place.url, "endpoint": endpoint})
        })
        .collect();
    let me = &app.ctx.me;
    let said = json!({
        "room": room,
        "stream": stream,
        "action": action,
        "node": {"name": me.node, "region": me.region},
        "origin": origin.map(|claim| json!({"name": claim.origin.node, "region": claim.origin.region})),
        "nodes": nodes,
    });
    // As old as signs of life are.
    Ok(([(header::CACHE_CONTROL, HeaderValue::from_static("public, max-age=1"))], Json(said)))
}

/// The claim that holds, if its node is heard.
async fn origin(app: &App, room: &RoomId, stream: &StreamName) -> Option<Arc<Claim>> {
    let known = app.ctx.directory.look_up(room.clone(), stream.clone()).await?;
    let (fleet, now) = (app.ctx.fleet(), Instant::now());
    known.claims.into_iter().find(|claim| !fleet.is_absent(&claim.origin, now))
}

fn places(
    app: &App,
    action: Action,
    room: &RoomId,
    stream: &StreamName,
    origin: Option<&Arc<Claim>>,
) -> Vec<Place> {
    let origin = origin.map(|claim| &claim.origin);
    let only_in = app.ctx.config.rooms.only_in(room);
    let wanted = Wanted { action, room, stream, near: &app.ctx.me, origin, only_in };
    nearby(wanted, &app.ctx.fleet(), Instant::now())
}

fn endpoint(place: &Place, action: Action, room: &RoomId, stream: &StreamName) -> String {
    let kind = match action {
        Action::Publish => "whip",
        Action::Watch | Action::Moderate => "whep",
    };
    format!("{}/{kind}/{room}/{stream}", place.url)
}

/// The places to go to instead of `but`, by other addresses than its.
async fn others(app: &App, action: Action, room: &RoomId, stream: &StreamName, but: &NodeName) -> Vec<Place> {
    let origin = origin(app, room, stream).await;
    let mut places = places(app, action, room, stream, origin.as_ref());
    let fleet = app.ctx.fleet();
    let own = fleet.node(but).map(|node| node.public_url.trim_end_matches('/'));
    places.retain(|place| place.node != *but && Some(place.url.as_str()) != own);
    places
}

/// Another node's WebSocket for participants of a room, where one has room.
pub(super) async fn socket_elsewhere(app: &App, room: &RoomId) -> Option<String> {
    let me = &app.ctx.me.node;
    let places = others(app, Action::Publish, room, &StreamName::default(), me).await;
    let url = places.first()?.url.strip_prefix("http")?;
    Some(format!("ws{url}/rtc/{room}"))
}

/// The endpoints at which the client of a session that `node` has may go on, the best first.
pub(super) async fn ways(
    app: &App,
    action: Action,
    room: &RoomId,
    stream: &StreamName,
    node: &NodeName,
    session: SessionId,
) -> Vec<String> {
    let mut others = others(app, action, room, stream, node).await;
    others.truncate(WAYS);
    // Those who leave a node together don't all go the same way.
    let near = others
        .iter()
        .take_while(|place| Some(&place.region) == others.first().map(|one| &one.region))
        .count();
    if let Some((near, _)) = others.split_at_mut_checked(near)
        && !near.is_empty()
    {
        let by = session.0.as_u64_pair().1 % near.len() as u64;
        near.rotate_left(usize::try_from(by).unwrap_or(0));
    }
    others.iter().map(|place| endpoint(place, action, room, stream)).collect()
}

/// Tells ways on as `Link`, each on a line of its own, with the relation for what stands in for something (RFC 8288,
/// registered by HTML).
pub(super) fn add_links(headers: &mut HeaderMap, ways: &[String]) {
    let links = ways.iter().map(|way| HeaderValue::from_str(&format!("<{way}>; rel=\"alternate\"")));
    for link in links.flatten() {
        headers.append(header::LINK, link);
    }
}

/// A refusal; where this node is full, on its way in or out, or in a region that may not have the room, with the nodes that
/// may do it. From one that is full, or on its way, the client is sent to the first of them, where `http.redirect` is
/// set, twice at most.
pub(super) async fn refer(
    app: &App,
    action: Action,
    room: &RoomId,
    stream: &StreamName,
    asked: &Uri,
    headers: &HeaderMap,
    error: RoomError,
) -> Problem {
    let is_full = matches!(error, RoomError::Starting | RoomError::Draining | RoomError::Limit(_));
    // A rule is told, and nobody sent on past it unawares.
    let may_not = matches!(error, RoomError::Residency(_));
    let problem = Problem::from(error);
    if !is_full && !may_not {
        return problem;
    }
    let places = others(app, action, room, stream, &app.ctx.me.node).await;
    let follows = is_full && app.ctx.config.http.redirect && keeps_its_token(headers);
    let location = places.first().filter(|_| follows).and_then(|place| redirected(place, asked));
    let ways = places.iter().map(|place| endpoint(place, action, room, stream)).collect();
    problem.elsewhere(ways, location)
}

/// A page's token is dropped when its browser follows to another origin (Fetch, HTTP-redirect fetch).
fn keeps_its_token(headers: &HeaderMap) -> bool {
    !(headers.contains_key(header::ORIGIN) && headers.contains_key(header::AUTHORIZATION))
}

/// The same path and query there; none where the request was sent on often enough.
fn redirected(place: &Place, asked: &Uri) -> Option<String> {
    let mut url = Url::parse(&format!("{}{}", place.url, asked.path())).ok()?;
    let query: Vec<(String, String)> =
        url::form_urlencoded::parse(asked.query().unwrap_or_default().as_bytes()).into_owned().collect();
    let times = query.iter().find(|(key, _)| key == REDIRECTED);
    let times = times.map_or(0, |(_, times)| times.parse().unwrap_or(REDIRECTS));
    if times >= REDIRECTS {
        return None;
    }
    let rest = query.iter().filter(|(key, _)| key != REDIRECTED);
    url.query_pairs_mut().extend_pairs(rest).append_pair(REDIRECTED, &(times + 1).to_string());
    Some(url.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_sent_on_twice_at_most_with_all_that_it_asks() {
        let place = Place {
            node: "b".parse().unwrap(),
            region: "west".parse().unwrap(),
            url: "https://b.example.com/live".to_owned(),
        };
        let to = |asked: &str| redirected(&place, &asked.parse().unwrap());
        assert_eq!(
            to("/whip/news/main?scalabilityMode=L3T3").as_deref(),
            Some("https://b.example.com/live/whip/news/main?scalabilityMode=L3T3&redirected=1")
        );
        assert_eq!(
            to("/whep/news?redirected=1").as_deref(),
            Some("https://b.example.com/live/whep/news?redirected=2")
        );
        assert_eq!(to("/whep/news?redirected=2"), None);
        assert_eq!(to("/whep/news?redirected=many"), None);
    }
}
