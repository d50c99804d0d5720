//! What an edge says to whoever has the stream (origin or relay), on `room.<room>.origin.<node>`.

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::edge::Done;
use super::ids::{NodeName, Peer, PipeId, ProducerId, PublicationId, RoomId, StreamName, Token};

/// A request that an origin or relay answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum OriginRequest {
    /// See [`Join`].
    Join(Join),
    /// See [`Leave`].
    Leave(Leave),
}

/// An edge wants streams of a room, or still wants them.
///
/// Sent once to open a pipe and again every few seconds. It carries all that the edge has, and the reply
/// all that the parent means it to have, so that both repair what they miss. Idempotent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Join {
    /// The room.
    pub room_id: RoomId,
    /// Who joins.
    pub from: Peer,
    /// What proves, in all that is said about the pipe, that this edge asked.
    pub token: Token,
    /// Which of the joins with this token it is, from 1: a late or doubled one changes nothing.
    pub number: u64,
    /// The streams it wants, all of them each time.
    pub streams: BTreeSet<StreamName>,
    /// Of which of them it wants these producers alone; of the others all.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub only: BTreeMap<StreamName, BTreeSet<ProducerId>>,
    /// How many watch each of them at the edge and at the nodes that pull from it; absent is 0.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub viewers: BTreeMap<StreamName, u32>,
    /// The pipe that the edge has; none where it needs one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pipe: Option<PipeHeld>,
}

/// A pipe as its edge has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PipeHeld {
    /// The pipe.
    pub pipe_id: PipeId,
    /// The last change that it was told on this pipe.
    pub revision: u64,
    /// The producers that it has from it.
    pub producers: Vec<CarriedProducer>,
    /// Those that it refused, because it can't take them.
    pub refused: Vec<ProducerId>,
}

/// Answers [`Join`]: the pipe that serves the edge, or is being opened, and what it carries.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Joined {
    /// The pipe.
    pub pipe_id: PipeId,
    /// The last change that the parent has told on it: an edge that was told a later one knows better.
    pub revision: u64,
    /// What the parent has of the streams asked for.
    pub streams: Vec<CarriedStream>,
}

/// A stream as a node carries it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CarriedStream {
    /// Its name.
    pub stream: StreamName,
    /// Its publication.
    pub publication: PublicationId,
    /// The nodes from the origin to this one.
    pub path: Vec<NodeName>,
    /// How many watch it on all nodes, as far as the node knows.
    #[serde(default)]
    pub viewers: u32,
    /// Its producers.
    pub producers: Vec<CarriedProducer>,
    /// Whom the asking node should pull it from instead, the best first: nodes of its region that have it already, or
    /// such as have room where this one feeds more than it now may.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub instead: Vec<Peer>,
}

/// A producer as a node carries it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CarriedProducer {
    /// The producer.
    pub id: ProducerId,
    /// Whether it is paused at its source.
    pub paused: bool,
    /// Whether media of it arrives now at whoever says this, or should as its own parent has said.
    pub flowing: bool,
}

/// An edge wants nothing of a room any more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Leave {
    /// The room.
    pub room_id: RoomId,
    /// Who leaves.
    pub from: Peer,
    /// Its join.
    pub token: Token,
    /// Why, for a person.
    pub reason: String,
}

/// A request with its reply as one typed unit.
pub trait OriginCall: Into<OriginRequest> {
    /// What the origin or relay answers.
    type Reply: serde::de::DeserializeOwned;
}

impl OriginCall for Join {
    type Reply = Joined;
}

impl OriginCall for Leave {
    type Reply = Done;
}

impl From<Join> for OriginRequest {
    fn from(join: Join) -> Self {
        Self::Join(join)
    }
}

impl From<Leave> for OriginRequest {
    fn from(leave: Leave) -> Self {
        Self::Leave(leave)
    }
}

/// What an origin answers, before it is written in the reply's own shape.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum OriginReply {
    /// To [`Join`].
    Joined(Joined),
    /// To [`Leave`].
    Done(Done),
}

impl OriginRequest {
    /// The message's name.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Join(_) => "join",
            Self::Leave(_) => "leave",
        }
    }

    /// The room that the message names.
    pub fn room(&self) -> &RoomId {
        match self {
            Self::Join(request) => &request.room_id,
            Self::Leave(request) => &request.room_id,
        }
    }
}
