//! The words in which rooms and media speak: plain data, without a worker.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;

use uuid::Uuid;

use super::claim::ClaimedProducer;
use super::data::{Channel, PipedData, ProducerKind};
use super::ids::{ConsumerId, PipeId, ProducerId, SessionId};
use super::rtp::{
    AppDataJson, DtlsParameters, IceCandidate, IceParameters, MediaKind, RtpCapabilities, RtpParameters,
    SctpParameters, SrtpParameters,
};

/// Why media was not set up. What was begun is closed again.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MediaError {
    /// The pipe port range is used up.
    #[error("no port is left in pipe.ports")]
    NoPorts,
    /// `limits.outlets` is reached.
    #[error("limits.outlets is reached")]
    NoOutlets,
    /// The viewer can't decode the stream, or the parameters don't fit the router.
    #[error("{0}")]
    Unsupported(String),
    /// The session is unknown: ended meanwhile.
    #[error("the session has ended")]
    UnknownSession,
    /// The pipe is unknown: closed meanwhile.
    #[error("the pipe has ended")]
    UnknownPipe,
    /// The consumer is unknown: closed meanwhile.
    #[error("the consumer has ended")]
    UnknownConsumer,
    /// The producer is unknown: closed meanwhile.
    #[error("the producer has ended")]
    UnknownProducer,
    /// The pipe is encrypted at one end only.
    #[error("pipe.srtp differs between the two nodes")]
    SrtpMismatch,
    /// One end of the pipe speaks IPv4, the other IPv6.
    #[error(
        "{own} can't reach {other}: give pipe.listen and pipe.announced of both nodes one address family"
    )]
    AddressFamily {
        /// Our end.
        own: IpAddr,
        /// The other.
        other: IpAddr,
    },
    /// The viewers of the room number their payload types in too many ways.
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
    /// How messages are taken; none where that wasn't asked for.
    pub sctp: Option<SctpParameters>,
}

/// One m-line of a publisher or viewer on its way from the offer to the answer.
#[derive(Debug, Clone, PartialEq)]
pub struct Medium {
    /// Its `a=mid`; empty where the only m-line has none.
    pub mid: String,
    /// Audio or video.
    pub kind: MediaKind,
    /// What a viewer takes, with the payload types and extension ids that it chose, in its order of
    /// preference; nothing where a publisher sends.
    pub takes: RtpCapabilities,
    /// What a publisher sends; or what a viewer can be sent without another negotiation: the codec of now
    /// first. Without codecs the two sides have nothing in common.
    pub agreed: RtpParameters,
}

impl Medium {
    /// An m-line of a publisher.
    #[must_use]
    pub fn sent(mid: String, kind: MediaKind, agreed: RtpParameters) -> Self {
        Self { mid, kind, takes: RtpCapabilities::default(), agreed }
    }

    /// An m-line of a viewer that nothing is agreed of yet.
    #[must_use]
    pub fn taken(mid: String, kind: MediaKind, takes: RtpCapabilities) -> Self {
        Self { mid, kind, takes, agreed: RtpParameters::default() }
    }
}

/// A producer in the room's home router.
#[derive(Debug, Clone, PartialEq)]
pub struct ProducerInfo {
    /// The producer.
    pub id: ProducerId,
    /// Audio, video or messages.
    pub kind: ProducerKind,
    /// Its codec, as `video/VP8`; empty where it sends messages.
    pub mime_type: String,
    /// Simulcast encodings.
    pub encodings: u8,
    /// Whether it is paused.
    pub paused: bool,
    /// What it is, in the words of whoever made it; empty where nobody said.
    pub label: String,
    /// Free for the application.
    pub app_data: AppDataJson,
    /// How its messages are delivered; none of media.
    pub channel: Option<Channel>,
}

impl From<&ProducerInfo> for ClaimedProducer {
    fn from(producer: &ProducerInfo) -> Self {
        Self {
            id: producer.id,
            kind: producer.kind,
            mime_type: producer.mime_type.clone(),
            paused: producer.paused,
            encodings: producer.encodings,
            label: producer.label.as_str().into(),
            app_data: producer.app_data.clone().into(),
            channel: producer.channel.clone().map(Box::new),
        }
    }
}

/// What comes of a producer by one way: the same producer may come by several pipes at once, and anew by the same
/// one. The workers of this node know it by this id, other nodes don't.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FeedId(pub Uuid);

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
    /// What it sends, and what the pipe carries of that.
    pub carried: Carried,
    /// Whether the source is paused.
    pub paused: bool,
}

/// What a pipe carries of a producer.
#[derive(Debug, Clone, PartialEq)]
pub enum Carried {
    /// Sound or a picture.
    Media(MediaKind, RtpParameters),
    /// Messages.
    Data(PipedData),
}

impl Carried {
    /// What the producer sends.
    pub fn kind(&self) -> ProducerKind {
        match self {
            Self::Media(kind, _) => (*kind).into(),
            Self::Data(_) => ProducerKind::Data,
        }
    }

    /// The same as two fields of a message.
    pub fn parts(self) -> (RtpParameters, Option<PipedData>) {
        match self {
            Self::Media(_, rtp) => (rtp, None),
            Self::Data(data) => (RtpParameters::default(), Some(data)),
        }
    }
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
    /// By producer, from publishers and pipes: what viewers and other nodes are sent of it. With another pipe the
    /// counts begin anew.
    pub producers: HashMap<ProducerId, ProducerFlow>,
    /// What comes of a producer by a pipe, and is sent to nobody: another pipe's is.
    pub coming: BTreeMap<(PipeId, ProducerId), ProducerFlow>,
    /// By publisher and viewer; of viewers a share each time, all within some seconds.
    pub sessions: HashMap<SessionId, SessionFlow>,
}

/// What arrives of a producer.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ProducerFlow {
    /// Bytes of media received so far.
    pub bytes: u64,
    /// Key frames so far, as far as they can be seen to be such.
    pub key_frames: u64,
    /// Key frames that were asked for so far.
    pub requests: u64,
    /// Packets that were looked at so far, which is done now and then.
    pub inspected: u64,
    /// How often among these a picture came that is to be shown before its predecessor.
    pub out_of_order: u64,
    /// Whether its description carries what its key frames should (H.264 `sprop-parameter-sets`).
    pub described: bool,
}

/// What passes over the connection of a publisher or viewer.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SessionFlow {
    /// Bytes of anything received so far: media, reports, ICE checks.
    pub received: u64,
    /// Bytes of media sent so far.
    pub sent: u64,
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
    /// Bytes received so far that are no media of its producers, about: little more than reports and checks
    /// where all is well.
    pub strays: u64,
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
    /// Whether messages can pass: its ends are associated by SCTP.
    pub associated: bool,
}

/// Layers of a video, each from 0; ordered by quality.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Layers {
    /// The size of the picture.
    pub spatial: u8,
    /// The frame rate.
    pub temporal: u8,
}

/// What the choice of a viewer's layers is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum AdaptState {
    /// Nothing was sent yet.
    Waiting,
    /// It has just changed.
    Settling,
    /// It is kept.
    Steady,
    /// It is kept, and the link does badly.
    Strained,
    /// A higher one is tried.
    Trying,
}

/// A viewer's layers as they are chosen from its receiver reports.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Adapted {
    /// The layers that are wanted; those that are sent follow with the next key frame.
    pub preferred: Layers,
    /// The best that the publisher sends now; none while nothing comes.
    pub best: Option<Layers>,
    /// What the choice is doing.
    pub state: AdaptState,
    /// The part of the packets that was lost lately (0 to 1).
    pub loss: f64,
    /// How long packets wait in front of its link; none where it doesn't tell.
    pub queue: Option<std::time::Duration>,
}

/// What a viewer is sent now.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct ViewerFlow {
    /// Bits of media per second.
    pub bitrate: u64,
    /// Bits per second that its connection could take; none where the viewer gives no feedback.
    pub estimate: Option<u64>,
    /// The spatial layer of its video, where there are several.
    pub layer: Option<u8>,
    /// How its layers are chosen; none where there is one, or where the estimate chooses.
    pub adapted: Option<Adapted>,
}

/// Something of another that a participant is to be sent.
#[derive(Debug, Clone)]
pub struct Receive {
    /// On which connection.
    pub by: SessionId,
    /// As which consumer.
    pub consumer: ConsumerId,
    /// What is sent.
    pub producer: ProducerInfo,
    /// What the participant can take.
    pub takes: RtpCapabilities,
    /// The m-line that it is for.
    pub mid: String,
    /// Whether it starts paused.
    pub paused: bool,
    /// The highest layers, where it was said.
    pub layers: Option<Layers>,
    /// Its weight, where it was said.
    pub priority: Option<u8>,
}

/// How a participant is to be sent something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tuning {
    /// Not, until it goes on.
    Pause,
    /// Again.
    Resume,
    /// With a key frame now.
    KeyFrame,
    /// With these layers at most.
    Layers(Layers),
    /// With this weight, from 1, where its connection can't take all.
    Priority(u8),
}

/// What media tells its room.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MediaEvent {
    /// A publisher or viewer is connected.
    Connected(SessionId),
    /// A publisher or viewer is gone.
    Disconnected(SessionId),
    /// The first packet of a producer has arrived by a pipe.
    FirstPacket(FeedId),
    /// A viewer was sent the first packet of what replaces something: that can go.
    Moved(SessionId),
    /// How loud those are whose sound is taken here and that can be heard, in dBov.
    Volumes(Vec<(ProducerId, i8)>),
    /// A participant is sent other layers on this connection; none where nothing is sent.
    Layers(SessionId, ConsumerId, Option<Layers>),
    /// How well what a participant is sent on this connection comes, from 0 to 10.
    Score(SessionId, ConsumerId, u8),
    /// How well the best comes of what a participant sends.
    ProducerScore(ProducerId, u8),
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
