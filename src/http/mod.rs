//! What publishers, viewers and operators say to a node, over HTTP.
//!
//! Two listeners: the public one has WHIP, WHEP, the pages and what everyone may know; the
//! operators' has health, metrics and the rooms.

mod auth;
mod cors;
mod discover;
mod door;
mod elsewhere;
mod forwarded;
mod guard;
mod ice;
mod operators;
mod pages;
mod problem;
mod request;
pub(crate) mod rtc;
pub mod sdp;
mod serve;
mod session;
mod status;
mod tls;
mod whep;
mod whip;

use std::ops::Deref;
use std::sync::Arc;

use axum::Router;
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::StatusCode;
use axum::http::header::HeaderName;
use axum::middleware::{self, Next};
use axum::response::Response;
use tower_http::compression::CompressionLayer;
use tower_http::compression::predicate::{DefaultPredicate, Predicate, SizeAbove};
use tower_http::decompression::RequestDecompressionLayer;

use crate::config::Action;
use crate::drain::DrainHandle;
use crate::gate::GateHandle;
use crate::media::Engine;
use crate::protocol::rtp::RtpCapabilities;
use crate::room::{Context, RoomsHandle};

pub use auth::{AuthError, Callout, KeyKeeper, SetupError, Verifier};
pub use door::Door;
pub(crate) use guard::{Guard, authorize, observe};
pub(crate) use operators::OPEN_METRICS;
pub(crate) use pages::file;
pub(crate) use problem::{Problem, not_found};
pub(crate) use request::Asked;
pub use rtc::answer_servers;
pub use serve::serve;
pub use session::{Listeners, ListenersHandle, answer_others};
pub use status::Statuses;
pub use tls::{Certificate, TlsError};

/// What every handler needs. Each layer that a request passes clones it.
#[derive(Debug, Clone)]
pub struct App(Arc<Parts>);

/// What [`App`] is of.
#[derive(Debug)]
pub struct Parts {
    /// The node.
    pub ctx: Arc<Context>,
    /// Its rooms.
    pub rooms: RoomsHandle,
    /// Who may do what.
    pub verifier: Arc<Verifier>,
    /// Who is asked besides.
    pub callout: Option<Arc<Callout>>,
    /// Who is kept out and sent out.
    pub gate: GateHandle,
    /// Which nodes take nothing new.
    pub drain: DrainHandle,
    /// Who listens to what happens to viewers' streams.
    pub listeners: ListenersHandle,
    /// How many come in.
    pub door: Door,
    /// What everyone was told of streams last.
    pub statuses: Statuses,
}

impl From<Parts> for App {
    fn from(parts: Parts) -> Self {
        Self(Arc::new(parts))
    }
}

impl Deref for App {
    type Target = Parts;

    fn deref(&self) -> &Parts {
        &self.0
    }
}

impl App {
    fn engine(&self) -> &Engine {
        &self.ctx.engine
    }

    /// What the node's routers carry, as it is told to others.
    fn carries(&self) -> RtpCapabilities {
        // The finalized capabilities differ in that everything is there: serde is the way across.
        let own = serde_json::to_value(self.engine().capabilities());
        own.and_then(serde_json::from_value).unwrap_or_default()
    }
}

/// The header that names the node that serves.
const NODE: HeaderName = HeaderName::from_static("headwater-node");
/// The header that names the node where the stream is published.
const ORIGIN: HeaderName = HeaderName::from_static("headwater-origin");
/// The header that says how many nodes lie between.
const HOPS: HeaderName = HeaderName::from_static("headwater-hops");
const ACCEPT_PATCH: HeaderName = HeaderName::from_static("accept-patch");
/// From how many bytes on an answer is compressed: what fits into a packet is not worth it.
const COMPRESSED: u64 = 1200;
const SDP: &str = "application/sdp";
const FRAGMENT: &str = "application/trickle-ice-sdpfrag";

/// The public listener's routes.
pub fn public(app: App) -> Router {
    let config = Arc::clone(&app.ctx.config);
    let admit = |action| middleware::from_fn_with_state((app.clone(), action), auth::admit);
    let whip = whip::routes()
        .route_layer(admit(Action::Publish))
        .route_layer(middleware::from_fn_with_state((app.clone(), "whip"), count));
    let whep = whep::routes()
        .route_layer(admit(Action::Watch))
        .route_layer(middleware::from_fn_with_state((app.clone(), "whep"), count));
    let routes = Router::new()
        .merge(whip)
        .merge(whep)
        .merge(session::events_routes())
        .merge(rtc::routes())
        .merge(discover::routes())
        .merge(elsewhere::routes())
        .merge(pages::routes())
        .fallback(problem::not_found)
        .layer(DefaultBodyLimit::max(config.limits.body_bytes))
        .layer(RequestDecompressionLayer::new());
    // From here on outwards: each sees what those before it answered.
    let explain = || middleware::from_fn_with_state(config.limits.body_bytes, problem::explain);
    let routes = routes
        .layer(explain())
        .layer(CompressionLayer::new().compress_when(DefaultPredicate::new().and(SizeAbove::new(COMPRESSED))))
        .layer(middleware::from_fn(discover::accepts));
    // What open pages ask all the time is short and has no body: each layer that it passes costs.
    routes
        .merge(status::routes().layer(explain()))
        .layer(middleware::from_fn_with_state(app.clone(), door::request))
        .layer(middleware::from_fn_with_state(cors::Cors::new(&config.http.cors_origins), cors::cors))
        .layer(middleware::from_fn_with_state(forwarded::Outside::new(&config.http), forwarded::arrive))
        .with_state(app)
}

/// The operators' listener's routes.
pub fn operators(app: App) -> Router {
    let limit = app.ctx.config.limits.body_bytes;
    operators::routes(&app)
        .fallback(problem::not_found)
        .layer(middleware::from_fn_with_state(limit, problem::explain))
        .with_state(app)
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
        307 => "307",
        400 => "400",
        401 => "401",
        403 => "403",
        404 => "404",
        405 => "405",
        406 => "406",
        408 => "408",
        409 => "409",
        412 => "412",
        413 => "413",
        415 => "415",
        422 => "422",
        428 => "428",
        429 => "429",
        500 => "500",
        503 => "503",
        _ => "other",
    }
}
