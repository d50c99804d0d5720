//! Who is slow at the door, and who asks too much: neither keeps anybody else out.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use headwater::client::{Player, WatchOptions};
use headwater::config::{Action, StaticToken, Tls};
use headwater::node::Node;
use reqwest::Response;
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

use crate::support::certificates::Authority;
use crate::support::events::logged;
use crate::support::fleet::{SOON, get_status, http, metric, one_node, plays, publish, watch};
use crate::support::monitors;
use crate::support::wait::{assert_holds, eventually};

const WATCH: &str = include_str!("../../src/http/sdp/offers/chromium-watch.sdp");
/// A time-out that is meant to come.
const SHORT: Duration = Duration::from_millis(500);
/// One that must not be what helps.
const LONG: Duration = Duration::from_secs(300);

fn address(node: &Node) -> SocketAddr {
    node.public_url().rsplit('/').next().unwrap().parse().unwrap()
}

/// A connection from one of this machine's many addresses, that has said this.
async fn says(from: u8, to: SocketAddr, text: &str) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(SocketAddr::new(IpAddr::V4(Ipv4Addr::new(127, 0, 0, from)), 0)).unwrap();
    let mut stream = socket.connect(to).await.expect("it is let in");
    stream.write_all(text.as_bytes()).await.unwrap();
    stream
}

/// All that is answered until the other side closes.
async fn answered(mut stream: TcpStream) -> String {
    let mut bytes = Vec::new();
    let _ = tokio::time::timeout(SOON, stream.read_to_end(&mut bytes)).await.expect("it is closed");
    String::from_utf8_lossy(&bytes).into_owned()
}

fn post(path: &str, more: &str) -> String {
    format!("POST {path} HTTP/1.1\r\nHost: node\r\nContent-Type: application/sdp\r\n{more}\r\n")
}

async fn turned_away(node: &Node, reason: &str) -> f64 {
    metric(node, &format!("headwater_http_turned_away_total{{reason=\"{reason}\"}}")).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_slow_connections_keep_no_viewer_out() {
    let (_nats, node) = one_node(|config| {
        config.limits.connections = 400;
        config.timeouts.http_header = LONG;
        config.timeouts.http_body = LONG;
    })
    .await;
    let _publisher = publish(&node, "news").await;
    let mut slow = Vec::new();
    // From one address, and from many; with half a header, with nothing, and with half a body.
    let body = post("/whep/news", "Content-Length: 5000\r\n") + "v=0";
    for (number, said) in
        ["GET /watch HTTP/1.1\r\nHost: no", "", &body].iter().cycle().take(1_000).enumerate()
    {
        let from = if number < 500 { 1 } else { 2 + u8::try_from(number % 50).unwrap() };
        slow.push(says(from, address(&node), said).await);
    }
    let began = Instant::now();
    let viewer = watch(&node, "news").await;
    plays(&viewer, 5).await;
    println!("played {:?} after it came", began.elapsed());
    // Who waits the longest was sent away: the last ones are there still.
    eventually(SOON, "the rest was sent away", || async {
        let away = turned_away(&node, "silent").await;
        if away >= 800.0 { Ok(()) } else { Err(away) }
    })
    .await;
    assert!(metric(&node, "headwater_http_connections").await < 400.0);
    let first = slow.swap_remove(0);
    assert_eq!(answered(first).await, "");
    drop(slow);
    assert_eq!(turned_away(&node, "connections").await, 0.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_says_nothing_whole_in_time_is_closed() {
    let (_nats, node) = one_node(|config| config.timeouts.http_header = SHORT).await;
    let mut closed = 0.0;
    for said in ["", "GET /watch HTT", "GET /watch HTTP/1.1\r\nHost: node\r\nX-", "PRI * HTTP/2.0\r\n\r\nSM"]
    {
        assert!(!answered(says(1, address(&node), said).await).await.contains("200"), "{said}");
        closed += 1.0;
        eventually(SOON, "it is counted", || async { turned_away(&node, "http_header").await >= closed })
            .await;
    }
    // Between two requests likewise.
    let whole = "GET /api/node HTTP/1.1\r\nHost: node\r\n\r\n";
    let answer = answered(says(1, address(&node), &format!("{whole}GET /api/no")).await).await;
    assert_eq!(answer.matches("HTTP/1.1 200").count(), 1, "{answer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_handshake_that_stalls_is_ended() {
    let authority = Authority::new();
    authority.issue(&["live.example.com"]);
    let (_nats, node) = one_node(|config| {
        let (certificate, key) = (authority.file("cert.pem"), authority.file("key.pem"));
        config.http.tls = Some(Tls { certificate, key });
        config.timeouts.http_header = SHORT;
    })
    .await;
    for said in ["", "\x16\x03\x01\x02"] {
        assert_eq!(answered(says(1, address(&node), said).await).await, "");
    }
    eventually(SOON, "both are counted", || async { turned_away(&node, "http_header").await == 2.0 }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_trickles_is_answered_408() {
    let (_nats, node) = one_node(|config| config.timeouts.http_body = SHORT).await;
    let trickle = futures_util::stream::unfold(0, async |sent| {
        // For ever, and never long without a byte.
        tokio::time::sleep(Duration::from_millis(50)).await;
        Some((Ok::<_, std::io::Error>("v"), sent + 1))
    });
    let request = http().post(format!("{}/whep/news", node.public_url()));
    let request = request.header("content-type", "application/sdp");
    let answer = request.body(reqwest::Body::wrap_stream(trickle)).send().await.expect("an answer");
    assert_eq!(answer.status(), 408);
    let detail = problem(answer).await["detail"].as_str().unwrap().to_owned();
    assert!(detail.contains("500ms of timeouts.http_body"), "{detail}");
    let session = format!("/whep/news/main/origin/{}", uuid::Uuid::new_v4());
    let patch = post(&session, "Content-Length: 9\r\n")
        .replace("POST", "PATCH")
        .replace("sdp", "trickle-ice-sdpfrag");
    for slow in [patch, post(&format!("{session}/events"), "Content-Length: 9\r\n")] {
        let answer = answered(says(1, address(&node), &slow).await).await;
        assert!(
            answer.starts_with("HTTP/1.1 408") && answer.contains("application/problem+json"),
            "{answer}"
        );
    }
    assert_eq!(turned_away(&node, "http_body").await, 3.0);
    let answers = "headwater_http_answers_total{endpoint=\"whep\",status=\"408\"}";
    assert!(metric(&node, answers).await >= 1.0);
}

async fn problem(answer: Response) -> Value {
    assert_eq!(answer.headers()["content-type"], "application/problem+json");
    serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_token_is_told_before_the_body_is_there() {
    let (_nats, node) = one_node(|config| {
        config.timeouts.http_body = LONG;
        config.auth.tokens = vec![StaticToken {
            name: None,
            token: "publisher".into(),
            actions: vec![Action::Publish],
            room: None,
            stream: None,
        }];
    })
    .await;
    for (token, status) in
        [("", 401), ("Authorization: Bearer wrong\r\n", 401), ("Authorization: Bearer publisher\r\n", 403)]
    {
        for length in [
            "Content-Length: 5000\r\n",
            "Transfer-Encoding: chunked\r\n",
            "Content-Length: 9\r\nExpect: 100-continue\r\n",
        ] {
            let request = post("/whep/news", &format!("{token}{length}"));
            let answer = answered(says(1, address(&node), &request).await).await;
            assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{request}{answer}");
            assert!(answer.contains("application/problem+json"), "{answer}");
        }
    }
    // One that has more to say than anybody would read is told all the same.
    let huge = reqwest::Body::from(vec![b'v'; 64 << 20]);
    let request = http().post(format!("{}/whip/news", node.public_url())).bearer_auth("wrong");
    let answer =
        request.header("content-type", "application/sdp").body(huge).send().await.expect("an answer");
    assert_eq!(answer.status(), 401);
}

/// A GET or POST by way of the proxy on this machine, which says who asks.
async fn ask(node: &Node, path: &str, client: Option<&str>) -> Response {
    let url = format!("{}{path}", node.public_url());
    let mut request = match path.starts_with("/whep") {
        true => http().post(url).header("content-type", "application/sdp").body(WATCH),
        false => http().get(url),
    };
    if let Some(client) = client {
        request = request.header("x-forwarded-for", client);
    }
    request.header("origin", "https://app.example.com").send().await.expect("an answer")
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_that_asks_too_much_is_told_when_to_come_back() {
    let (_nats, node) = one_node(|config| {
        config.limits.sessions_per_address = 1;
        config.limits.requests_per_address = 5;
    })
    .await;
    let crowd = Some("203.0.113.7");
    // Ten at once, and one more for each second that it takes.
    let began = Instant::now();
    let mut taken = 0;
    let refused = loop {
        let answer = ask(&node, "/whep/news", crowd).await;
        if answer.status() == 429 {
            break answer;
        }
        assert_eq!(answer.status(), 409, "not live");
        taken += 1;
        assert!(taken <= 11 + began.elapsed().as_secs(), "{taken}");
    };
    assert!(taken >= 10, "{taken}");
    assert_eq!(refused.headers()["access-control-allow-origin"], "*", "pages may read it");
    let after: u64 = refused.headers()["retry-after"].to_str().unwrap().parse().unwrap();
    assert!((1..=2).contains(&after), "{after}");
    let told = problem(refused).await;
    assert!(told["detail"].as_str().unwrap().contains("limits.sessions_per_address"), "{told}");
    assert!(turned_away(&node, "sessions_per_address").await >= 1.0);
    eventually(SOON, "the log tells it", || async {
        let events = logged(&node).await.into_iter().filter_map(|logged| logged.event);
        let told: Vec<_> = events.map(|event| serde_json::to_string(&event.what).unwrap()).collect();
        if told.iter().any(|what| what.contains("limits.sessions_per_address")) { Ok(()) } else { Err(told) }
    })
    .await;
    // What is no session is another matter, and so is who comes from elsewhere.
    assert_eq!(ask(&node, "/api/node", crowd).await.status(), 200);
    for _ in 0..30 {
        assert_eq!(ask(&node, "/whep/news", None).await.status(), 409, "this machine is not counted");
        assert_eq!(ask(&node, "/whep/news", Some("10.0.0.9")).await.status(), 409, "nor a proxy");
    }
    assert_eq!(ask(&node, "/whep/news", Some("203.0.113.8")).await.status(), 409);
    eventually(SOON, "it may come back", || async { ask(&node, "/whep/news", crowd).await.status() == 409 })
        .await;

    // One IPv6 network is one.
    eventually(SOON, "it asks too much", || async {
        ask(&node, "/api/node", Some("2001:db8:7::1")).await.status() == 429
    })
    .await;
    assert_eq!(ask(&node, "/api/node", Some("2001:db8:8::1")).await.status(), 200);
    eventually(SOON, "so do its neighbours", || async {
        ask(&node, "/watch", Some("2001:db8:7::2")).await.status() == 429
    })
    .await;
    assert!(turned_away(&node, "requests_per_address").await >= 2.0);

    // A node takes other limits while it runs.
    let mut limits = node.context().config.limits;
    limits.requests_per_address = 0;
    limits.sessions_per_address = 0;
    node.limit(limits);
    for _ in 0..30 {
        assert_eq!(ask(&node, "/whep/news", crowd).await.status(), 409);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn streams_of_events_outlive_the_time_outs() {
    let (nats, node) = one_node(|config| {
        config.timeouts.http_header = SHORT;
        config.timeouts.http_body = SHORT;
    })
    .await;
    let mut settings = monitors::config("monitor", &nats.url());
    settings.timeouts.http_header = SHORT;
    settings.timeouts.http_body = SHORT;
    let monitor = monitors::start(settings).await;
    let _publisher = publish(&node, "news").await;
    let posted = ask(&node, "/whep/news", None).await;
    assert_eq!(posted.status(), 201);
    let session = posted.headers()["location"].to_str().unwrap().to_owned();
    let listening = http().post(format!("{}{session}/events", node.public_url())).send().await.unwrap();
    assert_eq!(listening.status(), 201);
    let events = listening.headers()["location"].to_str().unwrap().to_owned();
    let mut heard = http().get(format!("{}{events}", node.public_url())).send().await.unwrap().bytes_stream();
    let feed = format!("{}/api/events?from=1&room=news", monitor.url());
    let mut fed = http().get(feed).send().await.unwrap().bytes_stream();
    let open = async |node: &Node| get_status(&format!("{}/api/node", node.public_url())).await == 200;
    assert_holds(6 * SHORT, SHORT, "the node answers meanwhile", || open(&node)).await;
    // What happens only now comes by both.
    let options = WatchOptions::new(format!("{}/whep/news", node.public_url()));
    let _viewer = Player::start(options).await.expect("a further viewer");
    for (what, wanted, stream) in
        [("the session's", "\"viewercount\":2", &mut heard), ("the monitor's", "viewer.joined", &mut fed)]
    {
        let mut text = String::new();
        while !text.contains(wanted) {
            let next = tokio::time::timeout(SOON, stream.next()).await;
            let bytes = next.unwrap_or_else(|_| panic!("{what} is silent after {text}"));
            let bytes = bytes.unwrap_or_else(|| panic!("{what} ended after {text}")).expect("it is not cut");
            text.push_str(&String::from_utf8_lossy(&bytes));
        }
    }
}
