//! Whether the values are such that a node can run: each within its bounds, none against another.

use std::fmt::Debug;
use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::time::Duration;

use super::{
    Announced, Config, ConfigError, Events, IceServer, Limits, Media, Monitor, Timeouts, WebRtc, frames,
};
use crate::protocol::ids::NodeName;
use crate::protocol::subjects::Subjects;

const DAY: Duration = Duration::from_secs(24 * 3600);
const YEAR: Duration = Duration::from_secs(366 * 24 * 3600);
/// More of anything than a node could carry.
const MANY: usize = 1_000_000;

impl Config {
    /// Whether a node can run with this.
    ///
    /// # Errors
    /// [`ConfigError::Contradiction`] with the key and what it may be.
    pub fn check(&self) -> Result<(), ConfigError> {
        let wrong = |reason: &str| Err(ConfigError::Contradiction(reason.to_owned()));
        if self.nats.urls.is_empty() {
            return wrong("nats.urls must name at least one server");
        }
        if Subjects::new(&self.nats.prefix).is_err() {
            return wrong("nats.prefix must be up to 4 tokens of A-Z a-z 0-9 _ - joined by '.'");
        }
        if !self.nats.domain.is_empty() && self.nats.domain.parse::<NodeName>().is_err() {
            return wrong("nats.domain must be up to 64 characters of A-Z a-z 0-9 _ -");
        }
        if self.nats.nkey.as_ref().is_some_and(|seed| nkeys::KeyPair::from_seed(seed.expose()).is_err()) {
            return wrong("nats.nkey must be the seed of an NKEY, which begins with SU");
        }
        if self.monitor.domains.iter().any(|domain| domain.as_str() == self.nats.domain) {
            return wrong("monitor.domains must not name nats.domain: that one's log is shown anyway");
        }
        within("nats.replicas", self.nats.replicas, 1..=5)?;
        for listen in &self.webrtc.listen {
            reachable("webrtc", *listen, self.webrtc.announced.as_ref())?;
        }
        reachable("pipe", self.pipe.listen, self.pipe.announced.as_ref())?;
        frames::check(&self.http.frame_ancestors)?;
        self.auth.check()?;
        self.media.check()?;
        self.webrtc.check(self.media.workers)?;
        self.http.check()?;
        within("pipe.receive_buffer", self.pipe.receive_buffer, 0..=1 << 30)?;
        within("pipe.send_buffer", self.pipe.send_buffer, 0..=1 << 30)?;
        self.limits.check()?;
        self.timeouts.check()?;
        self.events.check()?;
        self.monitor.check()
    }
}

impl Media {
    fn check(&self) -> Result<(), ConfigError> {
        if self.codecs.is_empty() {
            return Err(ConfigError::Contradiction("media.codecs must name at least one codec".to_owned()));
        }
        within("media.workers", self.workers, 0..=1024)?;
        lasts("media.key_frame_delay", self.key_frame_delay, Duration::ZERO..=Duration::from_secs(60))?;
        within("media.spread_slack", self.spread_slack, 0..=MANY)?;
        lasts("media.takeover_pause", self.takeover_pause, Duration::ZERO..=DAY)
    }
}

impl WebRtc {
    fn check(&self, workers: usize) -> Result<(), ConfigError> {
        if self.listen.is_empty() {
            return Err(ConfigError::Contradiction(
                "webrtc.listen must name at least one address".to_owned(),
            ));
        }
        let workers = match workers {
            0 => std::thread::available_parallelism().map_or(1, usize::from),
            workers => workers,
        };
        if usize::from(self.port) + workers > usize::from(u16::MAX) + 1 {
            let reason =
                format!("webrtc.port and the {workers} ports that the workers need must be at most 65535");
            return Err(ConfigError::Contradiction(reason));
        }
        self.ice_servers.iter().try_for_each(IceServer::check)?;
        within("webrtc.initial_bitrate", self.initial_bitrate, 10_000..=u32::MAX)?;
        within("webrtc.receive_buffer", self.receive_buffer, 0..=1 << 30)?;
        within("webrtc.send_buffer", self.send_buffer, 0..=1 << 30)
    }
}

impl Limits {
    fn check(&self) -> Result<(), ConfigError> {
        within("limits.rooms", self.rooms, 0..=MANY)?;
        within("limits.viewers", self.viewers, 0..=MANY)?;
        within("limits.streams", self.streams, 0..=MANY)?;
        within("limits.streams_per_room", self.streams_per_room, 0..=MANY)?;
        within("limits.participants_per_room", self.participants_per_room, 0..=MANY)?;
        within("limits.producers_per_participant", self.producers_per_participant, 0..=64)?;
        within("limits.consumers_per_participant", self.consumers_per_participant, 0..=MANY)?;
        within("limits.connecting", self.connecting, 1..=MANY)?;
        within("limits.waiting", self.waiting, 1..=MANY)?;
        within("limits.children", self.children, 0..=MANY)?;
        within("limits.outlets", self.outlets, 0..=MANY)?;
        within("limits.producers_per_pipe", self.producers_per_pipe, 1..=1024)?;
        // NATS takes messages of 1 MiB at most unless it is told otherwise.
        within("limits.message_bytes", self.message_bytes, 16 << 10..=1 << 20)?;
        within("limits.body_bytes", self.body_bytes, 1 << 10..=16 << 20)?;
        within("limits.inbox", self.inbox, 1..=65_536)?;
        within("limits.payload_layouts", self.payload_layouts, 1..=1024)?;
        within("limits.connections", self.connections, 16..=MANY)?;
        within("limits.connections_per_address", self.connections_per_address, 0..=MANY)?;
        within("limits.requests_per_address", self.requests_per_address, 0..=1_000_000)?;
        within("limits.sessions_per_address", self.sessions_per_address, 0..=1_000_000)
    }
}

impl Timeouts {
    fn check(&self) -> Result<(), ConfigError> {
        let (tenth, second) = (Duration::from_millis(100), Duration::from_secs(1));
        let (minute, hour) = (Duration::from_secs(60), Duration::from_secs(3600));
        lasts("timeouts.request", self.request, tenth..=minute)?;
        lasts("timeouts.join", self.join, tenth..=5 * minute)?;
        lasts("timeouts.connect", self.connect, tenth..=5 * minute)?;
        lasts("timeouts.pipe_connect", self.pipe_connect, tenth..=5 * minute)?;
        lasts("timeouts.publisher_silence", self.publisher_silence, second..=DAY)?;
        // Checks come each four to six seconds (RFC 7675 section 5.1), reports about as often.
        lasts("timeouts.ice_consent", self.ice_consent, 10 * second..=hour)?;
        lasts("timeouts.pipe_idle", self.pipe_idle, tenth..=DAY)?;
        lasts("timeouts.session", self.session, Duration::from_secs(2)..=DAY)?;
        lasts("timeouts.room_idle", self.room_idle, Duration::from_millis(10)..=DAY)?;
        lasts("timeouts.lease_renewal", self.lease_renewal, Duration::from_millis(500)..=minute)?;
        lasts("timeouts.lease", self.lease, second..=hour)?;
        if self.lease <= self.lease_renewal {
            let reason = "timeouts.lease must be longer than timeouts.lease_renewal";
            return Err(ConfigError::Contradiction(reason.to_owned()));
        }
        // Signs of life come each second.
        lasts("timeouts.presence", self.presence, Duration::from_millis(1500)..=5 * minute)?;
        // It is told in seconds.
        lasts("timeouts.retry_after", self.retry_after, second..=hour)?;
        lasts("timeouts.drain", self.drain, Duration::ZERO..=DAY)?;
        lasts("timeouts.http_header", self.http_header, tenth..=5 * minute)?;
        lasts("timeouts.http_body", self.http_body, tenth..=5 * minute)
    }
}

impl Events {
    fn check(&self) -> Result<(), ConfigError> {
        lasts("events.retention", self.retention, Duration::from_secs(60)..=100 * YEAR)?;
        within("events.max_bytes", self.max_bytes, 1 << 20..=1 << 50)?;
        within("events.buffer", self.buffer, 1..=MANY)?;
        lasts("events.summary", self.summary, Duration::from_millis(100)..=Duration::from_secs(3600))
    }
}

impl Monitor {
    fn check(&self) -> Result<(), ConfigError> {
        within("monitor.snapshot_every", self.snapshot_every, 1..=1_000_000_000)?;
        within("monitor.snapshots", self.snapshots, 1..=10_000)?;
        lasts("monitor.remember", self.remember, Duration::from_secs(1)..=100 * YEAR)
    }
}

/// Nobody can send to a wildcard address.
fn reachable(section: &str, listen: IpAddr, announced: Option<&Announced>) -> Result<(), ConfigError> {
    if !listen.is_unspecified() || announced.is_some_and(|announced| announced.may_have(listen)) {
        return Ok(());
    }
    let family = if listen.is_ipv4() { "IPv4" } else { "IPv6" };
    let who = if section == "pipe" { "other nodes" } else { "publishers and viewers" };
    Err(ConfigError::Contradiction(format!(
        "{section}.listen {listen} is a wildcard address: set {section}.announced to the {family} address or \
         host name that {who} can reach"
    )))
}

pub(super) fn within<T: PartialOrd + Debug>(
    key: &str,
    value: T,
    bounds: RangeInclusive<T>,
) -> Result<(), ConfigError> {
    if bounds.contains(&value) {
        return Ok(());
    }
    let (least, most) = bounds.into_inner();
    Err(ConfigError::Contradiction(format!("{key} is {value:?}, and must be from {least:?} to {most:?}")))
}

pub(super) fn lasts(key: &str, value: Duration, bounds: RangeInclusive<Duration>) -> Result<(), ConfigError> {
    if bounds.contains(&value) {
        return Ok(());
    }
    let [value, least, most] = [value, *bounds.start(), *bounds.end()].map(humantime::format_duration);
    Err(ConfigError::Contradiction(format!("{key} is {value}, and must be from {least} to {most}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use toml::Value;

    /// Every key of these sections whose value is a number or a time.
    fn measured_keys() -> Vec<(String, String, bool)> {
        let all: toml::Table = Config::default().to_toml().unwrap().parse().unwrap();
        let mut keys = Vec::new();
        for (section, values) in all {
            for (key, value) in values.as_table().unwrap() {
                let time = value.as_str().is_some_and(|text| humantime::parse_duration(text).is_ok());
                if time || matches!(value, Value::Integer(_)) {
                    keys.push((section.clone(), key.clone(), time));
                }
            }
        }
        keys
    }

    #[test]
    fn each_key_at_its_extremes_is_fine_or_refused_by_name() {
        let keys = measured_keys();
        assert!(keys.len() > 35, "{keys:?}");
        let mut refused = Vec::new();
        for (section, key, time) in keys {
            let extremes = if time {
                ["'0s'".to_owned(), "'1ns'".to_owned(), "'30000years'".to_owned()]
            } else {
                ["0".to_owned(), "65535".to_owned(), i64::MAX.to_string()]
            };
            for extreme in extremes {
                let text = format!("[{section}]\n{key} = {extreme}");
                if let Err(error) = Config::parse(&text) {
                    let error = error.to_string();
                    assert!(error.contains(&key), "{text}: {error}");
                    refused.push(format!("{section}.{key} = {extreme}"));
                }
            }
        }
        for harmful in [
            "events.summary = '0s'",
            "events.buffer = 9223372036854775807",
            "limits.inbox = 0",
            "limits.inbox = 9223372036854775807",
            "limits.message_bytes = 0",
            "timeouts.lease_renewal = '0s'",
            "timeouts.pipe_idle = '0s'",
            "timeouts.presence = '0s'",
            "timeouts.request = '0s'",
        ] {
            assert!(refused.iter().any(|refused| refused == harmful), "{harmful}: {refused:#?}");
        }
    }

    #[test]
    fn a_refusal_says_what_the_key_may_be() {
        let error = Config::parse("[timeouts]\npresence = '1s'").unwrap_err().to_string();
        assert_eq!(error, "configuration: timeouts.presence is 1s, and must be from 1s 500ms to 5m");
        let error = Config::parse("[timeouts]\ndrain = '25h'").unwrap_err().to_string();
        assert_eq!(error, "configuration: timeouts.drain is 1day 1h, and must be from 0s to 1day");
        let drains_not_at_all = Config::parse("[timeouts]\ndrain = '0s'").unwrap();
        assert!(drains_not_at_all.timeouts.drain.is_zero());
        let error = Config::parse("[limits]\ninbox = 0").unwrap_err().to_string();
        assert_eq!(error, "configuration: limits.inbox is 0, and must be from 1 to 65536");
        let error = Config::parse("[timeouts]\nlease_renewal = '20s'").unwrap_err().to_string();
        assert!(error.contains("timeouts.lease must be longer"), "{error}");
    }
}
