//! The configuration of a node: one TOML file, every key also as an environment variable.
//!
//! `[nats] urls` is `HEADWATER_NATS__URLS`; flags win over the environment, the environment over the
//! file, the file over the defaults. Unknown keys are refused.

mod announced;
mod auth;
mod check;
mod events;
mod frames;
mod http;
mod ice;
mod keys;
mod limits;
mod names;
mod network;
mod rooms;
mod secret;

use std::path::Path;

use figment::Figment;
use figment::providers::{Env, Format, Serialized, Toml};
use serde::{Deserialize, Serialize};

use crate::protocol::ids::{NodeName, Region};
use crate::protocol::presence::Role;

pub use crate::protocol::admission::Action;
pub use announced::{Announced, Host};
pub use auth::{Auth, Callout, Jwks, Jwt, JwtAlgorithm, OnTimeout, StaticToken, Webhook};
pub use events::{Events, Monitor};
pub use http::{Http, Operators, Tls};
pub use ice::{IceCredentials, IceServer, IceUrl};
pub use keys::{Changed, Keys};
pub use limits::{Limits, Timeouts};
pub use names::{Names, Pattern, PatternError};
pub use network::{Nats, NatsTls, Pipe, PortRange, Storage, WebRtc};
pub use rooms::{Residency, Rooms};
pub use secret::Secret;

/// The whole configuration of a node.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Who the node is.
    pub node: Node,
    /// The message broker.
    pub nats: Nats,
    /// The media workers.
    pub media: Media,
    /// Where publishers and viewers send media.
    pub webrtc: WebRtc,
    /// Where other nodes send media.
    pub pipe: Pipe,
    /// Where publishers and viewers find WHIP, WHEP and the pages.
    pub http: Http,
    /// Where operators find health, metrics and the rooms.
    pub operators: Operators,
    /// Who may publish and watch.
    pub auth: Auth,
    /// Which rooms go where by themselves, and where they may not go.
    pub rooms: Rooms,
    /// How much is taken.
    pub limits: Limits,
    /// How long is waited.
    pub timeouts: Timeouts,
    /// What is kept of what happens.
    pub events: Events,
    /// The process that shows it.
    pub monitor: Monitor,
    /// What is logged.
    pub log: Log,
}

/// Who the node is.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Node {
    /// Its name, unique in the fleet.
    pub name: NodeName,
    /// Its datacenter.
    pub region: Region,
    /// What it may be used for.
    pub roles: Vec<Role>,
}

/// The media workers.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Media {
    /// How many workers, each one thread; 0 is one per core.
    pub workers: usize,
    /// The codecs offered, in order of preference: `opus`, `vp8`, `vp9`, `h264`, `av1`.
    pub codecs: Vec<Codec>,
    /// The least time between two key-frame requests that a hop sends upstream.
    #[serde(with = "humantime_serde")]
    pub key_frame_delay: std::time::Duration,
    /// How many more viewers than the lightest worker's a room's worker may have before the room's
    /// next viewer goes to the lightest, at the price of a copy of the media.
    pub spread_slack: usize,
    /// What a stream does when another publisher takes its name.
    pub takeover: Takeover,
    /// For how long after a takeover nobody takes the stream over again, while the newer publisher sends.
    #[serde(with = "humantime_serde")]
    pub takeover_pause: std::time::Duration,
}

/// A codec that publishers and viewers may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Codec {
    /// Opus, 48 kHz stereo.
    Opus,
    /// VP8.
    Vp8,
    /// VP9, profile 0.
    Vp9,
    /// H.264, constrained baseline, main and high, packetization mode 1.
    H264,
    /// AV1, main profile.
    Av1,
}

/// What happens when a stream that is live is published again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Takeover {
    /// The new publisher replaces the old one.
    Replace,
    /// The new publisher is refused with 409.
    Reject,
}

/// What is logged.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Log {
    /// A filter such as `info` or `headwater=debug,info`.
    pub filter: Option<String>,
    /// How lines look.
    pub format: LogFormat,
}

/// How log lines look.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// Human in a terminal, JSON otherwise.
    #[default]
    Auto,
    /// For people.
    Human,
    /// For machines.
    Json,
}

/// Why a configuration is none.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// A file, variable or key is wrong; the message names it.
    #[error("configuration: {0}")]
    Invalid(#[from] Box<figment::Error>),
    /// A value is out of its bounds, or keys contradict each other; the message names what to change.
    #[error("configuration: {0}")]
    Contradiction(String),
}

impl Default for Node {
    fn default() -> Self {
        Self {
            name: default_name(),
            region: "default".parse().unwrap_or_else(|_| unreachable!("a literal name")),
            roles: vec![Role::Origin, Role::Edge, Role::Relay],
        }
    }
}

impl Default for Media {
    fn default() -> Self {
        Self {
            workers: 0,
            codecs: vec![Codec::Opus, Codec::Vp8, Codec::Vp9, Codec::H264, Codec::Av1],
            key_frame_delay: std::time::Duration::from_millis(500),
            spread_slack: 50,
            takeover: Takeover::Replace,
            takeover_pause: std::time::Duration::from_secs(60),
        }
    }
}

impl Config {
    /// Reads the file (if any) and the environment.
    ///
    /// # Errors
    /// [`ConfigError`] that names the wrong key and where it stands.
    pub fn load(file: Option<&Path>) -> Result<Self, ConfigError> {
        Self::extract(Self::figment(file))
    }

    fn figment(file: Option<&Path>) -> Figment {
        let mut figment = Figment::from(Serialized::defaults(Self::default()));
        if let Some(file) = file {
            figment = figment.merge(Toml::file_exact(file));
        }
        // Only SECTION__KEY is ours: an orchestrator sets other variables of our prefix by itself.
        let env = Env::prefixed("HEADWATER_").filter(|key| key.as_str().contains("__")).split("__");
        figment.merge(env)
    }

    /// Reads a TOML text over the defaults: for tests and embedders.
    ///
    /// # Errors
    /// [`ConfigError`] that names the wrong key.
    pub fn parse(text: &str) -> Result<Self, ConfigError> {
        Self::extract(Figment::from(Serialized::defaults(Self::default())).merge(Toml::string(text)))
    }

    fn extract(figment: Figment) -> Result<Self, ConfigError> {
        let config: Self = figment.extract().map_err(Box::new)?;
        config.check()?;
        Ok(config)
    }

    /// The configuration as TOML, secrets hidden.
    ///
    /// # Errors
    /// None in practice: every value has a TOML form.
    pub fn to_toml(&self) -> Result<String, toml::ser::Error> {
        toml::to_string_pretty(self)
    }
}

#[expect(clippy::disallowed_methods, reason = "this is config")]
fn default_name() -> NodeName {
    std::fs::read_to_string("/etc/hostname")
        .ok()
        .or_else(|| std::env::var("HOSTNAME").ok())
        .and_then(|name| name.trim().split('.').next()?.parse().ok())
        .unwrap_or_else(|| "node".parse().unwrap_or_else(|_| unreachable!("a literal name")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_stand_in_their_own_file() {
        let text = Config::default().to_toml().unwrap();
        let again = Config::parse(&text).unwrap();
        assert_eq!(again.to_toml().unwrap(), text);
    }

    #[test]
    fn an_unknown_key_is_named() {
        let error = Config::parse("[nats]\nurl = 'nats://a'").unwrap_err().to_string();
        assert!(error.contains("url"), "{error}");
    }

    #[test]
    fn secrets_are_hidden() {
        let config = Config::parse(
            "[nats]\npassword = 'hunter2'\n[[auth.tokens]]\ntoken = 'hunter2'\nactions = ['watch']\n[operators]\ntoken = 'hunter2'",
        )
        .unwrap();
        assert!(!config.to_toml().unwrap().contains("hunter2"));
        assert!(!format!("{config:?}").contains("hunter2"));
    }

    #[test]
    fn a_wildcard_address_needs_an_announced_one() {
        let error = Config::parse("[pipe]\nlisten = '0.0.0.0'").unwrap_err().to_string();
        assert!(error.contains("pipe.announced"), "{error}");
    }
}
