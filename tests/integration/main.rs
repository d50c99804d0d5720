//! Headwater's integration tests: real NATS, real media workers, real RTP, a real browser.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs,
    reason = "a test that can't go on fails"
)]

mod support;

mod bus;
mod cascade;
mod codecs;
mod events;
mod http;
mod jetstream;
mod joins;
mod keyframes;
mod leaks;
mod limits;
mod loss;
mod messages;
mod monitor;
mod names;
mod pages;
mod picture;
mod program;
mod regions;
mod rogue;
mod takeover;
mod truth;
mod wire;
mod wires;
mod workers;
