//! Headwater's benchmarks: real NATS, real nodes, real media; every figure is printed and written to
//! `target/bench/report.json` and `report.md`, none asserted.
//!
//! Arguments are the parts to be measured (all but the soak and what is beside others, Janus and nginx-rtmp), and
//! `--trials=10`, `--for=10m` and `--seed=1`.
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
mod idle;
mod janus;
mod joins;
mod kills;
mod kinds;
mod load;
mod memory;
mod monitor;
mod page;
mod peer;
mod post;
mod report;
mod rtmp;
mod sequence;
mod soak;
mod table;
mod talk;
mod threads;

use std::sync::mpsc::Receiver;
use std::time::Duration;

use chosen::Chosen;
use report::Report;
use table::Figure;

/// How long a part may take, on a busy machine.
const LIMIT: Duration = Duration::from_secs(900);

#[tokio::main]
async fn main() {
    let chosen = Chosen::from_arguments();
    if chosen.names(load::ROUTER) {
        return load::router().await;
    }
    let mut report = Report::new();
    let figures = table::head(&report.machine);
    let mut run = Run { chosen: &chosen, report: &mut report, figures: &figures };
    run.measure("joins", joins::run()).await;
    run.measure("talk", talk::run()).await;
    run.measure("hops", hops::run()).await;
    run.measure("memory", memory::run()).await;
    run.measure("load", load::run()).await;
    run.measure("kinds", kinds::run()).await;
    if chosen.names("janus") {
        run.measure("janus", janus::run()).await;
    }
    if chosen.names("rtmp") {
        run.measure("rtmp", rtmp::run()).await;
    }
    run.measure("idle", idle::run()).await;
    run.measure("monitor", monitor::run()).await;
    run.measure("copies", copies::run(chosen.trials)).await;
    run.measure("kills", kills::run(chosen.trials)).await;
    run.measure("far", far::run(chosen.trials)).await;
    run.measure("cuts", cuts::run(chosen.lasting)).await;
    if chosen.names("soak") {
        soak::run(chosen.lasting, chosen.seed).await;
    }
}

struct Run<'a> {
    chosen: &'a Chosen,
    report: &'a mut Report,
    figures: &'a Receiver<Figure>,
}

impl Run<'_> {
    async fn measure(&mut self, name: &'static str, part: impl Future<Output = ()>) {
        if self.chosen.takes(name) {
            tokio::time::timeout(LIMIT, part).await.unwrap_or_else(|_| panic!("{name} ends in time"));
            self.report.add(name, self.figures);
        }
    }
}
