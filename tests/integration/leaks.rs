//! Two hundred joins and leaves leave nothing behind.

use std::time::Duration;

use headwater::node::Node;

use crate::support::fleet::{SOON, acquainted, config, heard_of, metric, plays, publish, room, start, watch};
use crate::support::nats::NatsServer;
use crate::support::wait::eventually;

/// Resident memory of this process, in MiB.
fn resident() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<f64>().unwrap() / 1024.0
}

async fn quiet(nodes: [&Node; 2]) {
    for node in nodes {
        eventually(SOON, "nothing is left", || async {
            let routers = node.context().engine.router_count().await.unwrap();
            let viewers = metric(node, "headwater_viewers").await;
            let pipes = metric(node, "headwater_pipe_ports_used").await;
            if routers == 0 && viewers == 0.0 && pipes == 0.0 {
                Ok(())
            } else {
                Err((routers, viewers, pipes))
            }
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn joining_and_leaving_is_level() {
    let nats = NatsServer::start().await;
    let mut nodes = Vec::new();
    for (name, region) in [("origin", "west"), ("edge", "east")] {
        let mut settings = config(name, region, &nats.url());
        settings.timeouts.pipe_idle = Duration::from_millis(100);
        settings.timeouts.room_idle = Duration::from_millis(100);
        settings.log.filter = Some("warn".to_owned());
        nodes.push(start(settings).await);
    }
    let [origin, edge] = nodes.as_slice() else { panic!("two nodes") };
    acquainted(&[origin, edge]).await;
    let publisher = publish(origin, "news").await;
    heard_of(edge, "news").await;
    let mut levels = Vec::new();
    for cycle in 0..200 {
        let viewer = watch(edge, "news").await;
        if cycle % 20 == 0 {
            plays(&viewer, 1).await;
        }
        viewer.stop().await;
        // Now and then the pipe and the edge's room end as well, so that those are counted too.
        if cycle % 20 == 19 {
            eventually(SOON, "the edge's room ends", || async { room(edge, "news").await.is_none() }).await;
            levels.push(resident());
        }
    }
    publisher.stop().await.unwrap();
    quiet([origin, edge]).await;
    // The first cycles fill caches; from there on memory is level.
    let (early, late) = (levels[2], levels[9]);
    assert!(late - early < 24.0, "memory grew from {early:.0} to {late:.0} MiB: {levels:.0?}");
}
