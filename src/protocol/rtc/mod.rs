//! The session API: what participants of a room, or the application servers that act for them, ask of a node.
//!
//! The verbs are mediasoup's own, so that a mediasoup application scales out by asking Headwater instead of its own
//! workers. They travel as NATS request/reply on `room.<room>.session.<node>` (MessagePack, or JSON where the request
//! is JSON) and as JSON over the WebSocket `/rtc/<room>`; what happens is told on
//! `room.<room>.session.<node>.<session>`, or by the same WebSocket.

mod data;
mod event;
mod lenient;
mod levels;
mod reply;
mod request;

use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::claim::{Claim, ClaimedProducer};
use super::ids::{NodeName, Region, SessionId, StreamName};
use super::rtp::AppDataJson;

pub use data::{
    CloseDataConsumer, CloseDataProducer, ConsumeData, DataConsumed, DataConsumerClosed, DataProducer,
    DataProducerClosed, NewDataProducer, ProduceData,
};
pub use event::{
    ActiveSpeaker, ConsumerClosed, ConsumerReplaced, LayersChanged, NewProducer, ParticipantJoined,
    ParticipantLeft, ProducerClosed, ProducerPaused, ProducerResumed, RoomLocked, RtcEvent, Score,
    SessionEnded, Speaking, TransportClosed, Volume, Volumes, why,
};
pub use levels::{Level, Levels, MOST};
pub use reply::{
    Consumed, ConsumerKind, Entered, IceRestarted, Kept, Participants, Produced, RtcReply, Stats, Transport,
};
pub use request::{
    CloseTransport, ConnectWebRtcTransport, Consume, CreateWebRtcTransport, Direction, Enter, GetStats,
    LockRoom, Nothing, OfConsumer, OfProducer, Produce, ProducerOf, RemoveParticipant, RestartIce,
    RtcRequest, SetPreferredLayers, SetPriority,
};

/// A request of an application server: on `room.<room>.session.<node>`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RtcAsked {
    /// The session that it is about; none with `join`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session: Option<SessionId>,
    /// What is asked.
    pub request: RtcRequest,
}

/// Who is in a room, whether it sends anything or not. A WHIP publisher is one too.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Participant {
    /// Its name: that of its stream, by which WHEP viewers watch it.
    pub name: StreamName,
    /// The node where it is.
    pub node: NodeName,
    /// That node's datacenter.
    pub region: Region,
    /// What it said of itself.
    #[serde(default)]
    pub app_data: AppDataJson,
    /// What it sends.
    pub producers: Vec<ClaimedProducer>,
    /// What messages it sends.
    #[serde(default)]
    pub data_producers: Vec<DataProducer>,
    /// Since when, by the clock of its node: for people.
    pub joined_at: DateTime<Utc>,
}

/// What a participant may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct May {
    /// Whether it may send.
    pub publish: bool,
    /// Whether it may be sent what others send.
    pub subscribe: bool,
    /// Whether it may mute and remove others, and lock the room.
    pub moderate: bool,
}

impl Default for May {
    fn default() -> Self {
        Self { publish: true, subscribe: true, moderate: false }
    }
}

impl From<&Claim> for Participant {
    fn from(claim: &Claim) -> Self {
        Self {
            name: claim.stream.clone(),
            node: claim.origin.node.clone(),
            region: claim.origin.region.clone(),
            app_data: claim.app_data.clone().into(),
            data_producers: DataProducer::among(&claim.producers),
            producers: claim.producers.iter().filter(|own| !own.kind.is_data()).cloned().collect(),
            joined_at: claim.started_at,
        }
    }
}
