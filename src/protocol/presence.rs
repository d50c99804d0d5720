//! What a node tells the fleet about itself each second (in a large fleet less often), on `node.<node>.presence`.

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
    /// How much it takes.
    #[serde(default)]
    pub limits: Limits,
    /// Where publishers and viewers reach it.
    pub public_url: String,
    /// How far it has got.
    pub beat: Beat,
}

/// How far a process has got: its signs of life, and all that it claims, in a few figures.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Beat {
    /// Signs of life so far: of two processes of one name the one with more has been there longer.
    pub number: u64,
    /// Changes to its own claims so far (the last one's `revision`).
    pub revision: u64,
    /// Its own live claims.
    pub claims: u32,
    /// The digest of these: see `fleet::digest`. Who has heard them all computes the same.
    pub digest: u64,
    /// How long after this sign of life the next one comes at the latest, in milliseconds.
    #[serde(default = "each_second")]
    pub every_ms: u32,
}

/// How often nodes say that they are there that don't say how often.
fn each_second() -> u32 {
    1_000
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
    /// It looks whether its name is free, and takes nothing yet.
    Starting,
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
    /// Those of them that lead to other nodes.
    #[serde(default)]
    pub outlets: u32,
    /// Ports that are left for pipes; absent is not told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub free_ports: Option<u32>,
    /// Bits of media that go out each second, to viewers and other nodes.
    #[serde(default)]
    pub bits_out: u64,
    /// Processor time of the process, in parts of all cores (0 to 1).
    pub cpu: f32,
}

/// How much a node takes; absent is without limit, or not told.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Limits {
    /// Viewers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub viewers: Option<u32>,
    /// Streams published there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub streams: Option<u32>,
    /// Rooms.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rooms: Option<u32>,
    /// Pipes to other nodes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outlets: Option<u32>,
    /// Bits of media that may go out each second.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bits_out: Option<u64>,
}

impl Presence {
    /// Whether it takes something new at all: it serves, and what may go out isn't used up.
    fn takes_more(&self) -> bool {
        self.phase == Phase::Serving && below(self.load.bits_out, self.limits.bits_out)
    }

    /// Whether a further viewer may come.
    pub fn has_room_for_viewers(&self) -> bool {
        self.takes_more() && self.roles.contains(&Role::Edge) && below(self.load.viewers, self.limits.viewers)
    }

    /// Whether a further publisher may come.
    pub fn has_room_for_streams(&self) -> bool {
        self.takes_more()
            && self.roles.contains(&Role::Origin)
            && below(self.load.streams, self.limits.streams)
            && self.has_room_for_rooms()
    }

    /// Whether it may carry a further room.
    fn has_room_for_rooms(&self) -> bool {
        below(self.load.rooms, self.limits.rooms)
    }

    /// Whether a stream may come to it that it hasn't got.
    pub fn has_room_for_inlets(&self) -> bool {
        self.has_room_for_rooms() && self.load.free_ports.is_none_or(|free| free > 0)
    }

    /// Whether it may be the source of a further node.
    pub fn has_room_for_children(&self) -> bool {
        self.takes_more()
            && below(self.load.outlets, self.limits.outlets)
            && self.load.free_ports.is_none_or(|free| free > 0)
    }
}

fn below<T: PartialOrd>(used: T, limit: Option<T>) -> bool {
    limit.is_none_or(|limit| used < limit)
}
