//! What becomes of nodes.

use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::protocol::ids::Peer;
use crate::protocol::presence::{Load, Phase, Role};

/// A node, as its events tell it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct NodeSummary {
    /// What it does.
    pub roles: Vec<Role>,
    /// Its program's version.
    pub version: String,
    /// Whether it takes new streams and viewers.
    pub phase: Phase,
    /// When it started.
    pub started_at: DateTime<Utc>,
    /// How much it carries.
    pub load: Load,
    /// Where publishers and viewers reach it.
    pub public_url: String,
    /// How often it tells this, in milliseconds: one that is silent for much longer is gone.
    pub every_ms: u64,
}

/// Another node has fallen silent.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct NodeLost {
    /// The node that fell silent.
    pub lost: Peer,
}

/// A configured limit was reached.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LimitHit {
    /// The key of the configuration, as `limits.viewers`.
    pub limit: String,
    /// How often it was hit since it was last told, this one included.
    pub times: u64,
}

/// An operator keeps a token out for a while. Told by the node that the operator asked.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TokenBarred {
    /// How the token is named: `id`, `subject` or `name`.
    pub by: String,
    /// The id or the name; a subject is a person's and isn't told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
    /// Until when; the present where the bar was lifted.
    pub until: DateTime<Utc>,
    /// Whether a bar was lifted.
    pub lifted: bool,
}

/// A media worker died.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct WorkerDied {
    /// Its number, from 0.
    pub worker: u32,
}

/// Events could not be kept while the bus was away.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct EventsDropped {
    /// How many.
    pub count: u64,
}
