//! The keys of signed tokens, where they are kept elsewhere (RFC 7517): fetched on a schedule and for an unknown
//! key, and kept when they can't be fetched.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, KeyAlgorithm, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey, Header};
use serde::Deserialize;
use serde_json::{Map, Value};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::Instant;
use url::Url;

use super::jwt::validation;
use super::{AuthError, SetupError};
use crate::client::{cause, connections};
use crate::config::Jwks;
use crate::telemetry::Metrics;

/// How tokens may be signed: with a private key, so that no public key is ever taken for a secret.
pub(super) const ALGORITHMS: [Algorithm; 3] = [Algorithm::RS256, Algorithm::ES256, Algorithm::EdDSA];
/// For how long a set of keys is waited for.
const FETCH: Duration = Duration::from_secs(5);
/// The largest set of keys, in bytes, and the most keys that are taken of it.
const MAX_BYTES: usize = 256 * 1024;
const MAX_KEYS: usize = 64;
/// Requests that may wait for a fetch at once.
const WAITING: usize = 256;

/// The keys as they are now, for who checks tokens.
#[derive(Debug)]
pub(super) struct KeySet {
    keys: watch::Receiver<Option<Arc<Keys>>>,
    wanted: mpsc::Sender<oneshot::Sender<()>>,
    audience: Option<String>,
    issuer: Option<String>,
}

/// Fetches the keys.
#[derive(Debug)]
pub struct KeyKeeper {
    source: Source,
    refresh: Duration,
    retry: Duration,
    keys: watch::Sender<Option<Arc<Keys>>>,
    wanted: mpsc::Receiver<oneshot::Sender<()>>,
    metrics: Arc<Metrics>,
    /// Whether it was told that the keys can't be fetched.
    failing: bool,
}

#[derive(Debug)]
enum Source {
    Url(Url, reqwest::Client),
    File(PathBuf),
}

#[derive(Debug)]
struct Keys(Vec<Key>);

/// A key, with the one algorithm that it is for.
#[derive(Debug)]
struct Key {
    id: Option<String>,
    algorithm: Algorithm,
    key: DecodingKey,
}

/// The keys of a configuration, and who keeps them.
pub(super) fn keep(config: &Jwks, metrics: Arc<Metrics>) -> Result<(KeySet, KeyKeeper), SetupError> {
    let (source, first) = match (&config.url, &config.file) {
        (Some(url), _) => {
            let client = connections(|builder| builder.timeout(FETCH));
            (Source::Url(url.clone(), client.map_err(|error| SetupError::Client(cause(&error)))?), None)
        }
        (None, Some(file)) => {
            // A file is the operator's own: what is wrong with it is told at once.
            let wrong = |why: String| SetupError::Keys(format!("{}: {why}", file.display()));
            let bytes = std::fs::read(file).map_err(|error| wrong(error.to_string()))?;
            (Source::File(file.clone()), Some(Arc::new(Keys::parse(&bytes).map_err(wrong)?)))
        }
        (None, None) => return Err(SetupError::Keys("is not set".to_owned())),
    };
    let (sender, keys) = watch::channel(first);
    let (wanted, wishes) = mpsc::channel(WAITING);
    let set = KeySet { keys, wanted, audience: config.audience.clone(), issuer: config.issuer.clone() };
    let (refresh, retry) = (config.refresh, config.retry);
    let keeper = KeyKeeper { source, refresh, retry, keys: sender, wanted: wishes, metrics, failing: false };
    Ok((set, keeper))
}

impl KeySet {
    pub(super) fn has_keys(&self) -> bool {
        self.keys.borrow().is_some()
    }

    /// The claims of a token that is signed with one of the keys.
    pub(super) async fn claims(&self, token: &str, header: &Header) -> Result<Map<String, Value>, AuthError> {
        if !self.knows(header) {
            self.fetched().await;
        }
        let keys = self.keys.borrow().clone().ok_or(AuthError::NoKeys)?;
        let validation = validation(header.alg, self.audience.as_deref(), self.issuer.as_deref());
        let mut refused = AuthError::Invalid("it is signed with a key that is not known".to_owned());
        for key in keys.of(header) {
            match jsonwebtoken::decode(token, &key.key, &validation) {
                Ok(decoded) => return Ok(decoded.claims),
                Err(error) => refused = AuthError::Invalid(error.to_string()),
            }
        }
        Err(refused)
    }

    fn knows(&self, header: &Header) -> bool {
        self.keys.borrow().as_ref().is_some_and(|keys| keys.of(header).next().is_some())
    }

    /// Returns once the keys were fetched again, or at once if that was tried a moment ago.
    async fn fetched(&self) {
        let (done, fetched) = oneshot::channel();
        if self.wanted.try_send(done).is_ok() {
            let _ = fetched.await;
        }
    }
}

impl KeyKeeper {
    /// Fetches the keys for as long as anyone checks tokens with them.
    pub async fn run(mut self) {
        let mut last = self.fetch().await;
        loop {
            let pause = if self.failing { self.retry } else { self.refresh };
            let wish = tokio::select! {
                () = tokio::time::sleep_until(last + pause) => None,
                wish = self.wanted.recv() => match wish {
                    Some(wish) => Some(wish),
                    None => return,
                },
            };
            // Who makes up names of keys doesn't make us fetch them without end.
            if wish.is_none() || last.elapsed() >= self.retry {
                last = self.fetch().await;
            }
            drop(wish);
        }
    }

    async fn fetch(&mut self) -> Instant {
        let result = match self.source.read().await {
            Ok(bytes) => Keys::parse(&bytes),
            Err(why) => Err(why),
        };
        let name = if result.is_ok() { "ok" } else { "failed" };
        self.metrics.jwks_fetches.get_or_create(&[("result", name)]).inc();
        match result {
            Ok(keys) => {
                if std::mem::replace(&mut self.failing, false) {
                    tracing::info!(keys = keys.0.len(), "the keys of signed tokens are fetched again");
                }
                self.metrics.jwks_fetched.set(chrono::Utc::now().timestamp());
                self.keys.send_replace(Some(Arc::new(keys)));
            }
            Err(why) => {
                if !std::mem::replace(&mut self.failing, true) {
                    let kept = self.keys.borrow().as_ref().map_or(0, |keys| keys.0.len());
                    tracing::warn!(%why, kept, "the keys of signed tokens can't be fetched: those that are known stay");
                }
            }
        }
        Instant::now()
    }
}

impl Source {
    async fn read(&self) -> Result<Vec<u8>, String> {
        match self {
            Self::File(file) => {
                tokio::fs::read(file).await.map_err(|error| format!("{}: {error}", file.display()))
            }
            Self::Url(url, client) => {
                let response = client.get(url.clone()).send().await.map_err(|error| cause(&error))?;
                if !response.status().is_success() {
                    return Err(format!("it answered {}", response.status()));
                }
                super::callout::body(response, MAX_BYTES).await
            }
        }
    }
}

impl Keys {
    /// The keys of a set that can be used; others may stand in it.
    fn parse(bytes: &[u8]) -> Result<Self, String> {
        #[derive(Deserialize)]
        struct Set {
            keys: Vec<Value>,
        }
        let set: Set =
            serde_json::from_slice(bytes).map_err(|error| format!("it is no set of keys: {error}"))?;
        let keys = set.keys.into_iter().filter_map(|key| Key::of(&serde_json::from_value(key).ok()?));
        let keys: Vec<_> = keys.take(MAX_KEYS).collect();
        if keys.is_empty() {
            return Err("it has no key for RS256, ES256 or EdDSA".to_owned());
        }
        Ok(Self(keys))
    }

    /// The keys that a token may be signed with.
    fn of<'a>(&'a self, header: &'a Header) -> impl Iterator<Item = &'a Key> {
        let named = |key: &&Key| header.kid.is_none() || key.id == header.kid;
        self.0.iter().filter(|key| key.algorithm == header.alg).filter(named)
    }
}

impl Key {
    /// A key that signs tokens, with the algorithm that follows from its kind; a shared secret is none.
    fn of(jwk: &Jwk) -> Option<Self> {
        let (algorithm, name) = match &jwk.algorithm {
            AlgorithmParameters::RSA(_) => (Algorithm::RS256, KeyAlgorithm::RS256),
            AlgorithmParameters::EllipticCurve(key) if key.curve == EllipticCurve::P256 => {
                (Algorithm::ES256, KeyAlgorithm::ES256)
            }
            AlgorithmParameters::OctetKeyPair(key) if key.curve == EllipticCurve::Ed25519 => {
                (Algorithm::EdDSA, KeyAlgorithm::EdDSA)
            }
            _ => return None,
        };
        let common = &jwk.common;
        let signs = !matches!(common.public_key_use, Some(PublicKeyUse::Encryption));
        if !signs || common.key_algorithm.is_some_and(|own| own != name) {
            return None;
        }
        Some(Self { id: common.key_id.clone(), algorithm, key: DecodingKey::from_jwk(jwk).ok()? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_gives_the_keys_that_can_be_used() {
        let set = br#"{"keys": [
            {"kty": "OKP", "crv": "Ed25519", "kid": "a", "x": "lK2zzqvAJ1Kae0O8CrZW94yrz1rWoSYL28PZCorj3vI"},
            {"kty": "OKP", "crv": "Ed25519", "kid": "b", "use": "enc", "x": "lK2zzqvAJ1Kae0O8CrZW94yrz1rWoSYL28PZCorj3vI"},
            {"kty": "oct", "kid": "c", "alg": "HS256", "k": "c2VjcmV0"},
            {"kty": "EC", "crv": "P-521", "kid": "d", "x": "AA", "y": "AA"},
            {"kty": "NEW", "kid": "e", "alg": "XX512"},
            7
        ]}"#;
        let keys = Keys::parse(set).unwrap();
        let ids: Vec<_> = keys.0.iter().map(|key| (key.id.as_deref(), key.algorithm)).collect();
        assert_eq!(ids, [(Some("a"), Algorithm::EdDSA)]);
        let named = |algorithm, kid: Option<&str>| {
            let header = Header { kid: kid.map(str::to_owned), ..Header::new(algorithm) };
            keys.of(&header).count()
        };
        assert_eq!((named(Algorithm::EdDSA, Some("a")), named(Algorithm::EdDSA, None)), (1, 1));
        assert_eq!((named(Algorithm::EdDSA, Some("z")), named(Algorithm::HS256, Some("a"))), (0, 0));
        for none in
            [&b"{}"[..], b"[]", b"<html>", br#"{"keys": []}"#, br#"{"keys": [{"kty":"oct","k":"AA"}]}"#]
        {
            assert!(Keys::parse(none).is_err());
        }
    }
}
