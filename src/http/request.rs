//! What WHIP and WHEP requests have in common.

use axum::extract::{FromRequestParts, Query};
use axum::http::header::{self, HeaderMap, HeaderName, HeaderValue};
use axum::http::request::Parts;
use axum::http::{StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use serde::de::DeserializeOwned;

use super::problem::Problem;
use super::sdp::LocalTransport;
use super::{ACCEPT_PATCH, App, FRAGMENT, HOPS, NODE, ORIGIN, SDP};
use crate::media::TransportInfo;
use crate::protocol::event::{About, Turned, What};
use crate::protocol::ids::{NodeName, RoomId, SessionId, StreamName};

/// The bearer token of a request.
pub(super) fn bearer(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// Whether the body is of this type; parameters don't matter.
pub(super) fn is_type(headers: &HeaderMap, wanted: &str) -> bool {
    let value = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    value.is_some_and(|value| {
        value.split(';').next().is_some_and(|essence| essence.trim().eq_ignore_ascii_case(wanted))
    })
}

/// The body as text, if it is a session description.
pub(super) fn sdp_text(headers: &HeaderMap, body: &[u8]) -> Result<String, Problem> {
    if !is_type(headers, SDP) {
        let detail = "send the offer with Content-Type: application/sdp";
        return Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, detail));
    }
    text(body)
}

/// The body as text.
pub(super) fn text(body: &[u8]) -> Result<String, Problem> {
    String::from_utf8(body.to_vec())
        .map_err(|_| Problem::new(StatusCode::BAD_REQUEST, "the body is not UTF-8 text"))
}

/// A query; one that can't be read is answered with a [`Problem`].
#[derive(Debug)]
pub(crate) struct Asked<T>(pub(crate) T);

impl<S: Sync, T: DeserializeOwned> FromRequestParts<S> for Asked<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let query = Query::<T>::try_from_uri(&parts.uri);
        query.map(|Query(asked)| Self(asked)).map_err(|error| Problem::new(error.status(), error.body_text()))
    }
}

/// The room and stream that a path names.
pub(super) fn names(room: &str, stream: Option<&str>) -> Result<(RoomId, StreamName), Problem> {
    let stream = stream.map(str::parse).transpose()?.unwrap_or_default();
    Ok((room.parse()?, stream))
}

/// Tells the log of someone who is turned away before a room is asked.
pub(super) fn turn_away(
    app: &App,
    room: &RoomId,
    stream: &StreamName,
    problem: &Problem,
    what: fn(Turned) -> What,
) {
    let (reason, detail) = problem.told();
    let turned = Turned {
        room: Some(room.clone()),
        stream: stream.clone(),
        reason: reason.to_owned(),
        detail: detail.to_owned(),
        times: 1,
    };
    app.ctx.events.record_often(About::Node(app.ctx.me.node.clone()), reason, what(turned));
}

/// The answer to an accepted offer: our description, and where the session is found.
#[derive(Debug)]
pub(super) struct Accepted<'a> {
    pub(super) app: &'a App,
    pub(super) status: StatusCode,
    pub(super) endpoint: &'static str,
    pub(super) headers: &'a HeaderMap,
    pub(super) uri: &'a Uri,
    pub(super) room: &'a RoomId,
    pub(super) stream: &'a StreamName,
    pub(super) session: SessionId,
    pub(super) transport: &'a TransportInfo,
    /// The nodes from the origin to this one, without this one.
    pub(super) path: &'a [NodeName],
    pub(super) sdp: String,
}

impl IntoResponse for Accepted<'_> {
    fn into_response(self) -> Response {
        let me = &self.app.ctx.me.node;
        let origin = self.path.first().unwrap_or(me);
        // Absolute, because clients differ in what they resolve a relative one against.
        let location = format!(
            "{}/{}/{}/{}/{}",
            base(self.app, self.headers, self.uri),
            self.endpoint,
            self.room,
            self.stream,
            self.session
        );
        let mut response = (self.status, self.sdp).into_response();
        let headers = response.headers_mut();
        let mut set = |name: HeaderName, value: &str| {
            if let Ok(value) = HeaderValue::from_str(value) {
                headers.append(name, value);
            }
        };
        set(header::LOCATION, &location);
        set(header::ETAG, &format!("\"{}\"", self.transport.ice.username_fragment));
        set(ACCEPT_PATCH, FRAGMENT);
        set(NODE, me.as_str());
        set(ORIGIN, origin.as_str());
        set(HOPS, &self.path.len().to_string());
        for server in &self.app.ctx.config.webrtc.ice_servers {
            set(header::LINK, &format!("<{server}>; rel=\"ice-server\""));
        }
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(SDP));
        response
    }
}

/// How the client reaches this node.
fn base(app: &App, headers: &HeaderMap, uri: &Uri) -> String {
    if let Some(url) = &app.ctx.config.http.public_url {
        return url.as_str().trim_end_matches('/').to_owned();
    }
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let scheme =
        header("x-forwarded-proto").filter(|scheme| ["http", "https"].contains(scheme)).unwrap_or("http");
    let authority = uri.authority().map(axum::http::uri::Authority::as_str);
    let host = header("host").or(authority).map(str::to_owned);
    let host = host.unwrap_or_else(|| app.ctx.config.http.listen.to_string());
    format!("{scheme}://{host}")
}

pub(super) fn local(transport: &TransportInfo) -> LocalTransport {
    LocalTransport {
        ice: transport.ice.clone(),
        candidates: transport.candidates.clone(),
        dtls: transport.dtls.clone(),
    }
}
