//! Whatever arrives by HTTP: pages of other origins, proxies' words, encodings, slashes, and what is told of hosts.

use std::time::{Duration, Instant};

use headwater::config::{Action, Config, StaticToken};
use headwater::node::Node;
use reqwest::{Method, Response};
use serde_json::Value;

use crate::support::fleet::{SOON, config, http, node, one_node, publish, room, start};
use crate::support::nats::NatsServer;
use crate::support::wait::eventually;

const PUBLISH: &str = include_str!("../../src/http/sdp/offers/chromium-publish.sdp");
const WATCH: &str = include_str!("../../src/http/sdp/offers/chromium-watch.sdp");
const FRAGMENT: &str = "application/trickle-ice-sdpfrag";
const SDP: (&str, &str) = ("content-type", "application/sdp");
const ORIGIN: (&str, &str) = ("origin", "https://app.example.com");

async fn send(method: &str, url: &str, headers: &[(&str, &str)], body: impl Into<reqwest::Body>) -> Response {
    let mut request = http().request(Method::from_bytes(method.as_bytes()).unwrap(), url).body(body);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.send().await.expect("an answer")
}

fn header(response: &Response, name: &str) -> String {
    let values = response.headers().get_all(name).iter().map(|value| value.to_str().unwrap());
    values.collect::<Vec<_>>().join("\n")
}

fn turn(config: &mut Config) {
    let servers = "[webrtc]\nice_servers = ['stun:stun.example.com', \
        { urls = ['turn:turn.example.com?transport=udp', 'turns:turn.example.com'], secret = 'north' }]";
    config.webrtc.ice_servers = Config::parse(servers).unwrap().webrtc.ice_servers;
}

#[tokio::test(flavor = "multi_thread")]
async fn options_pass_cors_and_tell_what_is_taken() {
    let (_nats, node) = one_node(turn).await;
    let session = format!("whep/news/main/origin/{}", uuid::Uuid::new_v4());
    for path in ["whip/news", "whep/news/main", "whep/news/", &session, "api/status/news/main", "nothing"] {
        let url = format!("{}/{path}", node.public_url());
        // What MediaMTX's reader, hb-player and Eyevinn's libraries begin with, and what a browser asks before it.
        for asks in ["OPTIONS", "POST", "PATCH", "DELETE"] {
            let headers = [
                ORIGIN,
                ("access-control-request-method", asks),
                ("access-control-request-headers", "authorization,content-type,x-my-own"),
            ];
            let preflight = send("OPTIONS", &url, &headers, "").await;
            assert!(preflight.status().is_success(), "{path}: {}", preflight.status());
            assert_eq!(header(&preflight, "access-control-allow-origin"), "*", "{path}");
            assert!(header(&preflight, "access-control-allow-methods").contains(asks), "{path}");
            assert_eq!(
                header(&preflight, "access-control-allow-headers"),
                "authorization,content-type,x-my-own",
                "{path}"
            );
            assert_eq!(header(&preflight, "link"), "", "no credentials before there is a token: {path}");
        }
    }
    for path in ["whip/news", "whep/news/main"] {
        let plain = send("OPTIONS", &format!("{}/{path}", node.public_url()), &[ORIGIN], "").await;
        assert_eq!(plain.status(), 200, "{path}");
        assert_eq!(header(&plain, "accept-post"), "application/sdp");
        assert!(header(&plain, "access-control-expose-headers").contains("link"));
        let links = header(&plain, "link");
        assert!(links.contains("<stun:stun.example.com>; rel=\"ice-server\"\n"), "{links}");
        assert!(links.contains("<turns:turn.example.com>; rel=\"ice-server\"; username=\""), "{links}");
        assert_eq!(links.lines().count(), 3, "{links}");
    }
    let session = send("OPTIONS", &format!("{}/{session}", node.public_url()), &[], "").await;
    assert_eq!(session.status(), 200);
    assert_eq!(header(&session, "accept-patch"), "application/trickle-ice-sdpfrag, application/sdp");
}

#[tokio::test(flavor = "multi_thread")]
async fn ice_servers_are_told_to_who_may_use_them() {
    let (_nats, node) = one_node(|config| {
        turn(config);
        config.auth.tokens = vec![StaticToken {
            name: None,
            token: "viewer".into(),
            actions: vec![Action::Watch],
            room: Some("news".parse().unwrap()),
            stream: None,
        }];
    })
    .await;
    let links = async |path: &str, token: Option<&str>| {
        let bearer = token.map(|token| format!("Bearer {token}"));
        let headers: Vec<_> = bearer.iter().map(|bearer| ("authorization", bearer.as_str())).collect();
        let response = send("OPTIONS", &format!("{}/{path}", node.public_url()), &headers, "").await;
        assert_eq!(response.status(), 200, "{path}");
        header(&response, "link").lines().count()
    };
    assert_eq!(links("whep/news", Some("viewer")).await, 3);
    assert_eq!(links("whep/news", None).await, 0);
    assert_eq!(links("whep/news", Some("other")).await, 0);
    assert_eq!(links("whep/other", Some("viewer")).await, 0);
    assert_eq!(links("whip/news", Some("viewer")).await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn only_allowed_origins_read_answers() {
    let (_nats, node) =
        one_node(|config| config.http.cors_origins = vec!["https://app.example.com".to_owned()]).await;
    let url = format!("{}/whep/news", node.public_url());
    let allowed = send("POST", &url, &[SDP, ORIGIN], WATCH).await;
    assert_eq!(allowed.status(), 409, "not live");
    assert_eq!(header(&allowed, "access-control-allow-origin"), "https://app.example.com");
    let exposed = header(&allowed, "access-control-expose-headers");
    for name in ["location", "link", "etag", "accept-post", "accept-patch", "retry-after"] {
        assert!(exposed.contains(name), "{name}: {exposed}");
    }
    assert!(header(&allowed, "vary").contains("origin"));
    let other = send("POST", &url, &[SDP, ("origin", "https://evil.example")], WATCH).await;
    assert_eq!(header(&other, "access-control-allow-origin"), "");
    let preflight = [("origin", "https://evil.example"), ("access-control-request-method", "POST")];
    let preflight = send("OPTIONS", &url, &preflight, "").await;
    assert_eq!(header(&preflight, "access-control-allow-origin"), "");
    assert_eq!(header(&preflight, "access-control-allow-methods"), "");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_refusal_is_a_problem() {
    let (_nats, node) = one_node(|_| {}).await;
    let url = |path: &str| format!("{}/{path}", node.public_url());
    let large = "x".repeat(300_000);
    let cases = [
        ("PUT", "whip/news", vec![], "", 405, "POST"),
        ("DELETE", "whep/news/main", vec![], "", 405, "POST"),
        ("POST", "api/node", vec![], "", 405, "GET"),
        ("POST", "whip/news", vec![SDP], large.as_str(), 413, "limits.body_bytes"),
        (
            "PATCH",
            "whip/news/main/origin/6f6e7c1e-5d0a-4b87-bb8e-14a4fe3d7b38",
            vec![SDP],
            large.as_str(),
            413,
            "bytes",
        ),
        ("POST", "whip/news", vec![SDP, ("content-encoding", "br")], "x", 415, "gzip"),
        ("POST", "whip/news", vec![SDP, ("content-encoding", "gzip")], "not gzip", 400, "body"),
        ("POST", "whip/n%ff", vec![SDP], PUBLISH, 400, "UTF-8"),
    ];
    for (method, path, mut headers, body, status, says) in cases {
        headers.push(ORIGIN);
        let response = send(method, &url(path), &headers, body.to_owned()).await;
        let what = format!("{method} {path} {headers:?}");
        assert_eq!(response.status(), status, "{what}");
        assert_eq!(header(&response, "content-type"), "application/problem+json", "{what}");
        assert_eq!(header(&response, "access-control-allow-origin"), "*", "{what}");
        if status == 405 {
            assert!(header(&response, "allow").contains(says), "{what}");
        }
        let says = if status == 405 { "Allow" } else { says };
        let problem: Value = serde_json::from_str(&response.text().await.unwrap()).unwrap();
        let detail = problem["detail"].as_str().unwrap();
        assert!(detail.contains(says) && detail.len() > 10, "{what}: {problem}");
    }
    let operators = send("PUT", &format!("{}/api/rooms", node.operators_url()), &[], "").await;
    assert_eq!(operators.status(), 405);
    assert_eq!(header(&operators, "content-type"), "application/problem+json");
}

/// Text as the program packs it.
fn gzip(text: &str) -> Vec<u8> {
    let mut child = std::process::Command::new("gzip")
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .expect("gzip");
    std::io::Write::write_all(&mut child.stdin.take().unwrap(), text.as_bytes()).unwrap();
    child.wait_with_output().unwrap().stdout
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_are_packed_and_unpacked() {
    let (_nats, node) = one_node(|_| {}).await;
    let url = format!("{}/whip/news/", node.public_url());
    let packed = [SDP, ("content-encoding", "gzip"), ("accept-encoding", "gzip")];
    let created = send("POST", &url, &packed, gzip(PUBLISH)).await;
    assert_eq!(created.status(), 201, "a slash at the end is none");
    assert_eq!(header(&created, "content-encoding"), "gzip");
    assert!(created.bytes().await.unwrap().starts_with(&[0x1f, 0x8b]));
    // What is small on the way and large here is measured here.
    let bomb = send("POST", &url, &packed, gzip(&"x".repeat(5_000_000))).await;
    assert_eq!(bomb.status(), 413);
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions_are_told_by_paths_that_hold_behind_a_proxy() {
    let (_nats, node) = one_node(|_| {}).await;
    let locate = async |node: &Node, headers: &[(&str, &str)]| {
        let all = [&[SDP], headers].concat();
        let created = send("POST", &format!("{}/whip/news", node.public_url()), &all, PUBLISH).await;
        assert_eq!(created.status(), 201);
        let location = header(&created, "location");
        let (before, session) = location.split_once("/whip/news/main/origin/").expect("the session's path");
        assert!(uuid::Uuid::parse_str(session).is_ok(), "{location}");
        let session = format!("{}/whip/news/main/origin/{session}/", node.public_url());
        assert_eq!(send("DELETE", &session, &[], "").await.status(), 200);
        before.to_owned()
    };
    assert_eq!(
        locate(&node, &[("x-forwarded-proto", "https,http"), ("x-forwarded-host", "a.example")]).await,
        ""
    );
    assert_eq!(locate(&node, &[("x-forwarded-prefix", "/live/")]).await, "/live");
    assert_eq!(locate(&node, &[("x-forwarded-prefix", "//evil.example")]).await, "/evil.example");

    let (_nats, strict) = one_node(|config| config.http.trusted_proxies = Vec::new()).await;
    assert_eq!(locate(&strict, &[("x-forwarded-prefix", "/live")]).await, "");

    let (_nats, known) = one_node(|config| {
        config.http.public_url = Some("https://live.example.com/a/".parse().unwrap());
    })
    .await;
    assert_eq!(locate(&known, &[("x-forwarded-prefix", "/b")]).await, "https://live.example.com/a");

    let redirect = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build().unwrap();
    let page = redirect.get(format!("{}/watch/?room=news", node.public_url())).send().await.unwrap();
    assert_eq!((page.status().as_u16(), header(&page, "location")), (308, "../watch?room=news".to_owned()));
}

/// An answer to a counter-offer, as if by a client with this user fragment.
fn answer_to(offer: &str, ufrag: &str) -> String {
    let lines =
        offer.lines().filter(|line| !line.starts_with("a=candidate:") && !line.contains("end-of-cand"));
    let answered = lines.map(|line| match line.split_once(':') {
        Some(("a=ice-ufrag", _)) => format!("a=ice-ufrag:{ufrag}"),
        Some(("a=ice-pwd", _)) => "a=ice-pwd:0123456789abcdef01234567".to_owned(),
        Some(("a=setup", _)) => "a=setup:active".to_owned(),
        _ if line == "a=sendonly" => "a=recvonly".to_owned(),
        _ if line == "a=ice-lite" => String::new(),
        _ => line.to_owned(),
    });
    answered.filter(|line| !line.is_empty()).map(|line| line + "\r\n").collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_counter_offer_lives_half_a_minute_and_may_be_answered_twice() {
    let nats = NatsServer::start().await;
    let mut settings = config("origin", "west", &nats.url());
    // What a viewer that has answered gets is something else.
    settings.timeouts.connect = Duration::from_secs(5);
    let node = start(settings).await;
    let _publisher = publish(&node, "news").await;
    let offered = Instant::now();
    let headers = [SDP, ("prefer", "counter-offer")];
    let url = format!("{}/whep/news", node.public_url());
    let (answered, forgotten) =
        (send("POST", &url, &headers, WATCH).await, send("POST", &url, &headers, WATCH).await);
    let kind = header(&answered, "content-type");
    let until = kind.strip_prefix("application/sdp; valid-until=\"").and_then(|rest| rest.strip_suffix('"'));
    let until = chrono::DateTime::parse_from_rfc2822(until.expect(&kind)).expect("an HTTP date");
    let left = until.timestamp() - chrono::Utc::now().timestamp();
    assert!((20..=30).contains(&left), "{left}");

    let session = |response: &Response| format!("{}{}", node.public_url(), header(response, "location"));
    let (url, forgotten) = (session(&answered), session(&forgotten));
    // Longer than timeouts.connect, which is for who has answered.
    eventually(SOON, "a time longer than that has passed", || async {
        offered.elapsed() > Duration::from_secs(7)
    })
    .await;
    assert_eq!(send("GET", &forgotten, &[], "").await.status(), 204);
    let offer = answered.text().await.unwrap();
    for _ in 0..2 {
        let taken = send("PATCH", &url, &[SDP], answer_to(&offer, "abcd")).await;
        let status = taken.status();
        assert_eq!(status, 204, "{}", taken.text().await.unwrap());
    }
    let other = send("PATCH", &url, &[SDP], answer_to(&offer, "efgh")).await;
    assert_eq!(other.status(), 409);
    assert_eq!(header(&other, "content-type"), "application/problem+json");
    eventually(SOON, "who answered and never connected is ended", || async {
        send("GET", &url, &[], "").await.status() == 404
    })
    .await;
    eventually(Duration::from_secs(50), "the forgotten counter-offer ends", || async {
        send("GET", &forgotten, &[], "").await.status() == 404
    })
    .await;
    let lived = offered.elapsed();
    assert!(lived >= Duration::from_secs(30), "{lived:?}");
    assert!(room(&node, "news").await.unwrap().viewers.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_that_is_sent_again_is_answered_again() {
    let (_nats, node) = one_node(|_| {}).await;
    let created = send("POST", &format!("{}/whip/news", node.public_url()), &[SDP], PUBLISH).await;
    let url = format!("{}{}", node.public_url(), header(&created, "location"));
    let restart =
        "a=ice-ufrag:abcd\r\na=ice-pwd:0123456789abcdef01234567\r\nm=audio 9 RTP/AVP 0\r\na=mid:0\r\n";
    let headers = [("content-type", FRAGMENT), ("if-match", "*")];
    let mut answers = Vec::new();
    for _ in 0..2 {
        let restarted = send("PATCH", &url, &headers, restart).await;
        assert_eq!(restarted.status(), 200);
        answers.push((header(&restarted, "etag"), restarted.text().await.unwrap()));
    }
    assert_eq!(answers[0], answers[1]);
    // A candidate of the new session, by the clients that name no ETag or name it in a header of their own.
    let etag = answers[0].0.clone();
    for more in [vec![], vec![("etag", etag.as_str())], vec![("if-match", etag.as_str())]] {
        let headers = [vec![("content-type", FRAGMENT)], more].concat();
        assert_eq!(send("PATCH", &url, &headers, restart).await.status(), 204, "{headers:?}");
    }
}

/// The addresses of the candidates in a description.
fn candidates(sdp: &str) -> Vec<String> {
    let lines = sdp.lines().filter_map(|line| line.strip_prefix("a=candidate:"));
    let mut hosts: Vec<_> = lines.map(|line| line.split(' ').nth(4).unwrap().to_owned()).collect();
    hosts.sort();
    hosts.dedup();
    hosts
}

#[tokio::test(flavor = "multi_thread")]
async fn each_family_is_announced_as_it_is_reached() {
    let nats = NatsServer::start().await;
    let told = async |name: &str, listen: &[&str], announced: &str| {
        let mut settings = config(name, "west", &nats.url());
        settings.webrtc.listen = listen.iter().map(|ip| ip.parse().unwrap()).collect();
        let text = format!("[webrtc]\nannounced = {announced}");
        settings.webrtc.announced = Config::parse(&text).unwrap().webrtc.announced;
        let node = start(settings).await;
        let created = send("POST", &format!("{}/whip/{name}", node.public_url()), &[SDP], PUBLISH).await;
        assert_eq!(created.status(), 201);
        candidates(&created.text().await.unwrap())
    };
    assert_eq!(told("name", &["0.0.0.0"], "'localhost'").await, ["127.0.0.1"]);
    assert_eq!(
        told("list", &["127.0.0.1", "::1"], "['198.51.100.7', '2001:db8::7']").await,
        ["198.51.100.7", "2001:db8::7"]
    );
    assert_eq!(told("one", &["127.0.0.1", "::1"], "'198.51.100.7'").await, ["198.51.100.7", "::1"]);

    let mut wrong = config("wrong", "west", &nats.url());
    wrong.pipe.announced = Some("nobody.invalid".parse().unwrap());
    let error = Node::start(wrong).await.unwrap_err().to_string();
    assert!(error.contains("pipe.announced: nobody.invalid"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn pipes_find_each_other_by_name() {
    let nats = NatsServer::start().await;
    let mut settings = config("origin", "west", &nats.url());
    settings.pipe.listen = "127.0.0.1".parse().unwrap();
    settings.pipe.announced = Some("localhost".parse().unwrap());
    let origin = start(settings).await;
    let edge = node("edge", "east", &nats.url()).await;
    let _publisher = publish(&origin, "news").await;
    crate::support::fleet::heard_of(&edge, "news").await;
    let viewer = crate::support::fleet::watch(&edge, "news").await;
    crate::support::fleet::plays(&viewer, 5).await;
}
