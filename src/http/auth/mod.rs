//! Who may publish and watch: bearer tokens (RFC 6750), static or signed (RFC 7519), bars of operators, and a
//! service of the operator's own that is asked.

pub(super) mod admit;
mod callout;
mod jwks;
mod jwt;

use std::sync::Arc;
use std::time::Duration;

use axum::http::StatusCode;
use chrono::{DateTime, Utc};
use serde_json::{Map, Value};

use super::problem::Problem;
use crate::config::{Action, Auth, StaticToken};
use crate::protocol::gate::TokenKey;
use crate::protocol::ids::{RoomId, StreamName};
use crate::telemetry::Metrics;

pub(super) use admit::{Asker, admit, may, tell};
pub use callout::Callout;
pub use jwks::KeyKeeper;

/// When to come back where whoever decides can't be asked now.
const RETRY: Duration = Duration::from_secs(2);

/// Why a request is not allowed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AuthError {
    /// No token came.
    #[error("send a bearer token: Authorization: Bearer <token>")]
    Missing,
    /// The token is none of ours, or has expired.
    #[error("the bearer token is not valid: {0}")]
    Invalid(String),
    /// The token doesn't allow this.
    #[error("the bearer token does not allow this action on this room and stream")]
    Forbidden,
    /// An operator keeps the token out.
    #[error("an operator keeps this token out until {}", .0.format("%Y-%m-%d %H:%M:%S UTC"))]
    Barred(DateTime<Utc>),
    /// The service that is asked says no.
    #[error("{}", .0.as_deref().unwrap_or("the service that decides who may does not allow this"))]
    Denied(Option<String>),
    /// The service that is asked gives no answer.
    #[error("the service that decides who may gives no answer now; ask again shortly")]
    Unasked,
    /// The keys of signed tokens were not fetched yet.
    #[error("the keys that tokens are signed with can't be fetched now; ask again shortly")]
    NoKeys,
}

/// Why who may can't be decided at all: the configuration.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SetupError {
    /// The key of signed tokens can't be read.
    #[error("auth.jwt.key: {0}")]
    Key(#[from] jsonwebtoken::errors::Error),
    /// The file of keys can't be read.
    #[error("auth.jwks.file {0}")]
    Keys(String),
    /// The HTTP client can't be set up.
    #[error("auth: an HTTP client can't be set up: {0}")]
    Client(String),
}

/// Checks bearer tokens as configured.
#[derive(Debug)]
pub struct Verifier {
    tokens: Vec<StaticToken>,
    jwt: Option<jwt::Signed>,
    jwks: Option<jwks::KeySet>,
    end_at_expiry: bool,
}

/// What a token that allows this says besides.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Found {
    /// What it goes by, the narrowest first.
    pub tokens: Vec<TokenKey>,
    /// When the session is to end.
    pub until: Option<DateTime<Utc>>,
    /// The claims of a signed token.
    pub claims: Option<Map<String, Value>>,
    /// The name of a configured token.
    pub name: Option<String>,
}

impl Verifier {
    /// A verifier for a configuration, and what keeps its keys where these are kept elsewhere: it is to be run.
    ///
    /// # Errors
    /// [`SetupError`].
    pub fn new(config: &Auth, metrics: &Arc<Metrics>) -> Result<(Self, Option<KeyKeeper>), SetupError> {
        let jwt = config.jwt.as_ref().map(jwt::Signed::new).transpose()?;
        let kept = config.jwks.as_ref().map(|jwks| jwks::keep(jwks, Arc::clone(metrics))).transpose()?;
        let (jwks, keeper) = kept.unzip();
        let (tokens, end_at_expiry) = (config.tokens.clone(), config.end_at_expiry);
        Ok((Self { tokens, jwt, jwks, end_at_expiry }, keeper))
    }

    /// Whether tokens are checked here at all.
    pub fn checks(&self) -> bool {
        !self.tokens.is_empty() || self.jwt.is_some() || self.jwks.is_some()
    }

    /// Whether there are keys to check with, where they are kept elsewhere.
    pub fn has_keys(&self) -> bool {
        self.jwks.as_ref().is_none_or(jwks::KeySet::has_keys)
    }

    /// Whether `token` allows `action` on a stream. A token that names a key that isn't known waits until the
    /// keys were fetched again.
    ///
    /// # Errors
    /// [`AuthError`].
    pub async fn check(
        &self,
        token: Option<&str>,
        action: Action,
        room: &RoomId,
        stream: &StreamName,
    ) -> Result<Found, AuthError> {
        if !self.checks() {
            return Ok(Found::default());
        }
        let token = token.ok_or(AuthError::Missing)?;
        if let Some(found) = self.configured(token, action, room, stream) {
            return found;
        }
        let claims = self.signed(token).await?;
        jwt::allowed(claims, action, room, stream, self.end_at_expiry)
    }

    /// What the configuration says of a token; none where it doesn't stand there.
    fn configured(
        &self,
        token: &str,
        action: Action,
        room: &RoomId,
        stream: &StreamName,
    ) -> Option<Result<Found, AuthError>> {
        // Several entries may share a token, each for other rooms.
        let own: Vec<_> = self.tokens.iter().filter(|entry| entry.token.is(token)).collect();
        own.first()?;
        let allows = own.into_iter().find(|entry| {
            entry.actions.contains(&action)
                && entry.room.as_ref().is_none_or(|rooms| rooms.fit(room.as_str()))
                && entry.stream.as_ref().is_none_or(|streams| streams.fit(stream.as_str()))
        });
        Some(allows.ok_or(AuthError::Forbidden).map(|entry| Found {
            tokens: entry.name.clone().map(TokenKey::Name).into_iter().collect(),
            name: entry.name.clone(),
            ..Found::default()
        }))
    }

    /// The claims of a signed token, whichever key it is signed with.
    async fn signed(&self, token: &str) -> Result<Map<String, Value>, AuthError> {
        let invalid = |error: &dyn std::fmt::Display| AuthError::Invalid(error.to_string());
        if self.jwt.is_none() && self.jwks.is_none() {
            return Err(AuthError::Invalid("unknown token".to_owned()));
        }
        let header = jsonwebtoken::decode_header(token).map_err(|error| invalid(&error))?;
        let mut refused = AuthError::Invalid(format!("{:?} is not how tokens are signed here", header.alg));
        if let Some(jwt) = self.jwt.as_ref().filter(|jwt| jwt.algorithm() == header.alg) {
            match jwt.claims(token) {
                Ok(claims) => return Ok(claims),
                Err(error) => refused = invalid(&error),
            }
        }
        match &self.jwks {
            Some(jwks) if jwks::ALGORITHMS.contains(&header.alg) => jwks.claims(token, &header).await,
            _ => Err(refused),
        }
    }
}

impl AuthError {
    /// The error as events tell it, for machines and for people: without what was sent, which may hold tokens.
    fn told(&self) -> (&'static str, String) {
        match self {
            Self::Missing | Self::Invalid(_) => ("unauthorized", "it has no valid bearer token".to_owned()),
            Self::Forbidden => ("forbidden", "its bearer token does not allow this".to_owned()),
            Self::Barred(_) => ("barred", self.to_string()),
            Self::Denied(_) => ("denied", self.to_string()),
            Self::Unasked | Self::NoKeys => ("unverified", self.to_string()),
        }
    }
}

impl From<AuthError> for Problem {
    fn from(error: AuthError) -> Self {
        let problem = |status| Self::new(status, error.to_string());
        match error {
            AuthError::Missing | AuthError::Invalid(_) => problem(StatusCode::UNAUTHORIZED),
            AuthError::Forbidden | AuthError::Barred(_) | AuthError::Denied(_) => {
                problem(StatusCode::FORBIDDEN)
            }
            AuthError::Unasked | AuthError::NoKeys => problem(StatusCode::SERVICE_UNAVAILABLE).later(RETRY),
        }
    }
}
