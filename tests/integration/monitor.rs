//! The monitor: its picture, now and at past moments, as operators ask for it.

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::StreamExt;
use headwater::broker::events::Start;
use headwater::client::{Player, Publisher};
use headwater::node::Node;
use headwater::protocol::codec;
use serde_json::Value;

use crate::support::deployed::Deployed;
use crate::support::fleet::{
    SOON, acquainted, config, get_status, heard_of, http, node, plays, publish, publish_with, start, watch,
    watch_with,
};
use crate::support::monitors::{self, ChildMonitor, caught_up, draws, get, monitor, tree};
use crate::support::nats::NatsServer;
use crate::support::wait::eventually;

#[tokio::test(flavor = "multi_thread")]
async fn the_picture_follows_the_fleet_and_goes_back_to_any_moment() {
    let nats = NatsServer::start().await;
    let monitor = monitor(&nats.url()).await;
    let url = monitor.url();
    let origin = node("origin", "west", &nats.url()).await;
    let edge = node("edge", "east", &nats.url()).await;
    acquainted(&[&origin, &edge]).await;
    let publisher = publish(&origin, "news").await;
    draws(&url, "news", "origin").await;
    let alone = get(&url, "/api/rooms/news").await["at"]["sequence"].as_u64().unwrap();
    heard_of(&edge, "news").await;
    let viewer = watch(&edge, "news").await;
    plays(&viewer, 3).await;
    draws(&url, "news", "origin(edge)").await;
    let room = eventually(SOON, "the figures are there", || async {
        let room = get(&url, "/api/rooms/news").await;
        let line = &room["streams"][0]["tree"]["children"][0];
        let flows = line["pipe"]["bitrate"].as_u64() > Some(10_000) && room["viewers"] == 1;
        if flows { Ok(room) } else { Err(room.to_string()) }
    })
    .await;
    let line = &room["streams"][0]["tree"]["children"][0];
    assert_eq!((line["role"].as_str(), line["hops"].as_u64()), (Some("edge"), Some(1)), "{room}");
    assert!(line["pipe"]["setupUs"].as_u64() > Some(0), "{room}");
    let fleet = get(&url, "/api/fleet").await;
    assert_eq!(fleet["links"][0]["from"], "west", "{fleet}");
    assert_eq!(fleet["links"][0]["to"], "east", "{fleet}");
    let together = room["at"].clone();
    viewer.stop().await;
    publisher.stop().await.unwrap();
    eventually(SOON, "the stream's end is seen", || async {
        let room = get(&url, "/api/rooms/news").await;
        (room["live"] == false && room["viewers"] == 0).then_some(())
    })
    .await;
    // Back, by an event's place and by a time, in any order.
    let at = |moment: &str| format!("/api/rooms/news?at={moment}");
    let place = together["sequence"].to_string();
    assert_eq!(tree(&url, &at(&place)).await, "origin(edge)");
    assert_eq!(tree(&url, &at(&alone.to_string())).await, "origin");
    assert_eq!(tree(&url, &at(together["time"].as_str().unwrap())).await, "origin(edge)");
    assert_eq!(get(&url, &at(&place)).await["viewers"], 1);
    assert_eq!(get_status(&format!("{url}/api/rooms/news?at=1")).await, 404, "before it began");
    assert_eq!(get_status(&format!("{url}/api/rooms/news?at=yesterday")).await, 400);
    // What happened, in words, by the page.
    let all = eventually(SOON, "pages backwards are the whole", || async {
        let all = get(&url, "/api/rooms/news/events?limit=1000").await["events"].clone();
        let paged = backwards(&url, "/api/rooms/news/events?limit=3").await;
        // While something still happens the two are of different moments.
        if all.as_array() == Some(&paged) { Ok(paged) } else { Err((all, paged)) }
    })
    .await;
    let types: Vec<_> = all.iter().map(|event| event["event"]["type"].as_str().unwrap()).collect();
    for expected in ["stream.started", "pipe.opened", "viewer.joined", "viewer.left", "stream.ended"] {
        assert!(types.contains(&expected), "{expected}: {types:?}");
    }
    let text = get_text(&format!("{url}/metrics")).await;
    assert!(text.contains("headwater_fleet_viewers_joined_total 1"), "{text}");
    assert!(text.contains("headwater_fleet_join_seconds_count{kind=\"cold\"} 1"), "{text}");
    assert!(text.contains("le=\"+Inf\""), "{text}");
    let sent = |line: &&str| line.contains("headwater_fleet_media_bytes_total") && line.contains("watched");
    assert!(text.lines().filter(sent).any(|line| !line.ends_with(" 0")), "{text}");
    monitor.stop().await;
}

/// All events, by pages from the last one to the first.
async fn backwards(url: &str, path: &str) -> Vec<Value> {
    let mut paged = Vec::new();
    let mut before = String::new();
    loop {
        let page = get(url, &format!("{path}{before}")).await;
        paged.splice(0..0, page["events"].as_array().unwrap().clone());
        if page["more"] != true {
            return paged;
        }
        before = format!("&before={}", page["first"]);
    }
}

async fn get_text(url: &str) -> String {
    http().get(url).send().await.unwrap().text().await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_monitor_has_lost_nothing_and_two_see_the_same() {
    let nats = NatsServer::start().await;
    let small = [("HEADWATER_MONITOR__SNAPSHOT_EVERY", "10")];
    let mut killed = ChildMonitor::spawn(&nats.url(), &small);
    let origin = node("origin", "west", &nats.url()).await;
    let _publisher = publish(&origin, "news").await;
    // Killed again and again, in the midst of what happens.
    for round in 0..4 {
        for _ in 0..4 {
            watch(&origin, "news").await.stop().await;
        }
        if round == 0 {
            caught_up(&killed.url()).await;
        }
        killed.kill();
        watch(&origin, "news").await.stop().await;
        killed = ChildMonitor::spawn(&nats.url(), &small);
    }
    caught_up(&killed.url()).await;
    // A fresh one, which reads everything, sees the same.
    let mut settings = monitors::config("fresh", &nats.url());
    settings.monitor.snapshot_every = 1_000_000;
    let fresh = monitors::start(settings).await;
    eventually(SOON, "both see all of it", || async {
        let mut seen = Vec::new();
        for url in [killed.url(), fresh.url()] {
            seen.push((get(&url, "/api/fleet").await, get(&url, "/api/rooms/news").await));
        }
        let joined = seen[0].1["counters"]["viewersJoined"].as_u64();
        let left = seen[0].1["counters"]["viewersLeft"].as_u64();
        let same = seen[0] == seen[1];
        if same && joined == Some(20) && left == Some(20) { Ok(()) } else { Err(format!("{seen:?}")) }
    })
    .await;
    let started = nats.client().await;
    let jetstream = async_nats::jetstream::new(started);
    let snapshots = jetstream.get_object_store("HEADWATER_SNAPSHOTS").await.expect("there are snapshots");
    assert!(snapshots.list().await.unwrap().count().await > 0);
}

/// A small deterministic source of numbers.
struct Dice(u64);

impl Dice {
    fn below(&mut self, n: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % n
    }
}

/// What matters of a room: each stream's viewers by node, and who sends to whom.
type Shape = (BTreeMap<(String, String), u64>, Vec<(String, String)>);

async fn shape_told_by_nodes(nodes: &[Node], room: &str) -> Shape {
    let (mut viewers, mut lines) = (BTreeMap::new(), Vec::new());
    for node in nodes {
        let me = node.peer().node.to_string();
        let Some(view) = node.rooms().inspect(room.parse().unwrap()).await else { continue };
        for stream in &view.streams {
            viewers.insert((stream.stream.to_string(), me.clone()), stream.viewers as u64);
        }
        for child in view.children.iter().filter(|child| child.connected) {
            lines.push((me.clone(), child.peer.node.to_string()));
        }
    }
    lines.sort();
    (viewers, lines)
}

fn shape_of(room: &Value) -> Shape {
    fn walk(
        stream: &str,
        node: &Value,
        viewers: &mut BTreeMap<(String, String), u64>,
        lines: &mut Vec<(String, String)>,
    ) {
        let me = node["node"].as_str().unwrap().to_owned();
        viewers.insert((stream.to_owned(), me.clone()), node["viewers"].as_u64().unwrap());
        for child in node["children"].as_array().unwrap() {
            lines.push((me.clone(), child["node"].as_str().unwrap().to_owned()));
            walk(stream, child, viewers, lines);
        }
    }
    let (mut viewers, mut lines) = (BTreeMap::new(), Vec::new());
    for stream in room["streams"].as_array().into_iter().flatten().filter(|stream| stream["live"] == true) {
        if stream["tree"].is_object() {
            walk(stream["stream"].as_str().unwrap(), &stream["tree"], &mut viewers, &mut lines);
        }
    }
    lines.sort();
    lines.dedup();
    (viewers, lines)
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_random_history_the_picture_agrees_with_the_nodes() {
    let nats = NatsServer::start().await;
    let monitor = monitor(&nats.url()).await;
    let names = [("w-1", "west"), ("e-1", "east"), ("e-2", "east")];
    let mut nodes = Vec::new();
    // Streams are taken over more often than real publishers may.
    let node = async |name: &str, region: &str| {
        let mut settings = config(name, region, &nats.url());
        settings.media.takeover_pause = Duration::ZERO;
        start(settings).await
    };
    for (name, region) in names {
        nodes.push(node(name, region).await);
    }
    acquainted(&nodes.iter().collect::<Vec<_>>()).await;
    let rooms = ["red", "blue"];
    let mut dice = Dice(0x9e37_79b9_7f4a_7c15);
    // With the node that each is on.
    let mut publishers: BTreeMap<&str, (usize, Publisher)> = BTreeMap::new();
    let mut viewers: Vec<(usize, Player)> = Vec::new();
    // What a small fleet may see in an hour.
    for _ in 0..300 {
        let room = rooms[dice.below(2) as usize];
        let at = dice.below(3) as usize;
        let on = &nodes[at];
        match dice.below(100) {
            0..=19 => {
                // Somewhere else: a takeover where it is live already.
                let publisher = publish_with(on, room, |options| options.video = dice.below(4) > 0).await;
                if let Some((_, former)) = publishers.insert(room, (at, publisher)) {
                    let _ = former.stop().await;
                }
            }
            20..=29 => {
                if let Some((_, publisher)) = publishers.remove(room) {
                    let _ = publisher.stop().await;
                }
            }
            30..=64 if !viewers.is_empty() => {
                let (_, viewer) = viewers.swap_remove(dice.below(viewers.len() as u64) as usize);
                viewer.stop().await;
            }
            65..=67 => {
                // Its viewers and publishers go with it; those on other nodes wait for a stream to come back.
                viewers.retain(|(node, _)| *node != at);
                publishers.retain(|_, (node, _)| *node != at);
                nodes.remove(at).stop().await;
                let (name, region) = names[at];
                nodes.insert(at, node(name, region).await);
                acquainted(&nodes.iter().collect::<Vec<_>>()).await;
            }
            _ if publishers.contains_key(room) => {
                heard_of(on, room).await;
                let viewer = watch_with(on, room, |options| options.retry_until_live = Some(SOON)).await;
                viewers.push((at, viewer));
            }
            _ => {}
        }
    }
    for room in rooms {
        eventually(Duration::from_secs(40), "the picture agrees with the nodes", || async {
            let told = shape_told_by_nodes(&nodes, room).await;
            let picture = get(&monitor.url(), &format!("/api/rooms/{room}")).await;
            let folded = shape_of(&picture);
            if told == folded { Ok(()) } else { Err(format!("nodes: {told:?}\nmonitor: {folded:?}")) }
        })
        .await;
    }
    // And so does one that reads it all afterwards.
    let replayed = monitors::start(monitors::config("replayed", &nats.url())).await;
    for room in rooms {
        let path = format!("/api/rooms/{room}");
        eventually(SOON, "a replay gives the same", || async {
            let (live, again) = (get(&monitor.url(), &path).await, get(&replayed.url(), &path).await);
            if live == again { Ok(()) } else { Err(format!("live: {live}\nreplayed: {again}")) }
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_forgotten_room_is_gone_from_the_log_the_picture_and_the_past() {
    let nats = NatsServer::start().await;
    let mut settings = monitors::config("one", &nats.url());
    settings.monitor.snapshot_every = 5;
    let one = monitors::start(settings).await;
    let two = monitors::start(monitors::config("two", &nats.url())).await;
    let origin = node("origin", "west", &nats.url()).await;
    for room in ["secret", "public"] {
        let publisher = publish(&origin, room).await;
        watch(&origin, room).await.stop().await;
        publisher.stop().await.unwrap();
    }
    let before = eventually(SOON, "the room is over", || async {
        let page = get(&one.url(), "/api/rooms/secret/events").await;
        let events = page["events"].as_array()?;
        let closed = events.iter().any(|event| event["event"]["type"] == "room.closed");
        closed.then(|| page["last"].as_u64()).flatten()
    })
    .await;
    let past = format!("/api/rooms/secret?at={before}");
    assert_eq!(get_status(&format!("{}{past}", one.url())).await, 200);
    // A name that was mistyped is not taken for one that was forgotten.
    let mistyped = format!("{}/api/rooms/secrets", one.url());
    assert_eq!(http().delete(format!("{mistyped}/history")).send().await.unwrap().status(), 404);
    assert_eq!(get_status(&format!("{mistyped}/events")).await, 404);
    let forget = format!("{}/api/rooms/secret/history", one.url());
    assert_eq!(http().delete(&forget).send().await.unwrap().status(), 204);
    for url in [one.url(), two.url()] {
        eventually(SOON, "the room is forgotten", || async {
            let now = get_status(&format!("{url}/api/rooms/secret")).await;
            let then = get_status(&format!("{url}{past}")).await;
            if (now, then) == (404, 404) { Ok(()) } else { Err(format!("{now} {then}")) }
        })
        .await;
        let events = get(&url, "/api/rooms/secret/events").await;
        let types: Vec<_> =
            events["events"].as_array().unwrap().iter().map(|event| &event["event"]["type"]).collect();
        assert_eq!(types, ["room.forgotten"]);
        assert_eq!(get_status(&format!("{url}/api/rooms/public")).await, 200, "others stay");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_monitor_applies_how_much_is_kept() {
    let nats = NatsServer::start().await;
    let _origin = node("origin", "west", &nats.url()).await;
    let jetstream = async_nats::jetstream::new(nats.client().await);
    let kept = async || {
        let stream = jetstream.get_stream("HEADWATER_EVENTS").await.ok()?;
        let config = &stream.cached_info().config;
        Some((config.max_age, config.max_bytes))
    };
    let days = Duration::from_secs(7 * 24 * 3600);
    eventually(SOON, "the node makes the log", || async {
        (kept().await == Some((days, 1 << 30))).then_some(())
    })
    .await;
    let mut settings = monitors::config("monitor", &nats.url());
    settings.events.retention = Duration::from_secs(3600);
    settings.events.max_bytes = 1 << 20;
    let _monitor = monitors::start(settings).await;
    assert_eq!(kept().await, Some((Duration::from_secs(3600), 1 << 20)));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_feed_goes_on_where_it_was_and_the_token_guards_it_all() {
    let nats = NatsServer::start().await;
    let mut settings = monitors::config("guarded", &nats.url());
    settings.operators.token = Some("hunter2".into());
    let guarded = headwater::monitor::Monitor::start(settings).await.unwrap();
    let url = guarded.url();
    caught_up(&url).await;
    for path in ["/api/fleet", "/api/rooms", "/api/rooms/a", "/api/rooms/a/events", "/api/events", "/api/log"]
    {
        assert_eq!(get_status(&format!("{url}{path}")).await, 401, "{path}");
    }
    let refused = http().delete(format!("{url}/api/rooms/a/history")).send().await.unwrap();
    assert_eq!(refused.status(), 401);
    for path in ["/", "/healthz", "/readyz", "/metrics", "/assets/monitor.js"] {
        assert_eq!(get_status(&format!("{url}{path}")).await, 200, "{path}");
    }
    let origin = node("origin", "west", &nats.url()).await;
    let _publisher = publish(&origin, "news").await;
    let feed = async |last: Option<u64>, wanted: usize| {
        let mut request = http().get(format!("{url}/api/events?from=1&room=news")).bearer_auth("hunter2");
        if let Some(last) = last {
            request = request.header("last-event-id", last.to_string());
        }
        let mut bytes = request.send().await.unwrap().bytes_stream();
        let mut text = String::new();
        let read = async {
            while text.matches("\ndata:").count() + usize::from(text.starts_with("data:")) < wanted {
                text.push_str(&String::from_utf8_lossy(&bytes.next().await.unwrap().unwrap()));
            }
        };
        tokio::time::timeout(SOON, read).await.expect("events come");
        let data = text.lines().filter_map(|line| line.strip_prefix("data:"));
        data.filter_map(|data| serde_json::from_str::<Value>(data.trim()).ok()).collect::<Vec<_>>()
    };
    let first = feed(None, 2).await;
    assert!(
        first.len() >= 2 && first.iter().all(|one| one["event"]["subject"]["room"] == "news"),
        "{first:?}"
    );
    assert_eq!(first[0]["event"]["type"], "stream.started");
    let resumed = feed(first[0]["sequence"].as_u64(), 1).await;
    assert_eq!(resumed[0]["sequence"], first[1]["sequence"], "without a gap");
}

#[tokio::test(flavor = "multi_thread")]
async fn rubbish_in_the_log_is_counted_and_a_log_that_is_lost_is_begun_anew() {
    let mut nats = NatsServer::start().await;
    let monitor = monitor(&nats.url()).await;
    let url = monitor.url();
    let mut settings = crate::support::fleet::config("origin", "west", &nats.url());
    settings.events.summary = Duration::from_millis(500);
    let origin = crate::support::fleet::start(settings).await;
    let _publisher = publish(&origin, "news").await;
    draws(&url, "news", "origin").await;
    // Of no format, of a version that is not known, and in another's name.
    let client = nats.client().await;
    let jetstream = async_nats::jetstream::new(client);
    let stored = async |subject: &str, payload: Vec<u8>| {
        jetstream.publish(subject.to_owned(), payload.into()).await.unwrap().await.unwrap();
    };
    stored("room.news.event.origin", b"rubbish".to_vec()).await;
    stored("room.news.event.origin", b"\x82\xa7version\x02\xa7message\xc0".to_vec()).await;
    let mut reading = origin.context().broker.read_events(Start::Sequence(1), None).await.unwrap();
    let first = reading.next_stored().await.unwrap().unwrap().event.expect("the node's own");
    stored("node.other.event", codec::encode(&first).unwrap()).await;
    eventually(SOON, "all three are passed over", || async {
        let totals = get(&url, "/api/fleet").await["totals"].clone();
        if totals["skipped"] == 3 { Ok(()) } else { Err(totals.to_string()) }
    })
    .await;
    assert_eq!(tree(&url, "/api/rooms/news").await, "origin");
    // The bus comes back without its memory.
    nats.restart().await;
    eventually(SOON, "the picture is begun anew", || async {
        let fleet = get(&url, "/api/fleet").await;
        let anew = fleet["totals"]["skipped"] == 0 && fleet["totals"]["events"].as_u64() > Some(0);
        if anew { Ok(()) } else { Err(fleet["totals"].to_string()) }
    })
    .await;
    caught_up(&url).await;
    let _more = publish(&origin, "music").await;
    draws(&url, "music", "origin").await;
    assert_eq!(get_status(&format!("{url}/api/rooms/music?at=1")).await, 404, "its past is the new log's");
}

/// The deployment's own NATS configuration, with the rights that it gives to nodes and monitors.
#[tokio::test(flavor = "multi_thread")]
async fn nodes_and_monitors_need_no_more_rights_than_deploy_gives_them() {
    let nats = Deployed::start("one").await;
    let mut settings = nats.monitor("monitor");
    settings.monitor.snapshot_every = 5;
    let watching = monitors::start(settings.clone()).await;
    let mut nodes = Vec::new();
    for name in ["west-1", "east-1"] {
        nodes.push(crate::support::fleet::start(nats.node(name)).await);
    }
    acquainted(&nodes.iter().collect::<Vec<_>>()).await;
    let _publisher = publish(&nodes[0], "news").await;
    heard_of(&nodes[1], "news").await;
    let viewer = watch(&nodes[1], "news").await;
    plays(&viewer, 3).await;
    draws(&watching.url(), "news", "west-1(east-1)").await;
    let place = get(&watching.url(), "/api/rooms/news").await["at"]["sequence"].clone();
    assert_eq!(tree(&watching.url(), &format!("/api/rooms/news?at={place}")).await, "west-1(east-1)");
    publish(&nodes[0], "other").await.stop().await.unwrap();
    let forget = format!("{}/api/rooms/other/history", watching.url());
    eventually(SOON, "the other room is forgotten", || async {
        http().delete(&forget).send().await.is_ok_and(|answer| answer.status() == 204)
    })
    .await;
    // Its snapshot lets the next one begin there.
    watching.stop().await;
    let again = monitors::start(settings).await;
    draws(&again.url(), "news", "west-1(east-1)").await;
    assert_eq!(nats.violations(), Vec::<String>::new());
}
