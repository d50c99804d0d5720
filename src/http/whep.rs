//! WHEP: how a viewer comes in (draft-ietf-wish-whep).
//!
//! A viewer is answered by its own offer, with its own payload types; or, where it prefers that, by a
//! counter-offer with ours, which gives it bandwidth estimation and a choice of layers too.

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use uuid::Uuid;

use super::problem::Problem;
use super::request::{Accepted, bearer, local, names, sdp_text, turn_away};
use super::sdp::{Description, SendMedia, WatchMedia, answer_watch, counter_offer, watch_media};
use super::{App, session};
use crate::config::Action;
use crate::media::{Sent, Wanted};
use crate::protocol::codec_match::same_codec;
use crate::protocol::event::What;
use crate::protocol::ids::{RoomId, SessionId, StreamName};
use crate::protocol::rtp::{
    MimeType, MimeTypeVideo, RtpCapabilities, RtpCapabilitiesFinalized, RtpCodecCapability,
};
use crate::room::WatchRequest;
use crate::telemetry::Trace;

pub(super) fn routes() -> Router<App> {
    Router::new()
        .route("/whep/{room}", post(watch_main).get(session::discover))
        .route("/whep/{room}/{stream}", post(watch).get(session::discover))
        .route("/whep/{room}/{stream}/{session}", session::methods())
}

async fn watch_main(
    state: State<App>,
    Path(room): Path<String>,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Problem> {
    serve(state, &room, None, &uri, &headers, &body).await
}

async fn watch(
    state: State<App>,
    Path((room, stream)): Path<(String, String)>,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Problem> {
    serve(state, &room, Some(&stream), &uri, &headers, &body).await
}

async fn serve(
    State(app): State<App>,
    room: &str,
    stream: Option<&str>,
    uri: &Uri,
    headers: &HeaderMap,
    body: &[u8],
) -> Result<Response, Problem> {
    let (room, stream) = names(room, stream)?;
    let counter = prefers_counter_offer(headers);
    let (offer, request) = read(&app, &room, &stream, counter, headers, body)
        .inspect_err(|problem| turn_away(&app, &room, &stream, problem, What::ViewerRejected))?;
    let session = request.session;
    let watching = app.rooms.watch(room.clone(), request).await?;
    let transport = local(&watching.transport);
    let (status, sdp) = if counter {
        (StatusCode::NOT_ACCEPTABLE, counter_offer(&send_media(watching.sent), &transport, stream.as_str()))
    } else {
        let sections: Vec<_> =
            watching.sent.into_iter().map(|sent| (sent.mid, sent.rtp_parameters)).collect();
        (StatusCode::CREATED, answer_watch(&offer, &sections, &transport, stream.as_str())?)
    };
    let accepted = Accepted {
        app: &app,
        status,
        endpoint: "whep",
        headers,
        uri,
        room: &room,
        stream: &stream,
        session,
        transport: &watching.transport,
        path: &watching.path,
        sdp,
    };
    Ok(accepted.into_response())
}

/// The offer of someone who may watch.
fn read(
    app: &App,
    room: &RoomId,
    stream: &StreamName,
    counter: bool,
    headers: &HeaderMap,
    body: &[u8],
) -> Result<(Description, WatchRequest), Problem> {
    app.verifier.check(bearer(headers), Action::Watch, room, stream)?;
    let offer = Description::parse(&sdp_text(headers, body)?)?;
    let router = app.engine().capabilities();
    let wanted = watch_media(&offer)?.into_iter().map(|medium| want(medium, router, counter)).collect();
    let trace = headers.get("traceparent").and_then(|value| value.to_str().ok());
    let request = WatchRequest {
        session: SessionId(Uuid::new_v4()),
        stream: stream.clone(),
        wanted,
        dtls: if counter { None } else { Some(offer.dtls()?) },
        ufrag: if counter { String::new() } else { offer.ice()?.0.to_owned() },
        trace: Trace::from_header(trace),
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

/// What a viewer can take: as it numbers it, or for a counter-offer as our routers number it.
fn want(offered: WatchMedia, router: &RtpCapabilitiesFinalized, counter: bool) -> Wanted {
    let capabilities = if counter { ours(&offered, router) } else { offered.capabilities };
    Wanted { mid: offered.mid, kind: offered.kind, capabilities }
}

/// The router's capabilities, as far as the viewer has them too.
fn ours(offered: &WatchMedia, router: &RtpCapabilitiesFinalized) -> RtpCapabilities {
    let theirs = &offered.capabilities;
    let retransmits =
        theirs.codecs.iter().any(|codec| codec.mime_type() == MimeType::Video(MimeTypeVideo::Rtx));
    // The finalized capabilities differ in that everything is there: serde is the way across.
    let own = serde_json::to_value(router).and_then(serde_json::from_value::<RtpCapabilities>);
    let mut own = own.unwrap_or_default();
    let knows = |codec: &RtpCodecCapability| theirs.codecs.iter().any(|their| same_codec(codec, their));
    let is_rtx = |codec: &RtpCodecCapability| codec.mime_type() == MimeType::Video(MimeTypeVideo::Rtx);
    own.codecs.retain(|codec| if is_rtx(codec) { retransmits } else { knows(codec) });
    own.header_extensions.retain(|own| theirs.header_extensions.iter().any(|their| their.uri == own.uri));
    own
}

/// What is sent, as a counter-offer tells it.
pub(super) fn send_media(sent: Vec<Sent>) -> Vec<SendMedia> {
    sent.into_iter()
        .filter_map(|sent| {
            Some(SendMedia { mid: sent.mid, kind: sent.kind, rtp_parameters: sent.rtp_parameters? })
        })
        .collect()
}
