//! Headwater: WebRTC with back to source. Publish to any node, watch on any other.
//!
//! `node` assembles; `http` and `room` decide; `media` and `broker` do; `protocol` is what is said.

#[cfg(test)]
extern crate self as headwater;

pub mod broker;
pub mod cli;
pub mod client;
pub mod config;
pub mod drain;
mod files;
pub mod fleet;
pub mod gate;
pub mod http;
pub mod load;
pub mod media;
pub mod monitor;
pub mod node;
mod places;
pub mod protocol;
pub mod room;
pub mod servers;
pub mod telemetry;
