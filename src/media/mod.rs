//! What is done with media: the only folder that knows mediasoup's worker.
//!
//! [`Engine`] holds the workers for the whole process. [`RoomMedia`] holds all that a room has in
//! them: every handle lives in exactly one map of it, and removing the entry is closing, because a
//! mediasoup object ends with its last handle.

mod callbacks;
mod codecs;
mod engine;
mod inlet;
mod layout;
mod measure;
mod outlet;
mod pipe;
mod room;
mod session;
mod spread;
mod uplink;
mod viewer;

use std::net::IpAddr;

use crate::protocol::announcement::AnnouncedProducer;
use crate::protocol::ids::ProducerId;
use crate::protocol::rtp::{
    DtlsParameters, IceCandidate, IceParameters, MediaKind, RtpCapabilities, RtpParameters, SrtpParameters,
};

pub use callbacks::MediaEvent;
pub use engine::{Engine, EngineError};
pub use measure::{Measured, PipeFlow, UplinkFlow, ViewerFlow};
pub use room::{Counts, RoomMedia};

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

impl From<&ProducerInfo> for AnnouncedProducer {
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

/// The id as mediasoup has it, which is made from its text alone.
fn native(id: ProducerId) -> Result<mediasoup::prelude::ProducerId, MediaError> {
    id.to_string().parse().map_err(|_| MediaError::UnknownProducer)
}
