//! Rooms of many: the session API, by WebSocket and by NATS.

use std::io::{BufRead, BufReader};
use std::process::Stdio;
use std::time::Duration;

use futures_util::StreamExt;
use headwater::node::Node;
use headwater::protocol::event::{Deed, What};
use headwater::protocol::rtc::{RtcAsked, RtcReply, RtcRequest};
use serde_json::{Value, json};

use crate::support::browser::Browser;
use crate::support::events::told;
use crate::support::fleet::{acquainted, heard_of, node, plays, publish, room, start, watch};
use crate::support::nats::NatsServer;
use crate::support::process::Process;
use crate::support::socket::{Socket, rtp_parameters};
use crate::support::wait::eventually;
use crate::support::{fleet, fleet::SOON};

/// Three nodes in two regions.
async fn three(nats: &NatsServer) -> [Node; 3] {
    let mut nodes = Vec::new();
    for (name, region) in [("west-1", "west"), ("west-2", "west"), ("east-1", "east")] {
        let mut settings = fleet::config(name, region, &nats.url());
        settings.timeouts.pipe_idle = Duration::from_secs(1);
        nodes.push(start(settings).await);
    }
    let nodes: [Node; 3] = nodes.try_into().expect("three");
    acquainted(&nodes.each_ref()).await;
    nodes
}

/// Begins to send something; answers the producer.
async fn produces(socket: &mut Socket, kind: &str, label: &str, ssrc: u32) -> String {
    let transport = match socket.ask("createWebRtcTransport", json!({ "direction": "send" })).await {
        Ok(transport) => transport["id"].clone(),
        // It is there.
        Err(code) => {
            assert_eq!(code, "wrongOrder");
            socket.ask("resume", json!({})).await.expect("all that holds")["transports"][0].clone()
        }
    };
    let produce = json!({ "transportId": transport, "kind": kind, "label": label,
                          "rtpParameters": rtp_parameters(kind, ssrc), "appData": { "nice": true } });
    let produced = socket.ask("produce", produce).await.expect("it is taken");
    produced["id"].as_str().expect("an id").to_owned()
}

async fn receives(socket: &mut Socket) -> Value {
    let transport = socket.ask("createWebRtcTransport", json!({ "direction": "recv" })).await.expect("one");
    assert!(transport["iceCandidates"][0]["port"].as_u64() > Some(0), "{transport}");
    socket.ask("getRouterRtpCapabilities", json!({})).await.expect("what it carries")
}

#[tokio::test(flavor = "multi_thread")]
async fn participants_of_three_nodes_hear_of_each_other_and_are_sent_single_producers() {
    let nats = NatsServer::start().await;
    let [west, near, east] = three(&nats).await;
    let (mut ann, entered) = Socket::join(&west, "talk", "ann").await;
    assert_eq!((&entered["node"], &entered["participants"]), (&json!("west-1"), &json!([])));
    let (mut ben, entered) = Socket::join(&east, "talk", "ben").await;
    assert!(entered["routerRtpCapabilities"]["codecs"][0]["kind"].is_string(), "{entered}");
    let joined = ann.told("participantJoined", |it| it["participant"]["name"] == "ben").await;
    assert_eq!(joined["participant"]["appData"], json!({ "hat": "ben" }));
    assert_eq!(joined["participant"]["region"], "east");

    let microphone = produces(&mut ann, "audio", "microphone", 1).await;
    let camera = produces(&mut ann, "video", "camera", 2).await;
    let new = ben.told("newProducer", |it| it["producer"]["id"] == camera.as_str()).await;
    assert_eq!((&new["participant"], &new["producer"]["label"]), (&json!("ann"), &json!("camera")));
    assert_eq!(new["producer"]["appData"], json!({ "nice": true }));

    // What nobody there is sent isn't pulled.
    let takes = receives(&mut ben).await;
    let consumed = ben.ask("consume", json!({ "producerId": microphone, "rtpCapabilities": takes })).await;
    let consumed = consumed.expect("it is sent");
    assert_eq!((&consumed["participant"], &consumed["kind"]), (&json!("ann"), &json!("audio")));
    assert_eq!(consumed["rtpParameters"]["codecs"][0]["mimeType"], "audio/opus");
    let carried = async || {
        let view = room(&east, "talk").await.expect("the room is there");
        view.counts.producers
    };
    assert_eq!(carried().await, 1, "one of two producers");
    let second = ben.ask("consume", json!({ "producerId": camera, "paused": true })).await.expect("it, too");
    assert_eq!((second["type"].as_str(), carried().await), (Some("simple"), 2));
    let consumer = &second["id"];
    ben.ask("resumeConsumer", json!({ "consumerId": consumer })).await.expect("it goes on");
    ben.ask("setPriority", json!({ "consumerId": consumer, "priority": 7 })).await.expect("it weighs more");
    let stats = ben.ask("getStats", json!({ "consumerId": consumer })).await.expect("figures");
    assert!(stats["stats"][0].is_object(), "{stats}");

    // What nobody is sent any more isn't pulled for long, and is again when somebody asks.
    ben.ask("closeConsumer", json!({ "consumerId": consumer })).await.expect("it is sent no more");
    eventually(SOON, "the camera is pulled no more", || async { carried().await == 1 }).await;
    let again = ben.ask("consume", json!({ "producerId": camera })).await.expect("it is sent again");
    let consumer = &again["id"];
    assert_eq!(carried().await, 2);

    // Each producer has a life of its own.
    ann.ask("pauseProducer", json!({ "producerId": microphone })).await.expect("muted");
    ben.told("producerPaused", |it| it["producerId"] == microphone.as_str()).await;
    ann.ask("closeProducer", json!({ "producerId": camera })).await.expect("closed");
    ben.told("consumerClosed", |it| it["consumerId"] == *consumer).await;
    eventually(SOON, "the camera is pulled no more", || async { carried().await == 1 }).await;

    // A third finds both, on a third node.
    let (mut cleo, entered) = Socket::join(&near, "talk", "cleo").await;
    let names: Vec<_> =
        entered["participants"].as_array().expect("all").iter().map(|it| &it["name"]).collect();
    assert_eq!(names, ["ann", "ben"]);
    drop(ben);
    cleo.ask("leave", json!({})).await.expect("it leaves");
    cleo.told("sessionEnded", |it| it["reason"] == "left").await;
    cleo.is_closed().await;
    let left = ann.told("participantLeft", |it| it["name"] == "cleo").await;
    assert_eq!(left["reason"], "left");
    for node in [west, near, east] {
        node.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn publishers_by_whip_and_viewers_by_whep_are_in_the_same_room() {
    let nats = NatsServer::start().await;
    let [west, near, east] = three(&nats).await;
    let (mut ann, _) = Socket::join(&east, "talk", "ann").await;
    let publisher = publish(&west, "talk").await;
    let joined = ann.told("participantJoined", |it| it["participant"]["name"] == "main").await;
    let producers = joined["participant"]["producers"].as_array().expect("what it sends").clone();
    assert_eq!(producers.len(), 2);
    let takes = receives(&mut ann).await;
    for producer in &producers {
        let consume = json!({ "producerId": producer["id"], "rtpCapabilities": takes });
        let consumed = ann.ask("consume", consume).await.expect("it is sent");
        assert_eq!(consumed["kind"], producer["kind"]);
    }
    // Whoever watches is sent all of it, though a part of it was here before.
    let (mut ben, _) = Socket::join(&near, "talk", "ben").await;
    let takes = receives(&mut ben).await;
    let audio = producers.iter().find(|it| it["kind"] == "audio").expect("audio");
    ben.ask("consume", json!({ "producerId": audio["id"], "rtpCapabilities": takes })).await.expect("sent");
    heard_of(&near, "talk").await;
    let viewer = watch(&near, "talk").await;
    plays(&viewer, 3).await;
    assert_eq!(room(&near, "talk").await.expect("the room").counts.producers, 2);
    viewer.stop().await;
    publisher.stop().await.expect("it ends");
    ann.told("participantLeft", |it| it["name"] == "main").await;
    for node in [west, near, east] {
        node.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_goes_on_with_a_new_socket_and_another_of_its_name_ends_it() {
    let nats = NatsServer::start().await;
    let [west, near, east] = three(&nats).await;
    let (mut ann, entered) = Socket::join(&west, "talk", "ann").await;
    let microphone = produces(&mut ann, "audio", "microphone", 1).await;
    let session = entered["session"].as_str().expect("a session").to_owned();
    drop(ann);
    let mut again = Socket::open(&west, "talk", &format!("session={session}")).await;
    let resumed = again.ask("resume", json!({})).await.expect("it goes on");
    assert_eq!((&resumed["producers"], &resumed["session"]), (&json!([microphone]), &json!(session)));
    let mut stranger = Socket::open(&near, "talk", &format!("session={session}")).await;
    assert_eq!(stranger.ask("resume", json!({})).await, Err("unknownSession".to_owned()), "it is not there");
    // The same name on another node: the newer holds, and the older is told.
    let (_ann, entered) = Socket::join(&east, "talk", "ann").await;
    assert_eq!(entered["participants"], json!([]));
    again.told("sessionEnded", |it| it["reason"] == "replaced").await;
    again.is_closed().await;
    for node in [west, near, east] {
        node.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_asked_for_without_waiting_is_counted_and_told_to_whoever_goes_on() {
    let nats = NatsServer::start().await;
    let mut settings = fleet::config("west-1", "west", &nats.url());
    settings.limits.producers_per_participant = 4;
    let west = start(settings).await;
    let (mut ann, _) = Socket::join(&west, "talk", "ann").await;
    let transport = ann.ask("createWebRtcTransport", json!({ "direction": "send" })).await.expect("one");
    let produce = |ssrc: u32| {
        json!({ "produce": { "transportId": transport["id"], "kind": "audio",
                             "rtpParameters": rtp_parameters("audio", ssrc) } })
    };
    for ssrc in 1..=6 {
        ann.send(&json!({ "id": format!("p{ssrc}"), "request": produce(ssrc) }).to_string()).await;
    }
    ann.send(&json!({ "id": "r", "request": { "resume": {} } }).to_string()).await;
    let (mut taken, mut refused, mut told) = (Vec::new(), 0, Value::Null);
    while told.is_null() || taken.len() + refused < 6 {
        let frame = ann.next().await.expect("an answer");
        if frame.get("event").is_some() {
            continue;
        }
        match (frame["id"] == "r", frame.get("ok")) {
            (true, ok) => told = ok.expect("it goes on")["producers"].clone(),
            (false, Some(ok)) => taken.push(ok["id"].clone()),
            (false, None) => {
                assert_eq!(frame["error"]["code"], "limit", "{frame}");
                refused += 1;
            }
        }
    }
    let ids =
        |value: &[Value]| value.iter().map(ToString::to_string).collect::<std::collections::BTreeSet<_>>();
    assert_eq!((taken.len(), refused), (4, 2));
    assert_eq!(ids(told.as_array().expect("producers")), ids(&taken), "whoever goes on is told of each");
    west.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_makes_no_sense_is_refused_by_name_and_changes_nothing() {
    let nats = NatsServer::start().await;
    let west = node("west-1", "west", &nats.url()).await;
    let mut early = Socket::open(&west, "talk", "").await;
    for (verb, parameters, code) in [
        ("produce", json!({}), "malformed"),
        ("leave", json!({}), "wrongOrder"),
        ("resume", json!({}), "wrongOrder"),
        ("sing", json!({}), "malformed"),
        ("join", json!({ "name": "a b" }), "malformed"),
        ("join", json!({ "name": "ann", "appData": { "much": "x".repeat(5_000) } }), "tooLarge"),
    ] {
        assert_eq!(early.ask(verb, parameters).await, Err(code.to_owned()), "{verb}");
    }
    early.send("no JSON").await;
    assert_eq!(early.next().await.expect("a word")["error"]["code"], "malformed");
    let (mut ann, _) = Socket::join(&west, "talk", "ann").await;
    let (mut ben, _) = Socket::join(&west, "talk", "ben").await;
    let own = produces(&mut ann, "audio", "microphone", 1).await;
    let unknown = uuid::Uuid::new_v4();
    for (verb, parameters, code) in [
        ("join", json!({ "name": "cleo" }), "wrongOrder"),
        ("consume", json!({ "producerId": own }), "wrongOrder"),
        ("consume", json!({ "producerId": unknown }), "unknownProducer"),
        ("pauseProducer", json!({ "producerId": own }), "unknownProducer"),
        ("closeProducer", json!({ "producerId": own }), "unknownProducer"),
        ("closeConsumer", json!({ "consumerId": unknown }), "unknownConsumer"),
        (
            "connectWebRtcTransport",
            json!({ "transportId": unknown, "dtlsParameters": {
            "role": "auto", "fingerprints": [] } }),
            "unknownTransport",
        ),
        ("restartIce", json!({ "transportId": unknown }), "unknownTransport"),
        ("lockRoom", json!({ "locked": true }), "forbidden"),
        ("removeParticipant", json!({ "participant": "ann" }), "forbidden"),
        ("getStats", json!({ "transportId": unknown }), "unknownTransport"),
    ] {
        assert_eq!(ben.ask(verb, parameters).await, Err(code.to_owned()), "{verb}");
    }
    receives(&mut ben).await;
    let second = ben.ask("createWebRtcTransport", json!({ "direction": "recv" })).await;
    assert_eq!(second, Err("wrongOrder".to_owned()));
    let without = ben.ask("consume", json!({ "producerId": own })).await;
    assert_eq!(without, Err("wrongOrder".to_owned()), "it hasn't said what it takes");
    let nothing = json!({ "codecs": [], "headerExtensions": [] });
    let unable = ben.ask("consume", json!({ "producerId": own, "rtpCapabilities": nothing })).await;
    assert_eq!(unable, Err("unsupported".to_owned()));
    let everybody = ben.ask("getParticipants", json!({})).await.expect("all");
    assert_eq!(everybody["participants"].as_array().map(Vec::len), Some(2));
    west.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn everybody_is_told_why_somebody_has_left() {
    let nats = NatsServer::start().await;
    let mut nodes = Vec::new();
    for (name, region) in [("west-1", "west"), ("east-1", "east")] {
        let mut settings = fleet::config(name, region, &nats.url());
        settings.timeouts.session = Duration::from_secs(2);
        nodes.push(start(settings).await);
    }
    let [west, east]: [Node; 2] = nodes.try_into().expect("two");
    acquainted(&[&west, &east]).await;
    let (mut ann, _) = Socket::join(&west, "talk", "ann").await;
    let (ben, _) = Socket::join(&east, "talk", "ben").await;
    let (_cleo, _) = Socket::join(&east, "talk", "cleo").await;
    drop(ben);
    let left = ann.told("participantLeft", |it| it["name"] == "ben").await;
    assert_eq!(left["reason"], "disconnected");
    east.stop().await;
    let left = ann.told("participantLeft", |it| it["name"] == "cleo").await;
    assert_eq!(left["reason"], "drained");
    west.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_asks_without_a_websocket_learns_what_one_would_be_refused_for() {
    let nats = NatsServer::start().await;
    let mut settings = fleet::config("west-1", "west", &nats.url());
    let tokens = "[[auth.tokens]]
        token = 'ann-0123456789'
        stream = 'ann'
        actions = ['publish', 'watch']";
    settings.auth = headwater::config::Config::parse(tokens).expect("a configuration").auth;
    let west = start(settings).await;
    let asked = async |path: &str, token: Option<&str>| {
        let request = fleet::http().get(format!("{}/rtc/{path}", west.public_url()));
        let request = token.into_iter().fold(request, reqwest::RequestBuilder::bearer_auth);
        let response = request.send().await.expect("an answer");
        let header = |name| response.headers().get(name).and_then(|value| value.to_str().ok());
        assert_eq!(header("content-type"), Some("application/problem+json"), "{path}");
        let upgrade = header("upgrade").map(str::to_owned);
        let status = response.status().as_u16();
        let problem: Value = serde_json::from_slice(&response.bytes().await.expect("a body")).expect("JSON");
        assert!(problem["status"] == status && problem["detail"].is_string(), "{problem}");
        assert_eq!(upgrade.as_deref(), (status == 426).then_some("websocket"), "{path}");
        status
    };
    assert_eq!(asked("no.dots", None).await, 400);
    assert_eq!(asked("talk", None).await, 401);
    assert_eq!(asked("talk", Some("guessed")).await, 401);
    assert_eq!(asked("talk?name=ben", Some("ann-0123456789")).await, 403);
    assert_eq!(asked("talk?name=ann", Some("ann-0123456789")).await, 426);
    assert_eq!(asked("talk?name=ann&access_token=ann-0123456789", None).await, 426);
    assert_eq!(asked("talk", Some("ann-0123456789")).await, 426, "by which name isn't known");
    let posted =
        fleet::http().post(format!("{}/rtc/talk", west.public_url())).send().await.expect("an answer");
    assert_eq!(posted.status(), 405);
    west.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn moderators_mute_remove_and_lock_on_any_node() {
    let nats = NatsServer::start().await;
    let token = |name: &str, actions: &str| {
        format!("[[auth.tokens]]\ntoken = '{name}-0123456789'\nname = '{name}'\nactions = {actions}\n")
    };
    let tokens = token("guest", "['publish', 'watch']")
        + &token("chair", "['publish', 'watch', 'moderate']")
        + &token("ear", "['watch']");
    let mut nodes = Vec::new();
    for (name, region) in [("west-1", "west"), ("east-1", "east")] {
        let mut settings = fleet::config(name, region, &nats.url());
        settings.auth = headwater::config::Config::parse(&tokens).expect("a configuration").auth;
        nodes.push(start(settings).await);
    }
    let [west, east]: [Node; 2] = nodes.try_into().expect("two");
    acquainted(&[&west, &east]).await;
    let join = async |node, name: &str, token: &str| {
        let mut socket = Socket::open(node, "talk", &format!("access_token={token}-0123456789")).await;
        let entered = socket.ask("join", json!({ "name": name })).await;
        (socket, entered)
    };
    assert_eq!(join(&west, "eve", "thief").await.1, Err("forbidden".to_owned()));
    let (mut ear, entered) = join(&west, "ear", "ear").await;
    assert_eq!(
        entered.expect("it may hear")["may"],
        json!({ "publish": false, "subscribe": true, "moderate": false })
    );
    let send = ear.ask("createWebRtcTransport", json!({ "direction": "send" })).await;
    assert_eq!(send, Err("forbidden".to_owned()));
    let (mut ann, _) = join(&west, "ann", "guest").await;
    let microphone = produces(&mut ann, "audio", "microphone", 1).await;
    let (mut chair, entered) = join(&east, "chair", "chair").await;
    assert_eq!(entered.expect("it joins")["may"]["moderate"], true);
    let heard = async {
        loop {
            let there = chair.ask("getParticipants", json!({})).await.expect("who is there");
            let mut there = there["participants"].as_array().into_iter().flatten();
            if there.any(|it| {
                it["name"] == "ann" && it["producers"].as_array().is_some_and(|all| !all.is_empty())
            }) {
                break;
            }
        }
    };
    tokio::time::timeout(SOON, heard).await.expect("the other node has heard what she sends");
    // Who may watch alone takes nobody's name that sends something.
    assert_eq!(join(&east, "ann", "ear").await.1, Err("nameTaken".to_owned()));
    let mute = json!({ "participant": "ann", "producerId": microphone });
    chair.ask("muteProducer", mute).await.expect("it is muted");
    ann.told("producerPaused", |it| it["by"] == "moderator" && it["producerId"] == microphone.as_str()).await;
    chair.told("producerPaused", |it| it["producerId"] == microphone.as_str()).await;
    chair.ask("lockRoom", json!({ "locked": true })).await.expect("it is locked");
    ann.told("roomLocked", |it| it["locked"] == true).await;
    assert_eq!(join(&west, "late", "guest").await.1, Err("locked".to_owned()));
    chair.ask("lockRoom", json!({ "locked": false })).await.expect("it is open");
    ann.told("roomLocked", |it| it["locked"] == false).await;
    let nobody = chair.ask("removeParticipant", json!({ "participant": "nobody" })).await;
    assert_eq!(nobody, Err("unknownParticipant".to_owned()));
    chair.ask("removeParticipant", json!({ "participant": "ann" })).await.expect("it is removed");
    ann.told("sessionEnded", |it| it["reason"] == "removed").await;
    let left = chair.told("participantLeft", |it| it["name"] == "ann").await;
    assert_eq!(left["reason"], "removed");
    // It is locked for as long as its moderator is there, on every node, and the log has all that was done.
    chair.ask("lockRoom", json!({ "locked": true })).await.expect("it is locked");
    let shown = async |locked| {
        eventually(SOON, format!("the room is shown, locked: {locked}"), || async {
            (room(&west, "talk").await.expect("the room").locked == locked).then_some(())
        })
        .await;
    };
    shown(true).await;
    chair.ask("leave", json!({})).await.expect("it leaves");
    shown(false).await;
    let wanted = [
        ("east-1", Deed::Locked, None),
        ("east-1", Deed::Unlocked, None),
        ("east-1", Deed::Locked, None),
        ("east-1", Deed::Unlocked, None),
        ("west-1", Deed::Muted, Some("ann")),
        ("west-1", Deed::Removed, Some("ann")),
    ];
    eventually(SOON, "what the moderator did is told", || async {
        let mut events = told(&west, "talk").await;
        events.sort_by_key(|event| (event.source.node.clone(), event.id));
        let deeds: Vec<_> = events
            .iter()
            .filter_map(|event| match &event.what {
                What::RoomModerated(it) if it.by.as_str() == "chair" => Some((
                    event.source.node.as_str(),
                    it.deed,
                    it.participant.as_ref().map(|name| name.as_str()),
                )),
                _ => None,
            })
            .collect();
        if deeds == wanted { Ok(()) } else { Err(format!("{deeds:?}")) }
    })
    .await;
    for node in [west, east] {
        node.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_application_server_speaks_messagepack_or_json_over_nats() {
    use headwater::protocol::codec::{self, Reply};

    let nats = NatsServer::start().await;
    let west = node("west-1", "west", &nats.url()).await;
    let client = nats.client().await;
    let subject = "room.talk.session.west-1";
    // JSON, by hand.
    let join = json!({ "version": 2, "message": { "request": { "join": { "name": "ann" } } } });
    let answer = client.request(subject, join.to_string().into()).await.expect("an answer");
    let answer: Value = serde_json::from_slice(&answer.payload).expect("JSON");
    let session = answer["message"]["ok"]["session"].as_str().expect("a session").to_owned();
    let mut events = client.subscribe(format!("{subject}.{session}")).await.expect("its events");
    client.flush().await.expect("the server knows");
    // MessagePack.
    let join = RtcAsked {
        session: None,
        request: serde_json::from_value(json!({ "join": { "name": "ben" } })).expect("a request"),
    };
    let ask = async |asked: RtcAsked| {
        let bytes = codec::encode(&asked).expect("bytes");
        let answer = client.request(subject, bytes.into()).await.expect("an answer");
        match codec::decode::<Reply<RtcReply>>(&answer.payload, 1 << 20).expect("a reply") {
            Reply::Ok(reply) => Ok(reply),
            Reply::Error(refusal) => Err(refusal),
        }
    };
    let Ok(RtcReply::Entered(entered)) = ask(join).await else { panic!("it joins") };
    assert_eq!(entered.participants.len(), 1);
    let event = tokio::time::timeout(SOON, events.next()).await.expect("in time").expect("an event");
    let event: Value = serde_json::from_slice(&event.payload).expect("JSON, as was asked");
    assert_eq!(event["message"]["participantJoined"]["participant"]["name"], "ben");
    let request: RtcRequest =
        serde_json::from_value(json!({ "createWebRtcTransport": { "direction": "send" } }))
            .expect("a request");
    let made = ask(RtcAsked { session: Some(entered.session), request: request.clone() }).await;
    assert!(matches!(made, Ok(RtcReply::Transport(_))), "{made:?}");
    let refused = ask(RtcAsked { session: None, request }).await.expect_err("no session");
    assert_eq!(refused.code.as_str(), "unknownSession");
    let leave = serde_json::from_value(json!({ "leave": {} })).expect("a request");
    ask(RtcAsked { session: Some(entered.session), request: leave }).await.expect("it leaves");
    let left = async {
        while let Some(event) = events.next().await {
            let event: Value = serde_json::from_slice(&event.payload).expect("JSON");
            if event["message"]["participantLeft"]["name"] == "ben" {
                return;
            }
        }
    };
    tokio::time::timeout(SOON, left).await.expect("it is told");
    west.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_application_server_made_from_the_schemas_alone_drives_a_whole_call() {
    let nats = NatsServer::start().await;
    let mut nodes = Vec::new();
    for (name, region) in [("west-1", "west"), ("east-1", "east")] {
        let mut settings = fleet::config(name, region, &nats.url());
        settings.timeouts.session = Duration::from_secs(4);
        nodes.push(start(settings).await);
    }
    let [west, east]: [Node; 2] = nodes.try_into().expect("two");
    acquainted(&[&west, &east]).await;
    let mut server = Process::spawn("node", |command| {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/.tools/application");
        command.current_dir(folder).args(["server.js", &nats.url(), &west.public_url()]);
        command.stdout(Stdio::piped());
    })
    .expect("node runs");
    let said = server.child().stdout.take().expect("what it says");
    let address = tokio::task::spawn_blocking(move || BufReader::new(said).lines().next());
    let address = address.await.expect("a line").expect("a line").expect("its address");
    let browser = Browser::start().await;
    let ann = browser.page(&format!("{address}?name=ann&to=west-1")).await;
    let ben = browser.page(&format!("{address}?name=ben&to=east-1")).await;
    let guest = browser.page(&format!("{address}?name=guest&to=east-1")).await;
    for (page, others) in [(&ann, vec!["ben"]), (&ben, vec!["ann"]), (&guest, vec!["ann", "ben"])] {
        for other in others {
            for what in ["microphone", "camera"] {
                page.wait_for(&format!("seen['{other}/{what}'].currentTime > 1"), SOON).await;
            }
            page.wait_for(&format!("seen['{other}/camera'].videoWidth > 0"), SOON).await;
        }
    }
    for page in [&ben, &guest] {
        page.wait_for("window.speaker === 'ann'", SOON).await;
    }
    let refused: String = guest.eval("refused").await;
    assert!(refused.contains("forbidden"), "what the application server allows holds: {refused}");
    // An application server that dies leaves nothing behind.
    drop(server);
    for node in [&west, &east] {
        eventually(SOON, "the sessions have ended", || async {
            let view = room(node, "talk").await;
            view.is_none_or(|view| view.streams.is_empty())
        })
        .await;
    }
    for node in [west, east] {
        node.stop().await;
    }
}
