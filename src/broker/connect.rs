//! The connection: kept up by itself, watched by everyone.

use std::sync::Arc;
use std::time::Duration;

use async_nats::{ConnectOptions, Event, jetstream};
use tokio::sync::watch;

use super::discovery::Served;
use super::{Broker, Inner, credentials};
use crate::config::{Config, Nats};
use crate::protocol::ids::Peer;
use crate::protocol::rights;
use crate::protocol::subjects::{PrefixError, Subjects};
use crate::telemetry::Metrics;

/// How often a silent server is pinged: a dead connection is noticed within three of these.
const PING: Duration = Duration::from_secs(2);
/// For how long a server is tried: a network that returns is to be used within three seconds.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// The first and the longest pause between attempts to connect.
const RECONNECT: (Duration, Duration) = (Duration::from_millis(50), Duration::from_millis(800));

/// Why there is no connection to wait for.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// The credentials file can't be read.
    #[error("nats.credentials {path}: {source}")]
    Credentials {
        /// The file.
        path: String,
        /// Why.
        source: std::io::Error,
    },
    /// The options are wrong: an address that is none, or TLS files that can't be read.
    #[error("nats: {0}")]
    Options(#[from] async_nats::ConnectError),
    /// The connection is closed.
    #[error("nats: {0}")]
    Closed(#[from] async_nats::SubscribeError),
    /// The prefix is wrong.
    #[error("nats.prefix: {0}")]
    Prefix(#[from] PrefixError),
}

impl Broker {
    /// Starts connecting and returns at once: where NATS is down, it is waited for.
    ///
    /// # Errors
    /// [`ConnectError`] if the configuration can never connect.
    pub async fn connect(config: &Config, me: &Peer, metrics: &Arc<Metrics>) -> Result<Self, ConnectError> {
        let (up, connected) = watch::channel(false);
        let options = options(&config.nats, me, up, Arc::clone(metrics)).await?;
        let client = options.connect(config.nats.urls.as_slice()).await?;
        let mut jetstream = match config.nats.domain.as_str() {
            "" => jetstream::new(client.clone()),
            domain => jetstream::with_domain(client.clone(), domain),
        };
        jetstream.set_timeout(config.timeouts.request);
        Ok(Self {
            inner: Arc::new(Inner {
                client,
                jetstream,
                subjects: Subjects::new(&config.nats.prefix)?,
                config: config.nats.clone(),
                domains: config.monitor.domains.clone(),
                me: me.clone(),
                request_timeout: config.timeouts.request,
                message_bytes: config.limits.message_bytes,
                connected,
                served: Served::new(),
                metrics: Arc::clone(metrics),
            }),
        })
    }
}

fn reconnect_delay(attempts: usize) -> Duration {
    let doublings = u32::try_from(attempts.min(8)).unwrap_or(8);
    let (first, longest) = RECONNECT;
    (first * 2_u32.pow(doublings)).min(longest)
}

async fn options(
    config: &Nats,
    me: &Peer,
    up: watch::Sender<bool>,
    metrics: Arc<Metrics>,
) -> Result<ConnectOptions, ConnectError> {
    let inbox = match config.inbox_prefix.as_str() {
        "" => rights::inbox(&me.node),
        prefix => prefix.to_owned(),
    };
    let up = Arc::new(up);
    if let Some(path) = &config.credentials {
        let unread = |source| ConnectError::Credentials { path: path.display().to_string(), source };
        let text = tokio::fs::read_to_string(path).await.map_err(unread)?;
        let empty = || std::io::Error::new(std::io::ErrorKind::InvalidData, "it has no JWT and seed");
        credentials::parts(&text).ok_or_else(empty).map_err(unread)?;
    }
    let auth = config.clone();
    let mut options = ConnectOptions::with_auth_callback(move |nonce| credentials::auth(auth.clone(), nonce))
        .name(format!("headwater {}", me.node))
        .custom_inbox_prefix(inbox)
        .retry_on_initial_connect()
        .connection_timeout(CONNECT_TIMEOUT)
        .reconnect_delay_callback(reconnect_delay)
        .ping_interval(PING)
        .event_callback(move |event| {
            let (up, metrics) = (Arc::clone(&up), Arc::clone(&metrics));
            async move { heard(&event, &up, &metrics) }
        });
    if let Some(tls) = &config.tls {
        options = options.require_tls(true);
        if let Some(ca) = &tls.ca {
            options = options.add_root_certificates(ca.clone());
        }
        if let (Some(certificate), Some(key)) = (&tls.certificate, &tls.key) {
            options = options.add_client_certificate(certificate.clone(), key.clone());
        }
    }
    Ok(options)
}

fn heard(event: &Event, up: &watch::Sender<bool>, metrics: &Metrics) {
    match event {
        Event::Connected => {
            metrics.nats_connects.inc();
            metrics.nats_connected.set(1);
            let _ = up.send(true);
            tracing::info!("nats connected");
        }
        // Our own doing: the node stops.
        Event::Draining | Event::Closed => {
            up.send_replace(false);
        }
        Event::Disconnected => {
            metrics.nats_connected.set(0);
            if up.send_replace(false) {
                tracing::warn!("nats disconnected: pipes and viewers go on");
            }
        }
        Event::SlowConsumer(subscription) => {
            tracing::warn!(subscription, "nats messages were dropped: this node reads too slowly");
        }
        other => tracing::warn!(event = %other, "nats"),
    }
}
