//! One task per room around a pure core.
//!
//! [`Rooms`] is the door: it brings each message to its room's inbox. The room's task (`task`) feeds its
//! [`core`] one input at a time and carries the effects out (`carry`): media at once, other nodes by jobs
//! that come back through the inbox, so the task never waits for another node. What is decided, is decided
//! in the core and nowhere else.

mod carry;
mod context;
pub mod core;
mod door;
mod error;
mod handle;
mod message;
mod replies;
mod seats;
mod task;

pub use context::Context;
pub use core::{
    Answered, COUNTER_OFFER, ChildView, Entrance, LackView, ParentView, ParticipantView, Pass, Patch,
    ProducerView, Proof, PublishRequest, RoomView, StreamHereView, StreamView, ViewerView, WatchRequest,
};
pub use door::{Rooms, RoomsInbox};
pub use error::RoomError;
pub use handle::RoomsHandle;
pub use message::{Listener, Patched, Published, Watching};
