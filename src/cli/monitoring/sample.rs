//! A small fleet for the tests.

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, from_value, json};

use crate::monitor::view::{FleetView, Recorded, RoomView, RoomsView};

const ID: &str = "01890000-0000-7000-8000-000000000000";

pub(super) fn now() -> DateTime<Utc> {
    "2026-05-01T12:00:00Z".parse().unwrap()
}

fn at() -> Value {
    json!({"sequence": 90, "time": now()})
}

fn problem() -> Value {
    json!({"time": now() - TimeDelta::seconds(60), "kind": "pipe.failed", "severity": "error",
        "text": "The pipe from west-1 to east-3 failed.", "room": "demo", "node": "west-1"})
}

fn node(name: &str, condition: &str, viewers: u32, cpu: f32) -> Value {
    let (region, _) = name.split_once('-').unwrap();
    json!({"node": name, "region": region, "incarnation": ID, "condition": condition,
        "roles": ["origin", "edge"], "version": "0.1.0", "startedAt": now() - TimeDelta::hours(2),
        "heardAt": now() - TimeDelta::seconds(3), "publicUrl": format!("http://{name}:8080"),
        "load": {"rooms": 1, "streams": 1, "viewers": viewers, "pipes": 2, "cpu": cpu}})
}

pub(super) fn fleet() -> FleetView {
    let region = |name: &str, nodes: Vec<Value>| {
        json!({"region": name, "nodes": nodes, "streams": 1, "viewers": 3,
            "published": 2_100_000, "watched": 6_300_000})
    };
    from_value(json!({
        "at": at(),
        "regions": [
            region("east", vec![node("east-1", "serving", 3, 0.5), node("east-3", "lost", 0, 0.0)]),
            region("west", vec![node("west-1", "serving", 7, 0.25)]),
        ],
        "links": [{"from": "west", "to": "east", "pipes": 1, "streams": 1, "bitrate": 2_100_000}],
        "totals": {"nodes": 2, "rooms": 1, "streams": 1, "viewers": 10, "pipes": 3,
            "streamsStarted": 4, "viewersJoined": 40, "pipesOpened": 9, "pipesFailed": 1,
            "events": 90, "duplicates": 2, "skipped": 0, "dropped": 5},
        "problems": [problem()],
    }))
    .unwrap()
}

pub(super) fn rooms() -> RoomsView {
    let room = |name: &str, live: bool, viewers: u32, problems: u32| {
        json!({"room": name, "live": live, "streams": u32::from(live), "viewers": viewers,
            "nodes": 4, "regions": 2, "depth": 2, "bitrate": 2_100_000, "origins": ["west-1"],
            "since": live.then(|| now() - TimeDelta::minutes(12)), "changedAt": now(),
            "problems": problems})
    };
    from_value(json!({"at": at(), "total": 3,
        "rooms": [room("demo", true, 10, 1), room("lobby", true, 2, 0), room("old", false, 0, 0)]}))
    .unwrap()
}

pub(super) fn room() -> RoomView {
    let node = |name: &str, role: &str, hops: u8, viewers: u32, bitrate: u64, pipe: Value| {
        let (region, _) = name.split_once('-').unwrap();
        json!({"node": name, "region": region, "role": role, "hops": hops, "condition": "serving",
            "viewers": viewers, "bitrate": bitrate, "lost": 0, "children": [], "pipe": pipe,
            "quality": {"sampled": viewers, "bitrate": bitrate, "layers": []}})
    };
    let pipe = |setup: Option<u64>, attempt: u32| {
        json!({"pipe": ID, "open": setup.is_some(), "since": now(), "bitrate": 2_100_000,
            "setupUs": setup, "attempt": attempt})
    };
    let mut relay = node("east-1", "relay", 1, 1, 2_100_000, pipe(Some(12_300), 1));
    let mut late = node("east-3", "edge", 2, 0, 0, pipe(None, 2));
    late["condition"] = json!("draining");
    relay["lost"] = json!(4);
    relay["children"] = json!([node("east-2", "edge", 2, 2, 2_000_000, pipe(Some(900), 1)), late]);
    let mut origin = node("west-1", "origin", 0, 3, 2_100_000, Value::Null);
    origin["children"] = json!([relay, node("west-2", "edge", 1, 4, 2_100_000, pipe(Some(1_500), 1))]);
    from_value(json!({
        "at": at(), "room": "demo", "live": true, "viewers": 10, "waiting": 1,
        "streams": [{"stream": "main", "publication": ID, "live": true, "ended": null,
            "startedAt": now() - TimeDelta::minutes(12), "endedAt": null, "bitrate": 2_100_000,
            "viewers": 10, "depth": 2, "crossings": 1, "tree": origin, "apart": [],
            "producers": [{"id": ID, "kind": "video", "mimeType": "video/VP8", "paused": false,
                "encodings": 3}]}],
        "counters": {"viewersJoined": 40, "viewersLeft": 30, "viewerSeconds": 7_500, "publishedBytes": 0,
            "pipedBytes": 0, "watchedBytes": 1_440_000_000_u64, "peakViewers": 12,
            "streamsStarted": 1, "pipesOpened": 4, "pipesFailed": 1, "recoveries": 1},
        "problems": [problem()],
    }))
    .unwrap()
}

pub(super) fn recorded(sequence: u64, kind: &str) -> Recorded {
    let data = match kind {
        "room.summary" => json!({"streams": [], "pipes": [], "waiting": 0}),
        _ => json!({}),
    };
    from_value(json!({"sequence": sequence, "stored": now(), "text": "Something happened.", "severity": null,
        "event": {"id": sequence, "time": now(), "subject": {"room": "demo"}, "type": kind, "data": data,
            "source": {"node": "west-1", "region": "west", "incarnation": ID}}}))
    .unwrap()
}
