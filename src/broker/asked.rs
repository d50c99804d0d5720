//! What may be asked of a node about a room, and what of it no honest node asks.

use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::sync::oneshot;

use crate::protocol::edge::{EdgeReply, EdgeRequest};
use crate::protocol::ids::RoomId;
use crate::protocol::origin::{OriginReply, OriginRequest};
use crate::protocol::refusal::Refusal;
use crate::telemetry::Trace;

/// A request of another node, on its way to its room.
#[derive(Debug)]
pub struct Inbound {
    /// The room.
    pub room: RoomId,
    /// What is asked, and where the answer goes.
    pub body: InboundBody,
    /// The request's trace.
    pub trace: Trace,
}

/// What is asked, and where the answer goes. Dropping the sender answers `busy`.
#[derive(Debug)]
pub enum InboundBody {
    /// Asked of this node as an edge.
    Edge(EdgeRequest, oneshot::Sender<Result<EdgeReply, Refusal>>),
    /// Asked of this node as an origin or relay.
    Origin(OriginRequest, oneshot::Sender<Result<OriginReply, Refusal>>),
}

/// Where the answer to a request goes.
pub(super) type Answer<M> = oneshot::Sender<Result<<M as Asked>::Reply, Refusal>>;

/// A request as it comes in.
pub(super) trait Asked: DeserializeOwned + Send + 'static {
    /// What answers it.
    type Reply: Serialize + Send + 'static;

    fn name(&self) -> &'static str;
    fn room(&self) -> &RoomId;
    /// Whether its parts have sizes that an honest node sends.
    fn is_sound(&self) -> bool;
    fn into_body(self, answer: Answer<Self>) -> InboundBody;
}

/// The most streams that an edge may want of a room.
const MAX_STREAMS: usize = 256;
/// The most producers that an edge may have from a pipe, or refuse.
const MAX_PRODUCERS: usize = 1024;
/// The longest reason, in bytes.
const MAX_REASON: usize = 1024;

impl Asked for EdgeRequest {
    type Reply = EdgeReply;

    fn name(&self) -> &'static str {
        self.name()
    }

    fn room(&self) -> &RoomId {
        self.room()
    }

    fn is_sound(&self) -> bool {
        match self {
            Self::CreatePipeProducer(request) => request.is_sound(),
            Self::ClosePipe(request) => request.reason.len() <= MAX_REASON,
            _ => true,
        }
    }

    fn into_body(self, answer: Answer<Self>) -> InboundBody {
        InboundBody::Edge(self, answer)
    }
}

impl Asked for OriginRequest {
    type Reply = OriginReply;

    fn name(&self) -> &'static str {
        self.name()
    }

    fn room(&self) -> &RoomId {
        self.room()
    }

    fn is_sound(&self) -> bool {
        match self {
            Self::Join(request) => {
                let few = |producers: usize| producers <= MAX_PRODUCERS;
                request.streams.len() <= MAX_STREAMS
                    && request.pipe.as_ref().is_none_or(|p| few(p.producers.len()) && few(p.refused.len()))
            }
            Self::Leave(request) => request.reason.len() <= MAX_REASON,
        }
    }

    fn into_body(self, answer: Answer<Self>) -> InboundBody {
        InboundBody::Origin(self, answer)
    }
}
