//! How loud the participants of a node are, as it tells the other nodes of their room, on `room.<room>.level.<node>`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::protocol::ids::{Peer, ProducerId, RoomId};

/// The most that a node tells of: the loudest.
pub const MOST: usize = 10;

/// Who can be heard of those that send sound at a node: all of them each time, twice a second at most.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Levels {
    /// The room.
    pub room_id: RoomId,
    /// Who tells this.
    pub from: Peer,
    /// The loudest first; none where nobody speaks any more.
    pub levels: Vec<Level>,
}

/// How loud a producer is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Level {
    /// The producer.
    pub producer_id: ProducerId,
    /// In the last half second, in dBov, from -127 to 0 (RFC 6464).
    pub volume: i8,
    /// Over the last seconds: who has the highest is the room's active speaker, on every node alike.
    pub mean: i8,
}

impl Levels {
    /// Whether it has sizes that an honest node sends.
    pub fn is_sound(&self) -> bool {
        self.levels.len() <= MOST
    }
}
