//! At the door: how many come in, how fast each address may ask, and how long it may take to say what it wants.
//!
//! Who asks nothing keeps nobody out: of connections whose header or body is waited for there may be so many, and the
//! oldest of them goes as another one comes.

mod addresses;
mod files;
mod guest;
mod pace;
mod turned;
mod whole;

use std::net::IpAddr;
use std::sync::atomic::{AtomicU32, AtomicUsize};
use std::sync::{Arc, Weak};
use std::time::Duration;

use arc_swap::ArcSwap;
use axum::extract::{Request, State};
use axum::http::{Extensions, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use concurrent_queue::ConcurrentQueue;
use prometheus_client::metrics::gauge::Gauge;
use tokio::sync::watch;

use self::addresses::{Addresses, Cell, Cells};
use self::guest::Seat;
use self::pace::Pace;
use self::turned::{Reason, Turned};
use super::App;
use super::forwarded::{Outside, Reached};
use super::problem::Problem;
use crate::config::{Config, Limits, Timeouts};
use crate::telemetry::Metrics;

pub(super) use guest::{Porter, hear};
pub(super) use whole::Whole;

/// The door of one listener.
#[derive(Debug, Clone)]
pub struct Door(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    means: Means,
    open: AtomicUsize,
    addresses: Addresses,
    /// Connections open.
    from: Cells<AtomicU32>,
    /// Connections that were waited for, and the wait; the oldest first.
    waits: ConcurrentQueue<(Weak<Seat>, usize)>,
    requests: ArcSwap<Pace>,
    sessions: ArcSwap<Pace>,
}

/// What the doors of a process have in common.
#[derive(Debug, Clone)]
struct Means {
    outside: Arc<Outside>,
    limits: watch::Receiver<Limits>,
    http_header: Duration,
    http_body: Duration,
    /// The most connections that the system has files for.
    most: usize,
    turned: Arc<Turned>,
    connections: Gauge,
}

impl Door {
    /// A door for a listener of a process with this configuration, whose limits may change.
    pub fn new(config: &Config, limits: watch::Receiver<Limits>, metrics: &Metrics) -> Self {
        let now = *limits.borrow();
        let most = files::connections();
        if most < now.connections {
            tracing::warn!(
                "limits.connections is {}, and the system lets this process open so few files that {most} are taken: \
                 raise LimitNOFILE= of the service, or `ulimit -Hn`",
                now.connections
            );
        }
        let outside = Outside::new(&config.http);
        let turned = Arc::new(Turned::new(metrics.http_turned_away.clone()));
        let connections = metrics.http_connections.clone();
        let Timeouts { http_header, http_body, .. } = config.timeouts;
        Self::open(Means { outside, limits, http_header, http_body, most, turned, connections })
    }

    /// The door of another listener of the same process, where it is counted anew.
    pub fn another(&self) -> Self {
        Self::open(self.0.means.clone())
    }

    fn open(means: Means) -> Self {
        let now = *means.limits.borrow();
        Self(Arc::new(Inner {
            open: AtomicUsize::new(0),
            addresses: Addresses::default(),
            from: Cells::default(),
            waits: ConcurrentQueue::bounded((now.connections.min(means.most) / 4).max(1)),
            requests: ArcSwap::from_pointee(Pace::new(now.requests_per_address)),
            sessions: ArcSwap::from_pointee(Pace::new(now.sessions_per_address)),
            means,
        }))
    }

    /// For how long a header is waited for, and a handshake.
    pub(super) fn patience(&self) -> Duration {
        self.0.means.http_header
    }

    /// Notes that the system had no file for who came.
    pub(super) fn had_no_file(&self) {
        self.0.means.turned.away(Reason::Files, None);
    }

    /// Where an address is counted; nowhere if it is this machine's or a proxy's, behind which anybody may be.
    fn cell(&self, ip: Option<IpAddr>) -> Option<Cell> {
        let ip = ip?.to_canonical();
        (!ip.is_loopback() && !self.0.means.outside.trusts(ip)).then(|| self.0.addresses.cell(ip))
    }

    /// Whether this address may ask something now.
    fn check(
        &self,
        pace: &ArcSwap<Pace>,
        per_second: u32,
        client: Option<IpAddr>,
        reason: Reason,
    ) -> Result<(), Problem> {
        let Some(cell) = self.cell(client) else { return Ok(()) };
        let mut held = pace.load_full();
        if held.per_second() != per_second {
            held = Arc::new(Pace::new(per_second));
            pace.store(Arc::clone(&held));
        }
        let Some(wait) = held.ask(cell) else { return Ok(()) };
        self.0.means.turned.away(reason, client);
        let detail = format!(
            "more comes from your address than limits.{} allows, which is {per_second} each second: ask again later",
            reason.name()
        );
        Err(Problem::new(StatusCode::TOO_MANY_REQUESTS, detail).later(wait))
    }
}

/// Lets a request in, if its address doesn't ask too much.
pub(super) async fn request(State(app): State<App>, request: Request, next: Next) -> Response {
    let Inner { requests, means, .. } = &*app.door.0;
    let per_second = means.limits.borrow().requests_per_address;
    match app.door.check(requests, per_second, client(request.extensions()), Reason::Requests) {
        Ok(()) => next.run(request).await,
        Err(problem) => {
            app.ctx.events.limit_hit(Reason::Requests.name());
            problem.into_response()
        }
    }
}

/// Whether a request may start a session, as far as its address goes.
pub(super) fn session(app: &App, request: &Extensions) -> Result<(), Problem> {
    let Inner { sessions, means, .. } = &*app.door.0;
    let per_second = means.limits.borrow().sessions_per_address;
    app.door
        .check(sessions, per_second, client(request), Reason::Sessions)
        .inspect_err(|_| app.ctx.events.limit_hit(Reason::Sessions.name()))
}

fn client(request: &Extensions) -> Option<IpAddr> {
    request.get::<Reached>().and_then(|reached| reached.client)
}
