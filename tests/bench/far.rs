//! Two datacenters 60 ms apart that lose one packet in a hundred between them.

use std::time::{Duration, Instant};

use crate::post::{end, offer, post, session};
use crate::support::child::ChildNode;
use crate::support::datacenters::Datacenters;
use crate::support::far::Way;
use crate::support::fleet::{SOON, heard_of, http, plays, publish, watch};
use crate::support::gaps::goes_on;
use crate::support::wait::eventually;
use crate::table::{self, Samples};

const ROOM: &str = "news";
/// Two round trips, and what may come on top.
const JOIN_MS: f64 = 2.0 * 60.0 + 50.0;
/// Per cent.
const LOSS: f64 = 0.1;
/// What a viewer's loss is counted over.
const COUNTED: Duration = Duration::from_secs(10);

/// Lets a room go at once, and logs nothing that takes time.
const FORGETFUL: [(&str, &str); 3] = [
    ("HEADWATER_LOG__FILTER", "error"),
    ("HEADWATER_TIMEOUTS__PIPE_IDLE", "500ms"),
    ("HEADWATER_TIMEOUTS__ROOM_IDLE", "10ms"),
];

pub(crate) async fn run(trials: usize) {
    let Some(fleet) = Datacenters::start(&["west", "east"], 1, Way::SIXTY).await else { return };
    let origin = fleet.node("origin", 0, 0, &FORGETFUL).await;
    let edge = fleet.node("edge", 1, 0, &FORGETFUL).await;
    let _publisher = publish(&origin, ROOM).await;
    heard_of(&edge, ROOM).await;
    // A lost packet of TCP costs a join some 200 ms: the more joins, the truer the median.
    let joins = 3 * trials;
    let (http, offer, url) = (http(), offer(), format!("{}/whep/{ROOM}", edge.public_url()));
    let mut answers = Vec::new();
    for _ in 0..joins {
        forgotten(&origin, &edge).await;
        let (took, viewer) = post(&http, &url, &offer).await;
        answers.push(took);
        let location = session(&viewer);
        let location =
            if location.starts_with('/') { format!("{}{location}", edge.public_url()) } else { location };
        end(&http, &location).await;
    }
    let mut pictures = Vec::new();
    for _ in 0..trials {
        forgotten(&origin, &edge).await;
        let viewer = watch(&edge, ROOM).await;
        plays(&viewer, 1).await;
        pictures.push(Duration::from_secs_f64(
            viewer.report().borrow().video.first_frame_ms.unwrap_or(0.0) / 1000.0,
        ));
        viewer.stop().await;
    }
    let at = "60 ms and 1 % loss between";
    Samples::from_iter(answers).print_wanted(&format!("cold join, {at}: POST to 201"), JOIN_MS);
    Samples::from_iter(pictures).print(&format!("cold join, {at}: POST to picture"));

    let viewer = watch(&edge, ROOM).await;
    plays(&viewer, 25).await;
    let gaps = crate::support::gaps::Gaps::of(&viewer);
    let mut losses = Vec::new();
    let began = fleet.ways()[0].carried();
    for _ in 0..trials {
        let before = viewer.report().borrow().clone();
        goes_on(COUNTED, &[&gaps]).await;
        let now = viewer.report().borrow().clone();
        let lost = now.lost.saturating_sub(before.lost) as f64;
        losses.push(100.0 * lost / ((now.packets - before.packets) as f64 + lost));
    }
    let ended = fleet.ways()[0].carried();
    let (carried, dropped) = ((ended.0 - began.0) as f64, (ended.1 - began.1) as f64);
    table::value("loss on the way", 100.0 * dropped / (carried + dropped), "%", 1);
    table::values_wanted(&format!("loss after repair, {COUNTED:?} each"), losses, "%", LOSS);
    viewer.stop().await;
    drop((origin, edge));
}

/// Waits until the edge has nothing of the room, and the origin nothing of the edge.
async fn forgotten(origin: &ChildNode, edge: &ChildNode) {
    eventually(SOON, "the edge forgets the room", || async {
        let gone = edge.room(ROOM).await["room"].is_null();
        let let_go = origin.room(ROOM).await["children"].as_array().is_some_and(Vec::is_empty);
        if gone && let_go { Ok(()) } else { Err((gone, let_go)) }
    })
    .await;
    // Nothing of it is under way any more.
    let settled = Instant::now() + Duration::from_millis(100);
    tokio::time::sleep_until(settled.into()).await;
}
