//! An operator ends sessions and bars tokens by any node, and answers no page of another origin.

use std::process::Output;

use headwater::node::Node;
use headwater::protocol::claim::EndReason;
use headwater::protocol::event::{LeaveReason, What};
use reqwest::{Method, RequestBuilder};
use serde_json::Value;

use crate::support::events::{logged, told};
use crate::support::fleet::{
    SOON, acquainted, config, get_status, heard_of, http, metric, node, plays, publish_with, room, start,
    watch_with,
};
use crate::support::monitors;
use crate::support::nats::NatsServer;
use crate::support::tokens::{jwt, named};
use crate::support::wait::eventually;

const WATCH: &str = include_str!("../../src/http/sdp/offers/chromium-watch.sdp");

async fn checking(name: &str, nats: &NatsServer) -> Node {
    let mut settings = config(name, "west", &nats.url());
    settings.auth.jwt = Some(jwt());
    start(settings).await
}

async fn operate(node: &Node, method: Method, path: &str) -> (u16, Value) {
    let response = http().request(method, format!("{}{path}", node.operators_url())).send().await.unwrap();
    let status = response.status().as_u16();
    (status, serde_json::from_slice(&response.bytes().await.unwrap()).unwrap_or_default())
}

/// What who wants to watch is told.
async fn knock(node: &Node, room: &str, token: &str) -> (u16, String) {
    let request = http().post(format!("{}/whep/{room}", node.public_url())).bearer_auth(token);
    let response = request.header("content-type", "application/sdp").body(WATCH).send().await.unwrap();
    (response.status().as_u16(), response.text().await.unwrap())
}

async fn headwater(arguments: &[&str], operators: &Node) -> Output {
    tokio::process::Command::new(env!("CARGO_BIN_EXE_headwater"))
        .args(arguments)
        .env("HEADWATER_OPERATORS", operators.operators_url())
        .output()
        .await
        .expect("the program runs")
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_ends_and_bars_by_any_node_wherever_the_session_is() {
    let nats = NatsServer::start().await;
    let origin = checking("origin", &nats).await;
    let edge = checking("edge", &nats).await;
    let bystander = checking("bystander", &nats).await;
    acquainted(&[&origin, &edge, &bystander]).await;
    let (own, bad, good) = (named("news", "p-1"), named("news", "v-1"), named("news", "v-2"));
    let publisher = publish_with(&origin, "news", |options| options.token = Some(own.clone())).await;
    heard_of(&edge, "news").await;
    let going = watch_with(&edge, "news", |options| options.token = Some(bad.clone())).await;
    let id = room(&edge, "news").await.unwrap().viewers[0].viewer;
    let staying = watch_with(&edge, "news", |options| options.token = Some(good.clone())).await;
    plays(&going, 3).await;
    plays(&staying, 3).await;

    // By a node that has nothing of the room.
    let path = format!("/api/rooms/news/viewers/{id}?barFor=10m");
    let (status, outcome) = operate(&bystander, Method::DELETE, &path).await;
    assert_eq!(status, 200, "{outcome}");
    let ended = &outcome["ended"];
    assert_eq!(
        (&ended[0]["node"], &ended[0]["viewer"]),
        (&"edge".into(), &id.to_string().into()),
        "{outcome}"
    );
    assert_eq!(
        (ended.as_array().unwrap().len(), &outcome["bars"][0]["token"]["id"]),
        (1, &"v-1".into()),
        "{outcome}"
    );
    assert_eq!(outcome["unanswered"], serde_json::json!([]));
    eventually(SOON, "the log tells it", || async {
        let events = told(&edge, "news").await;
        events.iter().any(|event| {
            matches!(&event.what, What::ViewerLeft(left) if left.viewer == id && left.reason == LeaveReason::Kicked)
        })
    })
    .await;
    assert_eq!(room(&edge, "news").await.unwrap().viewers.len(), 1);
    crate::support::fleet::plays_on(&staying).await;
    assert_eq!(operate(&bystander, Method::DELETE, &path).await.0, 404);
    assert_eq!(operate(&bystander, Method::DELETE, "/api/rooms/news/viewers/rubbish").await.0, 400);

    // It is kept out everywhere, until it is told, and nobody else is.
    for node in [&origin, &edge, &bystander] {
        let (status, body) = knock(node, "news", &bad).await;
        assert!(status == 403 && body.contains("keeps this token out until"), "{status}: {body}");
    }
    let late = checking("late", &nats).await;
    heard_of(&late, "news").await;
    eventually(SOON, "a node that starts later hears of it", || async {
        let (status, body) = knock(&late, "news", &bad).await;
        if status == 403 { Ok(()) } else { Err((status, body)) }
    })
    .await;
    assert_eq!(knock(&late, "news", &good).await.0, 201);
    assert_eq!(metric(&late, "headwater_bars").await, 1.0);

    // Lifted by another node than the one that barred it.
    assert_eq!(operate(&edge, Method::DELETE, "/api/bars/id/v-1").await.0, 200);
    assert_eq!(operate(&edge, Method::DELETE, "/api/bars/id/v-1").await.0, 404);
    for node in [&origin, &bystander, &late] {
        eventually(SOON, "it is let in again", || async {
            let (status, body) = knock(node, "news", &bad).await;
            if status == 201 { Ok(()) } else { Err((status, body)) }
        })
        .await;
    }

    // A bar ends the publisher that came with the token; from the command line.
    let barred = headwater(&["bar", "--id", "p-1", "--for", "5m"], &late).await;
    let said = String::from_utf8_lossy(&barred.stdout).into_owned();
    assert!(barred.status.success(), "{}", String::from_utf8_lossy(&barred.stderr));
    assert!(
        said.contains("ended the publisher of news/main on origin") && said.contains("id p-1 is kept out"),
        "{said}"
    );
    let listed = headwater(&["bar"], &edge).await;
    assert!(String::from_utf8_lossy(&listed.stdout).contains("id p-1"), "{listed:?}");
    let events = eventually(SOON, "the log tells it", || async {
        let events = told(&origin, "news").await;
        let closed = events
            .iter()
            .any(|event| matches!(&event.what, What::StreamEnded(it) if it.reason == EndReason::Closed));
        closed.then_some(events)
    })
    .await;
    assert!(!events.is_empty());
    eventually(SOON, "the log tells of the bars", || async {
        let events = logged(&late).await.into_iter().filter_map(|logged| logged.event);
        let bars: Vec<_> = events
            .filter_map(|event| match event.what {
                What::TokenBarred(it) => {
                    Some((event.source.node.to_string(), it.token.unwrap_or_default(), it.lifted))
                }
                _ => None,
            })
            .collect();
        let bar =
            |node: &str, token: &str, lifted| bars.contains(&(node.to_owned(), token.to_owned(), lifted));
        bar("bystander", "v-1", false) && bar("edge", "v-1", true) && bar("late", "p-1", false)
    })
    .await;
    let none = headwater(&["kick", "news", "--publisher", "main"], &bystander).await;
    assert!(
        !none.status.success() && String::from_utf8_lossy(&none.stderr).contains("no such stream"),
        "{none:?}"
    );
    drop((publisher, going, staying));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_publisher_is_ended_by_a_node_that_does_not_have_it() {
    let nats = NatsServer::start().await;
    let origin = node("origin", "west", &nats.url()).await;
    let bystander = node("bystander", "west", &nats.url()).await;
    acquainted(&[&origin, &bystander]).await;
    let publisher = crate::support::fleet::publish(&origin, "news").await;
    // Without a token there is nothing to bar, and that is told by what is missing.
    let kicked =
        headwater(&["kick", "news", "--publisher", "main", "--bar-for", "1m", "--json"], &bystander).await;
    assert!(kicked.status.success(), "{}", String::from_utf8_lossy(&kicked.stderr));
    let outcome: Value = serde_json::from_slice(&kicked.stdout).unwrap();
    assert_eq!(outcome["ended"][0]["node"], "origin", "{outcome}");
    assert_eq!(outcome["bars"], serde_json::json!([]), "{outcome}");
    eventually(SOON, "the stream is over", || async {
        room(&origin, "news").await.is_none_or(|view| view.streams.is_empty())
    })
    .await;
    assert_eq!(operate(&bystander, Method::POST, "/api/bars/id/x").await.0, 400, "for how long?");
    assert_eq!(operate(&bystander, Method::POST, "/api/bars/id/x?for=1ms").await.0, 400);
    assert_eq!(operate(&bystander, Method::POST, "/api/bars/colour/x?for=1m").await.0, 400);
    drop(publisher);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_of_another_origin_learns_nothing_and_does_nothing() {
    let nats = NatsServer::start().await;
    let origin = node("origin", "west", &nats.url()).await;
    let monitor = monitors::monitor(&nats.url()).await;
    let publisher = crate::support::fleet::publish(&origin, "news").await;
    let status = async |request: RequestBuilder| {
        let response = request.send().await.unwrap();
        assert!(!response.headers().contains_key("access-control-allow-origin"), "{response:?}");
        response.status().as_u16()
    };
    let stream = format!("{}/api/rooms/news/streams/main", origin.operators_url());
    let history = format!("{}/api/rooms/news/history", monitor.url());
    let foreign = [
        ("origin", "https://evil.example"),
        ("origin", "http://127.0.0.1:1"),
        ("sec-fetch-site", "cross-site"),
        ("host", "evil.example"),
    ];
    for (name, value) in foreign {
        for url in [&stream, &history] {
            assert_eq!(status(http().delete(url).header(name, value)).await, 403, "{name}: {value} {url}");
        }
        for base in [origin.operators_url(), monitor.url()] {
            for path in ["/api/rooms", "/api/fleet", "/metrics"] {
                let url = format!("{base}{path}");
                assert_eq!(status(http().get(&url).header(name, value)).await, 403, "{name}: {value} {url}");
            }
        }
        let preflight = http().request(Method::OPTIONS, &stream).header(name, value);
        assert!(status(preflight.header("access-control-request-method", "DELETE")).await >= 400);
    }
    assert_eq!(room(&origin, "news").await.unwrap().streams.len(), 1, "nothing was done");
    let own = origin.operators_url();
    assert_eq!(status(http().get(format!("{own}/api/rooms")).header("origin", &own)).await, 200);
    assert_eq!(status(http().delete(&stream).header("sec-fetch-site", "same-origin")).await, 200);
    drop(publisher);
}

#[tokio::test(flavor = "multi_thread")]
async fn beyond_loopback_operators_are_answered_with_a_token_alone() {
    let nats = NatsServer::start().await;
    let mut settings = config("open", "west", &nats.url());
    settings.operators.listen = "0.0.0.0:0".parse().unwrap();
    let open = start(settings.clone()).await;
    let base = open.operators_url();
    for path in ["/api/rooms", "/api/fleet", "/metrics"] {
        let response = http().get(format!("{base}{path}")).send().await.unwrap();
        assert_eq!(response.status(), 403, "{path}");
        assert!(response.text().await.unwrap().contains("operators.token"), "what to do is said");
    }
    assert_eq!(get_status(&format!("{base}/healthz")).await, 200);
    settings.node.name = "guarded".parse().unwrap();
    settings.operators.token = Some("hunter2".into());
    let guarded = start(settings).await;
    for path in ["/api/rooms", "/metrics"] {
        let url = format!("{}{path}", guarded.operators_url());
        assert_eq!(get_status(&url).await, 401, "{path}");
        assert_eq!(http().get(&url).bearer_auth("hunter2").send().await.unwrap().status(), 200, "{path}");
    }
}
