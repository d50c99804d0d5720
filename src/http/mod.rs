//! What publishers, viewers and operators say to a node, over HTTP.
//!
//! Two listeners: the public one has WHIP, WHEP, the pages and what everyone may know; the
//! operators' has health, metrics and the rooms.

mod auth;
mod operators;
mod pages;
mod problem;
mod request;
pub mod sdp;
mod session;
mod status;
mod whep;
mod whip;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::header::{self, HeaderName, HeaderValue};
use axum::http::{Method, StatusCode};
use axum::middleware::{self, Next};
use axum::response::Response;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tower_http::cors::{AllowOrigin, Any, CorsLayer};

use crate::media::Engine;
use crate::room::{Context, RoomsHandle};

pub use auth::{AuthError, Verifier};
pub(crate) use operators::{OPEN_METRICS, authorize};
pub(crate) use pages::file;
pub(crate) use problem::{Problem, not_found};
pub(crate) use request::Asked;

/// What every handler needs.
#[derive(Debug, Clone)]
pub struct App {
    /// The node.
    pub ctx: Arc<Context>,
    /// Its rooms.
    pub rooms: RoomsHandle,
    /// Who may do what.
    pub verifier: Arc<Verifier>,
}

impl App {
    fn engine(&self) -> &Engine {
        &self.ctx.engine
    }
}

/// The header that names the node that serves.
const NODE: HeaderName = HeaderName::from_static("headwater-node");
/// The header that names the node where the stream is published.
const ORIGIN: HeaderName = HeaderName::from_static("headwater-origin");
/// The header that says how many nodes lie between.
const HOPS: HeaderName = HeaderName::from_static("headwater-hops");
const ACCEPT_POST: HeaderName = HeaderName::from_static("accept-post");
const ACCEPT_PATCH: HeaderName = HeaderName::from_static("accept-patch");
const SDP: &str = "application/sdp";
const FRAGMENT: &str = "application/trickle-ice-sdpfrag";

/// How long a browser may remember what CORS allows.
const CORS_MAX_AGE: Duration = Duration::from_secs(3600);

/// The public listener's routes.
pub fn public(app: App) -> Router {
    let whip = whip::routes().route_layer(middleware::from_fn_with_state((app.clone(), "whip"), count));
    let whep = whep::routes().route_layer(middleware::from_fn_with_state((app.clone(), "whep"), count));
    let limit = app.ctx.config.limits.body_bytes;
    Router::new()
        .merge(whip)
        .merge(whep)
        .merge(status::routes())
        .merge(pages::routes())
        .fallback(problem::not_found)
        .layer(DefaultBodyLimit::max(limit))
        .layer(cors(&app.ctx.config.http.cors_origins))
        // Outside of CORS, which answers pre-flights itself.
        .layer(middleware::from_fn(accept_post))
        .with_state(app)
}

/// Serves until `stop`, and then for half a second what is being answered.
pub async fn serve(listener: TcpListener, routes: Router, stop: CancellationToken) {
    let server = axum::serve(listener, routes).with_graceful_shutdown(stop.clone().cancelled_owned());
    let ended = async {
        stop.cancelled().await;
        // Connections that stay open without a request keep nothing from ending.
        tokio::time::sleep(Duration::from_millis(500)).await;
    };
    tokio::select! {
        result = server => if let Err(error) = result {
            tracing::error!(%error, "http listener failed");
        },
        () = ended => {}
    }
}

/// The operators' listener's routes.
pub fn operators(app: App) -> Router {
    operators::routes(&app).fallback(problem::not_found).with_state(app)
}

fn cors(origins: &[String]) -> CorsLayer {
    let origin = if origins.iter().any(|origin| origin == "*") {
        AllowOrigin::from(Any)
    } else {
        AllowOrigin::list(origins.iter().filter_map(|origin| origin.parse().ok()))
    };
    CorsLayer::new()
        .allow_origin(origin)
        .allow_methods([Method::GET, Method::HEAD, Method::POST, Method::PATCH, Method::DELETE])
        .allow_headers([
            header::AUTHORIZATION,
            header::CONTENT_TYPE,
            header::IF_MATCH,
            header::ETAG,
            HeaderName::from_static("prefer"),
            HeaderName::from_static("traceparent"),
        ])
        .expose_headers([
            header::LOCATION,
            header::LINK,
            header::ETAG,
            header::RETRY_AFTER,
            ACCEPT_POST,
            ACCEPT_PATCH,
            NODE,
            ORIGIN,
            HOPS,
        ])
        .max_age(CORS_MAX_AGE)
}

/// Tells what may be posted to an endpoint (RFC 9725 section 4.2).
async fn accept_post(request: Request, next: Next) -> Response {
    let path = request.uri().path();
    let endpoint = path.starts_with("/whip/") || path.starts_with("/whep/");
    let mut response = next.run(request).await;
    if endpoint {
        response.headers_mut().insert(ACCEPT_POST, HeaderValue::from_static(SDP));
    }
    response
}

async fn count(State((app, endpoint)): State<(App, &'static str)>, request: Request, next: Next) -> Response {
    let response = next.run(request).await;
    let labels = [("endpoint", endpoint), ("status", name(response.status()))];
    app.ctx.metrics.http_answers.get_or_create(&labels).inc();
    response
}

/// A status as a label: bounded, whatever is answered.
fn name(status: StatusCode) -> &'static str {
    match status.as_u16() {
        200 => "200",
        201 => "201",
        204 => "204",
        400 => "400",
        401 => "401",
        403 => "403",
        404 => "404",
        405 => "405",
        406 => "406",
        409 => "409",
        412 => "412",
        413 => "413",
        415 => "415",
        422 => "422",
        428 => "428",
        500 => "500",
        503 => "503",
        _ => "other",
    }
}
