//! A WebRTC client: publishes with WHIP (RFC 9725) and watches with WHEP (draft-ietf-wish-whep).
//!
//! [`Publisher`] plays a [`Clip`] of encoded media in a loop; [`Player`] receives, decodes nothing and
//! keeps a [`WatchReport`] of what a viewer would notice; [`Roaming`] is one that goes on at another node,
//! and [`Republishing`] a publisher that does. Both work with any standard server.
//!
//! Each is one task around one sans-I/O `str0m::Rtc` with, as a rule, one UDP socket, so that
//! hundreds fit into a process; give them one [`Http`] to share.

mod clip;
mod connection;
mod error;
mod freeze;
mod http;
mod jitter;
mod link;
mod links;
mod listening;
mod loss;
mod offer;
mod outgoing;
mod packet;
mod player;
mod publisher;
mod rate;
mod receiving;
mod report;
mod republishing;
mod roaming;
mod sending;
mod session;
mod stamp;
mod succession;
mod whep;
mod whip;

pub use clip::{Clip, ClipError};
pub use connection::Depth;
pub use error::ClientError;
pub use http::{Http, Route};
pub(crate) use http::{cause, connections};
pub use player::{Player, WatchOptions};
pub use publisher::{PublishOptions, PublishStats, Publisher};
pub use report::{ConnectionState, TrackReport, WatchReport};
pub use republishing::Republishing;
pub use roaming::Roaming;
