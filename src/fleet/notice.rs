//! What a room is told of a stream.

use std::sync::Arc;
use std::time::Instant;

use crate::protocol::claim::{Claim, EndReason};
use crate::protocol::ids::{RoomId, StreamName};

/// All that this node has heard of a stream. The newest one says everything: none needs the former.
#[derive(Debug, Clone, PartialEq)]
pub struct Notice {
    /// The room.
    pub room: RoomId,
    /// The stream.
    pub stream: StreamName,
    /// The live claims to it, the highest rank first. An absent origin's are among them.
    pub claims: Vec<Arc<Claim>>,
    /// The highest term that was ever heard; 0 where none was.
    pub term: u64,
    /// When the first one's publication was first heard of here.
    pub since: Option<Instant>,
    /// Why the last one that was live is so no more; none while any is, and where none ever was.
    pub ended: Option<EndReason>,
}

impl Notice {
    /// The term of a publication that goes live now.
    pub fn next_term(&self) -> u64 {
        self.term.saturating_add(1)
    }
}
