//! What a session is told.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Consumed, DataConsumerClosed, DataProducerClosed, NewDataProducer, Participant};
use crate::protocol::claim::{ClaimedProducer, EndReason};
use crate::protocol::ids::{ConsumerId, ProducerId, SessionId, StreamName};

/// What a session is told.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum RtcEvent {
    /// Somebody is there from now on.
    ParticipantJoined(Box<ParticipantJoined>),
    /// Somebody isn't any more.
    ParticipantLeft(ParticipantLeft),
    /// Somebody sends something from now on.
    NewProducer(Box<NewProducer>),
    /// Somebody doesn't any more.
    ProducerClosed(ProducerClosed),
    /// Somebody pauses what it sends, or a moderator does.
    ProducerPaused(ProducerPaused),
    /// It goes on.
    ProducerResumed(ProducerResumed),
    /// Somebody sends messages from now on.
    NewDataProducer(Box<NewDataProducer>),
    /// Somebody doesn't any more.
    DataProducerClosed(DataProducerClosed),
    /// What a consumer is sent is over.
    ConsumerClosed(ConsumerClosed),
    /// What a consumer was sent now comes another way.
    ConsumerReplaced(Box<ConsumerReplaced>),
    /// What a data consumer is sent is over.
    DataConsumerClosed(DataConsumerClosed),
    /// A consumer is sent other layers.
    LayersChanged(LayersChanged),
    /// How well a consumer's media comes, or a producer's.
    Score(Score),
    /// Somebody else speaks.
    ActiveSpeaker(ActiveSpeaker),
    /// How loud those are that speak.
    Volumes(Volumes),
    /// A connection is over.
    TransportClosed(TransportClosed),
    /// Nobody new is let in, or everybody again.
    RoomLocked(RoomLocked),
    /// The session is over.
    SessionEnded(SessionEnded),
}

/// Somebody is there from now on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ParticipantJoined {
    /// Who, with what it sends already.
    pub participant: Participant,
}

/// Somebody isn't there any more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ParticipantLeft {
    /// Who.
    pub name: StreamName,
    /// Why: `left`; `removed` by a moderator, `closed` by an operator; `disconnected`, `silent`, `expired`, `drained` or
    /// `media` as its session is told; `lost` where its node isn't heard; `unknown` where its node's word was lost.
    pub reason: String,
}

/// Somebody sends something from now on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct NewProducer {
    /// Who.
    pub participant: StreamName,
    /// What.
    pub producer: ClaimedProducer,
}

/// Somebody doesn't send something any more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ProducerClosed {
    /// Who.
    pub participant: StreamName,
    /// What.
    pub producer_id: ProducerId,
}

/// What somebody sends is paused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ProducerPaused {
    /// Who.
    pub participant: StreamName,
    /// What.
    pub producer_id: ProducerId,
    /// `moderator` where it was one; its participant can resume it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
}

/// What somebody sends goes on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ProducerResumed {
    /// Who.
    pub participant: StreamName,
    /// What.
    pub producer_id: ProducerId,
}

/// What a consumer is sent is over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ConsumerClosed {
    /// The consumer.
    pub consumer_id: ConsumerId,
}

/// What a consumer was sent now comes another way, as its stream moved between nodes: the new one is to be shown in its place,
/// and then the old one closed, which ends by itself some seconds later.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ConsumerReplaced {
    /// The consumer.
    pub consumer_id: ConsumerId,
    /// What is sent in its place.
    pub by: Consumed,
}

/// A consumer is sent other layers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LayersChanged {
    /// The consumer.
    pub consumer_id: ConsumerId,
    /// The size of the picture, from 0; none where nothing is sent.
    pub spatial_layer: Option<u8>,
    /// The frame rate, from 0.
    pub temporal_layer: Option<u8>,
}

/// How well media comes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Score {
    /// A consumer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub consumer_id: Option<ConsumerId>,
    /// A producer of one's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub producer_id: Option<ProducerId>,
    /// From 0 to 10.
    pub score: u8,
}

/// Somebody else speaks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ActiveSpeaker {
    /// Who; none where it has left, and nobody has spoken since.
    pub participant: Option<StreamName>,
}

/// How loud those are that speak.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Volumes {
    /// The loudest first.
    pub volumes: Vec<Speaking>,
}

/// How loud somebody is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Speaking {
    /// Who.
    pub participant: StreamName,
    /// By which producer, and how loud.
    #[serde(flatten)]
    pub volume: Volume,
}

/// How loud a producer is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Volume {
    /// The producer.
    pub producer_id: ProducerId,
    /// In dBov, from -127 to 0 (RFC 6464).
    pub volume: i8,
}

/// A connection is over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TransportClosed {
    /// The connection.
    pub transport_id: SessionId,
    /// Why.
    pub reason: String,
}

/// Nobody new is let in, or everybody again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RoomLocked {
    /// Whether nobody new is let in.
    pub locked: bool,
}

/// The session is over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SessionEnded {
    /// Why: `left`; `replaced` by another of its name; `removed` by a moderator, `closed` by an operator; `expired`, as its
    /// token has; `drained`, as its node is on its way out; `disconnected`, as nothing was heard of it; `media`, as the worker
    /// failed.
    pub reason: String,
    /// Another node's WebSocket, where it is to go on there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
}

/// Why somebody's session is over, in the word that sessions are told.
pub fn why(reason: EndReason) -> &'static str {
    match reason {
        EndReason::Unpublished => "left",
        reason => reason.as_str(),
    }
}

impl RtcEvent {
    /// The event's name.
    pub fn name(&self) -> &'static str {
        match self {
            Self::ParticipantJoined(_) => "participantJoined",
            Self::ParticipantLeft(_) => "participantLeft",
            Self::NewProducer(_) => "newProducer",
            Self::ProducerClosed(_) => "producerClosed",
            Self::ProducerPaused(_) => "producerPaused",
            Self::ProducerResumed(_) => "producerResumed",
            Self::NewDataProducer(_) => "newDataProducer",
            Self::DataProducerClosed(_) => "dataProducerClosed",
            Self::DataConsumerClosed(_) => "dataConsumerClosed",
            Self::ConsumerClosed(_) => "consumerClosed",
            Self::ConsumerReplaced(_) => "consumerReplaced",
            Self::LayersChanged(_) => "layersChanged",
            Self::Score(_) => "score",
            Self::ActiveSpeaker(_) => "activeSpeaker",
            Self::Volumes(_) => "volumes",
            Self::TransportClosed(_) => "transportClosed",
            Self::RoomLocked(_) => "roomLocked",
            Self::SessionEnded(_) => "sessionEnded",
        }
    }
}
