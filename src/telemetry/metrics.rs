//! The node's Prometheus metrics.

use std::sync::atomic::AtomicU64;

use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

/// One label.
pub type One = [(&'static str, &'static str); 1];
/// Two labels.
pub type Two = [(&'static str, &'static str); 2];

/// One of what a gauge counts; given back when dropped.
#[derive(Debug)]
pub struct Counted(Gauge);

impl Counted {
    /// Counts one more.
    pub fn new(gauge: &Gauge) -> Self {
        gauge.inc();
        Self(gauge.clone())
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.dec();
    }
}

/// All metrics of one node.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    /// Rooms carried.
    pub rooms: Gauge,
    /// Streams published here.
    pub streams: Gauge,
    /// Publishers that were answered and have not connected.
    pub connecting: Gauge,
    /// Warnings of what publishers send, by `kind`.
    pub stream_warnings: Family<One, Counter>,
    /// Viewers connected or connecting.
    pub viewers: Gauge,
    /// Pipes, by `direction` (`in`, `out`).
    pub pipes: Family<One, Gauge>,
    /// Pipe ports in use.
    pub pipe_ports_used: Gauge,
    /// Pipe ports configured.
    pub pipe_ports: Gauge,
    /// Viewers' joins, by `result`.
    pub joins: Family<One, Counter>,
    /// Time of a successful join, by `kind` (`warm`, `cold`).
    pub join_seconds: Family<One, Histogram>,
    /// What participants asked to be sent, by `result`; beside that `lacked` where it didn't come for 10 s.
    pub consumers: Family<One, Counter>,
    /// Pipe set-ups from the first request to the last reply, by `result`.
    pub pipe_setups: Family<One, Counter>,
    /// Time of a successful pipe set-up.
    pub pipe_setup_seconds: Histogram,
    /// Messages from other nodes, by `message` and `result`.
    pub messages_received: Family<Two, Counter>,
    /// Messages to other nodes, by `message` and `result`.
    pub messages_sent: Family<Two, Counter>,
    /// Time until a reply, by `message`.
    pub reply_seconds: Family<One, Histogram>,
    /// Key-frame requests sent upstream, by `hop` (`publisher`, `pipe`).
    pub key_frame_requests: Family<One, Counter>,
    /// Key frames received, by `hop`.
    pub key_frames: Family<One, Counter>,
    /// Changes of viewers' layers that receiver reports led to, by `direction` (`up`: a higher one is tried,
    /// `back`: that failed, `down`: the link got worse, `follow`: the publisher's layers changed).
    pub layer_switches: Family<One, Counter>,
    /// HTTP answers, by `endpoint` and `status`.
    pub http_answers: Family<Two, Counter>,
    /// HTTP connections open, of all listeners.
    pub http_connections: Gauge,
    /// Connections and requests turned away, by `reason`: the limit or time-out that they went over, or `files` where the
    /// system lets the process open no more.
    pub http_turned_away: Family<One, Counter>,
    /// What the node does, by `phase` (`starting`, `serving`, `draining`): 1 for that, 0 for the others.
    pub phase: Family<One, Gauge>,
    /// Whether NATS is connected.
    pub nats_connected: Gauge,
    /// Times that NATS was connected.
    pub nats_connects: Counter,
    /// Whether the directory of streams is complete.
    pub directory_ready: Gauge,
    /// Streams that the directory knows to be live.
    pub directory_streams: Gauge,
    /// Claims to streams of this node, by `result` (`sent`, `unsent`).
    pub claims: Family<One, Counter>,
    /// What other nodes sent that isn't believed, by `reason`.
    pub refused_peers: Family<One, Counter>,
    /// Messages of data channels that passed between routers and nodes, by `result` (`sent`, `received`; lost: `full` where too
    /// much waited in front of a connection or pipe, `lost` where too much did in the node, `foreign` where they were sealed
    /// by somebody else).
    pub data_messages: Family<One, Counter>,
    /// Whether another process is heard under this node's name.
    pub name_shared: Gauge,
    /// Whether what happens was stored when it was last tried.
    pub log_ready: Gauge,
    /// Events, by `result` (`stored`, `dropped`).
    pub events: Family<One, Counter>,
    /// Whether the certificate served is the one in the files; 0 without `http.tls` too.
    pub tls_current: Gauge,
    /// When the certificate's validity ends, in seconds since 1970; 0 without `http.tls`.
    pub tls_expires: Gauge,
    /// Whether the announced host names could be looked up when they last were; 1 where there are none.
    pub announced_current: Gauge,
    /// Messages waiting in the node's inbox.
    pub inbox_depth: Gauge,
    /// Questions whether a session may start, by `result` (`allowed`, `denied`, `timeout`, `failed`, `busy`).
    pub callouts: Family<One, Counter>,
    /// Fetches of the signing keys, by `result` (`ok`, `failed`).
    pub jwks_fetches: Family<One, Counter>,
    /// When the signing keys were last fetched, in seconds since 1970; 0 for never.
    pub jwks_fetched: Gauge,
    /// Tokens that are kept out.
    pub bars: Gauge,
    /// Sessions that operators ended by asking this node, by `who` (`publisher`, `viewer`).
    pub kicks: Family<One, Counter>,
    /// Media workers that died.
    pub workers_died: Counter,
    /// Bytes of media sent, to viewers and other nodes.
    pub bytes_sent: Counter,
    /// Processor time of the process, in parts of all cores.
    pub cpu: Gauge<f64, AtomicU64>,
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

fn seconds() -> Histogram {
    Histogram::new([
        0.001, 0.002, 0.003, 0.005, 0.0075, 0.01, 0.015, 0.025, 0.05, 0.1, 0.2, 0.35, 0.5, 1.0, 2.0, 5.0,
    ])
}

impl Metrics {
    /// Fresh metrics, all zero.
    pub fn new() -> Self {
        let metrics = Self {
            registry: Registry::with_prefix("headwater"),
            rooms: Gauge::default(),
            streams: Gauge::default(),
            connecting: Gauge::default(),
            stream_warnings: Family::default(),
            viewers: Gauge::default(),
            pipes: Family::default(),
            pipe_ports_used: Gauge::default(),
            pipe_ports: Gauge::default(),
            joins: Family::default(),
            join_seconds: Family::new_with_constructor(seconds),
            consumers: Family::default(),
            pipe_setups: Family::default(),
            pipe_setup_seconds: seconds(),
            messages_received: Family::default(),
            messages_sent: Family::default(),
            reply_seconds: Family::new_with_constructor(seconds),
            key_frame_requests: Family::default(),
            key_frames: Family::default(),
            layer_switches: Family::default(),
            http_answers: Family::default(),
            http_connections: Gauge::default(),
            http_turned_away: Family::default(),
            phase: Family::default(),
            nats_connected: Gauge::default(),
            nats_connects: Counter::default(),
            directory_ready: Gauge::default(),
            directory_streams: Gauge::default(),
            claims: Family::default(),
            refused_peers: Family::default(),
            data_messages: Family::default(),
            name_shared: Gauge::default(),
            log_ready: Gauge::default(),
            events: Family::default(),
            tls_current: Gauge::default(),
            tls_expires: Gauge::default(),
            announced_current: Gauge::default(),
            inbox_depth: Gauge::default(),
            callouts: Family::default(),
            jwks_fetches: Family::default(),
            jwks_fetched: Gauge::default(),
            bars: Gauge::default(),
            kicks: Family::default(),
            workers_died: Counter::default(),
            bytes_sent: Counter::default(),
            cpu: Gauge::default(),
        };
        metrics.registered()
    }

    fn registered(mut self) -> Self {
        let r = &mut self.registry;
        r.register("rooms", "Rooms carried", self.rooms.clone());
        r.register("streams", "Streams published here", self.streams.clone());
        r.register("connecting", "Publishers that have not connected yet", self.connecting.clone());
        r.register("stream_warnings", "Warnings of what publishers send", self.stream_warnings.clone());
        r.register("viewers", "Viewers connected or connecting", self.viewers.clone());
        r.register("pipes", "Pipes to and from other nodes", self.pipes.clone());
        r.register("pipe_ports_used", "Pipe ports in use", self.pipe_ports_used.clone());
        r.register("pipe_ports", "Pipe ports configured", self.pipe_ports.clone());
        r.register("joins", "Joins of viewers", self.joins.clone());
        r.register_with_unit("join", "Time of a successful join", Unit::Seconds, self.join_seconds.clone());
        r.register("consumers", "What participants asked to be sent", self.consumers.clone());
        r.register("pipe_setups", "Pipe set-ups", self.pipe_setups.clone());
        r.register_with_unit(
            "pipe_setup",
            "Time of a successful pipe set-up",
            Unit::Seconds,
            self.pipe_setup_seconds.clone(),
        );
        r.register("messages_received", "Messages from other nodes", self.messages_received.clone());
        r.register("messages_sent", "Messages to other nodes", self.messages_sent.clone());
        r.register_with_unit("reply", "Time until a reply", Unit::Seconds, self.reply_seconds.clone());
        r.register("key_frame_requests", "Key-frame requests sent upstream", self.key_frame_requests.clone());
        r.register("key_frames", "Key frames received", self.key_frames.clone());
        r.register("layer_switches", "Changes of layers by receiver reports", self.layer_switches.clone());
        r.register("http_answers", "Answers to publishers and viewers", self.http_answers.clone());
        r.register("http_connections", "HTTP connections open", self.http_connections.clone());
        let help = "HTTP connections and requests turned away";
        r.register("http_turned_away", help, self.http_turned_away.clone());
        r.register("phase", "What the node does", self.phase.clone());
        r.register("nats_connected", "Whether NATS is connected", self.nats_connected.clone());
        r.register("nats_connects", "Times that NATS was connected", self.nats_connects.clone());
        r.register(
            "directory_ready",
            "Whether the directory of streams is complete",
            self.directory_ready.clone(),
        );
        r.register("directory_streams", "Live streams in the directory", self.directory_streams.clone());
        r.register("claims", "Claims to streams of this node", self.claims.clone());
        r.register("data_messages", "Messages of data channels between nodes", self.data_messages.clone());
        r.register("refused_peers", "What other nodes sent that is not believed", self.refused_peers.clone());
        r.register("name_shared", "Whether another process has this node's name", self.name_shared.clone());
        r.register("log_ready", "Whether events are stored in the log", self.log_ready.clone());
        r.register("events", "Events stored in the log, or dropped", self.events.clone());
        r.register("tls_current", "Whether the certificate in the files is served", self.tls_current.clone());
        r.register(
            "tls_expires",
            "When the certificate ends, in seconds since 1970",
            self.tls_expires.clone(),
        );
        let help = "Whether announced host names could be looked up";
        r.register("announced_current", help, self.announced_current.clone());
        r.register("inbox_depth", "Messages waiting in the node's inbox", self.inbox_depth.clone());
        r.register("callouts", "Questions whether a session may start", self.callouts.clone());
        r.register("jwks_fetches", "Fetches of the signing keys", self.jwks_fetches.clone());
        r.register_with_unit(
            "jwks_fetched",
            "When the signing keys were last fetched, since 1970",
            Unit::Seconds,
            self.jwks_fetched.clone(),
        );
        r.register("bars", "Tokens that are kept out", self.bars.clone());
        r.register("kicks", "Sessions that operators ended by this node", self.kicks.clone());
        r.register("workers_died", "Media workers that died", self.workers_died.clone());
        let help = "Media sent, to viewers and other nodes";
        r.register_with_unit("sent", help, Unit::Bytes, self.bytes_sent.clone());
        r.register("cpu_ratio", "Processor time, in parts of all cores", self.cpu.clone());
        self
    }

    /// All metrics in the OpenMetrics text format.
    pub fn text(&self) -> String {
        let mut text = String::new();
        // Writing to a String can't fail.
        let _ = encode(&mut text, &self.registry);
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_has_every_metric() {
        let metrics = Metrics::new();
        metrics.joins.get_or_create(&[("result", "ok")]).inc();
        metrics.join_seconds.get_or_create(&[("kind", "cold")]).observe(0.004);
        let text = metrics.text();
        assert!(text.contains("headwater_joins_total{result=\"ok\"} 1"), "{text}");
        assert!(text.contains("headwater_join_seconds_bucket"), "{text}");
    }
}
