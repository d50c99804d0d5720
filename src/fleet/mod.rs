//! The nodes: who is there, and who is whose source.

pub mod placement;
mod presence;
mod view;

pub use presence::{Heartbeat, run};
pub use view::{Fleet, Seen};
