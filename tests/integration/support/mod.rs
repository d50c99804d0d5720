//! What the integration tests stand on: real servers, a bad network, a browser, and patience.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "clippy exempts test functions only, and what these helpers cannot do fails the test"
)]
#![allow(dead_code, reason = "helpers for looking into a failure stay at hand while no test calls them")]

pub(crate) mod browser;
mod cdp;
pub(crate) mod certificates;
pub(crate) mod chaos;
pub(crate) mod child;
pub(crate) mod clips;
pub(crate) mod cluster;
pub(crate) mod datacenters;
pub(crate) mod deployed;
pub(crate) mod events;
pub(crate) mod far;
pub(crate) mod fleet;
pub(crate) mod gaps;
pub(crate) mod history;
pub(crate) mod monitors;
pub(crate) mod narrow;
pub(crate) mod nats;
pub(crate) mod netns;
pub(crate) mod offers;
pub(crate) mod page;
pub(crate) mod parent;
pub(crate) mod peer;
pub(crate) mod player;
pub(crate) mod process;
pub(crate) mod raw;
pub(crate) mod rogue;
pub(crate) mod server;
pub(crate) mod socket;
pub(crate) mod station;
pub(crate) mod tape;
pub(crate) mod tokens;
pub(crate) mod wait;
pub(crate) mod web;
mod wire;
