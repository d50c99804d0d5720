//! A WHIP or WHEP session at its own address: trickle, restart, answer, end.

use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::http::header::{self, HeaderMap, HeaderValue};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, delete};

use super::problem::Problem;
use super::request::{is_type, names, text};
use super::sdp::{CounterAnswer, Description, Fragment, counter_answer, restart_fragment};
use super::{ACCEPT_PATCH, App, FRAGMENT, SDP};
use crate::protocol::ids::{RoomId, SessionId, StreamName};
use crate::room::{Answered, Patch, Patched, RoomError};

type Address = Path<(String, String, String)>;

pub(super) fn methods() -> MethodRouter<App> {
    delete(end).patch(patch).get(look)
}

/// GET and HEAD on an endpoint: what may be posted there.
pub(super) async fn discover() -> Response {
    let mut response = StatusCode::OK.into_response();
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(SDP));
    response
}

async fn look(State(app): State<App>, Path(address): Address) -> Result<StatusCode, Problem> {
    let (room, stream, session) = read(&address)?;
    app.rooms.check(room, stream, session).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// The address is unguessable, so whoever has it may end the session.
async fn end(State(app): State<App>, Path(address): Address) -> Result<StatusCode, Problem> {
    let (room, stream, session) = read(&address)?;
    app.rooms.end(room, stream, session).await?;
    Ok(StatusCode::OK)
}

async fn patch(
    State(app): State<App>,
    Path(address): Address,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Problem> {
    let (room, stream, session) = read(&address)?;
    if is_type(&headers, SDP) {
        return answer(&app, room, stream, session, &text(&body)?).await;
    }
    if !is_type(&headers, FRAGMENT) {
        let detail = "send candidates with Content-Type: application/trickle-ice-sdpfrag";
        return Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, detail));
    }
    let fragment = Fragment::parse(&text(&body)?)?;
    let patch = Patch { ufrag: fragment.credentials.map(|(ufrag, _)| ufrag), if_match: if_match(&headers) };
    match app.rooms.patch(room, stream, session, patch).await? {
        Patched::Trickled => Ok(StatusCode::NO_CONTENT.into_response()),
        Patched::Restarted(transport) => {
            let mid = fragment_mid(&body);
            let fragment = restart_fragment(&transport.ice, &transport.candidates, &mid);
            let mut response = (StatusCode::OK, fragment).into_response();
            let headers = response.headers_mut();
            headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(FRAGMENT));
            headers.insert(ACCEPT_PATCH, HeaderValue::from_static(FRAGMENT));
            if let Ok(etag) = HeaderValue::from_str(&format!("\"{}\"", transport.ice.username_fragment)) {
                headers.insert(header::ETAG, etag);
            }
            Ok(response)
        }
    }
}

/// A viewer's answer to our counter-offer.
async fn answer(
    app: &App,
    room: RoomId,
    stream: StreamName,
    session: SessionId,
    sdp: &str,
) -> Result<Response, Problem> {
    let answer = Description::parse(sdp)?;
    let agreed = app.rooms.check(room.clone(), stream.clone(), session).await?;
    let CounterAnswer { dtls, media } = counter_answer(&answer, &agreed)?;
    let answered = Answered { dtls, ufrag: answer.ice()?.0.to_owned(), media };
    app.rooms.connect(room, stream, session, answered).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

fn read(
    (room, stream, session): &(String, String, String),
) -> Result<(RoomId, StreamName, SessionId), Problem> {
    let (room, stream) = names(room, Some(stream))?;
    let session = session.parse().map_err(|_| Problem::from(RoomError::NoSession))?;
    Ok((room, stream, session))
}

/// The ETag that a request names. Some clients send it as `ETag` instead.
fn if_match(headers: &HeaderMap) -> Option<String> {
    let value = headers.get(header::IF_MATCH).or_else(|| headers.get(header::ETAG))?;
    Some(value.to_str().ok()?.trim().trim_start_matches("W/").trim_matches('"').to_owned())
}

/// The first section that a fragment names; browsers number from 0.
fn fragment_mid(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(body);
    let mid = text.lines().find_map(|line| line.trim().strip_prefix("a=mid:"));
    mid.unwrap_or("0").to_owned()
}
