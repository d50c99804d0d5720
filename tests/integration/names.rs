//! One name, one process: a second one does not start, and a successor waits for nothing.

use std::time::Duration;

use crate::support::child::{ChildNode, Place};
use crate::support::fleet::{SOON, get_json, get_status, heard_of, node, plays, plays_on, publish, watch};
use crate::support::gaps::{Gaps, NOTHING};
use crate::support::nats::NatsServer;
use crate::support::wait::{assert_holds, eventually};

/// A process that serves nobody says why within this.
const REFUSED: Duration = Duration::from_secs(10);

/// Waits until it has gone by itself, in failure, and has said which name is taken.
async fn gives_up(second: &mut ChildNode, name: &str) {
    let status = eventually(REFUSED, "the second of the name gives up", || {
        let exited = second.process().exited();
        async move { exited }
    })
    .await;
    assert!(!status.success(), "{status}");
    let log = second.log();
    let last = log.lines().last().unwrap_or_default();
    assert!(last.contains(name), "its last word names the name: {log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_process_of_a_name_gives_up_and_says_so() {
    let nats = NatsServer::start().await;
    let first = ChildNode::start("twin", "west", &nats.url(), &[]).await;
    let edge = node("edge", "east", &nats.url()).await;
    let _publisher = publish(&first, "news").await;
    heard_of(&edge, "news").await;
    let viewer = watch(&edge, "news").await;
    plays(&viewer, 5).await;
    let gaps = Gaps::of(&viewer);
    let mut second = ChildNode::spawn("twin", "west", &nats.url(), &[], &Place::default());
    gives_up(&mut second, "twin").await;
    assert_eq!(get_status(&format!("{}/readyz", first.operators_url())).await, 200);
    // The first was asked by newcomers all the time, and answers each of them.
    let late = node("late", "north", &nats.url()).await;
    plays(&watch(&late, "news").await, 3).await;
    assert!(gaps.longest() < NOTHING, "{:?}", gaps.longest());

    // Of two that start in the same instant one stays.
    let mut pair = [(); 2].map(|()| ChildNode::spawn("pair", "west", &nats.url(), &[], &Place::default()));
    let gone = eventually(REFUSED, "one of the two gives up", || {
        let gone = pair.iter_mut().position(|node| node.process().exited().is_some());
        async move { gone }
    })
    .await;
    gives_up(&mut pair[gone], "pair").await;
    let stays = &mut pair[1 - gone];
    stays.ready().await;
    assert!(stays.process().exited().is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_successor_serves_while_its_former_self_drains() {
    let nats = NatsServer::start().await;
    let drain = [("HEADWATER_TIMEOUTS__DRAIN", "12s")];
    let mut former = ChildNode::start("node", "west", &nats.url(), &drain).await;
    let edge = node("edge", "east", &nats.url()).await;
    let _old = publish(&former, "old").await;
    heard_of(&edge, "old").await;
    let kept = watch(&edge, "old").await;
    plays(&kept, 5).await;
    let gaps = Gaps::of(&kept);
    former.process().signal("TERM");
    let ready = format!("{}/readyz", former.operators_url());
    eventually(SOON, "it says that it drains", || async { get_status(&ready).await == 503 }).await;

    let successor = ChildNode::start("node", "west", &nats.url(), &[]).await;
    assert!(former.process().exited().is_none(), "it started beside its former self");
    let _new = publish(&successor, "new").await;
    heard_of(&edge, "new").await;
    let fresh = watch(&edge, "new").await;
    plays(&fresh, 5).await;
    let fresh_gaps = Gaps::of(&fresh);
    // The old stream is the former's until it ends it.
    plays_on(&kept).await;
    assert!(gaps.longest() < NOTHING, "{:?}", gaps.longest());
    let status = eventually(SOON, "the former exits", || {
        let exited = former.process().exited();
        async move { exited }
    })
    .await;
    assert!(status.success(), "{status}");
    eventually(SOON, "the old stream is over", || async {
        get_json(&format!("{}/api/status/old/main", edge.public_url())).await["live"] == false
    })
    .await;
    // What the successor has is untouched by its former self's end.
    assert_holds(Duration::from_secs(4), Duration::from_millis(500), "the new stream plays", || async {
        let live = get_json(&format!("{}/api/status/new/main", edge.public_url())).await;
        let gap = fresh_gaps.longest();
        if gap < NOTHING && live["live"] == true { Ok(()) } else { Err((gap, live)) }
    })
    .await;
}
