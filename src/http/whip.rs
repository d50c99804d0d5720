//! WHIP: how a publisher comes in (RFC 9725).

use axum::Router;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use serde::Deserialize;
use uuid::Uuid;

use super::problem::Problem;
use super::request::{Accepted, Asked, Offered, local, names, sdp_text, turn_away};
use super::sdp::{Description, answer_publish, publish_media, scale};
use super::{App, elsewhere, session};
use crate::config::Action;
use crate::protocol::event::What;
use crate::protocol::ids::{SessionId, StreamName};
use crate::protocol::rtp::ScalabilityMode;
use crate::room::{Pass, PublishRequest};

pub(super) fn routes() -> Router<App> {
    Router::new()
        .route("/whip/{room}", post(publish_main).get(session::discover))
        .route("/whip/{room}/{stream}", post(publish).get(session::discover))
        .route(&format!("/whip/{}", session::PATH), session::methods())
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
    offered: Offered,
) -> Result<Response, Problem> {
    take(state, &room, None, options, offered).await
}

async fn publish(
    state: State<App>,
    Path((room, stream)): Path<(String, String)>,
    options: Asked<Options>,
    offered: Offered,
) -> Result<Response, Problem> {
    take(state, &room, Some(&stream), options, offered).await
}

async fn take(
    State(app): State<App>,
    room: &str,
    stream: Option<&str>,
    Asked(options): Asked<Options>,
    Offered { pass, uri, headers, body }: Offered,
) -> Result<Response, Problem> {
    let (room, stream) = names(room, stream)?;
    let (offer, mut request) = read(&app, &stream, options, &headers, &body)
        .inspect_err(|problem| turn_away(&app, &room, &stream, problem, What::PublisherRejected))?;
    request.pass = pass;
    let (session, media) = (request.session, request.offered.clone());
    let published = match app.rooms.publish(room.clone(), request).await {
        Ok(published) => published,
        Err(error) => {
            return Err(elsewhere::refer(&app, Action::Publish, &room, &stream, &uri, &headers, error).await);
        }
    };
    let sdp = answer_publish(&offer, &media, &local(&published.transport))?;
    let ways = elsewhere::ways(&app, Action::Publish, &room, &stream, &app.ctx.me.node, session).await;
    let accepted = Accepted {
        app: &app,
        status: StatusCode::CREATED,
        endpoint: "whip",
        room: &room,
        stream: &stream,
        session,
        transport: &published.transport,
        path: &[],
        sdp,
        ways: &ways,
    };
    Ok(accepted.into_response())
}

/// A publisher's offer.
fn read(
    app: &App,
    stream: &StreamName,
    options: Options,
    headers: &HeaderMap,
    body: &[u8],
) -> Result<(Description, PublishRequest), Problem> {
    let offer = Description::parse(&sdp_text(headers, body)?)?;
    let mut media = publish_media(&offer, app.engine().capabilities())?;
    if let Some(mode) = options.scalability_mode {
        scale(&mut media, &mode)?;
    }
    let request = PublishRequest {
        session: SessionId(Uuid::new_v4()),
        stream: stream.clone(),
        offered: media,
        dtls: offer.dtls()?,
        ufrag: offer.ice()?.0.to_owned(),
        pass: Pass::default(),
    };
    Ok((offer, request))
}
