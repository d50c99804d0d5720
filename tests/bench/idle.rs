//! What a node costs at which nothing happens: many rooms whose publishers send nothing, and pages that are open.

use std::fs;
use std::path::Path;
use std::time::Duration;

use headwater::client::{Clip, PublishOptions, Publisher};
use tokio::task::JoinSet;
use tokio::time::{Instant, interval_at, sleep};

use crate::support::child::ChildNode;
use crate::support::fleet::{SOON, http};
use crate::support::nats::NatsServer;
use crate::support::process::Process;
use crate::support::wait::eventually;
use crate::{table, threads};

const ROOMS: usize = 1_000;
/// How long rooms take to come to rest once nothing is sent to them.
const REST: Duration = Duration::from_secs(30);
/// Over how long processor time is counted.
const SPAN: Duration = Duration::from_secs(20);
/// Open pages, how often each asks (`pages/watch.js`), and what all may take of a core.
const PAGES: u32 = 300;
const ASKS: Duration = Duration::from_secs(10);
const PAGES_PERCENT: f64 = 1.0;
/// What 10,000 rooms may take of a core.
const ROOMS_PERCENT: f64 = 5.0;

pub(crate) async fn run() {
    let nats = NatsServer::start().await;
    let settings = [
        ("HEADWATER_LOG__FILTER", "error"),
        ("HEADWATER_TIMEOUTS__ROOM_IDLE", "10m"),
        ("HEADWATER_LIMITS__ROOMS", "20000"),
        ("HEADWATER_LIMITS__STREAMS", "20000"),
    ];
    let mut node = ChildNode::start("node", "west", &nats.url(), &settings).await;
    let pid = node.process().child().id();
    let url = node.public_url();
    let idle = used(pid, SPAN).await.0;
    table::value("an idle node, of a core", idle, "%", 1);

    let folder = tempfile::tempdir().expect("a folder");
    let quiet = folder.path().join("quiet.ivf");
    write_quiet(&quiet);
    let clip = Clip::open(Some(&quiet), None).expect("a clip");
    let one = PublishOptions::new(format!("{url}/whip/one"), clip.into());
    let one = Publisher::start(one).await.expect("the publisher is taken");
    sleep(REST).await;
    let before = used(pid, SPAN).await.0;
    let mut pages = open_pages(&format!("{url}/api/status/one/main"));
    // Each has its connection once it has asked.
    sleep(ASKS).await;
    let with = used(pid, SPAN).await.0;
    pages.shutdown().await;
    let what = format!("{PAGES} open pages that ask for a stream's status, of a core");
    table::values_wanted(&what, vec![with - before], "%", PAGES_PERCENT);
    one.stop().await.expect("the publisher ends");

    let load = Process::spawn(env!("CARGO_BIN_EXE_headwater"), |command| {
        let rooms = ROOMS.to_string();
        command.args(["load", "--publishers", &rooms, "--rooms", &rooms, "--rate", "100/s", "--for", "1h"]);
        command.args(["--whip", &url, "--video"]).arg(&quiet).args(["--json", "--log", "error"]);
    });
    let load = load.expect("the program runs");
    eventually(SOON * 3, "all rooms are open", || async {
        let open = node.metric("headwater_rooms").await;
        if open > ROOMS as f64 { Ok(()) } else { Err(open) }
    })
    .await;
    sleep(REST).await;
    let (all, media) = used(pid, SPAN).await;
    table::value("1,000 rooms with a publisher that sends nothing, of a core", all, "%", ROOMS);
    table::value("the media worker's part of 1,000 such rooms, of a core", media, "%", ROOMS);
    drop(load);
    eventually(SOON * 6, "all publishers are gone", || async {
        let live = node.metric("headwater_streams").await;
        if live < 1.0 { Ok(()) } else { Err(live) }
    })
    .await;
    sleep(REST).await;
    // What the node takes without them it takes once.
    let empty = vec![idle + 10.0 * (used(pid, SPAN).await.0 - idle)];
    table::values_wanted(
        "a node with 10,000 empty rooms by 1,000 of them, of a core",
        empty,
        "%",
        ROOMS_PERCENT,
    );
}

/// A clip of which one picture is sent at once, and the next one an hour later.
fn write_quiet(to: &Path) {
    let clip = concat!(env!("CARGO_MANIFEST_DIR"), "/src/client/clip/test-quarter.ivf");
    let file = fs::read(clip).expect("the test clip");
    let size = u32::from_le_bytes(file[32..36].try_into().expect("four bytes"));
    let picture = &file[44..44 + size as usize];
    let mut quiet = file[..16].to_vec();
    quiet.extend(1_u32.to_le_bytes());
    quiet.extend(1_u32.to_le_bytes());
    quiet.extend(&file[24..32]);
    for second in [0_u64, 3600] {
        quiet.extend(size.to_le_bytes());
        quiet.extend(second.to_le_bytes());
        quiet.extend(picture);
    }
    fs::write(to, quiet).expect("the clip is written");
}

/// Pages that ask by turns, each over a connection of its own.
fn open_pages(url: &str) -> JoinSet<()> {
    let page = |number| {
        let url = url.to_owned();
        async move {
            let mut due = interval_at(Instant::now() + ASKS * number / PAGES, ASKS);
            let client = http();
            loop {
                due.tick().await;
                let answer = client.get(&url).send().await.expect("an answer");
                assert!(answer.bytes().await.expect("a body").len() > 100);
            }
        }
    };
    (0..PAGES).map(page).collect()
}

/// What a process uses of a core for a while, and its media workers' part of that, in percent.
async fn used(pid: u32, span: Duration) -> (f64, f64) {
    let before = threads::used(pid);
    sleep(span).await;
    let after = threads::used(pid);
    let percent = |seconds: f64| 100.0 * seconds / span.as_secs_f64();
    (percent(after.all - before.all), percent(after.media - before.media))
}
