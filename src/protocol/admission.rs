//! Asking a service of the operator's own whether a session may start, on `auth.publish` and `auth.watch`.

use std::fmt;
use std::net::IpAddr;

use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::ids::{NodeName, RoomId, StreamName};

/// What a token may allow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Action {
    /// To publish a stream.
    Publish,
    /// To watch one.
    Watch,
    /// To mute and remove participants, and to lock the room.
    Moderate,
}

/// A secret on its way to who may read it: never shown in logs.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
#[schemars(inline)]
pub struct Opaque(pub String);

/// Asks whether a session may start. Asked once for each session, before anything is begun for it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Authorize {
    /// The node that asks.
    pub node: NodeName,
    /// What is to be done.
    pub action: Action,
    /// The room.
    pub room_id: RoomId,
    /// The stream.
    pub stream: StreamName,
    /// The claims of a signed token that the node has checked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub claims: Option<serde_json::Map<String, serde_json::Value>>,
    /// The name of the configured token that came (`auth.tokens`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token_name: Option<String>,
    /// The bearer token itself, where the node checks none: a secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<Opaque>,
    /// The client, as far as the proxies before the node are trusted (`http.trusted_proxies`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<IpAddr>,
    /// `User-Agent` as it came.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_agent: Option<String>,
}

/// Answers [`Authorize`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Verdict {
    /// Whether the session may start.
    pub allow: bool,
    /// Why not, in words for the client.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// When the node is to end the session; absent means as the token says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<DateTime<Utc>>,
}

impl Action {
    /// The action as it is written in subjects and tokens.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Publish => "publish",
            Self::Watch => "watch",
            Self::Moderate => "moderate",
        }
    }
}

impl fmt::Debug for Opaque {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}
