//! That a node is to take nothing new, or to take everything again: asked on `node.<node>.drain`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::ids::NodeName;
use super::presence::Phase;

/// Asks a node to take nothing new until it is told otherwise, or to take everything again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SetDrain {
    /// Whether it drains from now on.
    pub draining: bool,
}

/// Asks a node whether it drains, and what it still has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct GetDrain {}

/// What is asked of a node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum DrainRequest {
    /// See [`SetDrain`].
    SetDrain(SetDrain),
    /// See [`GetDrain`].
    GetDrain(GetDrain),
}

/// Answers both.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Drain {
    /// The node.
    pub node: NodeName,
    /// What it does.
    pub phase: Phase,
    /// Whether it drains because an operator wants it, until that is undone.
    pub by_operator: bool,
    /// Whether it ends once it is empty, or at its deadline: that can't be undone.
    pub ends: bool,
    /// What it still has.
    pub left: Left,
}

/// What a node that drains still has.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Left {
    /// Streams published there.
    pub streams: u32,
    /// Viewers connected there.
    pub viewers: u32,
    /// Pipes to nodes that pull from it: one for each room and node.
    pub children: u32,
}

impl Left {
    /// Whether nobody needs the node any more.
    pub fn is_empty(self) -> bool {
        self == Self::default()
    }
}

impl DrainRequest {
    /// The message's name.
    pub fn name(&self) -> &'static str {
        match self {
            Self::SetDrain(_) => "setDrain",
            Self::GetDrain(_) => "getDrain",
        }
    }
}
