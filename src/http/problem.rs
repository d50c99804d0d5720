//! Errors as people and programs read them (RFC 9457).

use std::time::Duration;

use axum::body::to_bytes;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::http::header::{self, HeaderMap, HeaderValue};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use super::sdp::SdpError;
use crate::protocol::ids::NameError;
use crate::protocol::session::SessionAnswer;
use crate::room::RoomError;

/// An answer that says what is wrong and what to do.
#[derive(Debug)]
pub(crate) struct Problem {
    status: StatusCode,
    detail: String,
    retry_after: Option<Duration>,
    /// Endpoints of other nodes, which may do it.
    nodes: Vec<String>,
    /// Where the client is sent.
    location: Option<String>,
}

#[derive(Serialize)]
struct Body<'a> {
    r#type: &'static str,
    title: &'a str,
    status: u16,
    detail: &'a str,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    nodes: &'a [String],
}

const PROBLEM: &str = "application/problem+json";
/// The most of a library's own words that is passed on, in bytes.
const WORDS: usize = 4096;

/// When to come back to a node that is full or busy.
const RETRY: Duration = Duration::from_secs(2);

impl Problem {
    pub(crate) fn new(status: StatusCode, detail: impl Into<String>) -> Self {
        Self { status, detail: detail.into(), retry_after: None, nodes: Vec::new(), location: None }
    }

    /// The problem as events tell it, for machines and for people: without what was sent, which may hold
    /// addresses and tokens.
    pub(super) fn told(&self) -> (&'static str, &str) {
        match self.status {
            StatusCode::UNPROCESSABLE_ENTITY => ("unsupported", &self.detail),
            _ => ("malformed", "its request can't be read"),
        }
    }

    /// Names the endpoints of other nodes, and sends the client to `location`.
    pub(super) fn elsewhere(self, nodes: Vec<String>, location: Option<String>) -> Self {
        let status = if location.is_some() { StatusCode::TEMPORARY_REDIRECT } else { self.status };
        Self { status, nodes, location, ..self }
    }

    fn body(&self) -> String {
        let title = self.status.canonical_reason().unwrap_or("error");
        let (status, detail, nodes) = (self.status.as_u16(), &self.detail, &self.nodes);
        let body = Body { r#type: "about:blank", title, status, detail, nodes };
        serde_json::to_string(&body).unwrap_or_default()
    }

    /// Whether asking again may go better.
    pub(super) fn is_passing(&self) -> bool {
        self.retry_after.is_some()
    }

    pub(super) fn later(self, after: Duration) -> Self {
        Self { retry_after: Some(after), ..self }
    }
}

/// Whole seconds, never sooner than was meant.
fn seconds(after: Duration) -> u64 {
    after.as_secs() + u64::from(after.subsec_nanos() > 0 || after.is_zero())
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = (self.status, self.body()).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(PROBLEM));
        if let Some(after) = self.retry_after {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds(after)));
        }
        if let Some(Ok(location)) = self.location.map(HeaderValue::try_from) {
            headers.insert(header::LOCATION, location);
        }
        if self.status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}

impl From<Problem> for SessionAnswer {
    fn from(problem: Problem) -> Self {
        let status = problem.status.as_u16();
        let retry_after = problem.retry_after.map(|after| u32::try_from(seconds(after)).unwrap_or(u32::MAX));
        let content_type = Some(PROBLEM.to_owned());
        Self { status, content_type, retry_after, body: problem.body(), ..Self::default() }
    }
}

impl From<RoomError> for Problem {
    fn from(error: RoomError) -> Self {
        let problem = |status| Self::new(status, error.to_string());
        match &error {
            RoomError::NotLive { retry_after }
            | RoomError::AlreadyPublished { retry_after }
            | RoomError::TakenOver { retry_after } => problem(StatusCode::CONFLICT).later(*retry_after),
            RoomError::Unheard { retry_after } => {
                problem(StatusCode::SERVICE_UNAVAILABLE).later(*retry_after)
            }
            RoomError::Answered => problem(StatusCode::CONFLICT),
            RoomError::NoSession | RoomError::NoStream => problem(StatusCode::NOT_FOUND),
            RoomError::Unsupported(_) => problem(StatusCode::UNPROCESSABLE_ENTITY),
            RoomError::NoEtag => problem(StatusCode::PRECONDITION_REQUIRED),
            RoomError::StaleEtag => problem(StatusCode::PRECONDITION_FAILED),
            RoomError::Role(_) | RoomError::Residency(_) | RoomError::Kicked => {
                problem(StatusCode::FORBIDDEN)
            }
            RoomError::Media(_) => problem(StatusCode::INTERNAL_SERVER_ERROR),
            RoomError::JoinTimeout
            | RoomError::NeverConnected { .. }
            | RoomError::Starting
            | RoomError::Draining
            | RoomError::Limit(_)
            | RoomError::Busy
            | RoomError::Stopped => problem(StatusCode::SERVICE_UNAVAILABLE).later(RETRY),
        }
    }
}

impl From<SdpError> for Problem {
    fn from(error: SdpError) -> Self {
        let malformed = error.is_malformed();
        let status = if malformed { StatusCode::BAD_REQUEST } else { StatusCode::UNPROCESSABLE_ENTITY };
        Self::new(status, error.to_string())
    }
}

impl From<NameError> for Problem {
    fn from(error: NameError) -> Self {
        Self::new(StatusCode::BAD_REQUEST, error.to_string())
    }
}

pub(crate) async fn not_found() -> Problem {
    Problem::new(StatusCode::NOT_FOUND, "there is nothing at this address")
}

/// Makes a problem of what was refused before a handler saw it: by method, size or encoding, or because a path
/// or query can't be read.
pub(super) async fn explain(State(limit): State<usize>, request: Request, next: Next) -> Response {
    let response = next.run(request).await;
    let status = response.status();
    let text = |headers: &HeaderMap, name| {
        headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok()).unwrap_or_default().to_owned()
    };
    // What a handler says has a type of its own: a problem, or the description of a counter-offer.
    let kind = text(response.headers(), header::CONTENT_TYPE);
    if !status.is_client_error() || !(kind.is_empty() || kind.starts_with("text/plain")) {
        return response;
    }
    let (mut parts, body) = response.into_parts();
    let detail = match status {
        StatusCode::METHOD_NOT_ALLOWED => {
            "this address takes other methods: the Allow header names them".to_owned()
        }
        StatusCode::PAYLOAD_TOO_LARGE => {
            format!("the body is larger than the {limit} bytes of limits.body_bytes")
        }
        StatusCode::UNSUPPORTED_MEDIA_TYPE if parts.headers.contains_key(header::ACCEPT_ENCODING) => {
            format!(
                "send the body plain, or with Content-Encoding: {}",
                text(&parts.headers, header::ACCEPT_ENCODING)
            )
        }
        _ => {
            let words = to_bytes(body, WORDS).await.unwrap_or_default();
            String::from_utf8_lossy(&words).into_owned()
        }
    };
    let (told, body) = Problem::new(status, detail).into_response().into_parts();
    parts.headers.remove(header::CONTENT_LENGTH);
    parts.headers.extend(told.headers);
    Response::from_parts(parts, body)
}
