//! The nodes and their streams: who is there, who claims what, and who is whose source.
//!
//! All of it decides without input or output; [`FleetTask`] alone carries out what is decided.

mod chance;
pub mod digest;
mod directory;
mod flaps;
mod handle;
mod heartbeat;
mod mailbox;
mod membership;
mod nearby;
mod notice;
pub mod placement;
mod processes;
#[cfg(test)]
pub(crate) mod samples;
mod task;
mod view;

pub use directory::{Directory, Word};
pub use handle::FleetHandle;
pub use heartbeat::{Heartbeat, Rate};
pub use mailbox::{NoticeReceiver, NoticeSender, mailbox};
pub use membership::{Effect, Input, Membership, Profile};
pub use nearby::{Place, Wanted, nearby};
pub use notice::Notice;
pub use task::{Ended, FleetConfig, FleetNews, FleetTask, fleet};
pub use view::{BEAT, Fleet, beat_every};
