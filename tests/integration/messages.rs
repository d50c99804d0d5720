//! Bad messages: a typed error, one counter, and nothing else changes.

use headwater::protocol::codec::{self, Message, Reply};
use headwater::protocol::edge::{
    ClosePipeProducer, ConnectRemotePipeTransport, CreatePipeProducer, CreateRemotePipeTransport,
    EdgeRequest, GetRemoteRouterInfo, RemotePipeTransport, RemoteRouterInfo,
};
use headwater::protocol::ids::{Incarnation, Peer, PipeId, ProducerId, PublicationId, RouterId};
use headwater::protocol::origin::{Join, Joined, OriginRequest};
use headwater::protocol::refusal::Code;
use serde::de::DeserializeOwned;
use uuid::Uuid;

use crate::support::fleet::{SOON, acquainted, config, heard_of, http, metric, node, publish, room, start};
use crate::support::nats::NatsServer;
use crate::support::wait::eventually;

async fn ask<R: DeserializeOwned>(
    nats: &async_nats::Client,
    subject: &str,
    payload: Vec<u8>,
) -> Result<R, Code> {
    let reply = nats.request(subject.to_owned(), payload.into()).await.expect("an answer");
    match codec::decode::<Reply<R>>(&reply.payload, 65536).expect("a reply") {
        Reply::Ok(reply) => Ok(reply),
        Reply::Error(refusal) => Err(refusal.code),
    }
}

fn bytes(request: impl Into<EdgeRequest>) -> Vec<u8> {
    codec::encode(&request.into()).unwrap()
}

fn stranger() -> Peer {
    Peer {
        node: "stranger".parse().unwrap(),
        incarnation: Incarnation(Uuid::now_v7()),
        region: "west".parse().unwrap(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rubbish_is_refused_by_name() {
    let nats = NatsServer::start().await;
    let mut settings = config("edge", "west", &nats.url());
    settings.limits.message_bytes = 4096;
    let edge = start(settings).await;
    let client = nats.client().await;
    let subject = "room.news.edge.edge";
    let info = || GetRemoteRouterInfo { room_id: "news".parse().unwrap() };
    let newer = rmp_serde::to_vec_named(&Message { version: 99, message: "?" }).unwrap();
    let cases = [
        ("malformed", Code::Malformed, vec![0xc1, 0xff]),
        ("empty", Code::Malformed, Vec::new()),
        ("too large", Code::TooLarge, vec![0; 5000]),
        ("another version", Code::WrongVersion, newer),
        ("another room", Code::Malformed, bytes(GetRemoteRouterInfo { room_id: "other".parse().unwrap() })),
    ];
    for (what, code, payload) in cases {
        let answer = ask::<RemoteRouterInfo>(&client, subject, payload).await;
        assert_eq!(answer.map(|_| ()), Err(code), "{what}");
    }
    assert!(room(&edge, "news").await.is_none(), "nothing was opened");
    let refused = "headwater_messages_received_total{message=\"unreadable\",result=\"malformed\"}";
    assert_eq!(metric(&edge, refused).await, 2.0);
    // A node that was sent rubbish still serves.
    ask::<RemoteRouterInfo>(&client, subject, bytes(info())).await.expect("served");
}

#[tokio::test(flavor = "multi_thread")]
async fn late_and_unknown_messages_change_nothing() {
    let nats = NatsServer::start().await;
    let edge = node("edge", "west", &nats.url()).await;
    let client = nats.client().await;
    let subject = "room.news.edge.edge";
    let close = ClosePipeProducer {
        room_id: "news".parse().unwrap(),
        pipe_id: PipeId(Uuid::now_v7()),
        id: ProducerId(Uuid::now_v7()),
    };
    let unknown = ask::<RemoteRouterInfo>(&client, subject, bytes(close.clone())).await;
    assert_eq!(unknown.map(|_| ()), Err(Code::UnknownRoom));
    let join = Join {
        room_id: "news".parse().unwrap(),
        from: stranger(),
        streams: ["main".parse().unwrap()].into(),
        pipe_id: None,
    };
    let payload = codec::encode(&OriginRequest::from(join)).unwrap();
    let answer = ask::<Joined>(&client, "room.news.origin.edge", payload).await;
    assert_eq!(answer.map(|_| ()), Err(Code::UnknownRoom));
    assert!(room(&edge, "news").await.is_none());
    // With the room open, a pipe of another life is unknown.
    let info = GetRemoteRouterInfo { room_id: "news".parse().unwrap() };
    ask::<RemoteRouterInfo>(&client, subject, bytes(info)).await.expect("opened");
    let answer = ask::<RemoteRouterInfo>(&client, subject, bytes(close)).await;
    assert_eq!(answer.map(|_| ()), Err(Code::UnknownPipe));
}

#[tokio::test(flavor = "multi_thread")]
async fn doubled_messages_are_answered_alike() {
    let nats = NatsServer::start().await;
    let edge = node("edge", "west", &nats.url()).await;
    let client = nats.client().await;
    let subject = "room.news.edge.edge";
    let create = CreateRemotePipeTransport {
        room_id: "news".parse().unwrap(),
        router_id: RouterId(Uuid::new_v4()),
        pipe_id: PipeId(Uuid::now_v7()),
        from: stranger(),
        srtp: false,
        rtx: false,
    };
    let one: RemotePipeTransport = ask(&client, subject, bytes(create.clone())).await.expect("created");
    let two: RemotePipeTransport = ask(&client, subject, bytes(create.clone())).await.expect("created");
    assert_eq!(one, two);
    let connect = ConnectRemotePipeTransport {
        room_id: create.room_id.clone(),
        router_id: create.router_id,
        pipe_id: create.pipe_id,
        ip: "127.0.0.1".parse().unwrap(),
        port: 9,
        srtp_parameters: None,
    };
    for _ in 0..2 {
        ask::<headwater::protocol::edge::Done>(&client, subject, bytes(connect.clone()))
            .await
            .expect("connected");
    }
    let produce = CreatePipeProducer {
        room_id: create.room_id.clone(),
        router_id: create.router_id,
        pipe_id: create.pipe_id,
        stream: "main".parse().unwrap(),
        publication: PublicationId(Uuid::now_v7()),
        path: vec!["stranger".parse().unwrap()],
        of: 1,
        id: ProducerId(Uuid::new_v4()),
        kind: headwater::protocol::rtp::MediaKind::Audio,
        rtp_parameters: serde_json::from_value(serde_json::json!({
            "codecs": [{"mimeType": "audio/opus", "payloadType": 111, "clockRate": 48000, "channels": 2,
                        "parameters": {}, "rtcpFeedback": []}],
            "headerExtensions": [], "encodings": [{"ssrc": 4242}], "rtcp": {"reducedSize": true}
        }))
        .unwrap(),
        paused: false,
        app_data: serde_json::Map::new(),
    };
    for _ in 0..2 {
        ask::<headwater::protocol::edge::Done>(&client, subject, bytes(produce.clone()))
            .await
            .expect("produced");
    }
    let view = room(&edge, "news").await.unwrap();
    assert_eq!(view.counts.producers, 1, "{view:?}");
    // A loop is refused: this node is on the path already.
    let looped = CreatePipeProducer {
        id: ProducerId(Uuid::new_v4()),
        path: vec!["edge".parse().unwrap(), "stranger".parse().unwrap()],
        ..produce
    };
    let answer = ask::<headwater::protocol::edge::Done>(&client, subject, bytes(looped)).await;
    assert_eq!(answer.map(|_| ()), Err(Code::Loop));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pipe_that_never_connects_is_closed() {
    let nats = NatsServer::start().await;
    let mut settings = config("edge", "west", &nats.url());
    settings.timeouts.pipe_connect = std::time::Duration::from_secs(1);
    settings.timeouts.room_idle = std::time::Duration::from_secs(1);
    let edge = start(settings).await;
    let client = nats.client().await;
    let create = CreateRemotePipeTransport {
        room_id: "news".parse().unwrap(),
        router_id: RouterId(Uuid::new_v4()),
        pipe_id: PipeId(Uuid::now_v7()),
        from: stranger(),
        srtp: true,
        rtx: true,
    };
    let _: RemotePipeTransport = ask(&client, "room.news.edge.edge", bytes(create)).await.expect("created");
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
        assert_eq!(metric(node, "headwater_registry_streams").await, 0.0);
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
    // What is told of the room is no request.
    let mut requests = heard.filter(|message| std::future::ready(!message.subject.contains(".event.")));
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
    let client = nats.client().await;
    let info = bytes(GetRemoteRouterInfo { room_id: "news".parse().unwrap() });
    let requests = (0..500).map(|_| ask::<RemoteRouterInfo>(&client, "room.news.edge.edge", info.clone()));
    let answers = futures_util::future::join_all(requests).await;
    let busy = answers.iter().filter(|answer| **answer == Err(Code::Busy)).count();
    let served = answers.iter().filter(|answer| answer.is_ok()).count();
    assert_eq!(busy + served, 500, "{answers:?}");
    assert!(busy > 0 && served > 0, "{busy} busy, {served} served");
    // Nothing is lost for it: the room serves on.
    ask::<RemoteRouterInfo>(&client, "room.news.edge.edge", info).await.expect("served");
    assert!(room(&edge, "news").await.is_some());
}
