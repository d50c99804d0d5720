//! A request's body, within its time.

use std::sync::Arc;

use axum::body::{Bytes, HttpBody};
use axum::extract::{FromRequest, Request};
use axum::http::{StatusCode, Version};
use axum::response::{IntoResponse, Response};

use super::guest::Seat;
use super::turned::Reason;
use super::{App, client};
use crate::http::problem::Problem;

/// The whole body, which has to be there within `timeouts.http_body`, however it trickles.
#[derive(Debug)]
pub(in crate::http) struct Whole(pub(in crate::http) Bytes);

impl FromRequest<App> for Whole {
    type Rejection = Response;

    async fn from_request(request: Request, app: &App) -> Result<Self, Response> {
        let (client, patience) = (client(request.extensions()), app.door.0.means.http_body);
        // With HTTP/2 other requests go on beside it.
        let is_alone = request.version() < Version::HTTP_2 && !request.body().is_end_stream();
        let seat = request.extensions().get::<Arc<Seat>>().filter(|_| is_alone).cloned();
        if let Some(seat) = &seat {
            seat.wait();
        }
        let read = tokio::time::timeout(patience, Bytes::from_request(request, app)).await;
        if let Some(seat) = seat {
            seat.heard();
        }
        match read {
            Ok(body) => body.map(Self).map_err(IntoResponse::into_response),
            Err(_) => {
                app.door.0.means.turned.away(Reason::Body, client);
                let patience = humantime::format_duration(patience);
                let detail = format!(
                    "the body didn't arrive within the {patience} of timeouts.http_body: send it again"
                );
                Err(Problem::new(StatusCode::REQUEST_TIMEOUT, detail).into_response())
            }
        }
    }
}
