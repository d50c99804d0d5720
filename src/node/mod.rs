//! A node: assembled, supervised, drained, and taken apart in reverse order.

mod announced;
mod phase;
mod session;
mod supervise;
mod workers;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use chrono::Utc;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use uuid::Uuid;

use crate::broker::{Broker, ConnectError, Inboxes};
use crate::config::{Config, ConfigError, Limits};
use crate::drain::{DrainHandle, Duty, left};
use crate::fleet::{Ended, Fleet, FleetConfig, Heartbeat, Profile, Rate, fleet};
use crate::gate::Gate;
use crate::http::{self, App, Callout, Certificate, Parts, TlsError, Verifier};
use crate::media::{Engine, EngineError};
use crate::protocol::claim::EndReason;
use crate::protocol::drain::Left;
use crate::protocol::ids::{Incarnation, Peer};
use crate::protocol::presence::Phase;
use crate::room::{Context, Rooms, RoomsHandle};
use crate::telemetry::Metrics;
pub use session::Session;
use supervise::Supervisor;

/// How long each of the four steps of a stop may take, which also takes two seconds to take leave of NATS.
const GRACE: Duration = Duration::from_secs(3);
/// Requests of other nodes that may wait at the door.
const INBOX: usize = 4096;
/// Signs of life, claims and requests for claims that may wait for the fleet's task.
const NEWS: usize = 16_384;
/// How often a draining node looks whether it is empty.
const DRAIN_LOOK: Duration = Duration::from_millis(100);

/// A running node.
#[derive(Debug)]
pub struct Node {
    ctx: Arc<Context>,
    rooms: RoomsHandle,
    app: App,
    duty: Duty,
    limits: watch::Sender<Limits>,
    supervisor: Supervisor,
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
    /// The configuration.
    #[error(transparent)]
    Config(#[from] ConfigError),
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
    /// The certificate.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// Who may publish and watch can't be decided.
    #[error(transparent)]
    Auth(#[from] http::SetupError),
}

impl Node {
    /// Starts a node. It serves once it knows that its name is free, also where NATS is away; what needs other
    /// nodes works once NATS is there.
    ///
    /// # Errors
    /// [`StartError`] that names the key to change.
    pub async fn start(config: Config) -> Result<Self, StartError> {
        config.check()?;
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
        let certificate = match &config.http.tls {
            Some(files) => Some(Certificate::load(files, &metrics).await?),
            None => None,
        };
        let scheme = if certificate.is_some() { "https" } else { "http" };
        let (verifier, keys) = Verifier::new(&config.auth, &metrics)?;
        let (dead, deaths) = mpsc::channel(16);
        let (limits, limits_seen) = watch::channel(config.limits);
        let engine = Arc::new(Engine::start(&config, limits_seen.clone(), &metrics, dead).await?);
        let broker = Broker::connect(&config, &me, &metrics).await?;
        // Before the first sign of life, so that no one asks a node that doesn't hear yet.
        let (requests, hearing) = (broker.take_requests().await?, broker.hear().await?);
        let at_gate = broker.hear_gate().await?;
        let callout = config.auth.callout.as_ref();
        let callout = callout.map(|callout| Callout::new(callout, &broker, &metrics)).transpose()?;

        let (events, recording_events) = broker.recorder(&config.events);
        let (recording, recorded) = (TaskTracker::new(), CancellationToken::new());
        recording.spawn(recording_events.run(recorded.clone()));

        let duty = Duty::new();
        let (serving, serving_seen) = watch::channel(false);
        let (telling, phase) = watch::channel(Phase::Starting);
        let (news, news_inbox) = mpsc::channel(NEWS);
        let (carry, carried) = mpsc::channel(NEWS);
        let (view, fleet_seen) = watch::channel(Arc::new(Fleet::new(me.clone(), config.timeouts.presence)));
        let public_url = config
            .http
            .public_url
            .as_ref()
            .map_or_else(|| format!("{scheme}://{public}"), ToString::to_string);
        let (directory, mut fleet_task) = fleet(FleetConfig {
            broker: broker.clone(),
            heartbeat: Heartbeat {
                phase: duty.phase(),
                metrics: Arc::clone(&metrics),
                events: events.clone(),
                summary: config.events.summary,
                started_at: Utc::now(),
                rate: Rate::default(),
            },
            me: me.clone(),
            profile: Profile {
                roles: config.node.roles.clone(),
                version: env!("CARGO_PKG_VERSION").to_owned(),
                public_url,
                limits: config.limits.told(),
                pushes: config.rooms.clone(),
            },
            limits: limits_seen.clone(),
            patience: config.timeouts.presence,
            message_bytes: config.limits.message_bytes,
            seed: Uuid::new_v4().as_u64_pair().0,
            news: news_inbox,
            view,
            serving,
            carry,
        });
        let (tracker, stop) = (TaskTracker::new(), CancellationToken::new());
        let ctx = Arc::new(Context {
            me,
            config: Arc::new(config),
            limits: limits_seen,
            broker,
            events,
            engine,
            metrics,
            directory,
            fleet: fleet_seen,
            phase,
            tracker: tracker.clone(),
        });

        let supervisor = Supervisor::new(tracker.clone(), duty.clone(), stop.clone());
        let (rooms, handle, commands) = Rooms::new(Arc::clone(&ctx));
        let (remote, remote_inbox) = mpsc::channel(INBOX);
        let connected = ctx.broker.connected();
        let phases = phase::tell(duty.phase(), serving_seen, connected, telling, phase::ALONE);
        supervisor.must_run_on("the metric of its phase", phase::count(Arc::clone(&ctx)));
        supervisor.must_run_on("the node's phase", phases);
        supervisor.must_run_on("the rooms", rooms.run(commands, remote_inbox));
        supervisor.must_run_on("the rooms that are pushed here", handle.clone().carry(carried));
        let (sessions, sessions_asked) = mpsc::channel(INBOX);
        let (rtc, rtc_asked) = mpsc::channel(INBOX);
        let (wishes, wished) = mpsc::channel(INBOX);
        let inboxes = Inboxes { rooms: remote, news: news.clone(), sessions, rtc, wishes };
        supervisor.must_run_on("the requests of other nodes", requests.read(inboxes, tracker.clone()));
        let (gate, gate_handle) = Gate::new(Arc::clone(&ctx), handle.clone());
        let (gate_news, gate_inbox) = mpsc::channel(INBOX);
        supervisor.must_run_on("the gate", gate.run(gate_inbox));
        supervisor.must_run_on("what is said to the gate", at_gate.read(gate_news, tracker));
        let drain_handle = DrainHandle::new(Arc::clone(&ctx), duty.clone());
        supervisor.must_run_on("operators' wishes", drain_handle.clone().answer(wished));
        if let Some(keys) = keys {
            supervisor.must_run_on("the keys of signed tokens", keys.run());
        }
        supervisor.must_run_on("the hearing of the fleet", hearing.read(news));
        let (failing, fleet_stop, name) = (supervisor.clone(), stop.clone(), ctx.me.node.clone());
        supervisor.must_run("the fleet", async move {
            // The task outlives this: what it reads from must not end before the reason is told.
            if let Ended::NameTaken(other) = fleet_task.run(fleet_stop).await {
                let process = other.incarnation;
                failing.fail(format!(
                    "another process named {name} is serving (incarnation {process}); stop it or set node.name"
                ));
            }
        });
        let replacing = workers::replace(Arc::clone(&ctx), handle.clone(), deaths, stop.clone());
        supervisor.must_run("the replacement of media workers", replacing);
        let (listening, listeners) = http::Listeners::new(Arc::clone(&ctx), handle.clone());
        supervisor.must_run_on("the listeners of sessions", listening.run());
        let door = http::Door::new(&ctx.config, ctx.limits.clone(), &ctx.metrics);
        let app = App::from(Parts {
            ctx: Arc::clone(&ctx),
            rooms: handle.clone(),
            verifier: Arc::new(verifier),
            callout: callout.map(Arc::new),
            gate: gate_handle,
            drain: drain_handle,
            listeners,
            door: door.clone(),
            statuses: http::Statuses::default(),
        });
        supervisor.must_run_on("the answers of sessions", http::answer_others(app.clone(), sessions_asked));
        supervisor.must_run_on("the session API", http::answer_servers(app.clone(), rtc_asked));
        let (routes, beside) = (http::public(app.clone()), door.another());
        let served = certificate.as_ref().map(Certificate::served);
        let serving = http::serve(public_listener, routes, served, door, stop.clone());
        supervisor.must_run("http.listen", serving);
        if let Some(certificate) = certificate {
            supervisor.must_run_on("the certificate", certificate.follow(Arc::clone(&ctx.metrics)));
        }
        let routes = http::operators(app.clone());
        let serving = http::serve(operators_listener, routes, None, beside, stop.clone());
        supervisor.must_run("operators.listen", serving);
        supervisor.must_run_on("the announced addresses", announced::follow(Arc::clone(&ctx)));
        tracing::info!(node = %ctx.me.node, region = %ctx.me.region, %public, %operators, "node started");
        Ok(Self {
            ctx,
            rooms: handle,
            app,
            duty,
            limits,
            supervisor,
            stop,
            recorded,
            recording,
            public,
            operators,
        })
    }

    /// Where publishers and viewers reach the node on this machine.
    pub fn public_url(&self) -> String {
        let scheme = if self.ctx.config.http.tls.is_some() { "https" } else { "http" };
        format!("{scheme}://{}", self.public)
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

    /// Takes from here on as much as these limits allow, [`Limits::FIXED`] apart, and tells the fleet. Nothing that works
    /// ends by it: of nodes that pull from this one too many are sent to others that have room.
    pub fn limit(&self, limits: Limits) {
        self.limits.send_if_modified(|now| std::mem::replace(now, limits) != limits);
    }

    /// Returns once the node can't go on, with the reason; it takes nothing new from then on. What it has
    /// plays until it is stopped.
    pub fn failed(&self) -> impl Future<Output = String> + Send + use<> {
        self.supervisor.failed()
    }

    /// Takes nothing new for good, tells the fleet, and waits for publishers and viewers to leave and for the
    /// nodes that pull from this one to move, at most as long as `timeouts.drain`, or until the node fails.
    pub async fn drain(&self) {
        self.duty.end();
        let patience = self.ctx.config.timeouts.drain;
        let metrics = &self.ctx.metrics;
        let Left { streams, viewers, children } = left(metrics);
        tracing::info!(patience_ms = patience.as_millis(), streams, viewers, children, "draining");
        let empty = async {
            while !left(metrics).is_empty() {
                tokio::time::sleep(DRAIN_LOOK).await;
            }
        };
        tokio::select! {
            () = empty => {}
            _ = self.failed() => {}
            () = tokio::time::sleep(patience) => {
                let Left { streams, viewers, children } = left(metrics);
                tracing::warn!(streams, viewers, children, "drain deadline reached: ending what is left");
            }
        }
    }

    /// Ends everything, says so, and returns once the workers are gone. Each step has a limit.
    pub async fn stop(self) {
        let Self { ctx, rooms, app, duty, supervisor, stop, recorded, recording, .. } = self;
        supervisor.stopping();
        duty.end();
        in_time("rooms", rooms.stop(EndReason::Drained)).await;
        drop((rooms, app));
        stop.cancel();
        ctx.tracker.close();
        in_time("tasks", ctx.tracker.wait()).await;
        recorded.cancel();
        recording.close();
        in_time("the recording of events", recording.wait()).await;
        ctx.broker.close().await;
        tracing::info!(node = %ctx.me.node, "node stopped");
        in_time("media workers", drop_aside(ctx)).await;
    }
}

/// Drops the node's last parts. Dropping the workers waits for their threads: that is not for the runtime to
/// do, nor for its end to wait for.
async fn drop_aside(ctx: Arc<Context>) {
    let (done, dropped) = oneshot::channel::<()>();
    let runtime = tokio::runtime::Handle::current();
    let thread = std::thread::Builder::new().name("stopping".to_owned()).spawn(move || {
        let _runtime = runtime.enter();
        drop(ctx);
        drop(done);
    });
    if thread.is_ok() {
        let _ = dropped.await;
    }
}

/// Waits for a step of a stop, but not for ever.
async fn in_time(what: &'static str, step: impl Future<Output = ()>) {
    if tokio::time::timeout(GRACE, step).await.is_err() {
        tracing::warn!("{what} did not end in time");
    }
}

async fn listen(key: &'static str, address: SocketAddr) -> Result<TcpListener, StartError> {
    TcpListener::bind(address).await.map_err(|source| StartError::Listen { key, address, source })
}

fn address(listener: &TcpListener, configured: SocketAddr) -> SocketAddr {
    listener.local_addr().unwrap_or(configured)
}
