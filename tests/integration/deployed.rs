//! NATS by the files in `deploy/nats`, with the nodes and the monitor that they have users for.

use std::fs;
use std::time::{Duration, Instant};

use headwater::client::{Player, Publisher};
use headwater::servers::{Fleet, Seeds};

use crate::support::deployed::{Deployed, folder};
use crate::support::fleet::{
    Address, SOON, acquainted, get_text, heard_of, heard_within, knock, plays, plays_on, publish, readiness,
    start, value, watch,
};
use crate::support::gaps::{Gaps, NOTHING};
use crate::support::monitors::{self, draws, get};
use crate::support::wait::{assert_holds, eventually};

/// What is promised within three seconds; the rest is for a busy machine's own delays.
const PROMISED: Duration = Duration::from_secs(6);
/// How long links are cut.
const CUT: Duration = Duration::from_secs(16);
/// Servers find an event's way again within half a minute, and events keep.
const COPIED: Duration = Duration::from_secs(60);

#[test]
fn the_files_are_what_the_lists_beside_them_make() {
    let mut compared = 0;
    for entry in fs::read_dir(folder("")).unwrap() {
        let folder = entry.unwrap().path();
        let fleet = Fleet::parse(&fs::read_to_string(folder.join("fleet.toml")).unwrap()).unwrap();
        for file in fleet.files(&mut Seeds::new()).unwrap().iter().filter(|file| !file.secret) {
            let path = folder.join(&file.name);
            let there = fs::read_to_string(&path).unwrap_or_default();
            let anew = format!("headwater nats-config {0}/fleet.toml --out {0}", folder.display());
            assert!(there == file.text, "{} is not what its list makes: {anew}", path.display());
            compared += 1;
        }
    }
    assert!(compared >= 6, "{compared}");
}

/// A publication on one node, and its viewer on another.
async fn seen(from: &impl Address, at: &impl Address, room: &str) -> (Publisher, Player) {
    let publisher = publish(from, room).await;
    heard_of(at, room).await;
    let viewer = watch(at, room).await;
    plays(&viewer, 3).await;
    (publisher, viewer)
}

async fn goes_on(lasting: Duration, viewers: &[&Gaps]) {
    assert_holds(lasting, Duration::from_millis(500), "viewers play on", || async {
        let longest = viewers.iter().map(|gaps| gaps.longest()).max().unwrap_or_default();
        if longest < NOTHING { Ok(()) } else { Err(longest) }
    })
    .await;
}

/// Waits until a node writes down what happens, or can't.
async fn logs(node: &headwater::node::Node, log: bool) {
    eventually(COPIED, format!("log is {log} on {}", node.peer().node), || async {
        let (status, body) = readiness(&node.operators_url()).await;
        if (status, body["log"].as_bool()) == (200, Some(log)) { Ok(()) } else { Err(body) }
    })
    .await;
}

/// How a monitor has a node: `serving`, `lost` and so on.
async fn condition(monitor: &str, name: &str) -> String {
    let fleet = get(monitor, "/api/fleet").await;
    let regions = fleet["regions"].as_array().cloned().unwrap_or_default();
    let nodes = regions.iter().flat_map(|region| region["nodes"].as_array().cloned().unwrap_or_default());
    let mut of_name =
        nodes.filter(|node| node["node"] == name).map(|node| node["condition"].as_str().map(str::to_owned));
    of_name.next_back().flatten().unwrap_or_else(|| "unknown".to_owned())
}

async fn is(monitor: &str, name: &str, expected: &str) {
    eventually(COPIED, format!("{name} is {expected}"), || async {
        let condition = condition(monitor, name).await;
        if condition == expected { Ok(()) } else { Err(condition) }
    })
    .await;
}

/// Waits until all that happened in a room was told: its publisher and its viewers.
async fn tells(monitor: &str, room: &str, node: &str) {
    eventually(COPIED, format!("what happened in {room} is told"), || async {
        let page = get(monitor, &format!("/api/rooms/{room}/events")).await;
        let events = page["events"].as_array().cloned().unwrap_or_default();
        let told = |kind: &str| {
            events.iter().any(|it| it["event"]["type"] == kind && it["event"]["source"]["node"] == node)
        };
        if told("stream.started") { Ok(()) } else { Err(page.to_string()) }
    })
    .await;
}

/// Which logs a monitor says that it can't hear.
async fn unheard(monitor: &str) -> Vec<String> {
    let fleet = get(monitor, "/api/fleet").await;
    let problems = fleet["problems"].as_array().cloned().unwrap_or_default();
    let unheard = problems.into_iter().filter(|problem| problem["kind"] == "log.unheard");
    unheard.filter_map(|problem| problem["text"].as_str().map(str::to_owned)).collect()
}

async fn hears_all(monitor: &str) {
    eventually(COPIED, "the monitor hears every log", || async {
        let unheard = unheard(monitor).await;
        if unheard.is_empty() { Ok(()) } else { Err(unheard) }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn datacenters_that_gateways_join_go_on_alone_and_come_together() {
    let nats = Deployed::start("gateways").await;
    let west_1 = start(nats.node("west-1")).await;
    let west_2 = start(nats.node("west-2")).await;
    let east_1 = start(nats.node("east-1")).await;
    let east_2 = start(nats.node("east-2")).await;
    let all = [&west_1, &west_2, &east_1, &east_2];
    acquainted(&all).await;
    for node in all {
        logs(node, true).await;
    }
    let monitor = monitors::start(nats.monitor("monitor")).await;
    let url = monitor.url();
    let (_one, across_east) = seen(&west_1, &east_1, "from-west").await;
    let (_two, across_west) = seen(&east_1, &west_2, "from-east").await;
    let gaps = [Gaps::of(&across_east), Gaps::of(&across_west)];
    is(&url, "west-1", "serving").await;

    let began = Instant::now();
    nats.cut().await;
    // Each goes on by itself: what is published there is watched there.
    let (_three, inside_east) = seen(&east_2, &east_1, "within-east").await;
    let (_four, inside_west) = seen(&west_2, &west_1, "within-west").await;
    let inside = [Gaps::of(&inside_east), Gaps::of(&inside_west)];
    is(&url, "west-1", "lost").await;
    is(&url, "west-2", "lost").await;
    is(&url, "east-2", "serving").await;
    draws(&url, "within-east", "east-2(east-1)").await;
    let viewers = [&gaps[0], &gaps[1], &inside[0], &inside[1]];
    goes_on(CUT.saturating_sub(began.elapsed()), &viewers).await;

    nats.restore();
    let back = Instant::now();
    for (node, room) in [(&west_1, "within-east"), (&east_2, "within-west")] {
        heard_within(PROMISED.saturating_sub(back.elapsed()), node, room).await;
        eventually(PROMISED.saturating_sub(back.elapsed()), format!("{room} is joined across"), || async {
            let (status, _) = knock(node, room).await;
            if status == 201 { Ok(()) } else { Err(status) }
        })
        .await;
        plays(&watch(node, room).await, 3).await;
    }
    goes_on(Duration::from_secs(2), &viewers).await;
    for viewer in [&across_east, &across_west] {
        assert_eq!(viewer.report().borrow().video.streams, 1, "the same stream all along");
    }
    // What happened meanwhile was kept where it happened.
    tells(&url, "within-west", "west-2").await;
    is(&url, "west-1", "serving").await;
    assert_eq!(get(&url, "/api/fleet").await["totals"]["dropped"], 0);
    assert_eq!(nats.violations(), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leaf_s_log_is_its_own_and_a_monitor_shows_both_and_says_what_it_can_t_hear() {
    let nats = Deployed::start("leaf").await;
    let west_1 = start(nats.node("west-1")).await;
    let west_2 = start(nats.node("west-2")).await;
    let east_1 = start(nats.node("east-1")).await;
    let all = [&west_1, &west_2, &east_1];
    acquainted(&all).await;
    for node in all {
        logs(node, true).await;
    }
    let monitor = monitors::start(nats.monitor("monitor")).await;
    let url = monitor.url();
    let (_one, across) = seen(&west_1, &east_1, "from-west").await;
    let gaps = Gaps::of(&across);
    draws(&url, "from-west", "west-1(east-1)").await;
    hears_all(&url).await;

    let began = Instant::now();
    nats.cut().await;
    let (_two, inside_west) = seen(&west_2, &west_1, "within-west").await;
    let (_three, inside_east) = (publish(&east_1, "within-east").await, watch(&east_1, "within-east").await);
    plays(&inside_east, 3).await;
    let inside = [Gaps::of(&inside_east), Gaps::of(&inside_west)];
    // Its log is written there, by its own servers.
    logs(&west_2, true).await;
    eventually(SOON, "the monitor says what it can't hear", || async {
        let unheard = unheard(&url).await;
        if unheard.len() == 1 && unheard[0].contains("domain west") { Ok(()) } else { Err(unheard) }
    })
    .await;
    assert_eq!(
        value(&get_text(&format!("{url}/metrics")).await, "headwater_fleet_log_heard{domain=\"west\"}"),
        0.0
    );
    draws(&url, "within-east", "east-1").await;
    let viewers = [&gaps, &inside[0], &inside[1]];
    goes_on(CUT.saturating_sub(began.elapsed()), &viewers).await;

    nats.restore();
    let back = Instant::now();
    heard_within(PROMISED, &east_1, "within-west").await;
    heard_within(PROMISED.saturating_sub(back.elapsed()), &west_1, "within-east").await;
    plays(&watch(&east_1, "within-west").await, 3).await;
    plays(&watch(&west_2, "within-east").await, 3).await;
    goes_on(Duration::from_secs(2), &viewers).await;
    plays_on(&across).await;
    tells(&url, "within-west", "west-2").await;
    hears_all(&url).await;
    // Nothing is told twice: no event is in both logs.
    let totals = get(&url, "/api/fleet").await["totals"].clone();
    assert_eq!((&totals["duplicates"], &totals["dropped"]), (&0.into(), &0.into()), "{totals}");
    assert_eq!(nats.violations(), Vec::<String>::new());
}
