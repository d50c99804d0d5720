//! Two regions whose link is cut: each goes on by itself, and what crossed comes back with the link.

use std::time::{Duration, Instant};

use headwater::client::Player;

use crate::support::child::ChildNode;
use crate::support::cluster::{Gateways, crosses, gateway};
use crate::support::fleet::{
    Address, SOON, acquainted, heard_of, knock, node, plays, plays_on, publish, watch,
};
use crate::support::gaps::{Gaps, NOTHING};
use crate::support::nats::{NatsServer, Recipe};
use crate::support::netns::{Host, Net, Traffic};
use crate::support::wait::{assert_holds, eventually};

/// What is promised within three seconds; the rest is for a busy machine's own delays.
const PROMISED: Duration = Duration::from_secs(6);

/// Waits until a viewer that got nothing gets pictures again, within what is promised since `since`.
async fn is_back(viewer: &Player, since: Instant, what: &str) {
    let frames = viewer.report().borrow().video.frames;
    let left = PROMISED.saturating_sub(since.elapsed());
    eventually(left, format!("media is back: {what}"), || async {
        let report = viewer.report().borrow().clone();
        let back = report.video.frames > frames + 5 && report.last_packet_age_ms < Some(500);
        if back { Ok(()) } else { Err(report) }
    })
    .await;
}

async fn goes_on(lasting: Duration, viewers: &[&Gaps]) {
    assert_holds(lasting, Duration::from_millis(500), "viewers play on", || async {
        let longest = viewers.iter().map(|gaps| gaps.longest()).max().unwrap_or_default();
        if longest < NOTHING { Ok(()) } else { Err(longest) }
    })
    .await;
}

/// A publication on one node, and its viewer on another.
async fn seen(from: &impl Address, at: &impl Address, room: &str) -> (headwater::client::Publisher, Player) {
    let publisher = publish(from, room).await;
    heard_of(at, room).await;
    let viewer = watch(at, room).await;
    plays(&viewer, 3).await;
    (publisher, viewer)
}

#[tokio::test(flavor = "multi_thread")]
async fn nats_between_regions_is_cut_and_no_viewer_notices() {
    let gateways = Gateways::start().await;
    let (west, east) = (gateways.west.url(), gateways.east.url());
    let west_a = node("west-a", "west", &west).await;
    let west_b = node("west-b", "west", &west).await;
    let east_a = node("east-a", "east", &east).await;
    let east_b = node("east-b", "east", &east).await;
    acquainted(&[&west_a, &west_b, &east_a, &east_b]).await;
    let (_one, across_east) = seen(&west_a, &east_a, "from-west").await;
    let (_two, across_west) = seen(&east_a, &west_b, "from-east").await;
    let gaps = [Gaps::of(&across_east), Gaps::of(&across_west)];
    let began = Instant::now();
    gateways.cut().await;
    // Each goes on by itself: what is published there is watched there.
    let (_three, inside) = seen(&east_b, &east_a, "within-east").await;
    let (_four, _) = seen(&west_b, &west_a, "within-west").await;
    let inside = Gaps::of(&inside);
    goes_on(Duration::from_secs(30).saturating_sub(began.elapsed()), &[&gaps[0], &gaps[1], &inside]).await;
    gateways.restore();
    let back = Instant::now();
    for (node, room) in [(&west_a, "within-east"), (&east_b, "within-west"), (&west_a, "from-east")] {
        eventually(PROMISED.saturating_sub(back.elapsed()), format!("{room} is joined across"), || async {
            let (status, _) = knock(node, room).await;
            if status == 201 { Ok(()) } else { Err(status) }
        })
        .await;
    }
    goes_on(Duration::from_secs(3), &[&gaps[0], &gaps[1], &inside]).await;
    for viewer in [&across_east, &across_west] {
        assert_eq!(viewer.report().borrow().video.streams, 1, "the same stream all along");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_regions_are_cut_off_from_each_other_and_one_origin_from_all() {
    let Some(net) = Net::start() else { return };
    let [west_nats, east_nats] = [net.host(), net.host()];
    let urls = [&west_nats, &east_nats].map(|host| format!("{}:7222", host.ip));
    let server = |host: &Host, me: usize| Recipe {
        config: gateway(["west", "east"][me], &urls[me], &urls, me),
        jetstream: false,
        ip: host.ip.into(),
        launcher: host.launcher(),
    };
    let west = NatsServer::of(server(&west_nats, 0)).await;
    let east = NatsServer::of(server(&east_nats, 1)).await;
    crosses(&west, &east).await;
    let [a, b, c, d] = [net.host(), net.host(), net.host(), net.host()];
    let west_a = ChildNode::on(&a, "west-a", "west", &west.url(), &[]).await;
    let west_b = ChildNode::on(&b, "west-b", "west", &west.url(), &[]).await;
    let east_a = ChildNode::on(&c, "east-a", "east", &east.url(), &[]).await;
    let east_b = ChildNode::on(&d, "east-b", "east", &east.url(), &[]).await;

    let (_one, inside_west) = seen(&west_a, &west_b, "from-west").await;
    let (_two, inside_east) = seen(&east_a, &east_b, "from-east").await;
    let across_east = watch(&east_a, "from-west").await;
    let across_west = watch(&west_b, "from-east").await;
    plays(&across_east, 3).await;
    plays(&across_west, 3).await;
    let inside = [Gaps::of(&inside_west), Gaps::of(&inside_east)];
    let across = Gaps::of(&across_east);
    let began = Instant::now();
    net.cut(Traffic::All, &[&west_nats, &a, &b], &[&east_nats, &c, &d]);
    // Newcomers, and new streams.
    plays(&watch(&west_a, "from-west").await, 3).await;
    plays(&watch(&east_b, "from-east").await, 3).await;
    let (_three, fresh_west) = seen(&west_b, &west_a, "fresh-west").await;
    let (_four, fresh_east) = seen(&east_b, &east_a, "fresh-east").await;
    let fresh = [Gaps::of(&fresh_west), Gaps::of(&fresh_east)];
    let left = Duration::from_secs(16).saturating_sub(began.elapsed());
    goes_on(left, &[&inside[0], &inside[1], &fresh[0], &fresh[1]]).await;
    net.heal();
    let back = Instant::now();
    is_back(&across_east, back, "from the west in the east").await;
    is_back(&across_west, back, "from the east in the west").await;
    assert!(across.longest() > Duration::from_secs(10), "the link was cut: {:?}", across.longest());
    for (node, room) in [(&east_b, "fresh-west"), (&west_b, "fresh-east")] {
        heard_of(node, room).await;
        plays(&watch(node, room).await, 3).await;
    }
    goes_on(Duration::from_secs(3), &[&inside[0], &inside[1], &fresh[0], &fresh[1]]).await;

    // One origin's whole network is gone: the others' viewers don't care, its own see it come back.
    net.vanish(&a);
    let gone = Instant::now();
    eventually(SOON, "its viewers get nothing", || async {
        let age = across_east.report().borrow().last_packet_age_ms;
        if age > Some(1_000) { Ok(()) } else { Err(age) }
    })
    .await;
    goes_on(Duration::from_secs(5).saturating_sub(gone.elapsed()), &[&inside[1], &fresh[1]]).await;
    net.heal();
    let back = Instant::now();
    is_back(&inside_west, back, "in the region").await;
    is_back(&across_east, back, "across").await;
    plays_on(&across_west).await;
    goes_on(Duration::from_secs(1), &[&inside[1], &fresh[1]]).await;
    // What runs on the hosts ends before the network does.
    drop((west_a, west_b, east_a, east_b, west, east));
}
