//! Any node answers for any session: a load balancer may send each request of a client to another node.

use std::time::{Duration, Instant};

use headwater::node::Node;
use reqwest::{Method, Response};
use serde_json::Value;

use crate::support::child::ChildNode;
use crate::support::fleet::{
    Address, SOON, acquainted, config, heard_of, http, node, plays, publish, room, start, watch_with,
};
use crate::support::nats::NatsServer;
use crate::support::wait::eventually;
use crate::support::web::{Site, balanced};

const PUBLISH: &str = include_str!("../../src/http/sdp/offers/chromium-publish.sdp");
const FRAGMENT: &str = "application/trickle-ice-sdpfrag";
const RESTART: &str =
    "a=ice-ufrag:abcd\r\na=ice-pwd:0123456789abcdef01234567\r\nm=audio 9 RTP/AVP 0\r\na=mid:0\r\n";

impl Address for Site {
    fn public(&self) -> String {
        self.url().to_owned()
    }
}

async fn send(method: Method, url: &str, headers: &[(&str, &str)], body: &str) -> Response {
    let mut request = http().request(method, url).body(body.to_owned());
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.send().await.expect("an answer")
}

fn header(response: &Response, name: &str) -> String {
    response.headers().get(name).map(|value| value.to_str().unwrap().to_owned()).unwrap_or_default()
}

/// Posts an offer of a publisher; the path of its session.
async fn offered(node: &impl Address) -> String {
    let headers = [("content-type", "application/sdp")];
    let created = send(Method::POST, &format!("{}/whip/news", node.public()), &headers, PUBLISH).await;
    assert_eq!(created.status(), 201);
    header(&created, "location")
}

async fn two() -> (NatsServer, Node, Node) {
    let nats = NatsServer::start().await;
    let (a, b) = (node("a", "west", &nats.url()).await, node("b", "west", &nats.url()).await);
    acquainted(&[&a, &b]).await;
    (nats, a, b)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_publisher_and_a_viewer_live_and_end_by_way_of_other_nodes() {
    let (_nats, a, b) = two().await;
    let balancer = balanced(vec![a.public_url(), b.public_url()]).await;
    let publisher = publish(&balancer, "news").await;
    heard_of(&b, "news").await;
    // Its answer to our counter-offer goes by the other node: without it nothing would play.
    let viewer = watch_with(&balancer, "news", |options| options.counter_offer = true).await;
    plays(&viewer, 20).await;
    assert_eq!(viewer.report().borrow().route.node.as_deref(), Some("a"));
    viewer.stop().await;
    eventually(SOON, "the viewer is gone", || async {
        room(&a, "news").await.is_none_or(|room| room.viewers.is_empty())
    })
    .await;
    publisher.stop().await.expect("the other node passes the DELETE on");
    eventually(SOON, "nothing is left", || async {
        room(&a, "news").await.is_none_or(|room| room.counts.transports == 0)
    })
    .await;
    assert!(room(&b, "news").await.is_none(), "the other node only passed requests on");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_session_answers_is_the_same_by_way_of_any_node() {
    let (_nats, a, b) = two().await;
    let session = offered(&a).await;
    assert!(session.starts_with("/whip/news/main/a/"), "it names its node: {session}");
    let by = |node: &Node| format!("{}{session}", node.public_url());
    let restart = async |node: &Node| {
        let headers = [("content-type", FRAGMENT), ("if-match", "*"), ("origin", "https://app.example.com")];
        let restarted = send(Method::PATCH, &by(node), &headers, RESTART).await;
        assert_eq!(restarted.status(), 200);
        assert_eq!(header(&restarted, "content-type"), FRAGMENT);
        assert_eq!(header(&restarted, "access-control-allow-origin"), "*");
        (header(&restarted, "etag"), restarted.text().await.unwrap())
    };
    // A restart that is sent again is answered again.
    let (etag, body) = restart(&b).await;
    assert!(body.contains("a=ice-ufrag:") && etag.starts_with('"'), "{etag} {body}");
    assert_eq!(restart(&a).await, (etag, body));

    let stale = [("content-type", FRAGMENT), ("if-match", "\"other\"")];
    let trickle = [("content-type", FRAGMENT)];
    let what = "a=ice-ufrag:zzzz\r\na=ice-pwd:0123456789abcdef01234567\r\nm=audio 9 RTP/AVP 0\r\na=mid:0\r\n";
    let large = "a=x\r\n".repeat(20_000);
    for (method, headers, body) in [
        (Method::GET, &[][..], ""),
        (Method::PATCH, &trickle[..], RESTART),
        (Method::PATCH, &stale[..], what),
        (Method::PATCH, &trickle[..], "nonsense"),
        (Method::PATCH, &[("content-type", "application/sdp")][..], "v=0\r\n"),
        (Method::PATCH, &[("content-type", "text/plain")][..], ""),
        (Method::DELETE, &[][..], ""),
        // It is over, as was asked.
        (Method::DELETE, &[][..], ""),
        (Method::GET, &[][..], ""),
    ] {
        let here = send(method.clone(), &by(&a), headers, body).await;
        let there = send(method.clone(), &by(&b), headers, body).await;
        assert_eq!(here.status(), there.status(), "{method} {body}");
        assert_eq!(header(&here, "content-type"), header(&there, "content-type"), "{method} {body}");
        assert_eq!(here.text().await.unwrap(), there.text().await.unwrap(), "{method} {body}");
    }
    let session = offered(&a).await;
    let refused = send(Method::PATCH, &format!("{}{session}", b.public_url()), &trickle, &large).await;
    assert_eq!(refused.status(), 413);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_knows_no_session_learns_nothing_and_who_is_gone_is_named() {
    let nats = NatsServer::start().await;
    let b = node("b", "west", &nats.url()).await;
    let mut a = ChildNode::start("a", "west", &nats.url(), &[]).await;
    let name = "a".parse().unwrap();
    eventually(SOON, "they hear each other", || async {
        b.context().fleet().node(&name).is_some().then_some(())
    })
    .await;
    let session = offered(&a).await;
    let by_b = format!("{}{session}", b.public_url());
    assert_eq!(send(Method::GET, &by_b, &[], "").await.status(), 204);
    let (before, _) = session.rsplit_once('/').unwrap();
    for wrong in [
        format!("{before}/{}", uuid::Uuid::new_v4()),
        session.replace("/main/", "/other/"),
        session.replace("/news/", "/else/"),
        session.replace("/main/a/", "/main/nobody/"),
        session.replace("/main/a/", "/main/b/"),
    ] {
        // A node that has just come says 503: it does not know yet who is there.
        eventually(SOON, format!("{wrong} is unknown"), || async {
            let answer = send(Method::DELETE, &format!("{}{wrong}", b.public_url()), &[], "").await;
            if answer.status() == 404 { Ok(()) } else { Err(answer.status()) }
        })
        .await;
    }
    assert_eq!(send(Method::GET, &by_b, &[], "").await.status(), 204, "it goes on");

    // A node that does not answer may do so later.
    a.process().signal("STOP");
    let asked = Instant::now();
    let silent = send(Method::GET, &by_b, &[], "").await;
    assert_eq!(silent.status(), 503, "after {:?}", asked.elapsed());
    assert!(!header(&silent, "retry-after").is_empty());
    a.process().signal("CONT");
    eventually(SOON, "it answers again", || async {
        send(Method::GET, &by_b, &[], "").await.status() == 204
    })
    .await;

    a.process().kill();
    let gone = eventually(SOON, "its node is gone", || async {
        let answer = send(Method::GET, &by_b, &[], "").await;
        if answer.status() == 404 { Ok(answer) } else { Err(answer.status()) }
    })
    .await;
    assert_eq!(header(&gone, "content-type"), "application/problem+json");
    let problem: Value = serde_json::from_str(&gone.text().await.unwrap()).unwrap();
    assert!(problem["detail"].as_str().unwrap().contains("node a"), "{problem}");

    // Another process of the name has not that session.
    let _again = ChildNode::start("a", "west", &nats.url(), &[]).await;
    let unknown = send(Method::GET, &by_b, &[], "").await;
    assert_eq!(unknown.status(), 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_without_nats_says_so_of_other_nodes_sessions() {
    let mut nats = NatsServer::start().await;
    let mut settings = config("b", "west", &nats.url());
    settings.timeouts.request = Duration::from_millis(500);
    let b = start(settings).await;
    let a = node("a", "west", &nats.url()).await;
    acquainted(&[&a, &b]).await;
    let session = offered(&a).await;
    nats.stop();
    let other = format!("{}{session}", b.public_url());
    eventually(SOON, "it says that it can't ask", || async {
        let answer = send(Method::DELETE, &other, &[], "").await;
        if answer.status() == 503 && !header(&answer, "retry-after").is_empty() {
            Ok(())
        } else {
            Err(answer.status())
        }
    })
    .await;
    assert_eq!(send(Method::DELETE, &format!("{}{session}", a.public_url()), &[], "").await.status(), 200);
}
