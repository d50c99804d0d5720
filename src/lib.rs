//! Headwater: WebRTC with back to source. Publish to any node, watch on any other.
//!
//! [`Node`] is a node in a program of one's own: [`Config`] says what it is, [`Node::join`] lets participants in, and
//! [`Session`] does what they ask for, in the words of [`protocol::rtc`]. `tests/examples/embed.rs` shows it.
//!
//! Of the rest `node` assembles; `http` and `room` decide; `media` and `broker` do; `protocol` is what is said. It is
//! public for the commands and the tests, and may change with each version.

#[cfg(test)]
extern crate self as headwater;

#[doc(hidden)]
pub mod broker;
#[doc(hidden)]
pub mod cli;
pub mod client;
pub mod config;
#[doc(hidden)]
pub mod drain;
mod files;
#[doc(hidden)]
pub mod fleet;
#[doc(hidden)]
pub mod gate;
#[doc(hidden)]
pub mod http;
#[doc(hidden)]
pub mod load;
#[doc(hidden)]
pub mod media;
#[doc(hidden)]
pub mod monitor;
pub mod node;
mod places;
pub mod protocol;
#[doc(hidden)]
pub mod room;
#[doc(hidden)]
pub mod servers;
pub mod telemetry;

pub use config::Config;
pub use node::{Node, Session};
