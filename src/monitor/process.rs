//! The monitor's process: assembled, and taken apart in reverse order.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use uuid::Uuid;

use super::api::{self, Api};
use super::past::Replay;
use super::projection::Projection;
use super::sources::{self, Sources};
use crate::broker::{Broker, ConnectError};
use crate::config::Config;
use crate::http;
use crate::protocol::ids::{Incarnation, Peer};
use crate::telemetry::Metrics;

/// How long what runs may take to end.
const GRACE: Duration = Duration::from_secs(5);

/// A running monitor.
#[derive(Debug)]
pub struct Monitor {
    broker: Broker,
    address: SocketAddr,
    stop: CancellationToken,
    tracker: TaskTracker,
    recorded: CancellationToken,
}

/// Why a monitor did not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// Its HTTP listener.
    #[error("monitor.listen {address}: {source}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Why.
        source: std::io::Error,
    },
    /// The broker.
    #[error(transparent)]
    Broker(#[from] ConnectError),
}

impl Monitor {
    /// Starts a monitor. It serves at once; its picture is complete once `/readyz` says so.
    ///
    /// # Errors
    /// [`StartError`] that names the key to change.
    pub async fn start(config: Config) -> Result<Self, StartError> {
        let address = config.monitor.listen;
        let listen = |source| StartError::Listen { address, source };
        let listener = TcpListener::bind(address).await.map_err(listen)?;
        let address = listener.local_addr().map_err(listen)?;
        let me = Peer {
            node: config.monitor.name.clone(),
            incarnation: Incarnation(Uuid::now_v7()),
            region: config.node.region.clone(),
        };
        let metrics = Arc::new(Metrics::new());
        let broker = Broker::connect(&config, &me, &metrics).await?;
        let (tracker, stop) = (TaskTracker::new(), CancellationToken::new());
        let (recorder, recording) = broker.recorder(&config.events);
        let recorded = CancellationToken::new();
        tracker.spawn(recording.run(recorded.clone()));
        let (projection, live) = Projection::new(broker.clone(), config.clone(), tracker.clone());
        let (replay, past) = Replay::new(broker.clone(), config.clone(), live.progress_seen());
        tracker.spawn(projection.run(stop.clone()));
        tracker.spawn(replay.run());
        let (seen, sources) = watch::channel(Sources::new());
        if !config.monitor.domains.is_empty() {
            tracker.spawn(sources::look(broker.clone(), config.clone(), seen, stop.clone()));
        }
        let door = http::Door::new(&config, watch::channel(config.limits).1, &metrics);
        let api = Api {
            sources,
            broker: broker.clone(),
            recorder,
            live,
            past,
            config: Arc::new(config),
            stop: stop.clone(),
        };
        tracker.spawn(http::serve(listener, api::routes(api), None, door, stop.clone()));
        tracing::info!(%address, "monitor started");
        Ok(Self { broker, address, stop, tracker, recorded })
    }

    /// Where operators reach it on this machine.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Stops it. What is not in a snapshot is read again at the next start.
    pub async fn stop(self) {
        self.stop.cancel();
        self.recorded.cancel();
        self.tracker.close();
        if tokio::time::timeout(GRACE, self.tracker.wait()).await.is_err() {
            tracing::warn!("some tasks of the monitor did not end in time");
        }
        self.broker.close().await;
        tracing::info!("monitor stopped");
    }
}
