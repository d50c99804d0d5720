//! Who may publish and watch.

use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use url::Url;

use super::check::{lasts, within};
use super::{ConfigError, Names, Secret};
use crate::protocol::admission::Action;
use crate::protocol::gate::TokenKey;

/// Who may publish and watch. With neither tokens, keys nor a callout, everyone may do everything.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Auth {
    /// Whether a session ends when its signed token expires; the token's own claim `end_at_expiry` wins.
    pub end_at_expiry: bool,
    /// Tokens that stand here.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tokens: Vec<StaticToken>,
    /// Tokens that are signed with one key that stands here.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub jwt: Option<Jwt>,
    /// Tokens that are signed with one of a set of keys that is kept elsewhere.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub jwks: Option<Jwks>,
    /// A service that is asked whether a session may start, once its token is found good.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub callout: Option<Callout>,
}

/// One token and what it allows.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StaticToken {
    /// What the token goes by where it is barred, and in the question of a callout.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The bearer token.
    pub token: Secret,
    /// What it allows.
    pub actions: Vec<Action>,
    /// The rooms that it allows it in, as `news`, `news-*` or a list; absent means all.
    #[serde(default, alias = "rooms", skip_serializing_if = "Option::is_none")]
    pub room: Option<Names>,
    /// The streams that it allows it on; absent means all.
    #[serde(default, alias = "streams", skip_serializing_if = "Option::is_none")]
    pub stream: Option<Names>,
}

/// Signed tokens (RFC 7519): claims `room` or `rooms`, `stream` or `streams`, `actions`, `exp`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Jwt {
    /// How they are signed.
    pub algorithm: JwtAlgorithm,
    /// The shared secret (HS256) or the public key in PEM (the others).
    pub key: Secret,
    /// The audience that a token must name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub audience: Option<String>,
    /// The issuer that a token must name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub issuer: Option<String>,
}

/// Signed tokens whose public keys are kept in a JSON Web Key Set (RFC 7517): RS256, ES256 and EdDSA, each key
/// for its own algorithm.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Jwks {
    /// Where the set is fetched.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<Url>,
    /// Where the set is read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<PathBuf>,
    /// How often it is fetched or read.
    #[serde(default = "refresh", with = "humantime_serde")]
    pub refresh: Duration,
    /// The least time between two fetches: when a token names an unknown key, and after one that failed.
    #[serde(default = "retry", with = "humantime_serde")]
    pub retry: Duration,
    /// The audience that a token must name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub audience: Option<String>,
    /// The issuer that a token must name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub issuer: Option<String>,
}

/// How tokens are signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum JwtAlgorithm {
    /// HMAC with SHA-256.
    HS256,
    /// RSA with SHA-256.
    RS256,
    /// ECDSA with P-256 and SHA-256.
    ES256,
    /// Ed25519.
    EdDSA,
}

/// A service that is asked whether a session may start: by NATS on `auth.publish` and `auth.watch`, or by HTTP.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Callout {
    /// Where it is asked by HTTP; absent means by NATS.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub webhook: Option<Webhook>,
    /// For how long its answer is waited for.
    #[serde(with = "humantime_serde")]
    pub timeout: Duration,
    /// What happens where no answer comes.
    pub on_timeout: OnTimeout,
    /// How many questions may be open at once; more wait, within the time-out.
    pub at_once: usize,
}

/// Where a callout is asked by HTTP.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Webhook {
    /// What is posted to.
    pub url: Url,
    /// The bearer token that is sent along.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<Secret>,
}

/// What happens where a callout gives no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OnTimeout {
    /// The session doesn't start.
    Deny,
    /// It starts.
    Allow,
}

impl Default for Callout {
    fn default() -> Self {
        Self { webhook: None, timeout: Duration::from_secs(2), on_timeout: OnTimeout::Deny, at_once: 256 }
    }
}

fn refresh() -> Duration {
    Duration::from_secs(300)
}

fn retry() -> Duration {
    Duration::from_secs(10)
}

impl Auth {
    pub(super) fn check(&self) -> Result<(), ConfigError> {
        let wrong = |reason: &str| Err(ConfigError::Contradiction(reason.to_owned()));
        if self.jwt.as_ref().is_some_and(|jwt| jwt.key.is_empty()) {
            return wrong("auth.jwt.key must be the secret (HS256) or the public key in PEM (the others)");
        }
        for token in &self.tokens {
            if token.token.is_empty() {
                return wrong("auth.tokens has an empty token: everyone would have it");
            }
            let sound = |name: &String| TokenKey::Name(name.clone()).is_sound();
            if !token.name.as_ref().is_none_or(sound) {
                return wrong("auth.tokens has a name that is empty or longer than 256 bytes");
            }
            if [&token.room, &token.stream].into_iter().flatten().any(Names::is_empty) {
                return wrong("auth.tokens has an empty list of rooms or streams, which allows nothing");
            }
        }
        if let Some(jwks) = &self.jwks {
            jwks.check()?;
        }
        self.callout.as_ref().map_or(Ok(()), Callout::check)
    }
}

impl Jwks {
    fn check(&self) -> Result<(), ConfigError> {
        let wrong = |reason: &str| Err(ConfigError::Contradiction(reason.to_owned()));
        match (&self.url, &self.file) {
            (Some(url), None) if !is_http(url) => {
                return wrong("auth.jwks.url must begin with http:// or https://");
            }
            (Some(_), None) | (None, Some(_)) => {}
            _ => return wrong("auth.jwks must have either url or file"),
        }
        let day = Duration::from_secs(24 * 3600);
        lasts("auth.jwks.refresh", self.refresh, Duration::from_secs(1)..=day)?;
        lasts("auth.jwks.retry", self.retry, Duration::from_millis(100)..=day)
    }
}

impl Callout {
    fn check(&self) -> Result<(), ConfigError> {
        if self.webhook.as_ref().is_some_and(|webhook| !is_http(&webhook.url)) {
            let reason = "auth.callout.webhook.url must begin with http:// or https://";
            return Err(ConfigError::Contradiction(reason.to_owned()));
        }
        within("auth.callout.at_once", self.at_once, 1..=65_536)?;
        lasts("auth.callout.timeout", self.timeout, Duration::from_millis(10)..=Duration::from_secs(60))
    }
}

fn is_http(url: &Url) -> bool {
    matches!(url.scheme(), "http" | "https")
}

#[cfg(test)]
mod tests {
    use crate::config::Config;

    #[test]
    fn what_allows_nothing_or_everyone_is_refused_by_name() {
        for (text, named) in [
            ("[[auth.tokens]]\ntoken = ''\nactions = ['watch']", "auth.tokens"),
            ("[[auth.tokens]]\ntoken = 'x'\nactions = ['watch']\nrooms = []", "auth.tokens"),
            ("[[auth.tokens]]\ntoken = 'x'\nactions = ['watch']\nrooms = ['a*b']", "a*b"),
            ("[auth.jwks]", "auth.jwks"),
            ("[auth.jwks]\nurl = 'ftp://host/keys'", "auth.jwks.url"),
            ("[auth.jwks]\nurl = 'http://host/keys'\nfile = 'keys'", "auth.jwks"),
            ("[auth.jwks]\nfile = 'keys'\nretry = '0s'", "auth.jwks.retry"),
            ("[auth.callout]\ntimeout = '0s'", "auth.callout.timeout"),
            ("[auth.callout]\nat_once = 0", "auth.callout.at_once"),
            ("[auth.callout]\nwebhook = { url = 'file:///x' }", "auth.callout.webhook.url"),
        ] {
            let error = Config::parse(text).unwrap_err().to_string();
            assert!(error.contains(named), "{text}: {error}");
        }
    }

    #[test]
    fn all_of_it_stands_in_its_own_file() {
        let text = "[auth]\nend_at_expiry = true\n[[auth.tokens]]\nname = 'desk'\ntoken = 'x'\nactions = ['watch']\n\
                    rooms = ['a', 'b-*']\n[auth.jwks]\nurl = 'https://host/keys'\n[auth.callout]\n\
                    webhook = { url = 'https://host/ask', token = 'y' }\non_timeout = 'allow'\n";
        let written = Config::parse(text).unwrap().to_toml().unwrap();
        let again = Config::parse(&written).unwrap();
        assert_eq!(again.to_toml().unwrap(), written);
        assert!(again.auth.tokens[0].room.as_ref().unwrap().fit("b-2"));
        assert!(!written.contains("'y'") && !written.contains("\"y\""), "{written}");
    }
}
