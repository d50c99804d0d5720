//! WHIP and WHEP as their clients expect them (RFC 9725, draft-ietf-wish-whep).

use headwater::config::{Action, Jwt, JwtAlgorithm, StaticToken};
use headwater::node::Node;
use reqwest::{Method, Response};
use serde_json::{Value, json};

use crate::support::fleet::{SOON, config, http, node, publish, start};
use crate::support::nats::NatsServer;
use crate::support::wait::eventually;

const PUBLISH: &str = include_str!("../../src/http/sdp/offers/chromium-publish.sdp");
const WATCH: &str = include_str!("../../src/http/sdp/offers/chromium-watch.sdp");
const OBS: &str = include_str!("../../src/http/sdp/offers/obs-simulcast.sdp");
const FRAGMENT: &str = "application/trickle-ice-sdpfrag";

async fn send(method: &str, url: &str, headers: &[(&str, &str)], body: &str) -> Response {
    let mut request =
        http().request(Method::from_bytes(method.as_bytes()).unwrap(), url).body(body.to_owned());
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.send().await.expect("an answer")
}

async fn post(url: &str, body: &str) -> Response {
    send("POST", url, &[("content-type", "application/sdp")], body).await
}

fn header(response: &Response, name: &str) -> String {
    response.headers().get(name).map(|value| value.to_str().unwrap().to_owned()).unwrap_or_default()
}

async fn problem(response: Response) -> Value {
    assert_eq!(header(&response, "content-type"), "application/problem+json");
    assert_eq!(header(&response, "access-control-allow-origin"), "*", "CORS on errors too");
    serde_json::from_str(&response.text().await.unwrap()).unwrap()
}

async fn one_node() -> (NatsServer, Node) {
    let nats = NatsServer::start().await;
    let node = node("origin", "west", &nats.url()).await;
    (nats, node)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_whip_session_from_offer_to_end() {
    let (_nats, node) = one_node().await;
    let endpoint = format!("{}/whip/news", node.public_url());
    let created = post(&endpoint, PUBLISH).await;
    assert_eq!(created.status(), 201);
    let location = header(&created, "location");
    assert!(
        location.starts_with("/whip/news/main/origin/"),
        "good for whatever way the client came: {location}"
    );
    let location = format!("{}{location}", node.public_url());
    assert!(!header(&created, "etag").is_empty());
    assert_eq!(header(&created, "content-type"), "application/sdp");
    assert!(header(&created, "access-control-expose-headers").to_lowercase().contains("location"));
    let etag = header(&created, "etag");
    let answer = created.text().await.unwrap();
    assert!(answer.contains("a=recvonly") && answer.contains("a=ice-lite"), "{answer}");

    // Trickle: ours learns candidates from checks, and a bad one harms nothing.
    let ufrag = PUBLISH.lines().find_map(|line| line.strip_prefix("a=ice-ufrag:")).unwrap();
    let pwd = PUBLISH.lines().find_map(|line| line.strip_prefix("a=ice-pwd:")).unwrap();
    let trickle = format!(
        "a=ice-ufrag:{ufrag}\r\na=ice-pwd:{pwd}\r\nm=audio RTP/AVP 0\r\na=mid:0\r\na=candidate:rubbish\r\n"
    );
    for headers in [
        vec![("content-type", FRAGMENT)],
        vec![("content-type", FRAGMENT), ("if-match", &etag)],
        vec![("content-type", FRAGMENT), ("etag", &etag)],
    ] {
        let patched = send("PATCH", &location, &headers, &trickle).await;
        assert_eq!(patched.status(), 204, "{headers:?}");
    }
    let stale =
        send("PATCH", &location, &[("content-type", FRAGMENT), ("if-match", "\"other\"")], &trickle).await;
    assert_eq!(stale.status(), 412);

    // Restart: new credentials, a new ETag, our own new credentials.
    let restart =
        "a=ice-ufrag:abcd\r\na=ice-pwd:0123456789abcdef01234567\r\nm=audio 9 RTP/AVP 0\r\na=mid:0\r\n";
    let restarted = send("PATCH", &location, &[("content-type", FRAGMENT), ("if-match", "*")], restart).await;
    assert_eq!(restarted.status(), 200);
    assert_ne!(header(&restarted, "etag"), etag);
    let fragment = restarted.text().await.unwrap();
    assert!(fragment.contains("a=ice-ufrag:") && fragment.contains("a=candidate:"), "{fragment}");

    assert_eq!(send("PATCH", &location, &[("content-type", "text/plain")], "x").await.status(), 415);
    assert_eq!(send("DELETE", &location, &[], "").await.status(), 200);
    assert_eq!(send("DELETE", &location, &[], "").await.status(), 200, "once more is no fault");
    assert_eq!(send("PATCH", &location, &[("content-type", FRAGMENT)], &trickle).await.status(), 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn strict_etags_are_asked_for_where_configured() {
    let nats = NatsServer::start().await;
    let mut settings = config("origin", "west", &nats.url());
    settings.http.strict_etags = true;
    let node = start(settings).await;
    let created = post(&format!("{}/whip/news", node.public_url()), PUBLISH).await;
    let (location, etag) = (header(&created, "location"), header(&created, "etag"));
    let location = format!("{}{location}", node.public_url());
    let trickle = "m=audio 9 RTP/AVP 0\r\na=mid:0\r\na=end-of-candidates\r\n";
    assert_eq!(send("PATCH", &location, &[("content-type", FRAGMENT)], trickle).await.status(), 428);
    let right = [("content-type", FRAGMENT), ("if-match", etag.as_str())];
    assert_eq!(send("PATCH", &location, &right, trickle).await.status(), 204);
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_requests_are_told_what_to_do() {
    let (_nats, node) = one_node().await;
    let url = |path: &str| format!("{}/{path}", node.public_url());
    let cases = [
        (
            "not SDP by type",
            send("POST", &url("whip/news"), &[("content-type", "text/plain")], PUBLISH).await,
            415,
        ),
        ("not SDP by content", post(&url("whip/news"), "hello").await, 400),
        ("a bad room", post(&url("whip/no.dots"), PUBLISH).await, 400),
        ("too large", post(&url("whip/news"), &"x".repeat(300_000)).await, 413),
        ("a viewer's offer to publish with", post(&url("whip/news"), WATCH).await, 422),
        (
            "no codec in common",
            post(&url("whip/news"), include_str!("../../src/http/sdp/offers/obs-hevc.sdp")).await,
            422,
        ),
        ("a stream that is not live", post(&url("whep/news"), WATCH).await, 409),
        ("another address", post(&url("whoop/news"), WATCH).await, 404),
    ];
    for (what, response, status) in cases {
        assert_eq!(response.status(), status, "{what}");
        if status == 409 {
            assert!(!header(&response, "retry-after").is_empty(), "{what}");
        }
        let problem = problem(response).await;
        assert_eq!(problem["status"], status, "{what}");
        assert!(problem["detail"].as_str().unwrap().len() > 10, "{what}: {problem}");
    }
    assert!(crate::support::fleet::room(&node, "news").await.is_none_or(|view| view.counts.transports == 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn discovery_and_preflight_are_answered() {
    let (_nats, node) = one_node().await;
    for path in ["whip/news", "whep/news/main"] {
        let url = format!("{}/{path}", node.public_url());
        let preflight = [
            ("origin", "https://app.example.com"),
            ("access-control-request-method", "POST"),
            ("access-control-request-headers", "authorization,content-type"),
        ];
        let options = send("OPTIONS", &url, &preflight, "").await;
        assert_eq!(options.status(), 200, "{path}");
        assert_eq!(header(&options, "accept-post"), "application/sdp");
        assert_eq!(header(&options, "access-control-allow-origin"), "*");
        assert!(header(&options, "access-control-allow-methods").contains("PATCH"));
        for method in ["GET", "HEAD"] {
            let response = send(method, &url, &[], "").await;
            assert!(response.status().is_success(), "{method} {path}");
            assert_eq!(header(&response, "content-type"), "application/sdp");
        }
        assert_eq!(send("PUT", &url, &[], "").await.status(), 405);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn obs_gets_all_its_layers_in_the_answer() {
    let (_nats, node) = one_node().await;
    let created = post(&format!("{}/whip/news", node.public_url()), OBS).await;
    assert_eq!(created.status(), 201);
    let answer = created.text().await.unwrap();
    let offered = OBS.lines().filter(|line| line.starts_with("a=rid:")).count();
    assert_eq!(answer.lines().filter(|line| line.starts_with("a=rid:")).count(), offered, "{answer}");
    assert!(answer.contains("a=simulcast:recv"), "{answer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_viewer_may_ask_for_a_counter_offer() {
    let (_nats, node) = one_node().await;
    let _publisher = publish(&node, "news").await;
    let headers = [("content-type", "application/sdp"), ("prefer", "counter-offer")];
    let countered = send("POST", &format!("{}/whep/news", node.public_url()), &headers, WATCH).await;
    assert_eq!(countered.status(), 406);
    assert!(header(&countered, "content-type").starts_with("application/sdp; valid-until="));
    assert!(!header(&countered, "location").is_empty());
    let offer = countered.text().await.unwrap();
    assert!(offer.contains("a=sendonly"), "{offer}");
    assert!(!offer.contains("transport-wide-cc"), "one layer leaves nothing to choose: {offer}");
    assert!(!offer.contains("a=ssrc:"), "the stream may change under the same MID: {offer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn static_tokens_allow_what_they_say() {
    let nats = NatsServer::start().await;
    let mut settings = config("origin", "west", &nats.url());
    let token = |text: &str, actions, room: Option<&str>| StaticToken {
        name: None,
        token: text.into(),
        actions,
        room: room.map(|room| room.parse().unwrap()),
        stream: None,
    };
    settings.auth.tokens = vec![
        token("all", vec![Action::Publish, Action::Watch], None),
        token("news", vec![Action::Watch], Some("news")),
    ];
    let node = start(settings).await;
    let attempt = |path: &str, token: Option<&str>, offer: &'static str| {
        let url = format!("{}/{path}", node.public_url());
        let bearer = token.map(|token| format!("Bearer {token}"));
        async move {
            let mut headers = vec![("content-type", "application/sdp")];
            if let Some(bearer) = &bearer {
                headers.push(("authorization", bearer));
            }
            send("POST", &url, &headers, offer).await.status().as_u16()
        }
    };
    assert_eq!(attempt("whip/news", None, PUBLISH).await, 401);
    assert_eq!(attempt("whip/news", Some("wrong"), PUBLISH).await, 401);
    assert_eq!(attempt("whip/news", Some("news"), PUBLISH).await, 403);
    assert_eq!(attempt("whep/other", Some("news"), WATCH).await, 403);
    assert_eq!(attempt("whep/news", Some("news"), WATCH).await, 409, "allowed, and not live");
    assert_eq!(attempt("whip/news", Some("all"), PUBLISH).await, 201);
}

#[tokio::test(flavor = "multi_thread")]
async fn signed_tokens_allow_what_they_claim() {
    let nats = NatsServer::start().await;
    let mut settings = config("origin", "west", &nats.url());
    let audience = Some("headwater".to_owned());
    settings.auth.jwt =
        Some(Jwt { algorithm: JwtAlgorithm::HS256, key: "secret".into(), audience, issuer: None });
    let node = start(settings).await;
    let sign = |claims: Value, key: &str| {
        let key = jsonwebtoken::EncodingKey::from_secret(key.as_bytes());
        let mut claims = claims;
        if claims.get("aud").is_none() {
            claims["aud"] = json!("headwater");
        }
        if claims["aud"].is_null() {
            claims.as_object_mut().unwrap().remove("aud");
        }
        format!("Bearer {}", jsonwebtoken::encode(&jsonwebtoken::Header::default(), &claims, &key).unwrap())
    };
    let soon = chrono::Utc::now().timestamp() + 600;
    let past = chrono::Utc::now().timestamp() - 600;
    let cases = [
        (sign(json!({"room": "news", "actions": ["publish"], "exp": soon}), "secret"), 201),
        (sign(json!({"room": "*", "actions": ["publish"], "exp": soon}), "secret"), 201),
        (sign(json!({"room": "other", "actions": ["publish"], "exp": soon}), "secret"), 403),
        (sign(json!({"room": "news", "stream": "side", "actions": ["publish"], "exp": soon}), "secret"), 403),
        (sign(json!({"room": "news", "actions": ["watch"], "exp": soon}), "secret"), 403),
        (sign(json!({"room": "news", "actions": ["publish"], "exp": past}), "secret"), 401),
        (sign(json!({"room": "news", "actions": ["publish"], "exp": soon}), "other"), 401),
        (sign(json!({"room": "news", "actions": ["publish"]}), "secret"), 401),
        (sign(json!({"room": "news", "actions": ["publish"], "exp": soon, "aud": "other"}), "secret"), 401),
        (sign(json!({"room": "news", "actions": ["publish"], "exp": soon, "aud": null}), "secret"), 401),
    ];
    for (bearer, status) in cases {
        let headers = [("content-type", "application/sdp"), ("authorization", bearer.as_str())];
        let response = send("POST", &format!("{}/whip/news", node.public_url()), &headers, PUBLISH).await;
        assert_eq!(response.status(), status, "{bearer}");
    }
}

/// A key pair of these tests alone.
const ED25519_PRIVATE: &str = "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIMxFEzPWdStPrT2suRr6SdBugnbWhQFCyD9VMSMr+PjD\n-----END PRIVATE KEY-----";
const ED25519_PUBLIC: &str = "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEAlK2zzqvAJ1Kae0O8CrZW94yrz1rWoSYL28PZCorj3vI=\n-----END PUBLIC KEY-----";

#[tokio::test(flavor = "multi_thread")]
async fn tokens_signed_with_a_private_key_are_checked_with_the_public_one() {
    let nats = NatsServer::start().await;
    let mut settings = config("origin", "west", &nats.url());
    let key = ED25519_PUBLIC.into();
    settings.auth.jwt = Some(Jwt { algorithm: JwtAlgorithm::EdDSA, key, audience: None, issuer: None });
    let node = start(settings).await;
    let claims = json!({"room": "news", "actions": ["publish"], "exp": chrono::Utc::now().timestamp() + 600});
    let key = jsonwebtoken::EncodingKey::from_ed_pem(ED25519_PRIVATE.as_bytes()).unwrap();
    let signed = jsonwebtoken::Header::new(jsonwebtoken::Algorithm::EdDSA);
    let good = format!("Bearer {}", jsonwebtoken::encode(&signed, &claims, &key).unwrap());
    // The public key as a shared secret: the classic confusion of algorithms.
    let key = jsonwebtoken::EncodingKey::from_secret(ED25519_PUBLIC.as_bytes());
    let forged =
        format!("Bearer {}", jsonwebtoken::encode(&jsonwebtoken::Header::default(), &claims, &key).unwrap());
    for (bearer, status) in [(good, 201), (forged, 401)] {
        let headers = [("content-type", "application/sdp"), ("authorization", bearer.as_str())];
        let response = send("POST", &format!("{}/whip/news", node.public_url()), &headers, PUBLISH).await;
        assert_eq!(response.status(), status);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn operators_see_health_metrics_and_rooms_and_may_pause_and_end() {
    let nats = NatsServer::start().await;
    let mut settings = config("origin", "west", &nats.url());
    settings.operators.token = Some("hunter2".into());
    let origin = start(settings).await;
    let edge = node("edge", "east", &nats.url()).await;
    let publisher = publish(&origin, "news").await;
    crate::support::fleet::heard_of(&edge, "news").await;
    let viewer = crate::support::fleet::watch(&edge, "news").await;
    crate::support::fleet::plays(&viewer, 3).await;
    let base = origin.operators_url();
    let allowed = [("authorization", "Bearer hunter2")];
    assert_eq!(send("GET", &format!("{base}/api/rooms"), &[], "").await.status(), 401);
    let rooms: Value = serde_json::from_str(
        &send("GET", &format!("{base}/api/rooms"), &allowed, "").await.text().await.unwrap(),
    )
    .unwrap();
    assert_eq!(rooms[0]["children"][0]["peer"]["node"], "edge", "{rooms}");
    let metrics = send("GET", &format!("{base}/metrics"), &[], "").await.text().await.unwrap();
    assert!(metrics.contains("headwater_pipes{direction=\"out\"} 1"), "{metrics}");

    let stream = format!("{base}/api/rooms/news/streams/main");
    assert_eq!(send("POST", &format!("{stream}/pause"), &allowed, "").await.status(), 204);
    let paused = |wanted: bool| {
        let edge = &edge;
        eventually(SOON, "the edge knows", move || async move {
            let view = crate::support::fleet::room(edge, "news").await?;
            view.streams.first()?.producers.iter().all(|producer| producer.paused == wanted).then_some(())
        })
    };
    paused(true).await;
    eventually(SOON, "nothing more arrives", || async {
        viewer.report().borrow().last_packet_age_ms.is_some_and(|age| age > 1000)
    })
    .await;
    assert_eq!(send("POST", &format!("{stream}/resume"), &allowed, "").await.status(), 204);
    paused(false).await;
    crate::support::fleet::plays_on(&viewer).await;

    assert_eq!(send("DELETE", &stream, &allowed, "").await.status(), 200);
    eventually(SOON, "the stream is over at the edge", || async {
        crate::support::fleet::room(&edge, "news").await.is_some_and(|view| view.streams.is_empty())
    })
    .await;
    assert_eq!(send("DELETE", &stream, &allowed, "").await.status(), 404);
    drop(publisher);
}
