//! What has to be so in the end.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::STREAMS;
use super::crew::{Crew, Viewer};
use super::machines::Machines;
use crate::support::monitors;
use crate::support::wait::eventually;

/// A publisher that lost its node may need some seconds to know, and its viewers then to hear of it.
const SETTLED: Duration = Duration::from_secs(60);
/// A node that carries so little takes less, whatever happened to it.
const MEMORY: f64 = 300.0;

/// Viewers of a stream by the name of their node.
type Audience = BTreeMap<String, u64>;

/// Every stream is live, and everyone who watches has it.
pub(super) async fn all_play(machines: &Machines, crew: &Crew) {
    let began = Instant::now();
    let last = RefCell::new(None);
    eventually(SETTLED, "everyone has media", || async {
        let silent: Vec<_> = crew.viewers().iter().map(Viewer::plays).filter_map(Result::err).collect();
        let streams = live(machines).await;
        if silent.is_empty() && streams == STREAMS {
            return Ok(());
        }
        last.replace(silent.first().cloned());
        Err((streams, silent))
    })
    .await;
    println!("after {:?} of rest all {} viewers have media", began.elapsed(), crew.viewers().len());
    if let Some(last) = last.into_inner() {
        println!("the last without: {last}");
    }
}

async fn live(machines: &Machines) -> usize {
    let mut streams = 0;
    for slot in &machines.slots {
        let node = slot.node.as_ref().expect("a node that runs");
        streams += node.metric("headwater_streams").await as usize;
    }
    streams
}

/// What the log folds to is what the nodes report.
pub(super) async fn the_log_says_so(machines: &Machines) {
    let mut settings = monitors::config("monitor", &machines.nats.url());
    settings.log.filter = Some("error".to_owned());
    let monitor = monitors::start(settings).await;
    for stream in 0..STREAMS {
        let room = format!("room-{stream}");
        eventually(SETTLED, format!("the log says of {room} what the nodes say"), || async {
            let told = monitors::get(&monitor.url(), &format!("/api/rooms/{room}")).await;
            let mut folded = Audience::new();
            gather(&told["streams"][0]["tree"], &mut folded);
            let mut reported = Audience::new();
            for slot in &machines.slots {
                let view = slot.node.as_ref().expect("a node that runs").room(&room).await;
                if let Some(viewers) = view["streams"][0]["viewers"].as_u64() {
                    reported.insert(slot.name.clone(), viewers);
                }
            }
            if folded == reported { Ok(()) } else { Err((folded, reported)) }
        })
        .await;
    }
    println!("the log folds to what the nodes report");
    monitor.stop().await;
}

/// The nodes of a tree and their viewers.
fn gather(tree: &Value, audience: &mut Audience) {
    let Some(name) = tree["node"].as_str() else { return };
    audience.insert(name.to_owned(), tree["viewers"].as_u64().unwrap_or(0));
    tree["children"].as_array().into_iter().flatten().for_each(|child| gather(child, audience));
}

/// No room, no pipe, no viewer, and no memory beyond what a node needs.
pub(super) async fn nothing_is_left(machines: &mut Machines) {
    for slot in &machines.slots {
        let node = slot.node.as_ref().expect("a node that runs");
        eventually(SETTLED, format!("nothing is left on {}", slot.name), || async {
            let mut left = Vec::new();
            for gauge in ["rooms", "streams", "viewers", "pipes", "pipe_ports_used", "claims"] {
                let value = node.metric(&format!("headwater_{gauge}")).await;
                if value != 0.0 {
                    left.push((gauge, value));
                }
            }
            if left.is_empty() { Ok(()) } else { Err(left) }
        })
        .await;
    }
    let resident = machines.resident();
    println!("nothing is left; resident memory of the nodes: {resident:.0?} MiB");
    assert!(resident.iter().all(|one| *one < MEMORY), "{resident:?}");
}
