//! WHEP: how a viewer comes in (draft-ietf-wish-whep).
//!
//! A viewer is answered by its own offer, with its own payload types; or, where it prefers that, by a
//! counter-offer with ours, which gives it bandwidth estimation and a choice of layers too.

use axum::Router;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use uuid::Uuid;

use super::problem::Problem;
use super::request::{Accepted, Offered, local, names, sdp_text, turn_away};
use super::sdp::{Description, answer_watch, counter_offer, watch_media, watched_names};
use super::{App, elsewhere, session};
use crate::config::Action;
use crate::protocol::codec_match::suits;
use crate::protocol::event::What;
use crate::protocol::ids::{SessionId, StreamName};
use crate::protocol::media::Medium;
use crate::protocol::rtp::{MimeType, MimeTypeVideo, RtpCapabilities, RtpCodecCapability};
use crate::room::{Pass, RoomError, WatchRequest};
use crate::telemetry::Trace;

pub(super) fn routes() -> Router<App> {
    Router::new()
        .route("/whep/{room}", post(watch_main).get(session::discover))
        .route("/whep/{room}/{stream}", post(watch).get(session::discover))
        .route(&format!("/whep/{}", session::PATH), session::methods())
}

async fn watch_main(
    state: State<App>,
    Path(room): Path<String>,
    offered: Offered,
) -> Result<Response, Problem> {
    serve(state, &room, None, offered).await
}

async fn watch(
    state: State<App>,
    Path((room, stream)): Path<(String, String)>,
    offered: Offered,
) -> Result<Response, Problem> {
    serve(state, &room, Some(&stream), offered).await
}

async fn serve(
    State(app): State<App>,
    room: &str,
    stream: Option<&str>,
    Offered { pass, uri, headers, body }: Offered,
) -> Result<Response, Problem> {
    let (room, stream) = names(room, stream)?;
    let counter = prefers_counter_offer(&headers);
    let (offer, mut request) = read(&app, &stream, counter, &headers, &body)
        .inspect_err(|problem| turn_away(&app, &room, &stream, problem, What::ViewerRejected))?;
    request.pass = pass;
    let session = request.session;
    let watching = match app.rooms.watch(room.clone(), request).await {
        Ok(watching) => watching,
        Err(RoomError::Unsupported(why)) => {
            return Err(RoomError::Unsupported(format!("{why}; {}", watched_names(&offer))).into());
        }
        Err(error) => {
            return Err(elsewhere::refer(&app, Action::Watch, &room, &stream, &uri, &headers, error).await);
        }
    };
    let transport = local(&watching.transport);
    let (status, sdp) = if counter {
        (StatusCode::NOT_ACCEPTABLE, counter_offer(&watching.media, &transport, stream.as_str()))
    } else {
        (StatusCode::CREATED, answer_watch(&offer, &watching.media, &transport, stream.as_str())?)
    };
    let ways = elsewhere::ways(&app, Action::Watch, &room, &stream, &app.ctx.me.node, session).await;
    let accepted = Accepted {
        app: &app,
        status,
        endpoint: "whep",
        room: &room,
        stream: &stream,
        session,
        transport: &watching.transport,
        path: &watching.path,
        sdp,
        ways: &ways,
    };
    Ok(accepted.into_response())
}

/// A viewer's offer.
fn read(
    app: &App,
    stream: &StreamName,
    counter: bool,
    headers: &HeaderMap,
    body: &[u8],
) -> Result<(Description, WatchRequest), Problem> {
    let offer = Description::parse(&sdp_text(headers, body)?)?;
    let mut wanted = watch_media(&offer)?;
    if counter {
        for medium in &mut wanted {
            medium.takes = ours(medium, app.carries());
        }
    }
    let trace = headers.get("traceparent").and_then(|value| value.to_str().ok());
    let request = WatchRequest {
        session: SessionId(Uuid::new_v4()),
        stream: stream.clone(),
        wanted,
        dtls: if counter { None } else { Some(offer.dtls()?) },
        ufrag: if counter { String::new() } else { offer.ice()?.0.to_owned() },
        trace: Trace::from_header(trace),
        pass: Pass::default(),
    };
    Ok((offer, request))
}

/// `Prefer: counter-offer` (RFC 7240).
fn prefers_counter_offer(headers: &HeaderMap) -> bool {
    headers
        .get_all("prefer")
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|preference| preference.trim().eq_ignore_ascii_case("counter-offer"))
}

/// Our capabilities, as far as the viewer has them too.
fn ours(offered: &Medium, mut own: RtpCapabilities) -> RtpCapabilities {
    let theirs = &offered.takes;
    let retransmits =
        theirs.codecs.iter().any(|codec| codec.mime_type() == MimeType::Video(MimeTypeVideo::Rtx));
    let knows = |codec: &RtpCodecCapability| theirs.codecs.iter().any(|their| suits(codec, their).is_some());
    let is_rtx = |codec: &RtpCodecCapability| codec.mime_type() == MimeType::Video(MimeTypeVideo::Rtx);
    own.codecs.retain(|codec| if is_rtx(codec) { retransmits } else { knows(codec) });
    own.header_extensions.retain(|own| theirs.header_extensions.iter().any(|their| their.uri == own.uri));
    own
}
