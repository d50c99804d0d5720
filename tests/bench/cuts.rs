//! NATS away, and two datacenters cut off from each other, for a minute: what viewers within each miss.

use std::time::Duration;

use headwater::client::Player;
use tokio::time::sleep;

use crate::support::datacenters::Datacenters;
use crate::support::far::Way;
use crate::support::fleet::{SOON, plays, seen, watch};
use crate::support::gaps::{Gaps, NOTHING};
use crate::support::wait::eventually;
use crate::table;

const SHORT: Duration = Duration::from_secs(12);
const QUIET: [(&str, &str); 1] = [("HEADWATER_LOG__FILTER", "headwater=info,warn")];

pub(crate) async fn run(lasting: Duration) {
    let Some(mut fleet) = Datacenters::start(&["west", "east"], 2, Way::SIXTY).await else { return };
    let west = [fleet.node("west-a", 0, 0, &QUIET).await, fleet.node("west-b", 0, 1, &QUIET).await];
    let east = [fleet.node("east-a", 1, 0, &QUIET).await, fleet.node("east-b", 1, 1, &QUIET).await];
    let (one, in_west) = seen(&west[0], &west[1], "from-west").await;
    let (two, in_east) = seen(&east[0], &east[1], "from-east").await;
    let across = watch(&east[1], "from-west").await;
    plays(&across, 10).await;

    let gaps = [Gaps::of(&in_west), Gaps::of(&in_east), Gaps::of(&across)];
    fleet.stop_bus(0);
    sleep(lasting).await;
    fleet.restart_bus(0).await;
    sleep(Duration::from_secs(5)).await;
    missed(&format!("NATS of a region away for {lasting:?}: gap within regions"), &gaps[..2]);
    missed(&format!("NATS of a region away for {lasting:?}: gap of a viewer across"), &gaps[2..]);

    let gaps = [Gaps::of(&in_west), Gaps::of(&in_east)];
    let mut back = Vec::new();
    // When NATS tries the other region again is chance: several short cuts say more than the long one alone.
    for lasting in [lasting].into_iter().chain([SHORT; 4]) {
        fleet.part(0, 1);
        sleep(lasting).await;
        fleet.heal();
        let healed = std::time::Instant::now();
        is_back(&across).await;
        back.push(healed.elapsed().as_secs_f64() * 1000.0);
        sleep(Duration::from_secs(5)).await;
    }
    missed(&format!("regions cut for {lasting:?} and four times {SHORT:?}: gap within each"), &gaps);
    table::values_wanted("regions cut: until media crosses again", back, "ms", 3_000.0);
    for publisher in [one, two] {
        publisher.stop().await.expect("the publisher ends");
    }
    drop((west, east));
}

/// Prints the longest gap of each. What comes each 20 or 40 ms has none below a second: so late is a busy machine.
fn missed(what: &str, gaps: &[Gaps]) {
    let gaps: Vec<_> = gaps.iter().map(|gaps| gaps.longest().as_secs_f64() * 1000.0).collect();
    table::values_wanted(what, gaps, "ms", NOTHING.as_secs_f64() * 1000.0);
}

async fn is_back(viewer: &Player) {
    let frames = viewer.report().borrow().video.frames;
    eventually(SOON, "media crosses again", || async { viewer.report().borrow().video.frames > frames })
        .await;
}
