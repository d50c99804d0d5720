//! What is asked of a session, by mediasoup's own names.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{CloseDataConsumer, CloseDataProducer, ConsumeData, May, ProduceData, lenient};
use crate::protocol::claim::{MAX_LABEL, is_small};
use crate::protocol::ids::{ConsumerId, ProducerId, SessionId, StreamName};
use crate::protocol::rtp::{AppDataJson, DtlsParameters, MediaKind, RtpCapabilities, RtpParameters};
use crate::protocol::schema;

/// What is asked of a session.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum RtcRequest {
    /// Begins a session → `Entered`.
    Join(Enter),
    /// Goes on with a session whose WebSocket broke, or asks anew for all that it should know → `Entered`.
    Resume(Nothing),
    /// Keeps the session: one that asks for nothing for `timeouts.session` has ended → `Nothing`.
    Ping(Nothing),
    /// → the router's `RtpCapabilities`.
    GetRouterRtpCapabilities(Nothing),
    /// Opens a connection: one for each direction → `Transport`.
    CreateWebRtcTransport(CreateWebRtcTransport),
    /// Tells who may connect, once → `Nothing`.
    ConnectWebRtcTransport(ConnectWebRtcTransport),
    /// → `IceRestarted`.
    RestartIce(RestartIce),
    /// Closes a connection, and all that is sent on it → `Nothing`.
    CloseTransport(CloseTransport),
    /// Begins to send → `Produced`.
    Produce(Box<Produce>),
    /// → `Nothing`.
    PauseProducer(OfProducer),
    /// → `Nothing`.
    ResumeProducer(OfProducer),
    /// → `Nothing`.
    CloseProducer(OfProducer),
    /// Begins to send messages → `Produced`.
    ProduceData(Box<ProduceData>),
    /// → `Nothing`.
    CloseDataProducer(CloseDataProducer),
    /// Is sent another's messages, on whichever node that is → `DataConsumed`.
    ConsumeData(ConsumeData),
    /// → `Nothing`.
    CloseDataConsumer(CloseDataConsumer),
    /// Is sent what another sends, on whichever node that is → `Consumed`.
    Consume(Consume),
    /// → `Nothing`.
    PauseConsumer(OfConsumer),
    /// → `Nothing`.
    ResumeConsumer(OfConsumer),
    /// → `Nothing`.
    CloseConsumer(OfConsumer),
    /// → `Nothing`.
    RequestKeyFrame(OfConsumer),
    /// The highest layers that it is sent from now on → `Nothing`.
    SetPreferredLayers(SetPreferredLayers),
    /// Its weight when a connection can't take all → `Nothing`.
    SetPriority(SetPriority),
    /// mediasoup's own figures → `Stats`.
    GetStats(GetStats),
    /// Who is there → `Participants`.
    GetParticipants(Nothing),
    /// Pauses what another sends, for everybody: for moderators → `Nothing`.
    MuteProducer(ProducerOf),
    /// Ends another's session: for moderators → `Nothing`.
    RemoveParticipant(RemoveParticipant),
    /// Lets nobody new in, or everybody again: for moderators → `Nothing`.
    LockRoom(LockRoom),
    /// Ends the session → `Nothing`.
    Leave(Nothing),
}

/// Nothing more to say.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Nothing {}

/// Begins a session. One of the same name ends, on whichever node it is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Enter {
    /// The participant's name.
    pub name: StreamName,
    /// What it says of itself: at most 4 KiB.
    #[serde(default, skip_serializing_if = "AppDataJson::is_empty")]
    pub app_data: AppDataJson,
    /// What it may do, where an application server says so; a browser's token does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub may: Option<May>,
}

impl Enter {
    /// What of it is larger than is taken, if anything.
    pub fn excess(&self) -> Option<&'static str> {
        (!is_small(&self.app_data)).then_some("appData: at most 4 KiB of JSON")
    }
}

/// Which way media goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Direction {
    /// To the node.
    Send,
    /// From the node.
    Recv,
}

/// Opens a connection.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CreateWebRtcTransport {
    /// What it is for.
    pub direction: Direction,
    /// Whether messages are to pass as well.
    #[serde(default)]
    pub sctp: bool,
}

/// Tells who may connect.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ConnectWebRtcTransport {
    /// The connection.
    pub transport_id: SessionId,
    /// The other side's role and certificate.
    #[schemars(schema_with = "schema::dtls_parameters")]
    pub dtls_parameters: DtlsParameters,
}

/// Asks for new ICE credentials.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RestartIce {
    /// The connection.
    pub transport_id: SessionId,
}

/// Closes a connection.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CloseTransport {
    /// The connection.
    pub transport_id: SessionId,
}

/// Begins to send.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Produce {
    /// The connection, which is for sending.
    pub transport_id: SessionId,
    /// Audio or video.
    #[schemars(schema_with = "schema::media_kind")]
    pub kind: MediaKind,
    /// What is sent, as mediasoup-client says it.
    #[serde(deserialize_with = "lenient::rtp_parameters")]
    #[schemars(schema_with = "schema::rtp_parameters")]
    pub rtp_parameters: RtpParameters,
    /// What it is, as `camera`: at most 64 bytes.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub label: String,
    /// Free for the application: at most 4 KiB.
    #[serde(default, skip_serializing_if = "AppDataJson::is_empty")]
    pub app_data: AppDataJson,
    /// Whether it starts paused.
    #[serde(default)]
    pub paused: bool,
}

/// Something of a producer of one's own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct OfProducer {
    /// The producer.
    pub producer_id: ProducerId,
}

/// Asks to be sent what another sends.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Consume {
    /// Whose producer.
    pub producer_id: ProducerId,
    /// What the receiver can take: needed with the first, and kept.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "lenient::rtp_capabilities"
    )]
    #[schemars(schema_with = "schema::rtp_capabilities")]
    pub rtp_capabilities: Option<RtpCapabilities>,
    /// Whether it starts paused.
    #[serde(default)]
    pub paused: bool,
}

/// Something of a consumer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct OfConsumer {
    /// The consumer.
    pub consumer_id: ConsumerId,
}

/// The highest layers that a consumer is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SetPreferredLayers {
    /// The consumer.
    pub consumer_id: ConsumerId,
    /// The size of the picture, from 0.
    pub spatial_layer: u8,
    /// The frame rate, from 0; none is the highest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub temporal_layer: Option<u8>,
}

/// The weight of a consumer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SetPriority {
    /// The consumer.
    pub consumer_id: ConsumerId,
    /// From 1 to 255.
    #[schemars(range(min = 1))]
    pub priority: u8,
}

/// Whose figures are asked for: one of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct GetStats {
    /// A connection.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub transport_id: Option<SessionId>,
    /// A producer of one's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub producer_id: Option<ProducerId>,
    /// A consumer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub consumer_id: Option<ConsumerId>,
}

/// A producer of another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ProducerOf {
    /// Whose.
    pub participant: StreamName,
    /// The producer.
    pub producer_id: ProducerId,
}

/// Ends another's session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RemoveParticipant {
    /// Whose.
    pub participant: StreamName,
}

/// Lets nobody new in, or everybody again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LockRoom {
    /// Whether nobody new is let in.
    pub locked: bool,
}

/// The most of anything that the description of one producer or receiver may list.
const MAX_LISTED: usize = 64;

impl RtcRequest {
    /// The verb.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Join(_) => "join",
            Self::Resume(_) => "resume",
            Self::Ping(_) => "ping",
            Self::GetRouterRtpCapabilities(_) => "getRouterRtpCapabilities",
            Self::CreateWebRtcTransport(_) => "createWebRtcTransport",
            Self::ConnectWebRtcTransport(_) => "connectWebRtcTransport",
            Self::RestartIce(_) => "restartIce",
            Self::CloseTransport(_) => "closeTransport",
            Self::Produce(_) => "produce",
            Self::PauseProducer(_) => "pauseProducer",
            Self::ResumeProducer(_) => "resumeProducer",
            Self::CloseProducer(_) => "closeProducer",
            Self::ProduceData(_) => "produceData",
            Self::CloseDataProducer(_) => "closeDataProducer",
            Self::ConsumeData(_) => "consumeData",
            Self::CloseDataConsumer(_) => "closeDataConsumer",
            Self::Consume(_) => "consume",
            Self::PauseConsumer(_) => "pauseConsumer",
            Self::ResumeConsumer(_) => "resumeConsumer",
            Self::CloseConsumer(_) => "closeConsumer",
            Self::RequestKeyFrame(_) => "requestKeyFrame",
            Self::SetPreferredLayers(_) => "setPreferredLayers",
            Self::SetPriority(_) => "setPriority",
            Self::GetStats(_) => "getStats",
            Self::GetParticipants(_) => "getParticipants",
            Self::MuteProducer(_) => "muteProducer",
            Self::RemoveParticipant(_) => "removeParticipant",
            Self::LockRoom(_) => "lockRoom",
            Self::Leave(_) => "leave",
        }
    }

    /// What of it is too large or lists too much, if anything: nobody's worker is asked with that.
    pub fn excess(&self) -> Option<&'static str> {
        let listed = |lists: &[usize]| lists.iter().any(|count| *count > MAX_LISTED);
        match self {
            Self::Join(enter) => enter.excess(),
            Self::Produce(produce) if !is_small(&produce.app_data) => Some("appData: at most 4 KiB of JSON"),
            Self::Produce(produce) if produce.label.len() > MAX_LABEL => Some("label: at most 64 bytes"),
            Self::Produce(produce) => {
                let rtp = &produce.rtp_parameters;
                listed(&[rtp.codecs.len(), rtp.encodings.len(), rtp.header_extensions.len()])
                    .then_some("rtpParameters: at most 64 codecs, encodings and header extensions")
            }
            Self::ProduceData(produce) if !is_small(&produce.app_data) => {
                Some("appData: at most 4 KiB of JSON")
            }
            Self::ProduceData(produce) if produce.label.len() > MAX_LABEL => Some("label: at most 64 bytes"),
            Self::ProduceData(produce) if produce.protocol.len() > MAX_LABEL => {
                Some("protocol: at most 64 bytes")
            }
            Self::Consume(Consume { rtp_capabilities: Some(takes), .. }) => {
                listed(&[takes.codecs.len() / 4, takes.header_extensions.len()])
                    .then_some("rtpCapabilities: at most 256 codecs and 64 header extensions")
            }
            _ => None,
        }
    }
}
