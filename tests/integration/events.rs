//! What happens is in the log: in order, once, and whatever becomes of the bus.

use std::collections::BTreeMap;
use std::time::Duration;

use headwater::config::{Action, StaticToken};
use headwater::protocol::event::{About, Event, LeaveReason, What};

use crate::support::chaos::ChaosProxy;
use crate::support::events::{logged, told};
use crate::support::fleet::{SOON, acquainted, config, heard_of, node, plays, publish, room, start, watch};
use crate::support::nats::NatsServer;
use crate::support::socket::Socket;
use crate::support::wait::eventually;

/// Waits until the log tells these types of a room, in this order but for what different nodes tell.
async fn tells(reader: &headwater::node::Node, of: &str, types: &[&str]) -> Vec<Event> {
    let mut wanted = types.to_vec();
    wanted.sort_unstable();
    eventually(SOON, "the log tells it", || async {
        let mut events = told(reader, of).await;
        // By source, each in its own order.
        events.sort_by_key(|event| (event.source.incarnation, event.id));
        let mut names: Vec<_> = events.iter().map(|event| event.what.name()).collect();
        names.sort_unstable();
        if names == wanted { Ok(events) } else { Err(format!("{names:?}")) }
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_room_s_life_is_told_in_order() {
    let nats = NatsServer::start().await;
    let origin = node("origin", "west", &nats.url()).await;
    let edge = node("edge", "east", &nats.url()).await;
    acquainted(&[&origin, &edge]).await;
    let publisher = publish(&origin, "news").await;
    heard_of(&edge, "news").await;
    let viewer = watch(&edge, "news").await;
    plays(&viewer, 3).await;
    let events =
        tells(&origin, "news", &["stream.started", "pipe.opening", "viewer.joined", "pipe.opened"]).await;
    let [started, opening, opened, joined] = &events[..] else { panic!("{events:?}") };
    assert_eq!(started.source, *origin.peer());
    let (What::PipeOpening(opening), What::PipeOpened(opened)) = (&opening.what, &opened.what) else {
        panic!("{events:?}")
    };
    assert_eq!((opening.to.node.as_str(), opening.attempt, opening.hop), ("edge", 1, 1));
    assert_eq!((opened.pipe, opened.streams.len()), (opening.pipe, 1));
    assert!(opened.setup_us > 0);
    let What::ViewerJoined(joined) = &joined.what else { panic!("{events:?}") };
    assert!(!joined.warm && joined.viewers == 1 && joined.join_us > 0);
    viewer.stop().await;
    publisher.stop().await.unwrap();
    let events = eventually(SOON, "the end is told", || async {
        let events = told(&origin, "news").await;
        let ended = events.iter().filter(|event| event.what.name() == "room.closed").count() == 2;
        if ended { Ok(events) } else { Err(format!("{events:?}")) }
    })
    .await;
    let left = events.iter().find_map(|event| match &event.what {
        What::ViewerLeft(left) => Some(left),
        _ => None,
    });
    assert_eq!(left.map(|left| (left.reason, left.viewers)), Some((LeaveReason::Left, 0)));
    assert!(left.is_some_and(|left| left.bytes > 0), "media was sent to it");
    let of =
        |name| events.iter().position(|event| event.what.name() == name).unwrap_or_else(|| panic!("{name}"));
    assert!(of("stream.started") < of("stream.ended") && of("stream.ended") < of("pipe.closed"));
    // And no address, and none of the secrets, is in what was told.
    let all = serde_json::to_string(&events).unwrap();
    assert!(!all.contains("127.0.0.1") && !all.contains("session"), "{all}");
    origin.stop().await;
    tells_its_life(&edge, "origin").await;
}

/// Waits until the log tells that a node started, drained and stopped.
async fn tells_its_life(reader: &headwater::node::Node, node: &str) {
    let about = About::Node(node.parse().unwrap());
    eventually(SOON, format!("the end of node {node} is told"), || async {
        let events = logged(reader).await.into_iter().filter_map(|logged| logged.event);
        let told = events.filter(|event| event.subject == about && !event.what.is_summary());
        let names: Vec<_> = told.map(|event| event.what.name()).collect();
        if names == ["node.started", "node.draining", "node.stopped"] { Ok(()) } else { Err(names) }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_stops_at_once_tells_its_whole_life() {
    let nats = NatsServer::start().await;
    let reader = node("reader", "east", &nats.url()).await;
    for number in 0..10 {
        let name = format!("idle-{number}");
        let idle = node(&name, "west", &nats.url()).await;
        acquainted(&[&idle, &reader]).await;
        idle.stop().await;
        tells_its_life(&reader, &name).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_lost_and_nothing_doubled_over_an_outage_of_the_bus() {
    let nats = NatsServer::start().await;
    let line = ChaosProxy::start(nats.url()).await;
    let cut_off = node("cut-off", "west", &line.url()).await;
    let reader = node("reader", "east", &nats.url()).await;
    let publisher = publish(&cut_off, "news").await;
    tells(&reader, "news", &["stream.started"]).await;
    // In the midst of it, so that some are on their way when the line breaks.
    let viewers = async {
        for _ in 0..5 {
            watch(&cut_off, "news").await.stop().await;
        }
    };
    tokio::join!(viewers, line.cut());
    for _ in 0..5 {
        watch(&cut_off, "news").await.stop().await;
    }
    assert!(room(&cut_off, "news").await.is_some());
    line.restore();
    let events = eventually(SOON, "all is told", || async {
        let events = told(&reader, "news").await;
        let left = events.iter().filter(|event| event.what.name() == "viewer.left").count();
        if left >= 10 { Ok(events) } else { Err(format!("{left} of 10 viewers left")) }
    })
    .await;
    let joins = events.iter().filter(|event| event.what.name() == "viewer.joined").count();
    assert_eq!((joins, events.len()), (10, 21), "each once: {events:?}");
    // All that this node told, summaries too: numbered without a gap, each once.
    let mut ids: Vec<u64> = logged(&reader)
        .await
        .into_iter()
        .filter_map(|logged| logged.event)
        .filter(|event| event.source == *cut_off.peer())
        .map(|event| event.id)
        .collect();
    ids.sort_unstable();
    let counted: Vec<u64> = (1..=ids.len() as u64).collect();
    assert_eq!(ids, counted);
    drop(publisher);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_could_not_be_kept_is_counted_and_said() {
    let nats = NatsServer::start().await;
    let line = ChaosProxy::start(nats.url()).await;
    let mut settings = config("cut-off", "west", &line.url());
    settings.events.buffer = 8;
    let cut_off = start(settings).await;
    let reader = node("reader", "east", &nats.url()).await;
    let _publisher = publish(&cut_off, "news").await;
    tells(&reader, "news", &["stream.started"]).await;
    line.cut().await;
    eventually(SOON, "the node notices", || async {
        (!cut_off.context().broker.is_connected()).then_some(())
    })
    .await;
    for _ in 0..10 {
        watch(&cut_off, "news").await.stop().await;
    }
    line.restore();
    let dropped = eventually(SOON, "the loss is told", || async {
        let events = logged(&reader).await.into_iter().filter_map(|logged| logged.event);
        let dropped = events.filter_map(|event| match event.what {
            What::EventsDropped(dropped) => Some(dropped.count),
            _ => None,
        });
        dropped.reduce(|a, b| a + b)
    })
    .await;
    let told = told(&reader, "news").await;
    let viewers = told.iter().filter(|event| event.what.name().starts_with("viewer.")).count() as u64;
    assert!(dropped >= 20 - viewers && viewers > 0, "{dropped} dropped, {viewers} kept of 20");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_limit_and_a_lost_node_are_told() {
    let nats = NatsServer::start().await;
    let line = ChaosProxy::start(nats.url()).await;
    let mut settings = config("a-small", "west", &nats.url());
    settings.limits.streams = 1;
    settings.events.summary = Duration::from_secs(1);
    let small = start(settings).await;
    let other = node("other", "west", &line.url()).await;
    acquainted(&[&small, &other]).await;
    let _publisher = publish(&small, "news").await;
    let offer = include_str!("../../src/http/sdp/offers/chromium-publish.sdp");
    for _ in 0..10 {
        let refused = crate::support::fleet::http()
            .post(format!("{}/whip/more", small.public_url()))
            .header("content-type", "application/sdp")
            .body(offer)
            .send()
            .await
            .unwrap();
        assert_eq!(refused.status(), 503);
    }
    line.cut().await;
    let events = eventually(Duration::from_secs(20), "both are told", || async {
        let events: Vec<_> = logged(&small).await.into_iter().filter_map(|logged| logged.event).collect();
        let has = |name| events.iter().any(|event| event.what.name() == name);
        if has("limit.hit") && has("publisher.rejected") && has("node.lost") {
            Ok(events)
        } else {
            Err(format!("{:?}", events.iter().map(|event| event.what.name()).collect::<Vec<_>>()))
        }
    })
    .await;
    let lost = events.iter().find_map(|event| match &event.what {
        What::NodeLost(lost) => Some((event.source.node.as_str(), lost.lost.node.as_str())),
        _ => None,
    });
    assert_eq!(lost, Some(("a-small", "other")));
    let limit = events.iter().find_map(|event| match &event.what {
        What::LimitHit(hit) => Some(hit.limit.as_str()),
        _ => None,
    });
    assert_eq!(limit, Some("limits.streams"));
    // Whoever knocks again and again doesn't fill the log, and still is counted.
    let rejected = eventually(SOON, "every rejection is told", || async {
        // It never came as far as a room: the node tells it.
        let events = logged(&small).await.into_iter().filter_map(|logged| logged.event);
        let times = events.filter_map(|event| match event.what {
            What::PublisherRejected(turned) => {
                assert_eq!(turned.room.as_ref().map(|room| room.as_str()), Some("more"));
                Some(turned.times)
            }
            _ => None,
        });
        let times: Vec<u64> = times.collect();
        if times.iter().sum::<u64>() == 10 { Ok(times) } else { Err(times) }
    })
    .await;
    assert!(rejected.len() < 5, "{rejected:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_turned_away_at_the_door_is_told_without_what_was_sent() {
    let nats = NatsServer::start().await;
    let mut settings = config("guarded", "west", &nats.url());
    settings.events.summary = Duration::from_secs(1);
    settings.auth.tokens = vec![StaticToken {
        name: None,
        token: "hunter2".into(),
        actions: vec![Action::Publish],
        room: None,
        stream: None,
    }];
    let guarded = start(settings).await;
    let post = async |path: &str, token: &str, offer: &str| {
        let request = crate::support::fleet::http().post(format!("{}/{path}", guarded.public_url()));
        let request = request.bearer_auth(token).header("content-type", "application/sdp");
        request.body(offer.to_owned()).send().await.unwrap().status().as_u16()
    };
    for _ in 0..6 {
        assert_eq!(post("whip/news", "guessed", "v=0").await, 401);
    }
    assert_eq!(post("whip/news", "hunter2", "rubbish from 203.0.113.7").await, 400);
    assert_eq!(post("whep/news", "hunter2", "v=0").await, 403);
    let about = About::Node("guarded".parse().unwrap());
    let events = eventually(SOON, "all of them are told", || async {
        let events = logged(&guarded).await.into_iter().filter_map(|logged| logged.event);
        let events: Vec<Event> = events.filter(|event| event.subject == about).collect();
        let mut told = BTreeMap::new();
        for event in &events {
            if let What::PublisherRejected(turned) | What::ViewerRejected(turned) = &event.what {
                assert_eq!(turned.room.as_ref().map(|room| room.as_str()), Some("news"));
                *told.entry((event.what.name(), turned.reason.clone())).or_default() += turned.times;
            }
        }
        let wanted = [
            (("publisher.rejected", "malformed".to_owned()), 1),
            (("publisher.rejected", "unauthorized".to_owned()), 6),
            (("viewer.rejected", "forbidden".to_owned()), 1),
        ];
        if told == BTreeMap::from(wanted) { Ok(events) } else { Err(told) }
    })
    .await;
    let all = serde_json::to_string(&events).unwrap();
    assert!(!all.contains("guessed") && !all.contains("hunter2") && !all.contains("203.0.113"), "{all}");
    assert!(told(&guarded, "news").await.is_empty(), "strangers make no rooms known");
}

#[tokio::test(flavor = "multi_thread")]
async fn participants_who_are_turned_away_are_told_like_everybody() {
    let nats = NatsServer::start().await;
    let mut settings = config("guarded", "west", &nats.url());
    settings.limits.participants_per_room = 1;
    settings.limits.viewers = 2;
    settings.auth.tokens = vec![StaticToken {
        name: None,
        token: "hunter2".into(),
        actions: vec![Action::Publish, Action::Watch],
        room: None,
        stream: None,
    }];
    let guarded = start(settings).await;
    let join = async |room: &str, name: &str, token: &str| {
        let mut socket = Socket::open(&guarded, room, &format!("access_token={token}")).await;
        let refused = socket.ask("join", serde_json::json!({ "name": name })).await.err();
        (socket, refused)
    };
    assert_eq!(join("talk", "eve", "guessed").await.1.as_deref(), Some("forbidden"));
    let (_ann, refused) = join("talk", "ann", "hunter2").await;
    assert_eq!(refused, None);
    assert_eq!(join("talk", "ben", "hunter2").await.1.as_deref(), Some("limit"));
    let (_cleo, refused) = join("other", "cleo", "hunter2").await;
    assert_eq!(refused, None);
    assert_eq!(join("third", "dan", "hunter2").await.1.as_deref(), Some("limit"));
    let turned = |event: Event| match event.what {
        What::ViewerRejected(it) => {
            let room = match (&event.subject, it.room) {
                (About::Room(room), None) => format!("in {room}"),
                (About::Node(_), Some(room)) => format!("before {room}"),
                other => panic!("{other:?}"),
            };
            Some((it.stream.to_string(), it.reason, room))
        }
        What::LimitHit(it) => Some((it.limit, "reached".to_owned(), String::new())),
        _ => None,
    };
    let wanted = [
        ("ben", "limit", "in talk"),
        ("dan", "limit", "before third"),
        ("eve", "unauthorized", "before talk"),
        ("limits.participants_per_room", "reached", ""),
        ("limits.viewers", "reached", ""),
    ];
    let wanted = wanted.map(|(who, why, at)| (who.to_owned(), why.to_owned(), at.to_owned()));
    eventually(SOON, "all of them are told", || async {
        let events = logged(&guarded).await.into_iter().filter_map(|logged| logged.event);
        let mut told: Vec<_> = events.filter_map(turned).collect();
        told.sort();
        if told == wanted { Ok(()) } else { Err(told) }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_s_return_and_a_burst_of_key_frame_requests_are_told() {
    let nats = NatsServer::start().await;
    let mut settings = config("origin", "west", &nats.url());
    settings.media.key_frame_delay = Duration::from_millis(10);
    let origin = start(settings).await;
    let edge = node("edge", "east", &nats.url()).await;
    acquainted(&[&origin, &edge]).await;
    let publisher = publish(&origin, "news").await;
    heard_of(&edge, "news").await;
    let viewer = watch(&edge, "news").await;
    plays(&viewer, 3).await;
    publisher.stop().await.unwrap();
    eventually(SOON, "the edge loses the stream", || async {
        room(&edge, "news").await.is_some_and(|view| view.streams.is_empty()).then_some(())
    })
    .await;
    let _again = publish(&origin, "news").await;
    let recovered = eventually(SOON, "its return is told", || async {
        told(&origin, "news").await.into_iter().find_map(|event| match event.what {
            What::StreamRecovered(recovered) => Some((event.source.node.to_string(), recovered)),
            _ => None,
        })
    })
    .await;
    assert_eq!((recovered.0.as_str(), recovered.1.viewers), ("edge", 1));
    assert!(recovered.1.gap_ms > 0);
    // Each viewer that comes asks for a key frame.
    let mut viewers = Vec::new();
    for _ in 0..40 {
        let viewer = watch(&origin, "news").await;
        plays(&viewer, 1).await;
        viewers.push(viewer);
    }
    eventually(SOON, "the burst is told", || async {
        told(&origin, "news").await.into_iter().find_map(|event| match event.what {
            What::KeyFrameBurst(burst) if burst.requests >= 24 => Some(()),
            _ => None,
        })
    })
    .await;
}
