//! JetStream is the log and nothing else: without it, nobody who publishes or watches notices.

use std::time::Duration;

use async_nats::jetstream;
use async_nats::jetstream::stream::{Config as StreamConfig, StorageType};
use headwater::client::Player;
use headwater::config::Storage;
use headwater::node::Node;

use crate::support::deployed::Deployed;
use crate::support::fleet::{
    SOON, acquainted, config, heard_of, knock, node, plays, plays_on, publish, readiness, start, watch,
};
use crate::support::gaps::{Gaps, NOTHING};
use crate::support::nats::{NatsServer, Recipe};
use crate::support::wait::{assert_holds, eventually};

/// Publishes a new room on the first node, watches it on the second and takes it over on the third.
async fn works([first, second, third]: [&Node; 3], room: &str) {
    let _old = publish(first, room).await;
    heard_of(second, room).await;
    heard_of(third, room).await;
    let viewer = watch(second, room).await;
    plays(&viewer, 3).await;
    let _new = publish(third, room).await;
    eventually(SOON, format!("the new publication of {room} is shown"), || async {
        (viewer.report().borrow().video.streams >= 2).then_some(())
    })
    .await;
    plays_on(&viewer).await;
}

/// Waits until all nodes say whether what happens is written down; ready they are all the time.
async fn logs(nodes: [&Node; 3], log: bool) {
    for node in nodes {
        eventually(SOON, format!("log is {log} on {}", node.peer().node), || async {
            let (status, body) = readiness(&node.operators_url()).await;
            assert_eq!(status, 200, "{body}");
            if body["log"].as_bool() == Some(log) { Ok(()) } else { Err(body) }
        })
        .await;
        assert_eq!(readiness(&node.operators_url()).await.1["joins"], true);
    }
}

fn unnoticed(viewer: &Player, gaps: &Gaps) {
    assert!(gaps.longest() < NOTHING, "{:?}", gaps.longest());
    assert_eq!(viewer.report().borrow().video.streams, 1, "the same stream all along");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_is_purged_deleted_wiped_restored_or_switched_off_stops_nothing() {
    let mut nats = NatsServer::start().await;
    let mut nodes = Vec::new();
    for (name, region) in [("first", "west"), ("second", "east"), ("third", "west")] {
        let mut settings = config(name, region, &nats.url());
        settings.nats.storage = Storage::File;
        nodes.push(start(settings).await);
    }
    let nodes = [&nodes[0], &nodes[1], &nodes[2]];
    let [first, second, _] = nodes;
    acquainted(&nodes).await;
    let _publisher = publish(first, "all-along").await;
    heard_of(second, "all-along").await;
    let viewer = watch(second, "all-along").await;
    plays(&viewer, 3).await;
    let gaps = Gaps::of(&viewer);
    logs(nodes, true).await;
    works(nodes, "before").await;
    nats.back_up();

    let log = jetstream::new(nats.client().await);
    log.get_stream("HEADWATER_EVENTS").await.unwrap().purge().await.unwrap();
    works(nodes, "purged").await;
    log.delete_stream("HEADWATER_EVENTS").await.unwrap();
    works(nodes, "deleted").await;

    nats.wipe();
    nats.restart().await;
    works(nodes, "wiped").await;
    logs(nodes, true).await;

    // What it says of that time is over, and nobody takes it for true.
    nats.restore();
    nats.restart().await;
    works(nodes, "restored").await;
    logs(nodes, true).await;

    nats.set_jetstream(false);
    nats.restart().await;
    works(nodes, "without").await;
    logs(nodes, false).await;
    // Nor is it needed to start.
    let late = node("late", "north", &nats.url()).await;
    plays(&watch(&late, "all-along").await, 3).await;

    nats.set_jetstream(true);
    nats.restart().await;
    logs(nodes, true).await;
    plays_on(&viewer).await;
    unnoticed(&viewer, &gaps);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fleet_lives_without_jetstream_from_its_first_day() {
    let nats = NatsServer::of(Recipe { jetstream: false, ..Recipe::default() }).await;
    let first = node("first", "west", &nats.url()).await;
    let second = node("second", "east", &nats.url()).await;
    let third = node("third", "west", &nats.url()).await;
    acquainted(&[&first, &second, &third]).await;
    works([&first, &second, &third], "news").await;
    logs([&first, &second, &third], false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_without_quorum_still_carries_the_fleet() {
    let mut cluster = Deployed::start("cluster").await;
    let mut nodes = Vec::new();
    for name in ["east-1", "east-2", "east-3"] {
        nodes.push(start(cluster.node(name)).await);
    }
    let nodes = [&nodes[0], &nodes[1], &nodes[2]];
    acquainted(&nodes).await;
    logs(nodes, true).await;
    let _publisher = publish(nodes[0], "all-along").await;
    heard_of(nodes[1], "all-along").await;
    let viewer = watch(nodes[1], "all-along").await;
    plays(&viewer, 3).await;
    let gaps = Gaps::of(&viewer);
    // One of the three is away: the log goes on.
    cluster.server("nats-2.east.example.com").stop();
    works(nodes, "one-away").await;
    logs(nodes, true).await;
    // Two are: the log can't be written, and all else goes on.
    cluster.server("nats-3.east.example.com").stop();
    logs(nodes, false).await;
    works(nodes, "outvoted").await;
    cluster.server("nats-2.east.example.com").restart().await;
    cluster.server("nats-3.east.example.com").restart().await;
    logs(nodes, true).await;
    unnoticed(&viewer, &gaps);
    assert_eq!(cluster.violations(), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn someone_else_s_stream_over_our_subjects_is_no_obstacle() {
    let nats = NatsServer::start().await;
    let audit = StreamConfig {
        name: "AUDIT".to_owned(),
        subjects: vec!["room.>".to_owned(), "node.>".to_owned()],
        storage: StorageType::Memory,
        ..StreamConfig::default()
    };
    jetstream::new(nats.client().await).create_stream(audit).await.unwrap();
    let first = node("first", "west", &nats.url()).await;
    let second = node("second", "east", &nats.url()).await;
    let third = node("third", "west", &nats.url()).await;
    let nodes = [&first, &second, &third];
    acquainted(&nodes).await;
    // JetStream acknowledges each request to the one who asks, and often before the node answers.
    let mut publishers = Vec::new();
    for number in 0..20 {
        let room = format!("room-{number}");
        publishers.push(publish(&first, &room).await);
        heard_of(&second, &room).await;
        assert_eq!(knock(&second, &room).await.0, 201, "{room}");
    }
    works(nodes, "news").await;
    // Ours can't be made beside it: that is no reason to take nobody.
    assert_holds(Duration::from_secs(2), Duration::from_millis(500), "the nodes are ready", || async {
        let (status, body) = readiness(&first.operators_url()).await;
        if status == 200 { Ok(()) } else { Err(body) }
    })
    .await;
}
