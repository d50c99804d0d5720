//! How a node that misses claims gets them, on `node.<node>.directory`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::claim::Claim;
use super::ids::{Incarnation, Peer, RoomId, StreamName};
use super::presence::{Beat, Phase};

/// Asks a node for claims, a page at a time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct GetClaims {
    /// Who asks.
    pub from: Peer,
    /// Which claims.
    pub of: Whose,
    /// Goes on behind this one; none for the first page.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<Place>,
}

/// Whose claims are asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Whose {
    /// The asked node's own.
    Own,
    /// All that it has heard, its own among them: for a node that starts.
    All,
}

/// A place in the order of claims: by room, stream and origin.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Place {
    /// The room.
    pub room_id: RoomId,
    /// The stream.
    pub stream: StreamName,
    /// The origin's process.
    pub origin: Incarnation,
}

/// Answers [`GetClaims`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Claims {
    /// Who answers.
    pub from: Peer,
    /// Where it is in its life: another process that serves under the asking one's name keeps that out.
    pub phase: Phase,
    /// How far it had got when it answered.
    pub beat: Beat,
    /// Live claims, in their order.
    pub claims: Vec<Claim>,
    /// Where the next page begins; none on the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<Place>,
}
