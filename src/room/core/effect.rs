//! What a core wants done. The room's task carries these out, in their order, and tells what came of them.

use std::collections::BTreeMap;
use std::time::Duration;

use super::input::{PublishRequest, Ticket, WatchRequest};
use crate::protocol::claim::Claim;
use crate::protocol::edge::{
    ClosePipe, ConnectRemotePipeTransport, CreatePipeProducer, CreateRemotePipeTransport, EdgeReply,
    GetRemoteRouterInfo,
};
use crate::protocol::event::{RoomSummary, WarningKind, What};
use crate::protocol::gate::{EndedSession, GateRequest};
use crate::protocol::ids::{ConsumerId, NodeName, Peer, PipeId, ProducerId, SessionId, StreamName, Token};
use crate::protocol::media::{Medium, PipeEnd, ProducerInfo, Receive, TransportInfo, Tuning};
use crate::protocol::origin::{Join, Joined, Leave};
use crate::protocol::refusal::Refusal;
use crate::protocol::rtc::{GetStats, Levels, Produce, ProduceData, RtcEvent, RtcReply};
use crate::protocol::rtp::DtlsParameters;
use crate::room::RoomError;
use crate::telemetry::Trace;

/// What a core wants done.
#[derive(Debug)]
pub enum Effect {
    // Participants by the session API.
    /// Open a connection by which a participant sends, messages too or not → `LinkOpened`.
    OpenSending(Ticket, SessionId, bool),
    /// Open a connection of that id by which a participant is sent → `LinkOpened`.
    OpenReceiving(Ticket, SessionId, SessionId, bool),
    /// Tell a connection who may connect → `Acted`.
    ConnectLink(Ticket, SessionId, DtlsParameters),
    /// Restart a connection's ICE → `LinkRestarted`.
    RestartLink(Ticket, SessionId),
    /// Close a connection by which a participant is sent.
    CloseReceiving(SessionId),
    /// Take a producer of a participant → `Produced`.
    Produce(Ticket, SessionId, Box<Produce>),
    /// Take one that sends messages → `Produced`.
    ProduceData(Ticket, SessionId, Box<ProduceData>),
    /// Close one.
    CloseProducer(SessionId, ProducerId),
    /// Send a participant something → `Consumed`.
    Consume(SessionId, Box<Receive>),
    /// Change how → `Acted`.
    Tune(Ticket, SessionId, ConsumerId, Tuning),
    /// Send it no more.
    CloseConsumer(SessionId, ConsumerId),
    /// Tell a worker's figures, of a session with this connection by which it is sent → `Counted`.
    Stats(Ticket, SessionId, Option<SessionId>, GetStats),
    /// Measure how loud everybody is whose sound is taken here, or no more.
    MeasureLevels(bool),
    /// Hear how loud others are at other nodes, or no more.
    HearLevels(bool),
    /// Tell other nodes.
    SayLevels(Levels),
    /// Tell a session.
    Notify(SessionId, Box<RtcEvent>),
    /// Tell a session nothing more: it was not let in.
    Deafen(SessionId),
    /// Ask another node to mute or remove somebody → `Gated`.
    Gate(Ticket, Peer, GateRequest),

    // The media of this node. Each leads to a `Done` where it says so.
    /// Take a publisher → `UplinkOpened`.
    OpenUplink(PublishRequest),
    /// Close a publisher's connection.
    CloseUplink(SessionId),
    /// Look at each packet of a publisher's videos, or no more.
    Inspect(SessionId, bool),
    /// Connect a viewer to these producers → `ViewerOpened`.
    OpenViewer(WatchRequest, Vec<ProducerInfo>),
    /// Send a viewer these producers in place of what it was sent → `ViewerShown`.
    ShowViewer(SessionId, Vec<ProducerInfo>),
    /// Close a viewer's connection → `ViewerClosed`.
    CloseViewer(SessionId),
    /// Tell a viewer's connection who may connect → `ViewerConnected`.
    ConnectViewer(Ticket, SessionId, DtlsParameters, Vec<Medium>),
    /// New ICE credentials → `IceRestarted`.
    RestartIce(Ticket, SessionId, String),
    /// Pause or resume all producers of a stream → `Paused`.
    SetPaused(Option<Ticket>, StreamName, Vec<ProducerId>, bool),
    /// Open the sending end of a pipe → `OutletOpened`.
    OpenOutlet(Token, PipeId),
    /// Connect the sending end (where an address is given) and start sending these → `Sending`.
    Send(Token, PipeId, Option<PipeEnd>, Vec<ProducerId>),
    /// Stop sending a producer on a pipe.
    StopSending(PipeId, ProducerId),
    /// Close the sending end of a pipe.
    CloseOutlet(PipeId),
    /// Open the receiving end of a pipe → `InletOpened`.
    OpenInlet(Ticket, PipeId, bool, bool),
    /// Connect the receiving end of a pipe → `InletConnected`.
    ConnectInlet(Ticket, PipeId, PipeEnd),
    /// Take a producer from a pipe → `Received`. If another pipe brings it, nobody is sent what comes by this one
    /// before a `Switch`; if the same pipe brought it otherwise, this takes the place of that.
    Receive(Ticket, Box<CreatePipeProducer>),
    /// From now on these producers mean what comes of them by this pipe. Who is sent what came by another goes on
    /// with that until it is shown or sent them again, or that pipe closes.
    Switch(PipeId, Vec<ProducerId>),
    /// Stop taking a producer from a pipe; if another brings it, it means that one's.
    StopReceiving(PipeId, ProducerId),
    /// Close the receiving end of a pipe.
    CloseInlet(PipeId),

    // Other nodes. Each is a job whose end is a `Done` where it says so.
    /// Round trip 1 of a pipe, both messages at once → `Offered`.
    Offer(Box<Offer>),
    /// Round trip 2, or later changes: all at once, in their order → `Told`.
    Tell(Box<Tell>),
    /// Tell a child that its pipe is over.
    TellClosed(Peer, ClosePipe),
    /// Ask a parent → `Joined`.
    Join(Peer, Join, Option<Trace>),
    /// Tell a parent that nothing of it is wanted any more → `Left`.
    Leave(Peer, Leave),

    // The node.
    /// Claim a stream, or that it is over.
    Claim(Box<Claim>),
    /// Answer who waits.
    Answer(Ticket, Answer),
    /// Take a place among the node's streams for a publisher that has connected → `Seated`.
    Seat(SessionId),
    /// A session is over: what was counted for it is given back.
    Release(SessionId),
    /// Tell the log.
    Record(What),
    /// Tell the log of what may happen all the time, for this reason.
    RecordOften(&'static str, What),
    /// Tell the log that a limit was hit.
    LimitHit(&'static str),
    /// Tell the log all that is here, with what a sample of each stream's viewers get.
    Summarize(RoomSummary, BTreeMap<StreamName, Vec<SessionId>>),
    /// Count something for the metrics.
    Count(Figure),
}

/// Round trip 1 of a pipe.
#[derive(Debug)]
pub struct Offer {
    /// The child.
    pub to: Peer,
    /// Asks for its router.
    pub info: GetRemoteRouterInfo,
    /// Asks for its end.
    pub create: CreateRemotePipeTransport,
    /// The trace of the request that the child came with.
    pub trace: Trace,
}

/// What a child is told of a pipe.
#[derive(Debug)]
pub struct Tell {
    /// The child.
    pub to: Peer,
    /// Its join.
    pub token: Token,
    /// The pipe.
    pub pipe: PipeId,
    /// Where our end is, while the pipe is being opened.
    pub connect: Option<ConnectRemotePipeTransport>,
    /// The changes, in their order, each with its number on the pipe.
    pub changes: Vec<(u64, Change)>,
    /// The trace.
    pub trace: Trace,
}

/// A change that a child is told of.
#[derive(Debug, Clone, PartialEq)]
pub enum Change {
    /// Take this producer.
    Create(Box<CreatePipeProducer>),
    /// It is over, and so many of its stream's are still sent.
    Close(ProducerId, Option<u8>),
    /// Its source paused.
    Pause(ProducerId),
    /// Its source goes on.
    Resume(ProducerId),
}

/// An answer to who waits.
#[derive(Debug)]
pub enum Answer {
    /// A publisher is taken.
    Published(TransportInfo),
    /// A viewer is served: our end, what is sent, the path.
    Watching(TransportInfo, Vec<Medium>, Vec<NodeName>),
    /// It was done.
    Done,
    /// An operator ended these.
    Kicked(Vec<EndedSession>),
    /// To a request by the session API.
    Rtc(Result<RtcReply, Refusal>),
    /// The session is there.
    Here(SessionId),
    /// A PATCH trickled candidates, or restarted ICE.
    Patched(Option<TransportInfo>),
    /// Not done, and why.
    Refused(RoomError),
    /// To a parent.
    Edge(Result<EdgeReply, Refusal>),
    /// To a child that joins.
    Joined(Result<Joined, Refusal>),
    /// To a child that left.
    Left,
}

/// What metrics count.
#[derive(Debug, Clone, PartialEq)]
pub enum Figure {
    /// A viewer's join, by result; with its kind and time where it succeeded.
    Join(&'static str, Option<(&'static str, Duration)>),
    /// What a participant asked to be sent, by result; `lacked` where it came, or is still asked for, and doesn't for long.
    Consumer(&'static str),
    /// A pipe set-up, by result; with its time where it succeeded.
    PipeSetup(&'static str, Option<Duration>),
    /// A publisher's media can't be watched well.
    Warning(WarningKind),
    /// Bytes of media that went out.
    Sent(u64),
    /// A peer sent what isn't believed.
    RefusedPeer(&'static str),
}
