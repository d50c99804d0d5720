//! What a node tells the fleet about itself each second, on `node.<node>.presence`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::ids::Peer;

/// A node's sign of life.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Presence {
    /// Who it is.
    pub peer: Peer,
    /// What it does.
    pub roles: Vec<Role>,
    /// Its program's version.
    pub version: String,
    /// Whether it takes new streams and viewers, or is on its way out.
    pub phase: Phase,
    /// How much it carries.
    pub load: Load,
    /// Where publishers and viewers reach it.
    pub public_url: String,
}

/// What a node may be used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub enum Role {
    /// Takes publishers.
    Origin,
    /// Takes viewers.
    Edge,
    /// May be the source of further edges of its region.
    Relay,
    /// A role of a newer node.
    #[serde(other)]
    Unknown,
}

/// Where a node is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub enum Phase {
    /// It takes streams and viewers.
    Serving,
    /// It takes nothing new.
    Draining,
    /// This is its last word.
    Stopped,
    /// A phase of a newer node.
    #[serde(other)]
    Unknown,
}

/// How much a node carries.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Load {
    /// Rooms carried.
    pub rooms: u32,
    /// Streams published here.
    pub streams: u32,
    /// Viewers connected here.
    pub viewers: u32,
    /// Pipes, of either direction.
    pub pipes: u32,
    /// Processor time of the process, in parts of all cores (0 to 1).
    pub cpu: f32,
}
