//! Offers that real encoders and players write, against a node: `offers/README.md` says what is right for each,
//! and `offers/siblings.md` for others of each kind, which are edits of those.

use std::path::{Path, PathBuf};

use axum::Router;
use axum::body::Bytes;
use axum::extract::{OriginalUri, State};
use axum::http::{HeaderMap, StatusCode};
use axum::routing::any;
use headwater::client::Publisher;
use headwater::node::Node;
use tokio::task::JoinSet;

use crate::support::clips::undecodable;
use crate::support::fleet::{http, node, publish_with};
use crate::support::nats::NatsServer;
use crate::support::offers::offer;

/// An offer, and what has to come of it.
#[derive(Debug)]
struct Case {
    name: String,
    offer: Vec<u8>,
    to: String,
    live: String,
    right: String,
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/integration/offers")
}

/// The rows of a table, cell by cell, without its head.
fn rows(file: &str) -> Vec<Vec<String>> {
    let text = std::fs::read_to_string(folder().join(file)).unwrap();
    let rows = text.lines().filter(|line| line.starts_with('|')).skip(2);
    rows.map(|row| row.trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect()).collect()
}

fn recorded(name: &str) -> Vec<u8> {
    let path = folder().join(format!("{name}.sdp"));
    std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn cases() -> Vec<Case> {
    let table = rows("README.md").into_iter().map(|row| {
        let [name, to, live, right, _why] = row.try_into().unwrap();
        Case { offer: recorded(&name), name, to, live, right }
    });
    table.collect()
}

/// Edits of recorded offers: `old → new; old → new`, where \n is a new line.
fn siblings() -> Vec<Case> {
    let table = rows("siblings.md").into_iter().map(|row| {
        let [name, base, edits, to, live, right] = row.try_into().unwrap();
        let mut offer = String::from_utf8(recorded(&base)).unwrap().replace("\r\n", "\n");
        for edit in edits.split(" ;; ").filter(|edit| !edit.is_empty()) {
            let (old, new) =
                edit.trim_matches('`').split_once(" → ").unwrap_or_else(|| panic!("{name}: {edit}"));
            let plain = |text: &str| match text {
                "nothing" => String::new(),
                text => text.replace("\\n", "\n").replace("\\t", "\t"),
            };
            let (old, new) = (plain(old), plain(new));
            assert!(offer.contains(&old), "{name}: no {old:?} in\n{offer}");
            offer = offer.replace(&old, &new);
        }
        Case { name, offer: offer.replace('\n', "\r\n").into_bytes(), to, live, right }
    });
    table.collect()
}

/// What serves the proxies, until it is dropped.
type Proxies = JoinSet<std::io::Result<()>>;

/// The streams that the table calls live, each in a room of its own.
struct Live {
    _publishers: Vec<Publisher>,
    _proxies: Proxies,
}

impl Live {
    async fn start(node: &Node) -> Self {
        let mut proxies = Proxies::new();
        let mut publishers = vec![
            publish_with(node, "vp8", |_| {}).await,
            publish_with(node, "audio", |options| options.video = false).await,
            publish_with(node, "video", |options| options.audio = false).await,
        ];
        for (room, fourcc, profile) in [
            ("vp9", b"VP90", ""),
            ("av1", b"AV01", ""),
            ("h264-42e01f", b"H264", "42e01f"),
            ("h264-640028", b"H264", "640028"),
        ] {
            let proxy = proxy(&mut proxies, node.public_url(), profile).await;
            let publisher = publish_with(node, room, |options| {
                options.url = format!("{proxy}/whip/{room}");
                options.clip = undecodable(*fourcc);
            });
            publishers.push(publisher.await);
        }
        Self { _publishers: publishers, _proxies: proxies }
    }
}

/// Says another H264 profile than the client that publishes through it.
async fn proxy(proxies: &mut Proxies, to: String, profile: &'static str) -> String {
    let forward = move |State(to): State<String>,
                        OriginalUri(uri): OriginalUri,
                        headers: HeaderMap,
                        body: Bytes| async move {
        let swap = |text: &str, from: &str, to: &str| match profile {
            "" => text.to_owned(),
            _ => text.replace(from, to),
        };
        let body = swap(std::str::from_utf8(&body).unwrap(), "42e01f", profile);
        let request = http().post(format!("{to}{uri}")).header("content-type", &headers["content-type"]);
        let response = request.body(body).send().await.unwrap();
        let (status, headers) = (response.status(), response.headers().clone());
        let answer = response.text().await.unwrap();
        assert!(profile.is_empty() || answer.contains(profile), "the publisher's own words: {answer}");
        let answer = swap(&answer, profile, "42e01f");
        let location = headers.get("location").map(|location| location.to_str().unwrap().to_owned());
        let sdp = "application/sdp".to_owned();
        let head = [("location", location.unwrap_or_default()), ("content-type", sdp)];
        (StatusCode::from_u16(status.as_u16()).unwrap(), head, answer)
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let app = Router::new().fallback(any(forward)).with_state(to);
    proxies.spawn(async move { axum::serve(listener, app).await });
    format!("http://{address}")
}

async fn try_all(cases: Vec<Case>) {
    let nats = NatsServer::start().await;
    let node = node("origin", "west", &nats.url()).await;
    let _live = Live::start(&node).await;
    let mut wrong = Vec::new();
    for (number, case) in cases.iter().enumerate() {
        let url = match case.to.split_once('?') {
            _ if case.to == "watch" => format!("{}/whep/{}", node.public_url(), case.live.replace(':', "-")),
            Some((_, query)) => format!("{}/whip/case-{number}?{query}", node.public_url()),
            None => format!("{}/whip/case-{number}", node.public_url()),
        };
        let outcome = offer(&url, &case.offer).await;
        if let Err(error) = outcome.check(&case.offer, &case.right, case.to == "watch") {
            wrong.push(format!("{}: {error}", case.name));
        }
    }
    assert!(wrong.is_empty(), "{} of {} offers:\n{}", wrong.len(), cases.len(), wrong.join("\n"));
    assert!(cases.len() > 20);
}

#[tokio::test(flavor = "multi_thread")]
async fn offers_that_people_send_get_the_right_answer() {
    try_all(cases()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn so_do_others_of_each_kind() {
    try_all(siblings()).await;
}
