//! The monitor: folding, starting, and what recording costs a node.

use std::fs;
use std::time::{Duration, Instant};

use headwater::monitor::Monitor;
use headwater::monitor::fold::State;
use headwater::protocol::codec;
use headwater::protocol::event::{About, Event, ViewerId, ViewerJoined, What};
use headwater::protocol::subjects::Subjects;
use uuid::Uuid;

use crate::support::events::logged;
use crate::support::fleet::{self, get_status};
use crate::support::history::history;
use crate::support::monitors;
use crate::support::nats::NatsServer;
use crate::support::wait::eventually;
use crate::{page, table};

const ROOMS: usize = 2_000;
const NODES: usize = 200;
const FOLDED: usize = 400_000;
const STORED: usize = 1_000_000;
/// What happens while the page is looked at.
const FURTHER: usize = 2_000;
const RECORDED: u64 = 20_000;
/// A node with 200 viewers who stay a minute each tells of so many joins and leaves a second, and of
/// its rooms.
const TOLD_PER_SECOND: f64 = 200.0 / 60.0 * 2.0 + 1.0;
const LIMIT: Duration = Duration::from_secs(120);

pub(crate) async fn run() {
    fold();
    record().await;
    start().await;
}

/// Folding alone, without reading: what the processor can do.
fn fold() {
    let events = history(1, FOLDED, ROOMS, NODES);
    let before = resident();
    let begin = Instant::now();
    let mut state = State::default();
    for (sequence, event) in (1..).zip(&events) {
        state.apply(sequence, event.time, Some(event));
    }
    let rate = events.len() as f64 / begin.elapsed().as_secs_f64();
    table::value("events folded in a second, wanted >= 500000", rate, "/s", events.len());
    let each = (resident() - before) * 1024.0 / ROOMS as f64;
    table::value("memory of the monitor for each room", each, "KiB", ROOMS);
    drop(state);
}

/// What recording costs a node: processor time for each event, and the share of a core for a busy node.
async fn record() {
    let nats = NatsServer::start().await;
    let mut settings = fleet::config("node", "west", &nats.url());
    settings.log.filter = Some("error".to_owned());
    settings.events.buffer = RECORDED as usize + 100;
    let node = fleet::start(settings).await;
    let about = About::Room("crowd".parse().unwrap());
    let before = processor();
    for viewers in 0..RECORDED {
        let joined = ViewerJoined {
            stream: "main".parse().unwrap(),
            viewer: ViewerId(Uuid::now_v7()),
            warm: true,
            join_us: 900,
            viewers: u32::try_from(viewers).unwrap(),
        };
        node.context().events.record(about.clone(), What::ViewerJoined(joined));
    }
    eventually(LIMIT, "all is stored", || async {
        let span = node.context().broker.events_span().await.ok()?;
        (span.last.0 > RECORDED).then_some(())
    })
    .await;
    let spent = (processor() - before).as_secs_f64();
    assert!(logged(&node).await.len() as u64 > RECORDED);
    let each = spent / RECORDED as f64;
    table::value("processor time for each event that a node records", each * 1e6, "us", RECORDED as usize);
    let share = each * TOLD_PER_SECOND * 100.0;
    table::value(
        "events of 200 viewers of a minute each, wanted < 1",
        share,
        "% of a core",
        RECORDED as usize,
    );
    node.stop().await;
}

/// How long a monitor takes from its start until it has all, with and without snapshots.
async fn start() {
    let nats = NatsServer::start().await;
    let mut settings = monitors::config("monitor", &nats.url());
    settings.log.filter = Some("error".to_owned());
    settings.events.max_bytes = 8 << 30;
    // It makes the log.
    started(settings.clone(), 0).await;
    let events = history(2, STORED + FURTHER, ROOMS, NODES);
    let (stored, further) = events.split_at(STORED);
    store(&nats, stored).await;
    let without = started(settings.clone(), STORED).await;
    table::value("a monitor's start, 1,000,000 events, no snapshot", without, "s", 1);
    let with = started(settings.clone(), STORED).await;
    table::value("a monitor's start, 1,000,000 events, with snapshots, wanted <= 5", with, "s", 1);
    page::run(&nats, settings, further).await;
}

/// Seconds from a monitor's start until it has read all.
async fn started(config: headwater::config::Config, events: usize) -> f64 {
    let begin = Instant::now();
    let monitor = Monitor::start(config).await.expect("the monitor starts");
    let ready = format!("{}/readyz", monitor.url());
    eventually(LIMIT, "the monitor has read all", || async {
        (get_status(&ready).await == 200).then_some(())
    })
    .await;
    let took = begin.elapsed().as_secs_f64();
    let fleet = monitors::get(&monitor.url(), "/api/fleet").await;
    assert!(fleet["at"]["sequence"].as_u64().unwrap_or(0) >= events as u64, "{}", fleet["at"]);
    monitor.stop().await;
    took
}

/// Stores a history as nodes would.
async fn store(nats: &NatsServer, events: &[Event]) {
    let client = nats.client().await;
    let subjects = Subjects::new("").unwrap();
    for event in events {
        let payload = codec::encode::<Event>(event).unwrap();
        client.publish(subjects.event(&event.subject, &event.source.node), payload.into()).await.unwrap();
    }
    client.flush().await.unwrap();
    let jetstream = async_nats::jetstream::new(client);
    eventually(LIMIT, "all is stored", || async {
        let stream = jetstream.get_stream("HEADWATER_EVENTS").await.ok()?;
        (stream.cached_info().state.last_sequence >= STORED as u64).then_some(())
    })
    .await;
}

/// This process's resident memory in MiB.
fn resident() -> f64 {
    let status = fs::read_to_string("/proc/self/status").expect("this process runs");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("VmRSS");
    let kib: f64 = line.trim().trim_end_matches("kB").trim().parse().expect("a number");
    kib / 1024.0
}

/// This process's processor time; Linux counts it in hundredths of a second.
fn processor() -> Duration {
    let stat = fs::read_to_string("/proc/self/stat").expect("this process runs");
    let fields: Vec<&str> = stat.rsplit_once(')').expect("its name").1.split_whitespace().collect();
    let ticks: u64 = fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap();
    Duration::from_millis(ticks * 10)
}
