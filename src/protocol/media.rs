//! The words in which rooms and media speak: plain data, without a worker.

use std::collections::HashMap;
use std::net::IpAddr;

use super::claim::ClaimedProducer;
use super::ids::{PipeId, ProducerId, SessionId};
use super::rtp::{
    DtlsParameters, IceCandidate, IceParameters, MediaKind, RtpCapabilities, RtpParameters, SrtpParameters,
};

/// Why media was not set up. What was begun is closed again.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MediaError {
    /// The pipe port range is used up.
    #[error("no port is left in pipe.ports")]
    NoPorts,
    /// The viewer can't decode the stream, or the parameters don't fit the router.
    #[error("{0}")]
    Unsupported(String),
    /// The session is unknown: ended meanwhile.
    #[error("the session has ended")]
    UnknownSession,
    /// The pipe is unknown: closed meanwhile.
    #[error("the pipe has ended")]
    UnknownPipe,
    /// The producer is unknown: closed meanwhile.
    #[error("the producer has ended")]
    UnknownProducer,
    /// The pipe is encrypted at one end only.
    #[error("pipe.srtp differs between the two nodes")]
    SrtpMismatch,
    /// The viewers of the room use too many different sets of payload types.
    #[error("limits.payload_layouts is reached")]
    TooManyLayouts,
    /// The worker refused or is gone.
    #[error("media worker: {0}")]
    Worker(String),
}

/// Our end of a publisher's or viewer's connection, as SDP tells it.
#[derive(Debug, Clone)]
pub struct TransportInfo {
    /// ICE user fragment and password.
    pub ice: IceParameters,
    /// Where media may be sent.
    pub candidates: Vec<IceCandidate>,
    /// Certificate fingerprints.
    pub dtls: DtlsParameters,
}

/// One medium that a publisher offers.
#[derive(Debug, Clone)]
pub struct Offered {
    /// Audio or video.
    pub kind: MediaKind,
    /// What it sends.
    pub rtp_parameters: RtpParameters,
}

/// One medium that a viewer can take.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// The section of its description.
    pub mid: String,
    /// Audio or video.
    pub kind: MediaKind,
    /// What it can decode, with the payload types and extension ids that it chose.
    pub capabilities: RtpCapabilities,
}

/// One medium as it is sent to a viewer; no parameters where the stream has none of its kind.
#[derive(Debug, Clone)]
pub struct Sent {
    /// The section of its description.
    pub mid: String,
    /// Audio or video.
    pub kind: MediaKind,
    /// What is sent.
    pub rtp_parameters: Option<RtpParameters>,
}

/// A producer in the room's home router.
#[derive(Debug, Clone, PartialEq)]
pub struct ProducerInfo {
    /// The producer.
    pub id: ProducerId,
    /// Audio or video.
    pub kind: MediaKind,
    /// Its codec, as `video/VP8`.
    pub mime_type: String,
    /// Simulcast encodings.
    pub encodings: u8,
    /// Whether it is paused.
    pub paused: bool,
}

impl From<&ProducerInfo> for ClaimedProducer {
    fn from(producer: &ProducerInfo) -> Self {
        Self {
            id: producer.id,
            kind: producer.kind,
            mime_type: producer.mime_type.clone(),
            paused: producer.paused,
            encodings: producer.encodings,
        }
    }
}

/// One end of a pipe: where it listens and sends from, and its key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PipeEnd {
    /// Its address.
    pub ip: IpAddr,
    /// Its UDP port.
    pub port: u16,
    /// Its key; none where the pipe is plain.
    pub srtp: Option<SrtpParameters>,
}

/// What an outlet sends of a producer.
#[derive(Debug, Clone)]
pub struct Piped {
    /// The producer.
    pub id: ProducerId,
    /// Audio or video.
    pub kind: MediaKind,
    /// What the pipe carries.
    pub rtp_parameters: RtpParameters,
    /// Whether the source is paused.
    pub paused: bool,
}

/// A look at a room's media.
#[derive(Debug, Clone, Default)]
pub struct Measured {
    /// By publisher.
    pub uplinks: HashMap<SessionId, UplinkFlow>,
    /// By pipe that sends.
    pub outlets: HashMap<PipeId, PipeFlow>,
    /// By pipe that receives.
    pub inlets: HashMap<PipeId, PipeFlow>,
    /// Bytes of media received so far, by producer, from publishers and pipes.
    pub producers: HashMap<ProducerId, u64>,
}

/// What comes from a publisher.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct UplinkFlow {
    /// Bytes of media received so far.
    pub bytes: u64,
    /// Bits of media per second.
    pub bitrate: u64,
    /// Key frames that it was asked for so far.
    pub key_frame_requests: u64,
}

/// What flows through one end of a pipe.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PipeFlow {
    /// Bytes received so far: media at an inlet, reports (RTCP) at an outlet.
    pub bytes_received: u64,
    /// Bytes of media sent so far.
    pub bytes_sent: u64,
    /// Bits of media per second, in the pipe's direction.
    pub bitrate: u64,
    /// Packets of media received so far; 0 at an outlet.
    pub packets: u64,
    /// Packets lost on the way so far; 0 at an outlet.
    pub lost: u64,
}

/// What a viewer is sent now.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ViewerFlow {
    /// Bits of media per second.
    pub bitrate: u64,
    /// Bits per second that its connection could take; none where the viewer gives no feedback.
    pub estimate: Option<u64>,
    /// The spatial layer of its video, where there are several.
    pub layer: Option<u8>,
}

/// What media tells its room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MediaEvent {
    /// A publisher or viewer is connected.
    Connected(SessionId),
    /// A publisher or viewer is gone.
    Disconnected(SessionId),
    /// A producer's first packet has arrived.
    FirstPacket(ProducerId),
}

/// What a room holds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Counts {
    /// Routers.
    pub routers: usize,
    /// Connections and pipe ends.
    pub transports: usize,
    /// Producers in the home router.
    pub producers: usize,
    /// Consumers of viewers.
    pub consumers: usize,
}
