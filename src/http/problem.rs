//! Errors as people and programs read them (RFC 9457).

use std::time::Duration;

use axum::http::StatusCode;
use axum::http::header::{self, HeaderValue};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use super::auth::AuthError;
use super::sdp::SdpError;
use crate::protocol::ids::NameError;
use crate::room::RoomError;

/// An answer that says what is wrong and what to do.
#[derive(Debug)]
pub(crate) struct Problem {
    status: StatusCode,
    detail: String,
    retry_after: Option<Duration>,
}

#[derive(Serialize)]
struct Body<'a> {
    r#type: &'static str,
    title: &'a str,
    status: u16,
    detail: &'a str,
}

/// When to come back to a node that is full or busy.
const RETRY: Duration = Duration::from_secs(2);

impl Problem {
    pub(crate) fn new(status: StatusCode, detail: impl Into<String>) -> Self {
        Self { status, detail: detail.into(), retry_after: None }
    }

    /// The problem as events tell it, for machines and for people: without what was sent, which may hold
    /// addresses and tokens.
    pub(super) fn told(&self) -> (&'static str, &str) {
        match self.status {
            StatusCode::UNAUTHORIZED => ("unauthorized", "it has no valid bearer token"),
            StatusCode::FORBIDDEN => ("forbidden", "its bearer token does not allow this"),
            StatusCode::UNPROCESSABLE_ENTITY => ("unsupported", &self.detail),
            _ => ("malformed", "its request can't be read"),
        }
    }

    fn later(self, after: Duration) -> Self {
        Self { retry_after: Some(after), ..self }
    }
}

/// Whole seconds, never sooner than was meant.
fn seconds(after: Duration) -> u64 {
    after.as_secs() + u64::from(after.subsec_nanos() > 0 || after.is_zero())
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let title = self.status.canonical_reason().unwrap_or("error");
        let body = Body { r#type: "about:blank", title, status: self.status.as_u16(), detail: &self.detail };
        let body = serde_json::to_string(&body).unwrap_or_default();
        let mut response = (self.status, body).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if let Some(after) = self.retry_after {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds(after)));
        }
        if self.status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
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
            RoomError::NoSession | RoomError::NoStream => problem(StatusCode::NOT_FOUND),
            RoomError::Unsupported(_) => problem(StatusCode::UNPROCESSABLE_ENTITY),
            RoomError::NoEtag => problem(StatusCode::PRECONDITION_REQUIRED),
            RoomError::StaleEtag => problem(StatusCode::PRECONDITION_FAILED),
            RoomError::Role(_) => problem(StatusCode::FORBIDDEN),
            RoomError::Media(_) => problem(StatusCode::INTERNAL_SERVER_ERROR),
            RoomError::JoinTimeout
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

impl From<AuthError> for Problem {
    fn from(error: AuthError) -> Self {
        let status = match error {
            AuthError::Missing | AuthError::Invalid(_) => StatusCode::UNAUTHORIZED,
            AuthError::Forbidden => StatusCode::FORBIDDEN,
        };
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
