//! Who may publish and watch.

use serde::{Deserialize, Serialize};

use super::Secret;
use crate::protocol::ids::{RoomId, StreamName};

/// The verifier of bearer tokens. With neither tokens nor JWT, everyone may do everything.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Auth {
    /// Tokens that stand here.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tokens: Vec<StaticToken>,
    /// Signed tokens.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub jwt: Option<Jwt>,
}

/// One token and what it allows.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StaticToken {
    /// The bearer token.
    pub token: Secret,
    /// What it allows.
    pub actions: Vec<Action>,
    /// The only room it allows it in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub room: Option<RoomId>,
    /// The only stream it allows it on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stream: Option<StreamName>,
}

/// Signed tokens: claims `room` (or `*`), `stream` (optional), `actions`, `exp`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Jwt {
    /// How they are signed.
    pub algorithm: JwtAlgorithm,
    /// The shared secret (HS256) or the public key in PEM (EdDSA).
    pub key: Secret,
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
    /// Ed25519.
    EdDSA,
}

/// What a token may allow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Action {
    /// To publish a stream.
    Publish,
    /// To watch one.
    Watch,
}
