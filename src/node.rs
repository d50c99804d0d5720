//! A node: assembled, drained, and taken apart in reverse order.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use chrono::Utc;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use uuid::Uuid;

use crate::broker::{Broker, ConnectError};
use crate::config::Config;
use crate::fleet::{self, Fleet, Heartbeat};
use crate::http::{self, App, Verifier};
use crate::media::{Engine, EngineError};
use crate::protocol::announcement::EndReason;
use crate::protocol::event::{About, What, WorkerDied};
use crate::protocol::ids::{Incarnation, Peer};
use crate::protocol::presence::{Load, Phase, Presence};
use crate::room::{Context, Rooms, RoomsHandle};
use crate::telemetry::Metrics;

/// How long what runs may take to end.
const GRACE: Duration = Duration::from_secs(5);
/// Requests and registry states that may wait at the door.
const INBOX: usize = 4096;
/// How often a draining node looks whether it is empty.
const DRAIN_LOOK: Duration = Duration::from_millis(100);

/// A running node.
#[derive(Debug)]
pub struct Node {
    ctx: Arc<Context>,
    rooms: RoomsHandle,
    phase: watch::Sender<Phase>,
    stop: CancellationToken,
    /// Ends the recording of events, after everything that may record one.
    recorded: CancellationToken,
    recording: TaskTracker,
    public: SocketAddr,
    operators: SocketAddr,
}

/// Why a node did not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// An HTTP listener.
    #[error("{key} {address}: {source}")]
    Listen {
        /// The key of the configuration.
        key: &'static str,
        /// The address.
        address: SocketAddr,
        /// Why.
        source: std::io::Error,
    },
    /// The media workers.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// The broker.
    #[error(transparent)]
    Broker(#[from] ConnectError),
    /// The key of signed tokens.
    #[error("auth.jwt.key: {0}")]
    Auth(#[from] jsonwebtoken::errors::Error),
}

impl Node {
    /// Starts a node. It serves at once; what needs other nodes works once NATS is there.
    ///
    /// # Errors
    /// [`StartError`] that names the key to change.
    pub async fn start(config: Config) -> Result<Self, StartError> {
        let me = Peer {
            node: config.node.name.clone(),
            incarnation: Incarnation(Uuid::now_v7()),
            region: config.node.region.clone(),
        };
        let public_listener = listen("http.listen", config.http.listen).await?;
        let operators_listener = listen("operators.listen", config.operators.listen).await?;
        let public = address(&public_listener, config.http.listen);
        let operators = address(&operators_listener, config.operators.listen);

        let metrics = Arc::new(Metrics::new());
        let tracker = TaskTracker::new();
        let stop = CancellationToken::new();
        let verifier = Arc::new(Verifier::new(&config.auth)?);
        let (deaths, dead_workers) = mpsc::channel(16);
        let engine = Arc::new(Engine::start(&config, &metrics, deaths).await?);
        let broker = Broker::connect(&config, &me, &metrics).await?;
        let (phase, phase_seen) = watch::channel(Phase::Serving);
        let (fleet_view, fleet) = watch::channel(Arc::new(Fleet::new(config.timeouts.presence)));
        let (events, recording_events) = broker.recorder(&config.events);
        let (recording, recorded) = (TaskTracker::new(), CancellationToken::new());
        recording.spawn(recording_events.run(recorded.clone()));
        let ctx = Arc::new(Context {
            me,
            config,
            broker,
            events,
            engine,
            metrics,
            fleet,
            phase: phase_seen,
            tracker,
        });

        let (rooms, handle, commands) = Rooms::new(Arc::clone(&ctx));
        let (remote, remote_inbox) = mpsc::channel(INBOX);
        let (states, states_inbox) = mpsc::channel(INBOX);
        ctx.tracker.spawn(rooms.run(commands, remote_inbox, states_inbox));
        let joining =
            Joining { ctx: Arc::clone(&ctx), remote, states, fleet_view, public, stop: stop.clone() };
        ctx.tracker.spawn(joining.run());
        ctx.tracker.spawn(replace_workers(Arc::clone(&ctx), handle.clone(), dead_workers, stop.clone()));

        let app = App { ctx: Arc::clone(&ctx), rooms: handle.clone(), verifier };
        ctx.tracker.spawn(http::serve(public_listener, http::public(app.clone()), stop.clone()));
        ctx.tracker.spawn(http::serve(operators_listener, http::operators(app), stop.clone()));
        tracing::info!(node = %ctx.me.node, region = %ctx.me.region, %public, %operators, "node started");
        Ok(Self { ctx, rooms: handle, phase, stop, recorded, recording, public, operators })
    }

    /// Where publishers and viewers reach the node on this machine.
    pub fn public_url(&self) -> String {
        format!("http://{}", self.public)
    }

    /// Where operators reach the node on this machine.
    pub fn operators_url(&self) -> String {
        format!("http://{}", self.operators)
    }

    /// The node as its peers know it.
    pub fn peer(&self) -> &Peer {
        &self.ctx.me
    }

    /// The rooms, for embedders.
    pub fn rooms(&self) -> &RoomsHandle {
        &self.rooms
    }

    /// What the rooms share, for embedders.
    pub fn context(&self) -> &Arc<Context> {
        &self.ctx
    }

    /// Takes nothing new, tells the fleet, and waits for viewers and publishers to leave, at most as
    /// long as `timeouts.drain`.
    pub async fn drain(&self) {
        self.phase.send_replace(Phase::Draining);
        let patience = self.ctx.config.timeouts.drain;
        tracing::info!(patience_ms = patience.as_millis(), "draining");
        let metrics = &self.ctx.metrics;
        let empty = async {
            while metrics.viewers.get() > 0 || metrics.streams.get() > 0 {
                tokio::time::sleep(DRAIN_LOOK).await;
            }
        };
        if tokio::time::timeout(patience, empty).await.is_err() {
            let (viewers, streams) = (metrics.viewers.get(), metrics.streams.get());
            tracing::warn!(viewers, streams, "drain deadline reached: ending what is left");
        }
    }

    /// Ends everything, says so, and returns once the workers are gone.
    pub async fn stop(self) {
        let Self { ctx, rooms, phase, stop, recorded, recording, .. } = self;
        phase.send_replace(Phase::Draining);
        rooms.stop(EndReason::Drained).await;
        drop(rooms);
        stop.cancel();
        ctx.tracker.close();
        if tokio::time::timeout(GRACE, ctx.tracker.wait()).await.is_err() {
            tracing::warn!("some tasks did not end in time");
        }
        recorded.cancel();
        recording.close();
        recording.wait().await;
        ctx.broker.close().await;
        tracing::info!(node = %ctx.me.node, "node stopped");
        // Dropping the workers waits for their threads: that is not for the runtime to do.
        let _ = tokio::task::spawn_blocking(move || drop(ctx)).await;
    }
}

/// Joins the fleet, in the order in which the steps need each other.
struct Joining {
    ctx: Arc<Context>,
    remote: mpsc::Sender<crate::broker::Inbound>,
    states: mpsc::Sender<crate::broker::registry::Read>,
    fleet_view: watch::Sender<Arc<Fleet>>,
    public: SocketAddr,
    stop: CancellationToken,
}

impl Joining {
    async fn run(self) {
        let started_at = Utc::now();
        let Self { ctx, remote, states, fleet_view, public, stop } = self;
        let broker = &ctx.broker;
        let mut connected = broker.connected();
        tokio::select! {
            () = stop.cancelled() => return,
            _ = connected.wait_for(|up| *up) => {}
        }
        // Requests are heard before the fleet is told that this node is there.
        if let Err(error) = broker.serve(remote, &ctx.tracker).await {
            tracing::error!(%error, "requests of other nodes can't be served");
            return;
        }
        ctx.tracker.spawn(cancellable(stop.clone(), broker.clone().read_registry(states)));
        let (heard, hearing) = mpsc::channel(INBOX);
        let presences = broker.clone().read_presences(heard);
        ctx.tracker.spawn(cancellable(stop.clone(), async move {
            if let Err(error) = presences.await {
                tracing::error!(%error, "the fleet can't be heard");
            }
        }));
        let config = &ctx.config;
        let public_url =
            config.http.public_url.as_ref().map_or_else(|| format!("http://{public}"), ToString::to_string);
        let heartbeat = Heartbeat {
            presence: Presence {
                peer: ctx.me.clone(),
                roles: config.node.roles.clone(),
                version: env!("CARGO_PKG_VERSION").to_owned(),
                phase: Phase::Serving,
                load: Load::default(),
                public_url,
            },
            phase: ctx.phase.clone(),
            metrics: Arc::clone(&ctx.metrics),
            events: ctx.events.clone(),
            summary: config.events.summary,
            started_at,
        };
        fleet::run(broker.clone(), heartbeat, hearing, fleet_view, config.timeouts.presence, stop).await;
    }
}

async fn cancellable(stop: CancellationToken, work: impl Future<Output = ()>) {
    let _ = stop.run_until_cancelled(work).await;
}

/// Ends the rooms of dead workers and puts fresh workers in their place.
async fn replace_workers(
    ctx: Arc<Context>,
    rooms: RoomsHandle,
    mut dead: mpsc::Receiver<usize>,
    stop: CancellationToken,
) {
    while let Some(Some(worker)) = stop.run_until_cancelled(dead.recv()).await {
        ctx.metrics.workers_died.inc();
        tracing::error!(worker, "media worker died");
        let about = About::Node(ctx.me.node.clone());
        let worker_number = u32::try_from(worker).unwrap_or(u32::MAX);
        ctx.events.record(about, What::WorkerDied(WorkerDied { worker: worker_number }));
        rooms.worker_died(worker).await;
        if let Err(error) = ctx.engine.revive(worker).await {
            tracing::error!(worker, %error, "media worker could not be replaced");
        }
    }
}

async fn listen(key: &'static str, address: SocketAddr) -> Result<TcpListener, StartError> {
    TcpListener::bind(address).await.map_err(|source| StartError::Listen { key, address, source })
}

fn address(listener: &TcpListener, configured: SocketAddr) -> SocketAddr {
    listener.local_addr().unwrap_or(configured)
}
