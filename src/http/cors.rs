//! Which pages of other origins may use the node (CORS, <https://fetch.spec.whatwg.org/#http-cors-protocol>).
//!
//! Not tower-http's layer: that answers each OPTIONS in the handler's place, also those by which players ask for
//! ICE servers.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::header::{self, HeaderMap, HeaderName, HeaderValue};
use axum::http::{Method, StatusCode};
use axum::middleware::Next;
use axum::response::Response;

const METHODS: HeaderValue = HeaderValue::from_static("GET, HEAD, POST, PATCH, DELETE, OPTIONS");
const HEADERS: HeaderValue = HeaderValue::from_static("authorization, content-type, if-match");
const EXPOSED: HeaderValue = HeaderValue::from_static(
    "location, link, etag, accept-post, accept-patch, allow, retry-after, www-authenticate, headwater-node, \
     headwater-origin, headwater-hops",
);
/// How long a browser may remember what a pre-flight allowed, in seconds.
const MAX_AGE: HeaderValue = HeaderValue::from_static("3600");

/// The origins that may.
#[derive(Debug)]
pub(super) struct Cors {
    any: bool,
    origins: Vec<String>,
}

impl Cors {
    pub(super) fn new(origins: &[String]) -> Arc<Self> {
        Arc::new(Self { any: origins.iter().any(|origin| origin == "*"), origins: origins.to_vec() })
    }

    fn allows(&self, origin: Option<&HeaderValue>) -> Option<HeaderValue> {
        if self.any {
            return Some(HeaderValue::from_static("*"));
        }
        origin.filter(|origin| self.origins.iter().any(|own| own.as_bytes() == origin.as_bytes())).cloned()
    }
}

/// Whether a browser asks in advance whether a page may send its request: it never has the page's token.
pub(super) fn is_preflight(method: &Method, headers: &HeaderMap) -> bool {
    *method == Method::OPTIONS && headers.contains_key(header::ACCESS_CONTROL_REQUEST_METHOD)
}

/// Lets pages of allowed origins read each answer, and pass each pre-flight.
pub(super) async fn cors(State(cors): State<Arc<Cors>>, request: Request, next: Next) -> Response {
    let is_options = request.method() == Method::OPTIONS;
    let preflight = is_preflight(request.method(), request.headers());
    let origin = request.headers().get(header::ORIGIN).cloned();
    let asked = request.headers().get(header::ACCESS_CONTROL_REQUEST_HEADERS).cloned();
    let mut response = next.run(request).await;
    // What may be sent is told by headers; whether it is right is told when it is sent.
    if preflight && !response.status().is_success()
        || is_options && response.status() == StatusCode::METHOD_NOT_ALLOWED
    {
        *response.status_mut() = StatusCode::NO_CONTENT;
        *response.body_mut() = Body::empty();
        response.headers_mut().remove(header::CONTENT_TYPE);
        response.headers_mut().remove(header::CONTENT_LENGTH);
    }
    let headers = response.headers_mut();
    if !cors.any {
        headers.append(header::VARY, HeaderValue::from_static("origin"));
    }
    let Some(allowed) = cors.allows(origin.as_ref()) else { return response };
    let mut set = |name: HeaderName, value: HeaderValue| _ = headers.insert(name, value);
    set(header::ACCESS_CONTROL_ALLOW_ORIGIN, allowed);
    set(header::ACCESS_CONTROL_EXPOSE_HEADERS, EXPOSED);
    if preflight {
        set(header::ACCESS_CONTROL_ALLOW_METHODS, METHODS);
        set(header::ACCESS_CONTROL_ALLOW_HEADERS, asked.unwrap_or(HEADERS));
        set(header::ACCESS_CONTROL_MAX_AGE, MAX_AGE);
    }
    response
}
