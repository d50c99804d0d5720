//! WHIP: how a publisher comes in (RFC 9725).

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use serde::Deserialize;
use uuid::Uuid;

use super::problem::Problem;
use super::request::{Accepted, Asked, bearer, local, names, sdp_text, turn_away};
use super::sdp::{Description, PublishMedia, answer_publish, publish_media};
use super::{App, session};
use crate::config::Action;
use crate::media::Offered;
use crate::protocol::event::What;
use crate::protocol::ids::{RoomId, SessionId, StreamName};
use crate::protocol::rtp::ScalabilityMode;
use crate::room::PublishRequest;

pub(super) fn routes() -> Router<App> {
    Router::new()
        .route("/whip/{room}", post(publish_main).get(session::discover))
        .route("/whip/{room}/{stream}", post(publish).get(session::discover))
        .route("/whip/{room}/{stream}/{session}", session::methods())
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Options {
    /// The layers of an SVC encoder, as `L3T3`: a description can't tell them.
    scalability_mode: Option<ScalabilityMode>,
}

async fn publish_main(
    state: State<App>,
    Path(room): Path<String>,
    options: Asked<Options>,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Problem> {
    take(state, &room, None, options, &uri, &headers, &body).await
}

async fn publish(
    state: State<App>,
    Path((room, stream)): Path<(String, String)>,
    options: Asked<Options>,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Problem> {
    take(state, &room, Some(&stream), options, &uri, &headers, &body).await
}

async fn take(
    State(app): State<App>,
    room: &str,
    stream: Option<&str>,
    Asked(options): Asked<Options>,
    uri: &Uri,
    headers: &HeaderMap,
    body: &[u8],
) -> Result<Response, Problem> {
    let (room, stream) = names(room, stream)?;
    let (offer, media, request) = read(&app, &room, &stream, options, headers, body)
        .inspect_err(|problem| turn_away(&app, &room, &stream, problem, What::PublisherRejected))?;
    let session = request.session;
    let published = app.rooms.publish(room.clone(), request).await?;
    let sdp = answer_publish(&offer, &media, &local(&published.transport))?;
    let accepted = Accepted {
        app: &app,
        status: StatusCode::CREATED,
        endpoint: "whip",
        headers,
        uri,
        room: &room,
        stream: &stream,
        session,
        transport: &published.transport,
        path: &[],
        sdp,
    };
    Ok(accepted.into_response())
}

/// The offer of someone who may publish.
fn read(
    app: &App,
    room: &RoomId,
    stream: &StreamName,
    options: Options,
    headers: &HeaderMap,
    body: &[u8],
) -> Result<(Description, Vec<PublishMedia>, PublishRequest), Problem> {
    app.verifier.check(bearer(headers), Action::Publish, room, stream)?;
    let offer = Description::parse(&sdp_text(headers, body)?)?;
    let mut media = publish_media(&offer, app.engine().capabilities())?;
    if let Some(mode) = options.scalability_mode {
        scale(&mut media, &mode);
    }
    let request = PublishRequest {
        session: SessionId(Uuid::new_v4()),
        stream: stream.clone(),
        offered: media
            .iter()
            .map(|medium| Offered { kind: medium.kind, rtp_parameters: medium.rtp_parameters.clone() })
            .collect(),
        dtls: offer.dtls()?,
        ufrag: offer.ice()?.0.to_owned(),
    };
    Ok((offer, media, request))
}

fn scale(media: &mut [PublishMedia], mode: &ScalabilityMode) {
    for medium in media {
        if let [encoding] = medium.rtp_parameters.encodings.as_mut_slice() {
            encoding.scalability_mode = mode.clone();
        }
    }
}
