//! What may be said to a room.

use tokio::sync::oneshot;

use super::error::RoomError;
use super::inspect::RoomView;
use super::plan::PipeChange;
use super::state::Known;
use crate::broker::{AnnounceError, CallError, InboundBody};
use crate::media::{Offered, Sent, TransportInfo, Wanted};
use crate::protocol::announcement::{Announcement, EndReason};
use crate::protocol::edge::RemotePipeTransport;
use crate::protocol::ids::{NodeName, PipeId, SessionId, StreamName};
use crate::protocol::origin::Joined;
use crate::protocol::rtp::DtlsParameters;
use crate::telemetry::Trace;

/// Where an answer goes.
pub(super) type Answer<T> = oneshot::Sender<Result<T, RoomError>>;

/// A publisher that asks to be taken.
#[derive(Debug)]
pub struct PublishRequest {
    /// Its session, chosen by the caller.
    pub session: SessionId,
    /// The stream.
    pub stream: StreamName,
    /// What it sends.
    pub offered: Vec<Offered>,
    /// Who may connect.
    pub dtls: DtlsParameters,
    /// Its ICE user fragment: another one in a PATCH restarts ICE.
    pub ufrag: String,
}

/// A publisher that was taken.
#[derive(Debug)]
pub struct Published {
    /// Our end of the connection.
    pub transport: TransportInfo,
}

/// A viewer that asks to be served.
#[derive(Debug)]
pub struct WatchRequest {
    /// Its session, chosen by the caller.
    pub session: SessionId,
    /// The stream.
    pub stream: StreamName,
    /// What it can take.
    pub wanted: Vec<Wanted>,
    /// Who may connect; none where the viewer answers our description later.
    pub dtls: Option<DtlsParameters>,
    /// Its ICE user fragment; empty where it is not known yet.
    pub ufrag: String,
    /// The request's trace.
    pub trace: Trace,
}

/// A viewer that is served.
#[derive(Debug)]
pub struct Watching {
    /// Our end of the connection.
    pub transport: TransportInfo,
    /// What is sent.
    pub sent: Vec<Sent>,
    /// The nodes from the origin to this one, without this one; empty at the origin.
    pub path: Vec<NodeName>,
}

/// A viewer's answer to our description.
#[derive(Debug)]
pub struct Answered {
    /// Who may connect.
    pub dtls: DtlsParameters,
    /// Its ICE user fragment.
    pub ufrag: String,
}

/// A PATCH of a session (RFC 9725 section 4.3).
#[derive(Debug)]
pub struct Patch {
    /// The ICE user fragment that it names.
    pub ufrag: Option<String>,
    /// Its `If-Match`, without quotes.
    pub if_match: Option<String>,
}

/// What a PATCH did.
#[derive(Debug)]
pub enum Patched {
    /// It trickled candidates; ours is an ICE-lite agent, which learns them from checks.
    Trickled,
    /// It restarted ICE: our new credentials.
    Restarted(TransportInfo),
}

/// What may be said to a room.
#[derive(Debug)]
pub(super) enum Message {
    /// A publisher comes.
    Publish(PublishRequest, Answer<Published>),
    /// A viewer comes.
    Watch(WatchRequest, Answer<Watching>),
    /// A publisher or viewer goes.
    End(SessionId, StreamName, Answer<()>),
    /// A viewer answers our description.
    Connect(SessionId, StreamName, Answered, Answer<()>),
    /// A publisher or viewer trickles candidates or restarts ICE.
    Patch(SessionId, StreamName, Patch, Answer<Patched>),
    /// Whether a session is there, and what it is sent.
    Check(SessionId, StreamName, Answer<Vec<Sent>>),
    /// An operator pauses or resumes a stream.
    SetPaused(StreamName, bool, Answer<()>),
    /// An operator ends a stream.
    Close(StreamName, Answer<()>),
    /// Someone looks.
    Inspect(oneshot::Sender<RoomView>),
    /// Another node asks.
    Remote(InboundBody, Trace),
    /// The registry has news of a stream; none where it has forgotten it.
    Registry(StreamName, Option<Known>),
    /// A media worker died.
    WorkerDied(usize),
    /// The node stops.
    Stop(EndReason),
    /// A job is done.
    Job(JobDone),
}

/// What a job brings back.
#[derive(Debug)]
pub(super) enum JobDone {
    /// A parent was asked to serve us.
    Joined {
        parent: NodeName,
        streams: std::collections::BTreeSet<StreamName>,
        result: Result<Joined, CallError>,
    },
    /// A parent was told that we leave.
    Left { parent: NodeName },
    /// A child has opened its end of a pipe.
    PipeOffered { child: NodeName, pipe: PipeId, result: Result<RemotePipeTransport, CallError> },
    /// A child was told of changes on a pipe.
    PipeChanged { child: NodeName, pipe: PipeId, changes: Vec<PipeChange>, result: Result<(), CallError> },
    /// An announcement was written, or not.
    Announced { announcement: Box<Announcement>, result: Result<u64, AnnounceError> },
}

impl Message {
    /// Whether the room is opened for this message if there is none.
    pub(super) fn opens_room(&self) -> bool {
        match self {
            Self::Publish(..) | Self::Watch(..) => true,
            Self::Remote(InboundBody::Edge(request, _), _) => request.opens_room(),
            // An origin is asked for what the registry says is live: the door looks there first.
            Self::Remote(InboundBody::Origin(..), _) => false,
            _ => false,
        }
    }

    /// Answers a message that no room is there for.
    pub(super) fn refuse(self, error: RoomError) {
        use crate::protocol::refusal::{Code, Refusal};
        let refusal = || match &error {
            RoomError::Busy => Refusal::new(Code::Busy, "the room's inbox is full; ask again shortly"),
            RoomError::Limit(key) => Refusal::new(Code::Limit, format!("limits.{key} is reached")),
            RoomError::Media(why) => Refusal::new(Code::Media, why.clone()),
            _ => Refusal::new(Code::UnknownRoom, "this node does not carry that room"),
        };
        // The asker may be gone: then no one needs the answer.
        match self {
            Self::Remote(InboundBody::Edge(_, answer), _) => drop(answer.send(Err(refusal()))),
            Self::Remote(InboundBody::Origin(_, answer), _) => drop(answer.send(Err(refusal()))),
            Self::Publish(_, answer) => drop(answer.send(Err(error))),
            Self::Watch(_, answer) => drop(answer.send(Err(error))),
            Self::Patch(_, _, _, answer) => drop(answer.send(Err(error))),
            Self::Check(_, _, answer) => drop(answer.send(Err(error))),
            Self::End(_, _, answer)
            | Self::Connect(_, _, _, answer)
            | Self::SetPaused(_, _, answer)
            | Self::Close(_, answer) => drop(answer.send(Err(error))),
            Self::Inspect(_) | Self::Registry(..) | Self::WorkerDied(_) | Self::Stop(_) | Self::Job(_) => {}
        }
    }
}
