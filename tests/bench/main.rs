//! Headwater's benchmarks: real NATS, real nodes, real media; every figure is printed, none asserted.
//!
//! Arguments are the parts to be measured (all but the soak where there are none), and `--trials=10`,
//! `--for=10m` and `--seed=1`.
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

mod chosen;
mod copies;
mod cuts;
mod far;
mod hops;
mod joins;
mod kills;
mod memory;
mod monitor;
mod page;
mod peer;
mod post;
mod sequence;
mod soak;
mod table;

use std::time::Duration;

use chosen::Chosen;

/// How long a part may take, on a busy machine.
const LIMIT: Duration = Duration::from_secs(900);

#[tokio::main]
async fn main() {
    let chosen = Chosen::from_arguments();
    table::head();
    measure(&chosen, "joins", joins::run()).await;
    measure(&chosen, "hops", hops::run()).await;
    measure(&chosen, "memory", memory::run()).await;
    measure(&chosen, "monitor", monitor::run()).await;
    measure(&chosen, "copies", copies::run(chosen.trials)).await;
    measure(&chosen, "kills", kills::run(chosen.trials)).await;
    measure(&chosen, "far", far::run(chosen.trials)).await;
    measure(&chosen, "cuts", cuts::run(chosen.lasting)).await;
    if chosen.names("soak") {
        soak::run(chosen.lasting, chosen.seed).await;
    }
}

async fn measure(chosen: &Chosen, name: &str, part: impl Future<Output = ()>) {
    if chosen.takes(name) {
        tokio::time::timeout(LIMIT, part).await.unwrap_or_else(|_| panic!("{name} ends in time"));
    }
}
