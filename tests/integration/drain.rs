//! A node that takes nothing new: by an operator, who may undo it, and by a signal, who may not.

use std::time::Duration;

use headwater::client::Player;
use headwater::node::Node;
use headwater::protocol::event::About;
use headwater::protocol::presence::{Phase, Role};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::program::{run, text};
use crate::support::child::ChildNode;
use crate::support::events::logged;
use crate::support::fleet::{
    SOON, acquainted, config, get_status, heard_of, http, knock, metric, node, plays, plays_on, post,
    publish, readiness, start, watch,
};
use crate::support::monitors;
use crate::support::nats::NatsServer;
use crate::support::wait::eventually;

/// Asks a node's operators' API about the drain of `of`.
async fn ask(operators: &str, method: Method, of: &str) -> (StatusCode, Value) {
    let url = format!("{operators}/api/nodes/{of}/drain");
    let response = http().request(method, url).send().await.expect("an answer");
    let status = response.status();
    (status, serde_json::from_slice(&response.bytes().await.unwrap_or_default()).unwrap_or(Value::Null))
}

/// Waits until one node sees another in a phase.
async fn seen(by: &Node, other: &str, phase: Phase) {
    let name = other.parse().unwrap();
    eventually(SOON, format!("{other} is seen as {phase:?}"), || async {
        let seen = by.context().fleet().node(&name).map(|it| it.phase);
        if seen == Some(phase) { Ok(()) } else { Err(seen) }
    })
    .await;
}

/// Waits until the log has these events of a node, summaries apart.
async fn tells(reader: &Node, node: &str, types: &[&str]) {
    let about = About::Node(node.parse().unwrap());
    eventually(SOON, format!("the log tells of {node}"), || async {
        let events = logged(reader).await.into_iter().filter_map(|logged| logged.event);
        let told = events.filter(|event| event.subject == about && !event.what.is_summary());
        let names: Vec<_> = told.map(|event| event.what.name()).collect();
        if names == types { Ok(()) } else { Err(names) }
    })
    .await;
}

/// How many pictures a viewer has got.
fn frames(player: &Player) -> u64 {
    player.report().borrow().video.frames
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_drains_a_node_through_any_other_and_has_it_back() {
    let nats = NatsServer::start().await;
    let monitor = monitors::monitor(&nats.url()).await;
    let mut settings = config("west-1", "west", &nats.url());
    // An operator's drain has no deadline: this one must not matter.
    settings.timeouts.drain = Duration::from_millis(100);
    let west = start(settings).await;
    let east = node("east-1", "east", &nats.url()).await;
    acquainted(&[&west, &east]).await;
    let _publisher = publish(&west, "news").await;
    heard_of(&east, "news").await;
    let (near, far) = (watch(&west, "news").await, watch(&east, "news").await);
    plays(&near, 3).await;
    plays(&far, 3).await;

    let (status, answer) = ask(&east.operators_url(), Method::POST, "west-1").await;
    assert_eq!(status, StatusCode::OK, "{answer}");
    let left = json!({"streams": 1, "viewers": 1, "children": 1});
    let draining = json!({
        "node": "west-1", "phase": "draining", "byOperator": true, "ends": false, "left": left
    });
    assert_eq!(answer, draining);
    assert_eq!(ask(&west.operators_url(), Method::POST, "west-1").await.1, draining, "twice is once");
    seen(&east, "west-1", Phase::Draining).await;
    eventually(SOON, "it is not ready", || async {
        let (status, body) = readiness(&west.operators_url()).await;
        let is_told = status == 503 && body["phase"] == "draining" && body["left"] == left;
        if is_told { Ok(()) } else { Err(body) }
    })
    .await;
    assert_eq!(get_status(&format!("{}/healthz", west.operators_url())).await, 200, "and still alive");
    assert_eq!(metric(&west, "headwater_phase{phase=\"draining\"}").await, 1.0);
    assert_eq!(metric(&west, "headwater_phase{phase=\"serving\"}").await, 0.0);

    // Newcomers are sent away for a while, and those who are there stay.
    let (status, after) = knock(&west, "news").await;
    assert!(status == 503 && after.is_some(), "{status} {after:?}");
    let offer = include_str!("../../src/http/sdp/offers/chromium-publish.sdp");
    let (status, after) = post(&format!("{}/whip/other", west.public_url()), offer).await;
    assert!(status == 503 && after.is_some(), "{status} {after:?}");
    eventually(SOON, "the monitor shows what is left", || async {
        let fleet = monitors::get(&monitor.url(), "/api/fleet").await;
        let regions = fleet["regions"].as_array().cloned().unwrap_or_default();
        let mut nodes =
            regions.iter().flat_map(|region| region["nodes"].as_array().cloned().unwrap_or_default());
        let west = nodes.find(|node| node["node"] == "west-1").unwrap_or(Value::Null);
        let load = &west["load"];
        let is_shown = west["condition"] == "draining"
            && (&load["streams"], &load["viewers"], &load["outlets"]) == (&json!(1), &json!(1), &json!(1));
        if is_shown { Ok(()) } else { Err(west) }
    })
    .await;
    let before = (frames(&near), frames(&far));
    eventually(SOON, "both play on for more than the deadline of a stop", || {
        let now = (frames(&near), frames(&far));
        let on = now.0 > before.0 + 30 && now.1 > before.1 + 30;
        async move { if on { Ok(()) } else { Err(now) } }
    })
    .await;

    let (status, answer) = ask(&east.operators_url(), Method::DELETE, "west-1").await;
    assert_eq!((status, &answer["phase"]), (StatusCode::OK, &json!("serving")), "{answer}");
    assert_eq!(ask(&west.operators_url(), Method::DELETE, "west-1").await.0, StatusCode::OK, "twice is once");
    seen(&east, "west-1", Phase::Serving).await;
    eventually(SOON, "it takes viewers again", || async {
        let (status, _) = knock(&west, "news").await;
        if status == 201 { Ok(()) } else { Err(status) }
    })
    .await;
    let (status, body) = readiness(&west.operators_url()).await;
    assert_eq!((status, &body["phase"]), (200, &json!("serving")), "{body}");
    plays_on(&near).await;
    plays_on(&far).await;
    tells(&east, "west-1", &["node.started", "node.draining", "node.undrained"]).await;

    let (status, problem) = ask(&east.operators_url(), Method::POST, "nobody").await;
    assert_eq!(status, StatusCode::NOT_FOUND, "{problem}");
    let (status, problem) = ask(&east.operators_url(), Method::POST, "no.name").await;
    assert_eq!(status, StatusCode::BAD_REQUEST, "{problem}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_waits_until_nothing_is_left() {
    let nats = NatsServer::start().await;
    let west = node("west-1", "west", &nats.url()).await;
    let east = node("east-1", "east", &nats.url()).await;
    acquainted(&[&west, &east]).await;
    let publisher = publish(&west, "news").await;
    let operators = [("HEADWATER_OPERATORS", east.operators_url())];
    let variables = operators.each_ref().map(|(name, value)| (*name, value.as_str()));
    let output = run(&["drain", "west-1", "--wait", "300ms"], &variables).await;
    assert_eq!(
        (output.status.code(), text(&output.stdout).as_str()),
        (Some(1), "west-1 takes nothing new and still has 1 stream, 0 viewers and 0 pipes to other nodes\n"),
        "{}",
        text(&output.stderr)
    );
    let (output, stopped) =
        tokio::join!(run(&["drain", "west-1", "--wait", "60s"], &variables), publisher.stop());
    stopped.unwrap();
    assert_eq!(
        (output.status.code(), text(&output.stdout).as_str()),
        (Some(0), "west-1 takes nothing new and has nothing left\n"),
        "{}",
        text(&output.stderr)
    );
    let output = run(&["undrain", "west-1"], &variables).await;
    assert_eq!((output.status.code(), text(&output.stdout).as_str()), (Some(0), "west-1 takes everything\n"));
    let output = run(&["drain", "nobody"], &variables).await;
    assert!(!output.status.success() && text(&output.stderr).contains("no node nobody is there"));
}

/// Waits for the end of a node's process; its exit code.
async fn ends(node: &mut ChildNode) -> Option<i32> {
    let status = eventually(SOON, "it exits", || {
        let exited = node.process().exited();
        async move { exited }
    })
    .await;
    status.code()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_can_not_be_undone_and_a_second_signal_ends_at_once() {
    let nats = NatsServer::start().await;
    let drain = [("HEADWATER_TIMEOUTS__DRAIN", "10m")];
    let mut west = ChildNode::start("west-1", "west", &nats.url(), &drain).await;
    let _publisher = publish(&west, "news").await;
    west.process().signal("TERM");
    let (operators, ready) = (west.operators_url(), format!("{}/readyz", west.operators_url()));
    eventually(SOON, "it drains", || async { (get_status(&ready).await == 503).then_some(()) }).await;
    let (status, problem) = ask(&operators, Method::DELETE, "west-1").await;
    assert_eq!(status, StatusCode::CONFLICT, "{problem}");
    let (_, answer) = ask(&operators, Method::GET, "west-1").await;
    let expected = (&json!("draining"), &json!(true), &json!(1));
    assert_eq!((&answer["phase"], &answer["ends"], &answer["left"]["streams"]), expected, "{answer}");
    west.process().signal("TERM");
    assert_eq!(ends(&mut west).await, Some(1), "what was to be ended may not be");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_an_operator_drained_stops_cleanly_once_it_is_empty() {
    let nats = NatsServer::start().await;
    let reader = node("east-1", "east", &nats.url()).await;
    let drain = [("HEADWATER_TIMEOUTS__DRAIN", "10m")];
    let mut west = ChildNode::start("west-1", "west", &nats.url(), &drain).await;
    let publisher = publish(&west, "news").await;
    seen(&reader, "west-1", Phase::Serving).await;
    assert_eq!(ask(&reader.operators_url(), Method::POST, "west-1").await.0, StatusCode::OK);
    west.process().signal("TERM");
    eventually(SOON, "it is on its way out", || async {
        let (_, answer) = ask(&reader.operators_url(), Method::GET, "west-1").await;
        if answer["ends"] == true { Ok(()) } else { Err(answer) }
    })
    .await;
    assert!(west.process().exited().is_none(), "it has a publisher yet");
    publisher.stop().await.unwrap();
    assert_eq!(ends(&mut west).await, Some(0));
    tells(&reader, "west-1", &["node.started", "node.draining", "node.stopped"]).await;
    seen(&reader, "west-1", Phase::Stopped).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drained_node_stays_drained_where_another_has_its_name_by_now() {
    let nats = NatsServer::start().await;
    let former = node("west-1", "west", &nats.url()).await;
    assert_eq!(ask(&former.operators_url(), Method::POST, "west-1").await.0, StatusCode::OK);
    let successor = node("west-1", "west", &nats.url()).await;
    let incarnation = successor.peer().incarnation;
    eventually(SOON, "the former one hears its successor", || async {
        let fleet = former.context().fleet();
        let mut present = fleet.present(std::time::Instant::now());
        present.any(|it| it.peer.incarnation == incarnation && it.phase == Phase::Serving).then_some(())
    })
    .await;
    let (status, problem) = ask(&former.operators_url(), Method::DELETE, "west-1").await;
    assert_eq!(status, StatusCode::CONFLICT, "{problem}");
    assert!(problem["detail"].as_str().unwrap().contains("another process named west-1"), "{problem}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_relay_that_drains_leaves_once_its_children_have_moved() {
    let nats = NatsServer::start().await;
    let origin = node("west-1", "west", &nats.url()).await;
    let relays = [("HEADWATER_NODE__ROLES", "[\"relay\"]"), ("HEADWATER_TIMEOUTS__DRAIN", "10m")];
    let one = ChildNode::start("east-1", "east", &nats.url(), &relays).await;
    let two = ChildNode::start("east-2", "east", &nats.url(), &relays).await;
    let mut settings = config("east-3", "east", &nats.url());
    settings.node.roles = vec![Role::Edge];
    let edge = start(settings).await;
    for relay in ["east-1", "east-2"] {
        seen(&edge, relay, Phase::Serving).await;
    }
    let _publisher = publish(&origin, "news").await;
    heard_of(&edge, "news").await;
    let viewer = watch(&edge, "news").await;
    plays(&viewer, 3).await;
    let (mut carries, mut other) = (("east-1", one), ("east-2", two));
    if carries.1.room("news").await.is_null() {
        std::mem::swap(&mut carries, &mut other);
    }
    assert!(!carries.1.room("news").await.is_null(), "one of the two relays carries the stream");

    // An operator's drain moves the child and ends nothing.
    let operators = origin.operators_url();
    assert_eq!(ask(&operators, Method::POST, carries.0).await.0, StatusCode::OK);
    eventually(SOON, "its child has moved", || async {
        let (_, answer) = ask(&operators, Method::GET, carries.0).await;
        let has_moved = answer["left"]["children"] == 0 && !other.1.room("news").await.is_null();
        if has_moved { Ok(()) } else { Err(answer) }
    })
    .await;
    plays_on(&viewer).await;
    assert!(carries.1.process().exited().is_none());
    assert_eq!(ask(&operators, Method::DELETE, carries.0).await.0, StatusCode::OK);
    seen(&edge, carries.0, Phase::Serving).await;

    // And a stop ends it as soon as that has happened, long before its deadline.
    other.1.process().signal("TERM");
    assert_eq!(ends(&mut other.1).await, Some(0));
    plays_on(&viewer).await;
    assert!(!carries.1.room("news").await.is_null(), "it is the source again");
    let report = viewer.report().borrow().clone();
    eprintln!("longest gap over both moves: {} ms", report.video.longest_gap_ms);
    assert!(report.video.longest_gap_ms < 1_000, "{report:?}");
}
