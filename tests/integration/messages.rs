//! Bad messages: a typed error, one counter, and nothing else changes.

use headwater::protocol::codec::{self, Addressed, Message};
use headwater::protocol::directory::{Claims, GetClaims, Whose};
use headwater::protocol::edge::{
    ClosePipeProducer, CreatePipeProducer, Done, EdgeRequest, GetRemoteRouterInfo, RemotePipeTransport,
    RemoteRouterInfo,
};
use headwater::protocol::ids::{Peer, PipeId, ProducerId, RoomId, Token};
use headwater::protocol::origin::{Join, Joined};
use headwater::protocol::refusal::Code;
use uuid::Uuid;

use crate::support::fleet::{SOON, acquainted, config, heard_of, http, metric, node, publish, room, start};
use crate::support::nats::NatsServer;
use crate::support::parent::Parent;
use crate::support::rogue::{Rogue, ask};
use crate::support::wait::eventually;

/// The bytes of a request to an edge.
fn bytes(to: &Peer, request: impl Into<EdgeRequest>) -> Vec<u8> {
    codec::encode(&Addressed { to: to.incarnation, request: request.into() }).unwrap()
}

fn news() -> RoomId {
    "news".parse().unwrap()
}

fn unknown_token() -> Token {
    Token(Uuid::new_v4())
}

#[tokio::test(flavor = "multi_thread")]
async fn rubbish_is_refused_by_name() {
    let nats = NatsServer::start().await;
    let mut settings = config("edge", "west", &nats.url());
    settings.limits.message_bytes = 16 << 10;
    let edge = start(settings).await;
    let rogue = Rogue::connect(&nats.url(), "stranger", "west").await;
    let subject = "room.news.edge.edge";
    let newer = rmp_serde::to_vec_named(&Message { version: 99, message: "?" }).unwrap();
    let other = GetRemoteRouterInfo { room_id: "other".parse().unwrap(), token: unknown_token() };
    let cases = [
        ("malformed", Code::Malformed, vec![0xc1, 0xff]),
        ("empty", Code::Malformed, Vec::new()),
        ("too large", Code::TooLarge, vec![0; 20_000]),
        ("another version", Code::WrongVersion, newer),
        ("another room", Code::Malformed, bytes(edge.peer(), other)),
    ];
    for (what, code, payload) in cases {
        let answer = ask::<RemoteRouterInfo>(rogue.client(), subject, payload).await;
        assert_eq!(answer.map(|_| ()), Err(code), "{what}");
    }
    assert!(room(&edge, "news").await.is_none(), "nothing was opened");
    let refused = "headwater_messages_received_total{message=\"unreadable\",result=\"malformed\"}";
    assert_eq!(metric(&edge, refused).await, 2.0);
    // A node that was sent rubbish still answers.
    let question = GetClaims { from: rogue.peer().clone(), of: Whose::All, after: None };
    let claims: Claims = rogue.ask("node.edge.directory", &question).await.expect("answered");
    assert_eq!((&claims.from, claims.claims.len()), (edge.peer(), 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn late_and_unknown_messages_change_nothing() {
    let nats = NatsServer::start().await;
    let mut settings = config("edge", "west", &nats.url());
    settings.pipe.srtp = false;
    let edge = start(settings).await;
    let stranger = Rogue::connect(&nats.url(), "stranger", "west").await;
    let close = |token: Token| ClosePipeProducer {
        room_id: news(),
        token,
        pipe_id: PipeId(Uuid::now_v7()),
        revision: 1,
        id: ProducerId(Uuid::now_v7()),
        of: None,
    };
    let unknown = stranger.ask_edge(edge.peer(), close(unknown_token())).await;
    assert_eq!(unknown, Err(Code::UnknownRoom));
    let join = Join {
        room_id: news(),
        from: stranger.peer().clone(),
        token: unknown_token(),
        number: 1,
        streams: ["main".parse().unwrap()].into(),
        only: [].into(),
        viewers: [].into(),
        pipe: None,
    };
    let answer = stranger.ask_origin::<Joined>(edge.peer(), join).await;
    assert_eq!(answer.map(|_| ()), Err(Code::UnknownRoom));
    assert!(room(&edge, "news").await.is_none());
    // With the room open, a stranger's pipe is not taken, and one of another life is unknown.
    let parent = Parent::of(&edge, &nats.url(), "news").await;
    parent.open().await.expect("the pipe that was asked for");
    assert_eq!(stranger.ask_edge(edge.peer(), close(unknown_token())).await, Err(Code::Unasked));
    assert_eq!(parent.rogue.ask_edge(edge.peer(), close(parent.token)).await, Err(Code::UnknownPipe));
    // What is meant for another process of that name is left to it.
    let mut former = edge.peer().clone();
    former.incarnation.0 = Uuid::now_v7();
    let to_former =
        parent.rogue.client().request("room.news.edge.edge", bytes(&former, parent.info()).into());
    let silence = tokio::time::timeout(std::time::Duration::from_secs(1), to_former).await;
    assert!(silence.is_err(), "{silence:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn doubled_messages_are_answered_alike() {
    let nats = NatsServer::start().await;
    let mut settings = config("edge", "west", &nats.url());
    settings.pipe.srtp = false;
    let edge = start(settings).await;
    let parent = Parent::of(&edge, &nats.url(), "news").await;
    let (rogue, to) = (&parent.rogue, edge.peer());
    let one: RemotePipeTransport = rogue.ask_edge(to, parent.create(false)).await.expect("created");
    let two: RemotePipeTransport = rogue.ask_edge(to, parent.create(false)).await.expect("created");
    assert_eq!(one, two);
    for _ in 0..2 {
        assert_eq!(rogue.ask_edge(to, parent.connect()).await, Ok(Done {}));
    }
    for _ in 0..2 {
        assert_eq!(rogue.ask_edge(to, parent.produce()).await, Ok(Done {}));
    }
    let view = room(&edge, "news").await.unwrap();
    assert_eq!(view.counts.producers, 1, "{view:?}");
    // A loop is refused: this node is on the path already.
    let looped = CreatePipeProducer {
        id: ProducerId(Uuid::new_v4()),
        path: vec!["edge".parse().unwrap(), "parent".parse().unwrap()],
        ..parent.produce()
    };
    assert_eq!(rogue.ask_edge(to, looped).await, Err(Code::Loop));
    // So is a publication that is not the claimed one.
    let mut other = parent.produce();
    other.publication.0 = Uuid::new_v4();
    other.revision = 2;
    assert_eq!(rogue.ask_edge(to, other).await, Err(Code::Superseded));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pipe_that_never_connects_is_closed() {
    let nats = NatsServer::start().await;
    let mut settings = config("edge", "west", &nats.url());
    settings.timeouts.pipe_connect = std::time::Duration::from_secs(1);
    // For as long the viewer waits, and the edge asks again.
    settings.timeouts.join = std::time::Duration::from_secs(3);
    settings.timeouts.pipe_idle = std::time::Duration::from_secs(1);
    settings.timeouts.room_idle = std::time::Duration::from_secs(1);
    let edge = start(settings).await;
    let parent = Parent::of(&edge, &nats.url(), "news").await;
    let _: RemotePipeTransport =
        parent.rogue.ask_edge(edge.peer(), parent.create(true)).await.expect("created");
    assert_eq!(metric(&edge, "headwater_pipes{direction=\"in\"}").await, 1.0);
    eventually(SOON, "the pipe and its room are closed", || async {
        metric(&edge, "headwater_pipes{direction=\"in\"}").await == 0.0 && room(&edge, "news").await.is_none()
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nats_shows_the_nodes_as_services() {
    let nats = NatsServer::start().await;
    let _edge = node("edge", "west", &nats.url()).await;
    let client = nats.client().await;
    let reply = client.request("$SRV.INFO.headwater", "".into()).await.expect("a service answers");
    let info: serde_json::Value = serde_json::from_slice(&reply.payload).unwrap();
    assert_eq!(info["metadata"]["node"], "edge");
    let endpoints: Vec<_> =
        info["endpoints"].as_array().unwrap().iter().map(|e| e["subject"].clone()).collect();
    assert!(endpoints.contains(&"room.*.edge.edge".into()), "{endpoints:?}");
    assert!(endpoints.contains(&"room.*.origin.edge".into()), "{endpoints:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn fleets_with_different_prefixes_do_not_hear_each_other() {
    let nats = NatsServer::start().await;
    let mut fleets = Vec::new();
    for prefix in ["one", "two.inner"] {
        let mut pair = Vec::new();
        for name in ["a", "b"] {
            let mut settings = config(name, "west", &nats.url());
            settings.nats.prefix = prefix.to_owned();
            settings.nats.inbox_prefix = format!("_INBOX_{}_{name}", prefix.replace('.', "_"));
            pair.push(start(settings).await);
        }
        acquainted(&[&pair[0], &pair[1]]).await;
        fleets.push(pair);
    }
    let _publisher = publish(&fleets[0][0], "news").await;
    heard_of(&fleets[0][1], "news").await;
    for node in &fleets[1] {
        assert_eq!(metric(node, "headwater_directory_streams").await, 0.0);
        assert_eq!(node.context().fleet().present(std::time::Instant::now()).count(), 2);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_requests_trace_goes_with_it_to_other_nodes() {
    use futures_util::StreamExt;
    let nats = NatsServer::start().await;
    let origin = node("origin", "west", &nats.url()).await;
    let edge = node("edge", "east", &nats.url()).await;
    let _publisher = publish(&origin, "news").await;
    heard_of(&edge, "news").await;
    let client = nats.client().await;
    let heard = client.subscribe("room.news.>").await.unwrap();
    // What is told and claimed of the room is no request.
    let is_request = |subject: &str| subject.contains(".edge.") || subject.contains(".origin.");
    let mut requests = heard.filter(|message| std::future::ready(is_request(&message.subject)));
    client.flush().await.unwrap();
    let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
    let response = http()
        .post(format!("{}/whep/news", edge.public_url()))
        .header("content-type", "application/sdp")
        .header("traceparent", format!("00-{trace}-00f067aa0ba902b7-01"))
        .body(include_str!("../../src/http/sdp/offers/chromium-watch.sdp"))
        .send()
        .await
        .unwrap();
    assert_eq!(response.status(), 201);
    // The join, its four messages, and the second producer's.
    for _ in 0..6 {
        let request = tokio::time::timeout(SOON, requests.next()).await.expect("in time").expect("a request");
        let headers = request.headers.expect("headers");
        let parent = headers.get("traceparent").expect("a traceparent").as_str();
        assert!(parent.contains(trace), "{}: {parent}", request.subject);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_inbox_answers_busy_and_every_request_is_answered() {
    let nats = NatsServer::start().await;
    let mut settings = config("edge", "west", &nats.url());
    settings.limits.inbox = 1;
    settings.log.filter = Some("warn".to_owned());
    let edge = start(settings).await;
    let parent = Parent::of(&edge, &nats.url(), "news").await;
    let requests = (0..500).map(|_| parent.rogue.ask_edge(edge.peer(), parent.info()));
    let answers = futures_util::future::join_all(requests).await;
    let busy = answers.iter().filter(|answer| **answer == Err(Code::Busy)).count();
    let served = answers.iter().filter(|answer| answer.is_ok()).count();
    assert_eq!(busy + served, 500, "{answers:?}");
    assert!(busy > 0 && served > 0, "{busy} busy, {served} served");
    // Nothing is lost for it: the room serves on.
    parent.rogue.ask_edge(edge.peer(), parent.info()).await.expect("served");
    assert!(room(&edge, "news").await.is_some());
}
