//! What a core is told.

use std::collections::BTreeSet;

use super::passes::Pass;
use crate::config::Limits;
use crate::fleet::Notice;
use crate::protocol::claim::EndReason;
use crate::protocol::edge::{CreatePipeProducer, EdgeRequest, RemotePipeTransport};
use crate::protocol::gate::{Mute, Whom};
use crate::protocol::ids::{ConsumerId, Incarnation, PipeId, ProducerId, SessionId, StreamName, Token};
use crate::protocol::media::{
    Layers, Measured, MediaError, Medium, PipeEnd, Piped, ProducerInfo, TransportInfo,
};
use crate::protocol::origin::{Join, Joined, Leave};
use crate::protocol::refusal::Refusal;
use crate::protocol::rtc::{Levels, May, RtcReply, RtcRequest};
use crate::protocol::rtp::{AppDataJson, DtlsParameters};
use crate::telemetry::Trace;

/// Who waits for an answer: the room's task knows where it goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket(pub u64);

/// What a core is told.
#[derive(Debug)]
pub enum Input {
    /// A publisher comes.
    Publish(Ticket, PublishRequest),
    /// A viewer comes.
    Watch(Ticket, WatchRequest),
    /// A publisher or viewer goes.
    End(Ticket, SessionId, StreamName),
    /// A viewer answers our description.
    Connect(Ticket, SessionId, StreamName, Answered),
    /// A publisher or viewer trickles candidates or restarts ICE.
    Patch(Ticket, SessionId, StreamName, Patch),
    /// Someone asks whether a session is there.
    Check(Ticket, SessionId, StreamName),
    /// An operator pauses or resumes a stream.
    SetPaused(Ticket, StreamName, bool),
    /// An operator ends sessions, or the moderator that is named.
    Kick(Ticket, Whom, Option<StreamName>),
    /// A participant enters.
    Enter(Ticket, Entrance),
    /// A participant was let in and has not waited for that.
    Gone(SessionId),
    /// A participant asks for something.
    Rtc(Ticket, SessionId, Box<RtcRequest>),
    /// A moderator elsewhere mutes a producer.
    Mute(Ticket, Mute),
    /// Who waits with this ticket has gone.
    HungUp(Ticket),
    /// A parent asks.
    Edge(Ticket, EdgeRequest),
    /// A child joins or renews.
    Join(Ticket, Join, Trace),
    /// A child leaves.
    Leave(Ticket, Leave),
    /// The directory has news of a stream.
    Notice(Notice),
    /// From now on the node takes so much.
    Limits(Limits),
    /// A publisher or viewer has connected.
    Connected(SessionId),
    /// A publisher's or viewer's connection is gone.
    Disconnected(SessionId),
    /// What could be heard of those whose sound is taken here.
    Volumes(Vec<(ProducerId, i8)>),
    /// What could be heard at another node.
    Levels(Levels),
    /// A participant is sent other layers.
    Layers(SessionId, ConsumerId, Option<Layers>),
    /// How well what a participant is sent comes.
    Score(SessionId, ConsumerId, u8),
    /// How well what a participant sends comes.
    ProducerScore(ProducerId, u8),
    /// Time has passed; with what flows, now and then.
    Look(Option<Measured>),
    /// The room is to end.
    Stop(EndReason),
    /// An effect was carried out.
    Done(Done),
}

impl Input {
    /// Whether it is a matter of viewers or children alone: it has nothing to do with where streams come from unless it
    /// changes what is wanted or here.
    pub(super) fn is_quiet(&self) -> bool {
        match self {
            Self::Watch(..)
            | Self::End(..)
            | Self::Connect(..)
            | Self::Patch(..)
            | Self::Check(..)
            | Self::HungUp(_)
            | Self::Rtc(..)
            | Self::Join(..)
            | Self::Leave(..)
            | Self::Volumes(_)
            | Self::Levels(_)
            | Self::Layers(..)
            | Self::Score(..)
            | Self::ProducerScore(..)
            | Self::Connected(_)
            | Self::Disconnected(_) => true,
            Self::Done(done) => matches!(
                done,
                Done::ViewerOpened(..)
                    | Done::ViewerShown(..)
                    | Done::ViewerClosed(..)
                    | Done::ViewerConnected(..)
                    | Done::IceRestarted(..)
                    | Done::LinkOpened(..)
                    | Done::LinkRestarted(..)
                    | Done::Acted(..)
                    | Done::Consumed(..)
                    | Done::Counted(..)
                    | Done::Gated(..)
                    | Done::OutletOpened(..)
                    | Done::Offered(..)
                    | Done::Sending(..)
                    | Done::Told(..)
            ),
            _ => false,
        }
    }
}

/// What carrying out an effect led to.
#[derive(Debug)]
pub enum Done {
    /// See [`Effect::OpenUplink`](super::Effect::OpenUplink).
    UplinkOpened(SessionId, Result<(TransportInfo, Vec<ProducerInfo>), MediaError>),
    /// See [`Effect::Seat`](super::Effect::Seat): whether there was one.
    Seated(SessionId, bool),
    /// See [`Effect::OpenViewer`](super::Effect::OpenViewer).
    ViewerOpened(SessionId, Result<(TransportInfo, Vec<Medium>), MediaError>),
    /// See [`Effect::ShowViewer`](super::Effect::ShowViewer).
    ViewerShown(SessionId, Vec<ProducerId>, Result<(), MediaError>),
    /// See [`Effect::CloseViewer`](super::Effect::CloseViewer): the bytes that it was sent.
    ViewerClosed(SessionId, u64),
    /// See [`Effect::ConnectViewer`](super::Effect::ConnectViewer).
    ViewerConnected(Ticket, SessionId, Result<(), MediaError>),
    /// See [`Effect::RestartIce`](super::Effect::RestartIce).
    IceRestarted(Ticket, SessionId, String, Result<TransportInfo, MediaError>),
    /// See [`Effect::SetPaused`](super::Effect::SetPaused).
    Paused(Option<Ticket>, StreamName, Vec<ProducerId>, bool, Result<(), MediaError>),
    /// See [`Effect::OpenSending`](super::Effect::OpenSending) and the like: the session, its connection.
    LinkOpened(Ticket, SessionId, SessionId, Result<TransportInfo, MediaError>),
    /// See [`Effect::RestartLink`](super::Effect::RestartLink).
    LinkRestarted(Ticket, Result<TransportInfo, MediaError>),
    /// What a worker was asked is done.
    Acted(Ticket, Result<(), MediaError>),
    /// See [`Effect::Produce`](super::Effect::Produce).
    Produced(Ticket, SessionId, Result<ProducerInfo, MediaError>),
    /// See [`Effect::Consume`](super::Effect::Consume): the session, its connection, the consumer.
    Consumed(SessionId, SessionId, ConsumerId, Result<RtcReply, MediaError>),
    /// See [`Effect::Stats`](super::Effect::Stats).
    Counted(Ticket, Result<Vec<serde_json::Value>, MediaError>),
    /// See [`Effect::Gate`](super::Effect::Gate).
    Gated(Ticket, Result<(), Failure>),
    /// See [`Effect::OpenOutlet`](super::Effect::OpenOutlet).
    OutletOpened(Token, PipeId, Result<PipeEnd, MediaError>),
    /// See [`Effect::Offer`](super::Effect::Offer).
    Offered(Token, PipeId, Result<RemotePipeTransport, Failure>),
    /// See [`Effect::Send`](super::Effect::Send).
    Sending(Token, PipeId, Result<(), MediaError>, Vec<(ProducerId, Result<Piped, MediaError>)>),
    /// See [`Effect::Tell`](super::Effect::Tell): what came of connecting, and of each change.
    Told(Token, PipeId, Result<(), Failure>, Vec<(ToldOf, Result<(), Failure>)>),
    /// See [`Effect::Join`](super::Effect::Join).
    Joined(Incarnation, Token, BTreeSet<StreamName>, Result<Joined, Failure>),
    /// See [`Effect::Leave`](super::Effect::Leave).
    Left(Incarnation, Token),
    /// See [`Effect::OpenInlet`](super::Effect::OpenInlet).
    InletOpened(Ticket, PipeId, Result<PipeEnd, MediaError>),
    /// See [`Effect::ConnectInlet`](super::Effect::ConnectInlet).
    InletConnected(Ticket, PipeId, Result<(), MediaError>),
    /// See [`Effect::Receive`](super::Effect::Receive).
    Received(Ticket, Box<CreatePipeProducer>, Result<ProducerInfo, MediaError>),
}

/// A change that a child was told of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ToldOf {
    /// A producer begins.
    Create(ProducerId),
    /// A producer is over.
    Close(ProducerId),
    /// A producer's source paused.
    Pause(ProducerId),
    /// A producer's source goes on.
    Resume(ProducerId),
}

/// Why another node gave no answer, as far as it matters here.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum Failure {
    /// No one listens there.
    #[error("the node is not there (no responders)")]
    Gone,
    /// It did not answer in time.
    #[error("the node did not answer in time")]
    Silent,
    /// Our own connection to the bus is away.
    #[error("nats is not connected")]
    Offline,
    /// It refused.
    #[error("refused: {0}")]
    Refused(#[from] Refusal),
    /// Its answer can't be read, or the request can't be sent.
    #[error("{0}")]
    Broken(String),
}

impl Failure {
    /// The failure as metrics and events name it.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Gone => "no_responders",
            Self::Silent => "timeout",
            Self::Offline => "offline",
            Self::Refused(refusal) => refusal.code.as_str(),
            Self::Broken(_) => "broken",
        }
    }
}

/// A publisher that asks to be taken.
#[derive(Debug)]
pub struct PublishRequest {
    /// Its session, chosen by the caller.
    pub session: SessionId,
    /// The stream.
    pub stream: StreamName,
    /// What it sends.
    pub offered: Vec<Medium>,
    /// Who may connect.
    pub dtls: DtlsParameters,
    /// Its ICE user fragment: another one in a PATCH restarts ICE.
    pub ufrag: String,
    /// What it was let in with.
    pub pass: Pass,
}

/// A participant that asks to be let in.
#[derive(Debug)]
pub struct Entrance {
    /// Its session, chosen by the caller.
    pub session: SessionId,
    /// Its name.
    pub name: StreamName,
    /// What it says of itself.
    pub app_data: AppDataJson,
    /// What it may do.
    pub may: May,
    /// What it was let in with.
    pub pass: Pass,
}

/// A viewer that asks to be served.
#[derive(Debug)]
pub struct WatchRequest {
    /// Its session, chosen by the caller.
    pub session: SessionId,
    /// The stream.
    pub stream: StreamName,
    /// What it can take.
    pub wanted: Vec<Medium>,
    /// Who may connect; none where the viewer answers our description later.
    pub dtls: Option<DtlsParameters>,
    /// Its ICE user fragment; empty where it is not known yet.
    pub ufrag: String,
    /// The request's trace.
    pub trace: Trace,
    /// What it was let in with.
    pub pass: Pass,
}

/// A viewer's answer to our description.
#[derive(Debug)]
pub struct Answered {
    /// Who may connect.
    pub dtls: DtlsParameters,
    /// Its ICE user fragment.
    pub ufrag: String,
    /// The m-lines of our description, with what it takes of each.
    pub media: Vec<Medium>,
}

/// A PATCH of a session (RFC 9725 section 4.3).
#[derive(Debug)]
pub struct Patch {
    /// The ICE user fragment that it names.
    pub ufrag: Option<String>,
    /// Its `If-Match`, without quotes.
    pub if_match: Option<String>,
}
