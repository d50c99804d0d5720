//! How many watch a stream: the same number on every node of its tree.

use headwater::node::Node;

use crate::support::fleet::{SOON, acquainted, config, get_json, heard_of, plays, publish, start, watch};
use crate::support::nats::NatsServer;
use crate::support::wait::eventually;

/// What a node says of the viewers of `news`: on all nodes, and on this one.
async fn counted(node: &Node) -> (Option<u64>, Option<u64>) {
    let status = get_json(&format!("{}/api/status/news/main", node.public_url())).await;
    (status["viewers"].as_u64(), status["viewersHere"].as_u64())
}

async fn all_count(nodes: &[(&Node, u64)], all: u64) {
    for (node, here) in nodes {
        let what = format!("{} counts {all} viewers, {here} of them its own", node.peer().node);
        eventually(SOON, what, || async {
            let counted = counted(node).await;
            if counted == (Some(all), Some(*here)) { Ok(()) } else { Err(counted) }
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn viewers_are_counted_over_origin_relay_and_edge() {
    let nats = NatsServer::start().await;
    let renewed_often = async |name, region| {
        let mut settings = config(name, region, &nats.url());
        settings.timeouts.lease_renewal = std::time::Duration::from_millis(500);
        start(settings).await
    };
    let origin = renewed_often("origin", "west").await;
    let a = renewed_often("east-a", "east").await;
    let b = renewed_often("east-b", "east").await;
    let idle = renewed_often("idle", "west").await;
    acquainted(&[&origin, &a, &b, &idle]).await;
    assert_eq!(counted(&a).await, (Some(0), Some(0)), "nothing is published");
    let publisher = publish(&origin, "news").await;
    for node in [&a, &b, &idle] {
        heard_of(node, "news").await;
    }
    all_count(&[(&origin, 0)], 0).await;
    let at_home = watch(&origin, "news").await;
    let first = watch(&a, "news").await;
    plays(&first, 3).await;
    // One of the two pulls from the other, so that the number goes over two hops.
    let second = watch(&b, "news").await;
    let third = watch(&b, "news").await;
    plays(&third, 3).await;
    all_count(&[(&origin, 1), (&a, 1), (&b, 2)], 4).await;
    assert_eq!(counted(&idle).await, (None, Some(0)), "it is no part of the tree, and knows that");
    for viewer in [first, second, at_home] {
        viewer.stop().await;
    }
    all_count(&[(&origin, 0), (&b, 1)], 1).await;
    drop(third);
    publisher.stop().await.unwrap();
}
