//! What is done with media: the only folder that knows mediasoup's worker.
//!
//! [`Engine`] holds the workers for the whole process. [`RoomMedia`] holds all that a room has in
//! them: every handle lives in exactly one map of it, and removing the entry is closing, because a
//! mediasoup object ends with its last handle.

mod adapt;
mod announced;
mod buffers;
mod callbacks;
mod codecs;
mod engine;
mod inlet;
mod layout;
mod levels;
mod messages;
mod order;
mod outlet;
mod pipe;
mod receiver;
mod room;
mod section;
mod session;
mod spread;
#[cfg(test)]
mod tests;
mod uplink;
mod viewer;

use std::time::Duration;

use mediasoup::prelude::Producer;
use uuid::Uuid;

pub use crate::protocol::media::*;
pub use announced::{Addresses, AnnouncedError, Told};
pub use engine::{Engine, EngineError, WorkerId};
pub use room::RoomMedia;

/// What is replaced goes on until what replaces it is there; if that doesn't come, for so long.
const LINGER: Duration = Duration::from_secs(3);

/// The producer as this room calls it.
fn feed(producer: &Producer) -> FeedId {
    FeedId(Uuid::from(producer.id()))
}

/// The id as mediasoup has it, which is made from its text alone.
fn native(feed: FeedId) -> Result<mediasoup::prelude::ProducerId, MediaError> {
    feed.0.to_string().parse().map_err(|_| MediaError::UnknownProducer)
}
