//! What may be said to a room, and where the answers go.

use tokio::sync::{mpsc, oneshot};

use super::core::{Answered, Done, Entrance, Patch, PublishRequest, RoomView, StreamHereView, WatchRequest};
use super::error::RoomError;
use super::seats::Seat;
use crate::broker::InboundBody;
use crate::media::{Medium, TransportInfo, WorkerId};
use crate::protocol::claim::EndReason;
use crate::protocol::gate::{EndedSession, Mute, Whom};
use crate::protocol::ids::{NodeName, SessionId, StreamName};
use crate::protocol::refusal::Refusal;
use crate::protocol::rtc::{Levels, RtcEvent, RtcReply, RtcRequest};
use crate::telemetry::Trace;

/// Where it goes what happens in a participant's session.
pub type Listener = mpsc::Sender<RtcEvent>;

/// Where an answer to a participant goes.
pub(super) type RtcAnswer = oneshot::Sender<Result<RtcReply, Refusal>>;

/// Where an answer goes.
pub(super) type Reply<T> = oneshot::Sender<Result<T, RoomError>>;

/// A publisher that was taken.
#[derive(Debug)]
pub struct Published {
    /// Our end of the connection.
    pub transport: TransportInfo,
}

/// A viewer that is served.
#[derive(Debug)]
pub struct Watching {
    /// Our end of the connection.
    pub transport: TransportInfo,
    /// Its m-lines, with what was agreed of each.
    pub media: Vec<Medium>,
    /// The nodes from the origin to this one, without this one; empty at the origin.
    pub path: Vec<NodeName>,
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
    /// A publisher comes; the door gives it a seat.
    Publish(PublishRequest, Option<Seat>, Reply<Published>),
    /// A viewer comes; the door gives it a seat.
    Watch(WatchRequest, Option<Seat>, Reply<Watching>),
    /// A participant comes; the door gives it a seat.
    Enter(Entrance, Option<Seat>, Listener, RtcAnswer),
    /// A participant asks.
    Rtc(SessionId, Box<RtcRequest>, RtcAnswer),
    /// How loud participants of another node are.
    Levels(Levels),
    /// Somebody else is to be told what happens in a participant's session.
    Listen(SessionId, Listener),
    /// A moderator elsewhere mutes a producer.
    Mute(Mute, Reply<()>),
    /// A publisher or viewer goes.
    End(SessionId, StreamName, Reply<()>),
    /// A viewer answers our description.
    Connect(SessionId, StreamName, Answered, Reply<()>),
    /// A publisher or viewer trickles candidates or restarts ICE.
    Patch(SessionId, StreamName, Patch, Reply<Patched>),
    /// Whether a session is there, and what was agreed with it.
    Check(SessionId, StreamName, Reply<Vec<Medium>>),
    /// An operator pauses or resumes a stream.
    SetPaused(StreamName, bool, Reply<()>),
    /// An operator ends sessions, or the moderator that is named.
    Kick(Whom, Option<StreamName>, Reply<Vec<EndedSession>>),
    /// Someone looks at all of it.
    Inspect(oneshot::Sender<RoomView>),
    /// Someone looks at a stream.
    Status(StreamName, oneshot::Sender<StreamHereView>),
    /// Another node asks.
    Remote(InboundBody, Trace),
    /// A media worker died.
    WorkerDied(WorkerId),
    /// The node stops.
    Stop(EndReason),
    /// The room is pushed here.
    Carry,
    /// A job is done.
    Done(Done),
}

impl Message {
    /// Whether the room is opened for this message if there is none.
    pub(super) fn opens_room(&self) -> bool {
        matches!(
            self,
            Self::Publish(..)
                | Self::Watch(..)
                | Self::Enter(..)
                | Self::Carry
                | Self::Remote(InboundBody::Origin(..), _)
        )
    }

    /// Answers a message that no room is there for.
    pub(super) fn refuse(self, error: RoomError) {
        use crate::protocol::refusal::Code;
        let refusal = || match &error {
            RoomError::Busy => Refusal::new(Code::Busy, "the room's inbox is full; ask again shortly"),
            RoomError::Limit(key) => Refusal::new(Code::Limit, format!("limits.{key} is reached")),
            RoomError::Media(why) => Refusal::new(Code::Media, why.clone()),
            _ => Refusal::new(Code::UnknownRoom, "this node does not carry that room"),
        };
        // The asker may be gone: then no one needs the answer.
        match self {
            Self::Remote(InboundBody::Edge(_, reply), _) => drop(reply.send(Err(refusal()))),
            Self::Remote(InboundBody::Origin(_, reply), _) => drop(reply.send(Err(refusal()))),
            Self::Publish(_, _, reply) => drop(reply.send(Err(error))),
            Self::Watch(_, _, reply) => drop(reply.send(Err(error))),
            Self::Enter(_, _, _, reply) | Self::Rtc(_, _, reply) => drop(reply.send(Err(error.into()))),
            Self::Patch(_, _, _, reply) => drop(reply.send(Err(error))),
            Self::Check(_, _, reply) => drop(reply.send(Err(error))),
            Self::End(_, _, reply)
            | Self::Connect(_, _, _, reply)
            | Self::SetPaused(_, _, reply)
            | Self::Mute(_, reply) => drop(reply.send(Err(error))),
            Self::Kick(_, _, reply) => drop(reply.send(Err(error))),
            Self::Inspect(_)
            | Self::Status(..)
            | Self::WorkerDied(_)
            | Self::Listen(..)
            | Self::Levels(_)
            | Self::Stop(_)
            | Self::Carry
            | Self::Done(_) => {}
        }
    }
}
