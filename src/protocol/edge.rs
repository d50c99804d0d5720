//! What the upstream end of a pipe (origin or relay) says to an edge, on `room.<room>.edge.<node>`.
//!
//! The four messages of the source design, and their undoing.

use std::net::IpAddr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::claim::{MAX_LABEL, MAX_PATH, is_small};
use super::data::{PipedData, ProducerKind};
use super::ids::{NodeName, Peer, PipeId, ProducerId, PublicationId, RoomId, RouterId, StreamName, Token};
use super::media::Carried;
use super::rtp::{AppDataJson, MediaKind, RtpParameters, SrtpParameters};
use super::schema;

/// A request that an edge answers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum EdgeRequest {
    /// See [`GetRemoteRouterInfo`].
    GetRemoteRouterInfo(GetRemoteRouterInfo),
    /// See [`CreateRemotePipeTransport`].
    CreateRemotePipeTransport(CreateRemotePipeTransport),
    /// See [`ConnectRemotePipeTransport`].
    ConnectRemotePipeTransport(ConnectRemotePipeTransport),
    /// See [`CreatePipeProducer`].
    CreatePipeProducer(Box<CreatePipeProducer>),
    /// See [`PausePipeProducer`].
    PausePipeProducer(PausePipeProducer),
    /// See [`ResumePipeProducer`].
    ResumePipeProducer(ResumePipeProducer),
    /// See [`ClosePipeProducer`].
    ClosePipeProducer(ClosePipeProducer),
    /// See [`ClosePipe`].
    ClosePipe(ClosePipe),
}

/// Asks for the edge's router of a room; the edge creates the room if it has none.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct GetRemoteRouterInfo {
    /// The room.
    pub room_id: RoomId,
    /// The join that this answers.
    pub token: Token,
}

/// Answers [`GetRemoteRouterInfo`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RemoteRouterInfo {
    /// The edge's router.
    pub remote_router_id: RouterId,
}

/// Asks the edge to create its end of a pipe. Idempotent by `pipeId`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CreateRemotePipeTransport {
    /// The room.
    pub room_id: RoomId,
    /// The join that this answers.
    pub token: Token,
    /// The asking node's router.
    pub router_id: RouterId,
    /// The attempt.
    pub pipe_id: PipeId,
    /// Who asks.
    pub from: Peer,
    /// Whether the pipe encrypts (SRTP, AEAD_AES_256_GCM); both ends must agree.
    pub srtp: bool,
    /// Whether the pipe repairs loss (RTX and NACK); both ends must agree.
    pub rtx: bool,
}

/// Answers [`CreateRemotePipeTransport`]: where the edge's end listens and sends from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RemotePipeTransport {
    /// Its address.
    pub ip: IpAddr,
    /// Its UDP port.
    pub port: u16,
    /// Its key; none where the pipe is plain.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::srtp_parameters")]
    pub srtp_parameters: Option<SrtpParameters>,
}

/// Tells the edge where the asking node's end is. Idempotent: a pipe transport connects once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ConnectRemotePipeTransport {
    /// The room.
    pub room_id: RoomId,
    /// The join that this answers.
    pub token: Token,
    /// The asking node's router.
    pub router_id: RouterId,
    /// The attempt.
    pub pipe_id: PipeId,
    /// Where the asking node's end sends from.
    pub ip: IpAddr,
    /// Its UDP port.
    pub port: u16,
    /// Its key; none where the pipe is plain.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::srtp_parameters")]
    pub srtp_parameters: Option<SrtpParameters>,
}

/// Asks the edge to take a producer from the pipe. Idempotent by `id`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CreatePipeProducer {
    /// The room.
    pub room_id: RoomId,
    /// The join that this answers.
    pub token: Token,
    /// The asking node's router.
    pub router_id: RouterId,
    /// The pipe.
    pub pipe_id: PipeId,
    /// The number of this change among all on the pipe: later ones hold.
    pub revision: u64,
    /// The stream that the producer belongs to.
    pub stream: StreamName,
    /// The publication of the stream.
    pub publication: PublicationId,
    /// The nodes from the origin to the asking node: its length is the edge's distance in hops.
    pub path: Vec<NodeName>,
    /// How many of the stream's producers the edge is sent: it has what it asked for when it has them all.
    pub of: u8,
    /// The producer.
    pub id: ProducerId,
    /// Audio, video or messages.
    pub kind: ProducerKind,
    /// What the pipe carries of it; nothing where it sends messages.
    #[serde(default, skip_serializing_if = "is_nothing")]
    #[schemars(schema_with = "schema::rtp_parameters")]
    pub rtp_parameters: RtpParameters,
    /// What the pipe carries of it where it sends messages.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data: Option<PipedData>,
    /// Whether it starts paused.
    pub paused: bool,
    /// What it is, in the words of whoever made it; empty where nobody said.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub label: String,
    /// Free for the application.
    #[serde(default)]
    pub app_data: AppDataJson,
}

/// Answers every request that has nothing to tell but that it was done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Done {}

/// Tells the edge that a producer is paused at its source.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PausePipeProducer {
    /// The room.
    pub room_id: RoomId,
    /// The join that this answers.
    pub token: Token,
    /// The pipe.
    pub pipe_id: PipeId,
    /// The number of this change among all on the pipe: later ones hold.
    pub revision: u64,
    /// The producer.
    pub id: ProducerId,
}

/// Tells the edge that a producer goes on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ResumePipeProducer {
    /// The room.
    pub room_id: RoomId,
    /// The join that this answers.
    pub token: Token,
    /// The pipe.
    pub pipe_id: PipeId,
    /// The number of this change among all on the pipe: later ones hold.
    pub revision: u64,
    /// The producer.
    pub id: ProducerId,
}

/// Tells the edge that a producer ended; the sending side is closed already.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ClosePipeProducer {
    /// The room.
    pub room_id: RoomId,
    /// The join that this answers.
    pub token: Token,
    /// The pipe.
    pub pipe_id: PipeId,
    /// The number of this change among all on the pipe: later ones hold.
    pub revision: u64,
    /// The producer.
    pub id: ProducerId,
    /// How many of the stream's producers the edge is still sent; none where the stream is no longer here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub of: Option<u8>,
}

/// Tells the edge that the pipe ended; the sending side is closed already.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ClosePipe {
    /// The room.
    pub room_id: RoomId,
    /// The join that this answers.
    pub token: Token,
    /// The pipe.
    pub pipe_id: PipeId,
    /// Why, for a person.
    pub reason: String,
}

/// A request with its reply as one typed unit.
pub trait EdgeCall: Into<EdgeRequest> {
    /// What the edge answers.
    type Reply: serde::de::DeserializeOwned;
}

macro_rules! edge_call {
    ($($request:ident $(in $wrap:ident)? => $reply:ident),* $(,)?) => {
        $(
            impl EdgeCall for $request {
                type Reply = $reply;
            }

            impl From<$request> for EdgeRequest {
                fn from(request: $request) -> Self {
                    Self::$request($($wrap::new)?(request))
                }
            }
        )*
    };
}

edge_call! {
    GetRemoteRouterInfo => RemoteRouterInfo,
    CreateRemotePipeTransport => RemotePipeTransport,
    ConnectRemotePipeTransport => Done,
    CreatePipeProducer in Box => Done,
    PausePipeProducer => Done,
    ResumePipeProducer => Done,
    ClosePipeProducer => Done,
    ClosePipe => Done,
}

/// What an edge answers, before it is written in the reply's own shape.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum EdgeReply {
    /// To [`GetRemoteRouterInfo`].
    RouterInfo(RemoteRouterInfo),
    /// To [`CreateRemotePipeTransport`].
    PipeTransport(RemotePipeTransport),
    /// To everything else.
    Done(Done),
}

impl EdgeRequest {
    /// The message's name, as the source design writes it.
    pub fn name(&self) -> &'static str {
        match self {
            Self::GetRemoteRouterInfo(_) => "getRemoteRouterInfo",
            Self::CreateRemotePipeTransport(_) => "createRemotePipeTransport",
            Self::ConnectRemotePipeTransport(_) => "connectRemotePipeTransport",
            Self::CreatePipeProducer(_) => "createPipeProducer",
            Self::PausePipeProducer(_) => "pausePipeProducer",
            Self::ResumePipeProducer(_) => "resumePipeProducer",
            Self::ClosePipeProducer(_) => "closePipeProducer",
            Self::ClosePipe(_) => "closePipe",
        }
    }

    /// The room that the message names.
    pub fn room(&self) -> &RoomId {
        match self {
            Self::GetRemoteRouterInfo(request) => &request.room_id,
            Self::CreateRemotePipeTransport(request) => &request.room_id,
            Self::ConnectRemotePipeTransport(request) => &request.room_id,
            Self::CreatePipeProducer(request) => &request.room_id,
            Self::PausePipeProducer(request) => &request.room_id,
            Self::ResumePipeProducer(request) => &request.room_id,
            Self::ClosePipeProducer(request) => &request.room_id,
            Self::ClosePipe(request) => &request.room_id,
        }
    }

    /// The join that the message answers.
    pub fn token(&self) -> Token {
        match self {
            Self::GetRemoteRouterInfo(request) => request.token,
            Self::CreateRemotePipeTransport(request) => request.token,
            Self::ConnectRemotePipeTransport(request) => request.token,
            Self::CreatePipeProducer(request) => request.token,
            Self::PausePipeProducer(request) => request.token,
            Self::ResumePipeProducer(request) => request.token,
            Self::ClosePipeProducer(request) => request.token,
            Self::ClosePipe(request) => request.token,
        }
    }
}

/// The most of anything that the description of one producer may list: mediasoup's own checks take less
/// for granted than a stranger may send.
const MAX_LISTED: usize = 32;

fn is_nothing(rtp: &RtpParameters) -> bool {
    rtp.codecs.is_empty() && rtp.encodings.is_empty()
}

impl CreatePipeProducer {
    /// What the pipe carries of the producer.
    pub fn carried(&self) -> Carried {
        match (&self.data, self.kind.media()) {
            (Some(data), _) => Carried::Data(data.clone()),
            (None, kind) => Carried::Media(kind.unwrap_or(MediaKind::Audio), self.rtp_parameters.clone()),
        }
    }

    /// Whether its parts have sizes that an honest node sends.
    pub fn is_sound(&self) -> bool {
        let rtp = &self.rtp_parameters;
        let is_carried = match &self.data {
            Some(data) => self.kind.is_data() && data.channel.is_sound(),
            None => {
                !self.kind.is_data()
                    && (1..=MAX_LISTED).contains(&rtp.codecs.len())
                    && (1..=MAX_LISTED).contains(&rtp.encodings.len())
                    && rtp.header_extensions.len() <= MAX_LISTED
            }
        };
        is_carried && self.path.len() <= MAX_PATH && self.label.len() <= MAX_LABEL && is_small(&self.app_data)
    }
}
