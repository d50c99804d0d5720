//! A whole fleet in one thread: the very cores that a node runs, against models of the bus, of media and of
//! users, in virtual time. A seed decides everything.
//!
//! `make sim SEEDS=20000 FROM=1` runs many; one that fails prints the shortest story that it found and the
//! command that shows it again.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    unreachable_pub,
    missing_docs,
    reason = "clippy exempts test functions only, and what the simulator cannot do fails the test"
)]

mod asked;
mod bus;
mod cost;
mod crowd;
mod dice;
mod ears;
mod faults;
mod flow;
mod jobs;
mod laws;
mod log;
mod media;
mod node;
mod plan;
mod queue;
mod regressions;
mod room;
mod scale;
mod story;
mod telling;
mod truth;
mod users;
mod world;

use plan::Plan;

fn number(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(otherwise)
}

/// `SIM_MINUTES=60` is the long run.
#[test]
fn a_large_fleet() {
    scale::run(number("SIM_MINUTES", 1) as u32);
}

/// `SIM_NODES=10000 SIM_VIEWERS=50000` is the large one.
#[test]
fn a_crowd_of_viewers() {
    let (nodes, viewers) = (number("SIM_NODES", 600) as usize, number("SIM_VIEWERS", 3_000) as usize);
    crowd::run(&crowd::Size { nodes, regions: 20, viewers, pushed: false });
}

/// Each of a hundred nodes carries what starts.
#[test]
fn a_stream_that_is_pushed_everywhere() {
    crowd::run(&crowd::Size { nodes: 100, regions: 5, viewers: 0, pushed: true });
}

#[test]
#[ignore = "measures times: `make crowd` runs it"]
fn a_message_costs_no_more_in_a_large_room() {
    cost::run();
}

#[test]
fn seeds() {
    let (from, count) = (number("SIM_FROM", 1), number("SIM_SEEDS", 200));
    let (mut failed, mut handled) = (Vec::new(), 0);
    let most = number("SIM_FAILURES", 1) as usize;
    for seed in from..from + count {
        let plan = Plan::draw_mixed(seed);
        let (result, world) = story::run(&plan, std::env::var_os("SIM_ALL").is_some());
        handled += world.handled;
        if let Err(broken) = result {
            if failed.is_empty() || std::env::var_os("SIM_TELL").is_some() {
                story::tell(&plan, &broken);
            } else {
                println!("seed {seed} breaks '{}' at {:?}: {}", broken.law, broken.at, broken.why);
            }
            failed.push(seed);
            if failed.len() >= most {
                break;
            }
        }
    }
    println!("{count} seeds from {from}, {handled} inputs handled, failed: {failed:?}");
    assert!(failed.is_empty(), "seeds that break a law: {failed:?}");
}
