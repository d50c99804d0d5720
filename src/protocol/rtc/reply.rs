//! What is answered to a session.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{DataConsumed, May, Nothing, Participant};
use crate::protocol::claim::ClaimedProducer;
use crate::protocol::ids::{ConsumerId, NodeName, ProducerId, Region, SessionId, StreamName};
use crate::protocol::rtp::{
    AppDataJson, DtlsParameters, IceCandidate, IceParameters, MediaKind, RtpCapabilities, RtpParameters,
    SctpParameters,
};
use crate::protocol::schema;

/// What is answered.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum RtcReply {
    /// To `join` and `resume`.
    Entered(Box<Entered>),
    /// To `createWebRtcTransport`.
    Transport(Box<Transport>),
    /// To `consume`.
    Consumed(Box<Consumed>),
    /// To `consumeData`.
    DataConsumed(Box<DataConsumed>),
    /// To `restartIce`.
    IceRestarted(IceRestarted),
    /// To `produce` and `produceData`.
    Produced(Produced),
    /// To `getParticipants`.
    Participants(Participants),
    /// To `getStats`.
    Stats(Stats),
    /// To `getRouterRtpCapabilities`.
    Capabilities(#[schemars(schema_with = "schema::rtp_capabilities")] RtpCapabilities),
    /// To all else.
    Nothing(Nothing),
}

/// A session has begun, or goes on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Entered {
    /// The session: whoever knows it acts for it.
    pub session: SessionId,
    /// The participant's name.
    pub name: StreamName,
    /// The node that has the session.
    pub node: NodeName,
    /// That node's datacenter.
    pub region: Region,
    /// What the node's routers carry.
    #[schemars(schema_with = "schema::rtp_capabilities")]
    pub router_rtp_capabilities: RtpCapabilities,
    /// STUN and TURN servers, as a browser takes them (`RTCIceServer`).
    pub ice_servers: Vec<Value>,
    /// The others.
    pub participants: Vec<Participant>,
    /// What it may do.
    pub may: May,
    /// Whether nobody new is let in.
    pub locked: bool,
    /// Who spoke last, if anybody did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub active_speaker: Option<StreamName>,
    /// What of the session there is already, where it goes on.
    #[serde(flatten)]
    pub kept: Kept,
}

/// What there is of a session.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Kept {
    /// Its connections.
    pub transports: Vec<SessionId>,
    /// What it sends.
    pub producers: Vec<ProducerId>,
    /// What it is sent.
    pub consumers: Vec<ConsumerId>,
    /// What messages it sends.
    #[serde(default)]
    pub data_producers: Vec<ProducerId>,
    /// What messages it is sent.
    #[serde(default)]
    pub data_consumers: Vec<ConsumerId>,
}

/// Our end of a connection: what mediasoup-client's `createSendTransport` and `createRecvTransport` take.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Transport {
    /// The connection.
    pub id: SessionId,
    /// Our ICE credentials.
    #[schemars(schema_with = "schema::ice_parameters")]
    pub ice_parameters: IceParameters,
    /// Where media may be sent.
    #[schemars(schema_with = "schema::any_list")]
    pub ice_candidates: Vec<IceCandidate>,
    /// Our certificate.
    #[schemars(schema_with = "schema::dtls_parameters")]
    pub dtls_parameters: DtlsParameters,
    /// How messages are taken and sent, where that was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::sctp_parameters")]
    pub sctp_parameters: Option<SctpParameters>,
}

/// New ICE credentials.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct IceRestarted {
    /// Ours.
    #[schemars(schema_with = "schema::ice_parameters")]
    pub ice_parameters: IceParameters,
}

/// Something is sent from now on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Produced {
    /// The producer, by which everybody in the room knows it.
    pub id: ProducerId,
}

/// How mediasoup sends what a consumer is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum ConsumerKind {
    /// As it comes.
    Simple,
    /// One of several encodings.
    Simulcast,
    /// Layers of one encoding.
    Svc,
}

/// Something of another is sent from now on: what mediasoup-client's `consume` takes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Consumed {
    /// The consumer.
    pub id: ConsumerId,
    /// What it is sent.
    pub producer_id: ProducerId,
    /// Whose that is.
    pub participant: StreamName,
    /// Audio or video.
    #[schemars(schema_with = "schema::media_kind")]
    pub kind: MediaKind,
    /// How it is sent.
    #[schemars(schema_with = "schema::rtp_parameters")]
    pub rtp_parameters: RtpParameters,
    /// Whether it has layers to choose from.
    #[serde(rename = "type")]
    pub r#type: ConsumerKind,
    /// Whether its source is paused.
    pub producer_paused: bool,
    /// What it is, in the words of whoever made it.
    pub label: String,
    /// Free for the application.
    pub app_data: AppDataJson,
}

/// Who is there.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Participants {
    /// Everybody, whoever asks among them.
    pub participants: Vec<Participant>,
    /// Whether nobody new is let in.
    pub locked: bool,
}

/// mediasoup's own figures.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Stats {
    /// As mediasoup documents them.
    pub stats: Vec<Value>,
}

impl RtcReply {
    /// What another's producer is, beside how it is sent.
    #[must_use]
    pub fn of(self, participant: &StreamName, producer: &ClaimedProducer) -> Self {
        let label = producer.label.to_string();
        let app_data: AppDataJson = producer.app_data.clone().into();
        match self {
            Self::Consumed(consumed) => Self::Consumed(Box::new(Consumed {
                participant: participant.clone(),
                label,
                app_data,
                producer_paused: producer.paused,
                ..*consumed
            })),
            Self::DataConsumed(consumed) => Self::DataConsumed(Box::new(DataConsumed {
                participant: participant.clone(),
                label,
                app_data,
                ..*consumed
            })),
            other => other,
        }
    }
}
