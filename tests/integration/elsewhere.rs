//! Where a client may go when a node can't take it: asked in advance, told with the refusal, or by redirect.

use std::time::Duration;

use headwater::config::Config;
use headwater::node::Node;
use headwater::protocol::presence::{Phase, Role};
use reqwest::redirect::Policy;
use serde_json::Value;

use crate::support::fleet::{
    SOON, acquainted, config, get_json, get_status, heard_of, http, named, plays, post, publish, readiness,
    start, watch, watch_with,
};
use crate::support::nats::{NatsServer, free_port};
use crate::support::wait::eventually;

const PUBLISH: &str = include_str!("../../src/http/sdp/offers/chromium-publish.sdp");
const WATCH: &str = include_str!("../../src/http/sdp/offers/chromium-watch.sdp");

async fn begin(nats: &NatsServer, name: &str, region: &str, set: impl FnOnce(&mut Config)) -> Node {
    let mut settings = config(name, region, &nats.url());
    set(&mut settings);
    start(settings).await
}

fn names(said: &Value) -> Vec<&str> {
    said["nodes"].as_array().unwrap().iter().map(|node| node["name"].as_str().unwrap()).collect()
}

/// What a newcomer is answered, who doesn't follow: status, Location, and the other nodes' endpoints.
async fn knock(url: &str, more: &[(&str, &str)]) -> (u16, String, Vec<String>) {
    let client = reqwest::Client::builder().redirect(Policy::none()).build().unwrap();
    let mut request = client.post(url).header("content-type", "application/sdp").body(WATCH);
    for (name, value) in more {
        request = request.header(*name, *value);
    }
    let answer = request.send().await.unwrap();
    let status = answer.status().as_u16();
    let header =
        |name| answer.headers().get(name).map(|value| value.to_str().unwrap().to_owned()).unwrap_or_default();
    let location = header("location");
    assert!(status != 503 || !header("retry-after").is_empty());
    let said: Value = serde_json::from_str(&answer.text().await.unwrap()).unwrap_or_default();
    let nodes = said["nodes"].as_array().cloned().unwrap_or_default();
    (status, location, nodes.iter().map(|node| node.as_str().unwrap().to_owned()).collect())
}

#[tokio::test(flavor = "multi_thread")]
async fn anyone_is_told_which_nodes_to_try() {
    let nats = NatsServer::start().await;
    let origin = begin(&nats, "o", "east", |config| config.node.roles = vec![Role::Origin]).await;
    let near = begin(&nats, "near", "west", |config| config.node.roles = vec![Role::Edge]).await;
    let far = begin(&nats, "far", "east", |config| config.node.roles = vec![Role::Edge]).await;
    acquainted(&[&origin, &near, &far]).await;
    let _publisher = publish(&origin, "news").await;
    heard_of(&near, "news").await;
    for node in [&origin, &near, &far] {
        named(node, &["far", "near"]).await;
    }
    let ask =
        async |node: &Node, query: &str| get_json(&format!("{}/api/where?{query}", node.public_url())).await;
    let said = ask(&near, "room=news").await;
    assert_eq!(names(&said), ["near", "far"], "{said}");
    assert_eq!((&said["action"], &said["stream"]), (&"watch".into(), &"main".into()));
    assert_eq!(said["origin"]["name"], "o");
    assert_eq!(said["nodes"][1]["endpoint"], format!("{}/whep/news/main", far.public_url()));
    // Its answer is good: who goes there is served.
    assert_eq!(names(&ask(&far, "room=news&stream=main").await), ["far", "near"]);
    let said = ask(&near, "room=news&stream=cam&action=publish").await;
    assert_eq!(names(&said), ["o"], "{said}");
    assert_eq!(said["nodes"][0]["endpoint"], format!("{}/whip/news/cam", origin.public_url()));
    for wrong in ["", "room=a.b", "room=news&action=dance", "room=news&stream=%20"] {
        assert_eq!(get_status(&format!("{}/api/where?{wrong}", near.public_url())).await, 400, "{wrong}");
    }
    near.drain().await;
    eventually(SOON, "who drains is not named", || async {
        let said = ask(&far, "room=news").await;
        if names(&said) == ["far"] { Ok(()) } else { Err(said) }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_finds_a_node_full_is_told_others_and_sent_there_where_that_is_allowed() {
    let nats = NatsServer::start().await;
    let small = |redirect: bool| {
        move |config: &mut Config| {
            config.limits.viewers = 1;
            config.http.redirect = redirect;
        }
    };
    let sends = begin(&nats, "sends", "west", small(true)).await;
    let tells = begin(&nats, "tells", "west", small(false)).await;
    let large = begin(&nats, "large", "east", |_| {}).await;
    acquainted(&[&sends, &tells, &large]).await;
    let _publisher = publish(&large, "news").await;
    heard_of(&sends, "news").await;
    heard_of(&tells, "news").await;
    let (one, two) = (watch(&sends, "news").await, watch(&tells, "news").await);
    plays(&one, 5).await;
    plays(&two, 5).await;
    // Both are known to be full, everywhere.
    for node in [&sends, &tells, &large] {
        named(node, &["large"]).await;
    }

    let at_large = format!("{}/whep/news/main", large.public_url());
    let told = knock(&format!("{}/whep/news", tells.public_url()), &[]).await;
    assert_eq!(told, (503, String::new(), vec![at_large.clone()]));
    let url = format!("{}/whep/news/main?a=b", sends.public_url());
    let sent = knock(&url, &[]).await;
    assert_eq!(sent, (307, format!("{at_large}?a=b&redirected=1"), vec![at_large.clone()]));
    // A page's token would be lost on the way.
    let page = [("origin", "https://app.example.com"), ("authorization", "Bearer x")];
    assert_eq!(knock(&url, &page).await, (503, String::new(), vec![at_large.clone()]));
    // It went round before: not once more.
    assert_eq!(knock(&format!("{url}&redirected=2"), &[]).await.0, 503);

    let viewer = watch_with(&sends, "news", |_| {}).await;
    plays(&viewer, 5).await;
    assert_eq!(viewer.report().borrow().route.node.as_deref(), Some("large"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_draining_node_sends_publishers_on_and_nobody_round() {
    let nats = NatsServer::start().await;
    let redirects = |config: &mut Config| {
        config.http.redirect = true;
        config.timeouts.drain = Duration::from_secs(1);
    };
    let a = begin(&nats, "a", "west", redirects).await;
    let b = begin(&nats, "b", "west", redirects).await;
    acquainted(&[&a, &b]).await;
    a.drain().await;
    let mut phase = a.context().phase.clone();
    phase.wait_for(|phase| *phase == Phase::Draining).await.unwrap();
    eventually(SOON, "the other one serves", || async {
        let said = get_json(&format!("{}/api/where?room=news&action=publish", a.public_url())).await;
        if names(&said) == ["b"] { Ok(()) } else { Err(said) }
    })
    .await;
    let publisher = publish(&a, "news").await;
    assert_eq!(publisher.stats().borrow().route.node.as_deref(), Some("b"));
    b.drain().await;
    eventually(SOON, "nobody is left to go to", || async {
        let said = get_json(&format!("{}/api/where?room=news", a.public_url())).await;
        if names(&said).is_empty() { Ok(()) } else { Err(said) }
    })
    .await;
    assert_eq!(knock(&format!("{}/whep/news", a.public_url()), &[]).await, (503, String::new(), Vec::new()));
    assert_eq!(knock(&format!("{}/whep/news", b.public_url()), &[]).await, (503, String::new(), Vec::new()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_is_told_where_to_go_on_and_again_when_it_asks() {
    let nats = NatsServer::start().await;
    let a = begin(&nats, "a", "west", |_| {}).await;
    let b = begin(&nats, "b", "west", |_| {}).await;
    acquainted(&[&a, &b]).await;
    named(&a, &["a", "b"]).await;
    named(&b, &["a", "b"]).await;
    let _publisher = publish(&a, "news").await;
    let posted = crate::support::fleet::http()
        .post(format!("{}/whep/news", a.public_url()))
        .header("content-type", "application/sdp")
        .body(WATCH)
        .send()
        .await
        .unwrap();
    assert_eq!(posted.status(), 201);
    let links = |response: &reqwest::Response| -> Vec<String> {
        let all = response.headers().get_all("link").iter().map(|link| link.to_str().unwrap().to_owned());
        all.filter(|link| link.contains("alternate")).collect()
    };
    let way = format!("<{}/whep/news/main>; rel=\"alternate\"", b.public_url());
    assert_eq!(links(&posted), std::slice::from_ref(&way));
    let session = posted.headers()["location"].to_str().unwrap();
    // By any node: it is never told the node that it is on.
    for node in [&a, &b] {
        let url = format!("{}{session}", node.public_url());
        let told = crate::support::fleet::http().get(url).send().await.unwrap();
        assert_eq!(told.status(), 204);
        assert_eq!(links(&told), std::slice::from_ref(&way));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_has_its_streams_is_named_to_viewers_alone() {
    let nats = NatsServer::start().await;
    let full = begin(&nats, "full", "west", |config| config.limits.streams = 1).await;
    let free = begin(&nats, "free", "west", |_| {}).await;
    acquainted(&[&full, &free]).await;
    named(&free, &["free", "full"]).await;
    let publisher = publish(&full, "news").await;
    let told = async |action: &str, expected: &[&str]| {
        let url = format!("{}/api/where?room=other&action={action}", free.public_url());
        eventually(SOON, format!("{expected:?} may {action}"), || async {
            let said = get_json(&url).await;
            let mut known = names(&said);
            known.sort_unstable();
            if known == expected { Ok(()) } else { Err(said.to_string()) }
        })
        .await;
    };
    told("publish", &["free"]).await;
    told("watch", &["free", "full"]).await;
    publisher.stop().await.unwrap();
    told("publish", &["free", "full"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_starts_says_that_and_not_that_it_drains() {
    // Without NATS it doesn't know for three seconds whether its name is free.
    let settings = config("a", "west", &format!("nats://127.0.0.1:{}", free_port()));
    let node = Node::start(settings).await.expect("the node starts");
    for path in ["whep/news", "whip/news"] {
        let offer = if path == "whep/news" { WATCH } else { PUBLISH };
        let request = http().post(format!("{}/{path}", node.public_url())).body(offer);
        let answer = request.header("content-type", "application/sdp").send().await.unwrap();
        assert!(answer.status() == 503 && answer.headers().contains_key("retry-after"), "{answer:?}");
        let said = answer.text().await.unwrap();
        assert!(said.contains("the node is starting"), "{said}");
    }
    let (status, said) = readiness(&node.operators_url()).await;
    assert_eq!((status, &said["phase"]), (503, &Value::from("starting")));
    eventually(SOON, "it serves", || async {
        (get_status(&format!("{}/readyz", node.operators_url())).await == 200).then_some(())
    })
    .await;
    let (status, _) = post(&format!("{}/whip/news", node.public_url()), PUBLISH).await;
    assert_eq!(status, 201);
}
