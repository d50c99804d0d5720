//! What WHIP and WHEP requests have in common.

use axum::body::Bytes;
use axum::extract::{FromRequest, FromRequestParts, Query, Request};
use axum::http::header::{self, HeaderMap, HeaderName, HeaderValue};
use axum::http::request::Parts;
use axum::http::{StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use chrono::Utc;
use serde::de::DeserializeOwned;

use super::door::Whole;
use super::problem::Problem;
use super::sdp::LocalTransport;
use super::{ACCEPT_PATCH, App, FRAGMENT, HOPS, NODE, ORIGIN, SDP, elsewhere, ice, session};
use crate::media::TransportInfo;
use crate::protocol::event::{About, Turned, What};
use crate::protocol::ids::{NodeName, RoomId, SessionId, StreamName};
use crate::room::{COUNTER_OFFER, Pass};

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

/// A request that is to start a session.
#[derive(Debug)]
pub(super) struct Offered {
    /// With what it was let in.
    pub(super) pass: Pass,
    pub(super) uri: Uri,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

impl FromRequest<App> for Offered {
    type Rejection = Response;

    async fn from_request(request: Request, app: &App) -> Result<Self, Response> {
        let pass = request.extensions().get::<Pass>().cloned();
        let unasked =
            || Problem::new(StatusCode::FORBIDDEN, "nobody was asked whether it may").into_response();
        let pass = pass.ok_or_else(unasked)?;
        let (uri, headers) = (request.uri().clone(), request.headers().clone());
        let Whole(body) = Whole::from_request(request, app).await?;
        Ok(Self { pass, uri, headers, body })
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
    pub(super) room: &'a RoomId,
    pub(super) stream: &'a StreamName,
    pub(super) session: SessionId,
    pub(super) transport: &'a TransportInfo,
    /// The nodes from the origin to this one, without this one.
    pub(super) path: &'a [NodeName],
    pub(super) sdp: String,
    /// Endpoints of other nodes, to go on at.
    pub(super) ways: &'a [String],
}

impl IntoResponse for Accepted<'_> {
    fn into_response(self) -> Response {
        let me = &self.app.ctx.me.node;
        let origin = self.path.first().unwrap_or(me);
        // From the root of this node: what stands before it is added on the way out.
        let location = format!("/{}/{}/{}/{me}/{}", self.endpoint, self.room, self.stream, self.session);
        let now = Utc::now();
        let content_type = match self.status {
            StatusCode::NOT_ACCEPTABLE => {
                let until = (now + COUNTER_OFFER).format("%a, %d %b %Y %H:%M:%S GMT");
                format!("{SDP}; valid-until=\"{until}\"")
            }
            _ => SDP.to_owned(),
        };
        let mut response = (self.status, [(header::CONTENT_TYPE, content_type)], self.sdp).into_response();
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
        ice::add_links(headers, &self.app.ctx.config.webrtc.ice_servers, now);
        elsewhere::add_links(headers, self.ways);
        if self.endpoint == "whep"
            && let Ok(link) = HeaderValue::try_from(session::events_link(&location))
        {
            headers.append(header::LINK, link);
        }
        response
    }
}

pub(super) fn local(transport: &TransportInfo) -> LocalTransport {
    LocalTransport {
        ice: transport.ice.clone(),
        candidates: transport.candidates.clone(),
        dtls: transport.dtls.clone(),
    }
}
