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

mod adapt;
mod anywhere;
mod bus;
mod cascade;
mod cases;
mod channels;
mod clients;
mod codecs;
mod conference;
mod deployed;
mod docs;
mod door;
mod drain;
mod elsewhere;
mod embed;
mod events;
mod far;
mod http;
mod jetstream;
mod joins;
mod keyframes;
mod kick;
mod leaks;
mod limits;
mod lines;
mod load;
mod loss;
mod messages;
mod monitor;
mod moves;
mod names;
mod pages;
mod picture;
mod program;
mod proof;
mod proxy;
mod reference;
mod reload;
mod roaming;
mod rogue;
mod rolling;
mod rtc;
mod slow;
mod solo;
mod speakers;
mod takeover;
mod tls;
mod truth;
mod turn;
mod viewers;
mod who;
mod wire;
mod wires;
mod workers;
