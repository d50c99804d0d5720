//! Headwater's benchmarks: real NATS, real nodes, real media; every figure is printed, none asserted.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs,
    reason = "a benchmark that can't go on fails"
)]

#[path = "../integration/support/mod.rs"]
#[allow(unused_imports, reason = "its own unit tests are not run here")]
mod support;

mod hops;
mod joins;
mod memory;
mod monitor;
mod page;
mod peer;
mod post;
mod sequence;
mod table;

use std::time::Duration;

/// How long everything may take, on a busy machine.
const LIMIT: Duration = Duration::from_secs(600);

#[tokio::main]
async fn main() {
    table::head();
    let all = async {
        joins::run().await;
        hops::run().await;
        memory::run().await;
        monitor::run().await;
    };
    tokio::time::timeout(LIMIT, all).await.expect("the benchmarks end in time");
}
