//! Who may: signed tokens whose keys change, a service that is asked, sessions that end when they are to.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::{get, post};
use axum::{Json, Router};
use chrono::{TimeDelta, Utc};
use futures_util::StreamExt;
use headwater::config::{Callout, Config, Jwks, OnTimeout, Webhook};
use headwater::node::Node;
use headwater::protocol::admission::{Action, Authorize, Verdict};
use headwater::protocol::claim::EndReason;
use headwater::protocol::codec;
use headwater::protocol::event::{Event, LeaveReason, What};
use jsonwebtoken::Algorithm::{ES256, EdDSA, RS256};
use reqwest::Response;
use serde_json::{Value, json};
use tokio::sync::{mpsc, watch as channel};
use tokio::task::JoinSet;

use crate::support::events::{logged, told};
use crate::support::fleet::{
    SOON, config, http, metric, plays, publish_with, readiness, room, start, watch_with,
};
use crate::support::nats::NatsServer;
use crate::support::server::Server;
use crate::support::tokens::{jwt, public, shared, signed};
use crate::support::wait::eventually;

const PUBLISH: &str = include_str!("../../src/http/sdp/offers/chromium-publish.sdp");
const HOUR: Duration = Duration::from_secs(3600);

/// Asks to publish in a room.
async fn ask(node: &Node, room: &str, token: Option<&str>) -> Response {
    let request = http().post(format!("{}/whip/{room}", node.public_url()));
    let request = request.header("content-type", "application/sdp").header("user-agent", "an-encoder/7");
    let request = token.into_iter().fold(request, reqwest::RequestBuilder::bearer_auth);
    request.body(PUBLISH).send().await.expect("an answer")
}

async fn asked(node: &Node, room: &str, token: &str) -> u16 {
    ask(node, room, Some(token)).await.status().as_u16()
}

async fn detail(response: Response) -> String {
    let problem: Value = serde_json::from_slice(&response.bytes().await.unwrap()).unwrap();
    problem["detail"].as_str().unwrap().to_owned()
}

/// What a key server answers, and how often it was asked.
type KeyServer = (channel::Receiver<Option<Value>>, Arc<AtomicUsize>);

async fn key_set(State((keys, asked)): State<KeyServer>) -> Result<Json<Value>, StatusCode> {
    asked.fetch_add(1, Ordering::Relaxed);
    keys.borrow().clone().map(Json).ok_or(StatusCode::INTERNAL_SERVER_ERROR)
}

fn with_keys(name: &str, nats: &NatsServer, server: &Server, retry: Duration) -> Config {
    let mut settings = config(name, "west", &nats.url());
    let url = Some(server.url("/keys"));
    let (audience, issuer) = (None, Some("https://issuer.example".to_owned()));
    settings.auth.jwks = Some(Jwks { url, file: None, refresh: HOUR, retry, audience, issuer });
    settings
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_change_without_a_restart_and_stay_when_their_server_is_away() {
    let nats = NatsServer::start().await;
    let (keys, seen) = channel::channel(None);
    let fetches = Arc::new(AtomicUsize::new(0));
    let routes = Router::new().route("/keys", get(key_set)).with_state((seen, Arc::clone(&fetches)));
    let server = Server::start(routes).await;
    let node = start(with_keys("quick", &nats, &server, Duration::from_millis(100))).await;
    let claims =
        || json!({"rooms": ["news", "live-*"], "actions": ["publish"], "iss": "https://issuer.example"});
    let becomes = async |token: &str, status: u16| {
        eventually(SOON, format!("it becomes {status}"), || async {
            let got = asked(&node, "news", token).await;
            if got == status { Ok(()) } else { Err(got) }
        })
        .await;
    };

    // No keys yet: nobody can say whether the token is good.
    let rsa = signed(RS256, "one", claims());
    assert_eq!(asked(&node, "news", &rsa).await, 503);
    assert_eq!(readiness(&node.operators_url()).await.1["keys"], false);
    keys.send_replace(Some(json!({"keys": [public(RS256, "one")]})));
    becomes(&rsa, 201).await;
    assert_eq!(asked(&node, "live-7", &rsa).await, 201);
    assert_eq!(asked(&node, "other", &rsa).await, 403);
    let foreign =
        signed(RS256, "one", json!({"room": "*", "actions": ["publish"], "iss": "https://evil.example"}));
    assert_eq!(asked(&node, "news", &foreign).await, 401);

    // Others take their place, while the node runs.
    let (ec, ed) = (signed(ES256, "two", claims()), signed(EdDSA, "three", claims()));
    assert_eq!(asked(&node, "news", &ec).await, 401);
    let shared_key = json!({"kty": "oct", "kid": "four", "alg": "HS256", "k": "c2VjcmV0"});
    keys.send_replace(Some(json!({"keys": [public(ES256, "two"), public(EdDSA, "three"), shared_key]})));
    becomes(&ec, 201).await;
    assert_eq!(asked(&node, "news", &ed).await, 201);
    becomes(&rsa, 401).await;
    // A public key is never taken for a shared secret, nor one key for another's algorithm.
    let header = jsonwebtoken::Header { kid: Some("four".to_owned()), ..jsonwebtoken::Header::default() };
    let mut own = claims();
    own["exp"] = (Utc::now().timestamp() + 600).into();
    let secret = jsonwebtoken::EncodingKey::from_secret(b"secret");
    let confused = jsonwebtoken::encode(&header, &own, &secret).unwrap();
    assert_eq!(asked(&node, "news", &confused).await, 401);
    assert_eq!(asked(&node, "news", &signed(EdDSA, "two", claims())).await, 401);

    // The server fails: what is known stays, and it is said.
    keys.send_replace(None);
    let unknown = signed(RS256, "five", claims());
    eventually(SOON, "a fetch fails", || async {
        assert_eq!(asked(&node, "news", &unknown).await, 401);
        metric(&node, "headwater_jwks_fetches_total{result=\"failed\"}").await > 1.0
    })
    .await;
    assert_eq!(asked(&node, "news", &ec).await, 201);
    assert_eq!(readiness(&node.operators_url()).await.1["keys"], true);

    // Who makes up names of keys makes nobody fetch without end.
    keys.send_replace(Some(json!({"keys": [public(ES256, "two")]})));
    let calm = start(with_keys("calm", &nats, &server, HOUR)).await;
    eventually(SOON, "its keys are there", || async {
        readiness(&calm.operators_url()).await.1["keys"] == true
    })
    .await;
    for number in 0..5 {
        assert_eq!(asked(&calm, "news", &signed(RS256, &format!("made-up-{number}"), claims())).await, 401);
    }
    assert_eq!(metric(&calm, "headwater_jwks_fetches_total{result=\"ok\"}").await, 1.0);
}

/// A service on NATS that says who may: by a message, by JSON, or not at all.
async fn service(nats: &NatsServer) -> (JoinSet<()>, mpsc::Receiver<Authorize>) {
    let client = nats.client().await;
    let mut questions = client.subscribe("auth.*").await.unwrap();
    client.flush().await.unwrap();
    let (heard, asked) = mpsc::channel(64);
    let mut task = JoinSet::new();
    task.spawn(async move {
        while let Some(message) = questions.next().await {
            let question: Authorize = codec::decode(&message.payload, 65536).unwrap();
            let answer = match question.room_id.as_str() {
                "open" => br#"{"allow": true}"#.to_vec(),
                "closed" => {
                    let reason = Some("this room is not paid for".to_owned());
                    codec::encode(&Verdict { allow: false, reason, expires_at: None }).unwrap()
                }
                _ => Vec::new(),
            };
            if !answer.is_empty() {
                client.publish(message.reply.unwrap(), answer.into()).await.unwrap();
            }
            heard.send(question).await.unwrap();
        }
    });
    (task, asked)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_on_nats_is_asked_and_its_silence_is_what_was_configured() {
    let nats = NatsServer::start().await;
    let callout =
        |on_timeout| Callout { timeout: Duration::from_millis(400), on_timeout, ..Callout::default() };
    let mut settings = config("strict", "west", &nats.url());
    settings.auth.callout = Some(callout(OnTimeout::Deny));
    let strict = start(settings).await;
    let mut settings = config("lenient", "west", &nats.url());
    settings.auth.callout = Some(callout(OnTimeout::Allow));
    let lenient = start(settings).await;

    let nobody = ask(&strict, "open", Some("opaque-7")).await;
    assert_eq!(nobody.status(), 503, "no service is there");
    assert!(nobody.headers().contains_key("retry-after"));
    assert_eq!(asked(&lenient, "open", "opaque-7").await, 201);

    let (_task, mut questions) = service(&nats).await;
    assert_eq!(asked(&strict, "open", "opaque-7").await, 201);
    let question = questions.recv().await.unwrap();
    assert_eq!((question.action, question.room_id.as_str()), (Action::Publish, "open"));
    assert_eq!((question.node.as_str(), question.stream.as_str()), ("strict", "main"));
    assert_eq!(question.token.map(|token| token.0).as_deref(), Some("opaque-7"));
    assert_eq!(question.user_agent.as_deref(), Some("an-encoder/7"));
    assert_eq!(question.address, Some("127.0.0.1".parse().unwrap()));

    let denied = ask(&strict, "closed", None).await;
    assert_eq!(denied.status(), 403);
    assert_eq!(detail(denied).await, "this room is not paid for");
    assert_eq!(asked(&lenient, "closed", "x").await, 403, "a word is a word");
    assert_eq!(asked(&strict, "silent", "x").await, 503);
    assert_eq!(asked(&lenient, "silent", "x").await, 201);
    let counted = async |result: &str| {
        metric(&strict, &format!("headwater_callouts_total{{result=\"{result}\"}}")).await
    };
    assert_eq!((counted("allowed").await, counted("denied").await), (1.0, 1.0));
    assert_eq!((counted("timeout").await, counted("failed").await), (1.0, 1.0));

    eventually(SOON, "who was turned away is told without what was sent", || async {
        let events: Vec<Event> =
            logged(&strict).await.into_iter().filter_map(|logged| logged.event).collect();
        let text = format!("{events:?}");
        assert!(!text.contains("opaque-7"), "{text}");
        let has = |reason: &str| {
            events
                .iter()
                .any(|event| matches!(&event.what, What::PublisherRejected(it) if it.reason == reason))
        };
        has("denied") && has("unverified")
    })
    .await;
}

/// A webhook that lets everyone in for eight seconds, for who sends its token.
async fn eight_seconds(
    State(heard): State<mpsc::Sender<Value>>,
    headers: HeaderMap,
    Json(question): Json<Value>,
) -> Result<Json<Value>, StatusCode> {
    if headers.get("authorization").is_none_or(|given| given != "Bearer of-the-webhook") {
        return Err(StatusCode::INTERNAL_SERVER_ERROR);
    }
    heard.send(question).await.unwrap();
    Ok(Json(json!({"allow": true, "expiresAt": Utc::now() + TimeDelta::seconds(8)})))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_webhook_is_asked_with_the_claims_and_says_for_how_long() {
    let nats = NatsServer::start().await;
    let (heard, mut questions) = mpsc::channel(16);
    let server = Server::start(Router::new().route("/ask", post(eight_seconds)).with_state(heard)).await;
    let mut settings = config("origin", "west", &nats.url());
    let webhook = |token: &str| Some(Webhook { url: server.url("/ask"), token: Some(token.into()) });
    settings.auth.jwt = Some(jwt());
    settings.auth.callout = Some(Callout { webhook: webhook("of-the-webhook"), ..Callout::default() });
    let origin = start(settings.clone()).await;
    let claims = json!({"room": "news", "actions": ["publish"], "sub": "ada", "plan": "gold"});
    let token = shared(claims, 600);
    let publisher = publish_with(&origin, "news", |options| options.token = Some(token.clone())).await;
    let question = questions.recv().await.unwrap();
    assert_eq!((&question["claims"]["sub"], &question["claims"]["plan"]), (&json!("ada"), &json!("gold")));
    assert_eq!((&question["action"], &question["roomId"]), (&json!("publish"), &json!("news")));
    assert!(!question.to_string().contains(&token), "the node has checked it: {question}");
    eventually(SOON, "the stream ends when it is to", || async {
        let events = told(&origin, "news").await;
        events
            .iter()
            .any(|event| matches!(&event.what, What::StreamEnded(it) if it.reason == EndReason::Expired))
    })
    .await;
    drop(publisher);

    // Whom the webhook does not know is not let in, and a bad token never gets so far.
    assert_eq!(asked(&origin, "news", "rubbish").await, 401);
    settings.node.name = "unknown".parse().unwrap();
    settings.auth.callout = Some(Callout { webhook: webhook("another"), ..Callout::default() });
    let unknown = start(settings).await;
    assert_eq!(asked(&unknown, "news", &token).await, 503);
    assert!(questions.try_recv().is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watching_session_ends_with_its_token_where_that_says_so() {
    let nats = NatsServer::start().await;
    let mut settings = config("origin", "west", &nats.url());
    settings.auth.jwt = Some(jwt());
    settings.auth.end_at_expiry = true;
    let origin = start(settings).await;
    let stays = shared(json!({"room": "*", "actions": ["publish", "watch"], "end_at_expiry": false}), 8);
    let _publisher = publish_with(&origin, "news", |options| options.token = Some(stays.clone())).await;
    let staying = watch_with(&origin, "news", |options| options.token = Some(stays.clone())).await;
    plays(&staying, 3).await;
    let goes = shared(json!({"room": "news", "actions": ["watch"]}), 10);
    let going = watch_with(&origin, "news", |options| options.token = Some(goes)).await;
    plays(&going, 3).await;
    let left = eventually(SOON, "the viewer is ended", || async {
        let events = told(&origin, "news").await;
        events.into_iter().find_map(|event| match event.what {
            What::ViewerLeft(left) => Some(left),
            _ => None,
        })
    })
    .await;
    assert_eq!(left.reason, LeaveReason::Expired);
    assert_eq!(left.viewers, 1, "the other one stays");
    assert_eq!(room(&origin, "news").await.unwrap().viewers.len(), 1);
    crate::support::fleet::plays_on(&staying).await;
    drop(going);
}
