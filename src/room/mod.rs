//! What is decided: one task per room owns the room's state and is the only one to change it.
//!
//! [`Rooms`] is the door: it owns the map of rooms and the registry. A [`Message`] reaches its room
//! through one bounded inbox; each verb has a file. What crosses the network runs as a job that comes
//! back through the inbox, so the task never waits for another node. After every message the room
//! compares what should be with what is (`plan`), so that a lost message is repaired by the next look.

mod accept;
mod announce;
mod context;
mod door;
mod error;
mod follow;
mod inspect;
mod look;
mod message;
mod patch;
mod plan;
mod publish;
mod record;
mod serve;
mod state;
mod summary;
mod task;
mod watch;

pub use context::Context;
pub use door::{Rooms, RoomsHandle, RoomsInbox};
pub use error::RoomError;
pub use inspect::{ChildView, ParentView, ProducerView, RoomView, StreamStatus, StreamView, ViewerView};
pub use message::{Answered, Patch, Patched, PublishRequest, Published, WatchRequest, Watching};
