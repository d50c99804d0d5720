//! A process with credentials of its own and a node's permissions: it is believed for itself, and for no one else.

use std::time::Duration;

use async_nats::ConnectOptions;
use headwater::client::Player;
use headwater::config::Storage;
use headwater::node::Node;
use headwater::protocol::claim::EndReason;
use headwater::protocol::edge::{ClosePipe, ConnectRemotePipeTransport, CreateRemotePipeTransport, Done};
use headwater::protocol::event::{About, Event, StreamEnded, What};
use headwater::protocol::ids::{Peer, PipeId, RouterId, Token};
use headwater::protocol::origin::{Join, Joined, Leave};
use headwater::protocol::presence::Phase;
use headwater::protocol::refusal::Code;
use headwater::servers::{Fleet, Seeds};
use uuid::Uuid;

use crate::support::fleet::{
    SOON, acquainted, config, get_text, heard_of, plays, plays_on, publish, room, start, watch,
};
use crate::support::gaps::{Gaps, NOTHING};
use crate::support::monitors;
use crate::support::nats::{NatsServer, Recipe, loopback};
use crate::support::parent::Parent;
use crate::support::rogue::Rogue;
use crate::support::wait::{assert_holds, eventually};

/// What is there, as `headwater nats-config` is told.
const LIST: &str = r#"
    [[sites]]
    name = "west"
    servers = ["127.0.0.1"]
    nodes = ["origin", "edge", "mallory"]
"#;

/// A server with the permissions that are made of the list, and the users' keys.
async fn guarded() -> (NatsServer, Seeds) {
    let mut seeds = Seeds::new();
    let files = Fleet::parse(LIST).unwrap().files(&mut seeds).unwrap();
    let config = files.iter().find(|file| file.name == "west.conf").unwrap().text.clone();
    for seed in seeds.values() {
        assert!(!config.contains(seed), "the server has no secret");
    }
    let ip = loopback();
    let config = config.replace("127.0.0.1:8222", &format!("{ip}:8222"));
    (NatsServer::of(Recipe { config, jetstream: false, ip: ip.into(), ..Recipe::default() }).await, seeds)
}

async fn member(name: &str, region: &str, nats: &str, seeds: &Seeds) -> Node {
    let mut settings = config(name, region, nats);
    settings.nats.nkey = Some(seeds[name].as_str().into());
    settings.nats.storage = Storage::File;
    start(settings).await
}

async fn mallory(nats: &str, seeds: &Seeds) -> Rogue {
    Rogue::connect_with(nats, "mallory", "west", ConnectOptions::with_nkey(seeds["mallory"].clone())).await
}

/// How many peers a node has refused so far, for whatever reason.
async fn refused_peers(node: &Node) -> f64 {
    let text = get_text(&format!("{}/metrics", node.operators_url())).await;
    let samples = text.lines().filter(|line| line.starts_with("headwater_refused_peers_total"));
    samples.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum()
}

/// Nobody who watches notices: the same stream, by the same pipe, without a gap.
async fn nothing_has_changed(viewer: &Player, gaps: &Gaps, edge: &Node, pipe: Option<PipeId>) {
    plays_on(viewer).await;
    assert!(gaps.longest() < NOTHING, "{:?}", gaps.longest());
    assert_eq!(viewer.report().borrow().video.streams, 1, "the same stream all along");
    let view = room(edge, "news").await.unwrap();
    assert_eq!((view.parents.len(), view.parents[0].pipe), (1, pipe), "{view:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rogue_is_refused_counted_and_changes_nothing() {
    let (nats, seeds) = guarded().await;
    let mut settings = monitors::config("monitor", &nats.url());
    settings.nats.nkey = Some(seeds["monitor"].as_str().into());
    settings.nats.storage = Storage::File;
    let monitor = monitors::start(settings).await;
    let origin = member("origin", "west", &nats.url(), &seeds).await;
    let edge = member("edge", "east", &nats.url(), &seeds).await;
    acquainted(&[&origin, &edge]).await;
    let _publisher = publish(&origin, "news").await;
    heard_of(&edge, "news").await;
    let viewer = watch(&edge, "news").await;
    plays(&viewer, 5).await;
    let gaps = Gaps::of(&viewer);
    let pipe = room(&edge, "news").await.unwrap().parents[0].pipe;
    let mut rogue = mallory(&nats.url(), &seeds).await;
    rogue.live().await;
    eventually(SOON, "the fleet hears it: it is a member", || async {
        edge.context().fleet().node(&rogue.peer().node).is_some()
    })
    .await;

    takes_no_pipe_of_others(&rogue, &edge, &origin, pipe.expect("the edge has a pipe")).await;
    nothing_has_changed(&viewer, &gaps, &edge, pipe).await;
    leaves_for_nobody_else(&rogue, &edge, &origin).await;
    nothing_has_changed(&viewer, &gaps, &edge, pipe).await;
    claims_for_nobody_else(&rogue, &edge, &origin).await;
    nothing_has_changed(&viewer, &gaps, &edge, pipe).await;
    speaks_for_nobody_else(&rogue, &edge, &origin).await;
    nothing_has_changed(&viewer, &gaps, &edge, pipe).await;
    lies_to_no_monitor(&rogue, &origin, &monitor.url()).await;
    nothing_has_changed(&viewer, &gaps, &edge, pipe).await;
    hears_and_answers_for_nobody_else(&rogue).await;
    nothing_has_changed(&viewer, &gaps, &edge, pipe).await;
}

/// It listens to what others are asked and answered, answers in their place, and reads or deletes the log.
async fn hears_and_answers_for_nobody_else(rogue: &Rogue) {
    // Keys of pipes travel in answers alone, which come to the asker's own inbox.
    for theirs in
        ["_INBOX_edge.>", "_INBOX_*.>", ">", "room.*.edge.edge", "room.news.>", "node.origin.directory"]
    {
        let heard = rogue.client().subscribe(theirs).await.unwrap();
        rogue.is_refused(theirs).await;
        drop(heard);
    }
    for theirs in [
        "_INBOX_edge.abc.1",
        "$JS.API.STREAM.DELETE.HEADWATER_EVENTS",
        "$JS.API.STREAM.PURGE.HEADWATER_EVENTS",
        "$JS.API.STREAM.UPDATE.HEADWATER_EVENTS",
        "$JS.API.CONSUMER.CREATE.HEADWATER_EVENTS",
        "$SYS.REQ.SERVER.PING",
    ] {
        rogue.say(theirs, &()).await;
        rogue.is_refused(theirs).await;
    }
}

/// It opens a pipe into another's edge, in its own name and in the true parent's, and closes the true one.
async fn takes_no_pipe_of_others(rogue: &Rogue, edge: &Node, origin: &Node, pipe: PipeId) {
    let before = refused_peers(edge).await;
    let to = edge.peer();
    let create = |from: &Peer, srtp: bool| CreateRemotePipeTransport {
        room_id: "news".parse().unwrap(),
        token: Token(Uuid::new_v4()),
        router_id: RouterId(Uuid::new_v4()),
        pipe_id: PipeId(Uuid::now_v7()),
        from: from.clone(),
        srtp,
        rtx: true,
    };
    for from in [rogue.peer(), origin.peer()] {
        for srtp in [true, false] {
            let answer = rogue.ask_edge(to, create(from, srtp)).await;
            assert_eq!(answer.map(drop), Err(Code::Unasked));
        }
    }
    let connect = ConnectRemotePipeTransport {
        room_id: "news".parse().unwrap(),
        token: Token(Uuid::new_v4()),
        router_id: RouterId(Uuid::new_v4()),
        pipe_id: pipe,
        ip: "127.0.0.1".parse().unwrap(),
        port: 9,
        srtp_parameters: None,
    };
    assert_eq!(rogue.ask_edge(to, connect).await, Err(Code::Unasked));
    let close = ClosePipe {
        room_id: "news".parse().unwrap(),
        token: Token(Uuid::new_v4()),
        pipe_id: pipe,
        reason: "so it says".to_owned(),
    };
    assert_eq!(rogue.ask_edge(to, close).await, Err(Code::Unasked));
    let counted = refused_peers(edge).await - before;
    assert!(counted >= 6.0, "{counted} of 6 are counted");
}

/// It joins and leaves at the origin in the edge's name.
async fn leaves_for_nobody_else(rogue: &Rogue, edge: &Node, origin: &Node) {
    let leave = Leave {
        room_id: "news".parse().unwrap(),
        from: edge.peer().clone(),
        token: Token(Uuid::new_v4()),
        reason: "so it says".to_owned(),
    };
    // Whatever is answered, the true edge stays.
    let _ = rogue.ask_origin::<Done>(origin.peer(), leave).await;
    let join = Join {
        room_id: "news".parse().unwrap(),
        from: edge.peer().clone(),
        token: Token(Uuid::new_v4()),
        number: 1,
        streams: ["main".parse().unwrap()].into(),
        only: [].into(),
        viewers: [].into(),
        pipe: None,
    };
    let _ = rogue.ask_origin::<Joined>(origin.peer(), join).await;
}

/// It claims the stream in the origin's name: NATS or the fleet refuses it.
async fn claims_for_nobody_else(rogue: &Rogue, edge: &Node, origin: &Node) {
    let mut claim = rogue.claim_of("news", 1_000, &[]);
    claim.origin = origin.peer().clone();
    let theirs = "room.news.stream.main.origin";
    rogue.say(theirs, &claim).await;
    rogue.is_refused(theirs).await;
    let before = refused_peers(edge).await;
    for lie in [claim.clone(), claim.ended(EndReason::Unpublished)] {
        rogue.say("room.news.stream.main.mallory", &lie).await;
    }
    eventually(SOON, "both are counted", || async {
        let counted = refused_peers(edge).await - before;
        if counted >= 2.0 { Ok(()) } else { Err(counted) }
    })
    .await;
}

/// It says that the origin has stopped.
async fn speaks_for_nobody_else(rogue: &Rogue, edge: &Node, origin: &Node) {
    let mut presence = rogue.presence(1_000_000);
    presence.peer = origin.peer().clone();
    presence.phase = Phase::Stopped;
    let theirs = "node.origin.presence";
    rogue.say(theirs, &presence).await;
    rogue.is_refused(theirs).await;
    let before = refused_peers(edge).await;
    rogue.say("node.mallory.presence", &presence).await;
    eventually(SOON, "it is counted", || async {
        let counted = refused_peers(edge).await - before;
        if counted >= 1.0 { Ok(()) } else { Err(counted) }
    })
    .await;
    // Of another process of the origin's name it can say nothing either.
    presence.peer.incarnation.0 = Uuid::now_v7();
    rogue.say("node.mallory.presence", &presence).await;
    assert_holds(Duration::from_secs(2), Duration::from_millis(500), "the origin is there", || async {
        let fleet = edge.context().fleet();
        fleet.present(std::time::Instant::now()).any(|present| present.peer == *origin.peer())
    })
    .await;
}

/// It writes the stream's end into the log.
async fn lies_to_no_monitor(rogue: &Rogue, origin: &Node, monitor: &str) {
    let publication = room(origin, "news").await.unwrap().streams[0].publication;
    let lie = |source: &Peer| Event {
        id: 1_000_000,
        time: chrono::Utc::now(),
        source: source.clone(),
        subject: About::Room("news".parse().unwrap()),
        what: What::StreamEnded(StreamEnded {
            stream: "main".parse().unwrap(),
            term: 1,
            publication,
            reason: EndReason::Unpublished,
            duration_ms: 1,
            bytes: 1,
        }),
    };
    let theirs = "room.news.event.origin";
    rogue.say(theirs, &lie(origin.peer())).await;
    rogue.is_refused(theirs).await;
    rogue.say("room.news.event.mallory", &lie(origin.peer())).await;
    monitors::draws(monitor, "news", "origin(edge)").await;
    assert_holds(Duration::from_secs(2), Duration::from_millis(250), "the picture is true", || async {
        let tree = monitors::tree(monitor, "/api/rooms/news").await;
        if tree == "origin(edge)" { Ok(()) } else { Err(tree) }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_parent_that_was_asked_is_held_to_what_was_asked_and_to_srtp() {
    let nats = NatsServer::start().await;
    let edge = start(config("edge", "west", &nats.url())).await;
    let parent = Parent::of(&edge, &nats.url(), "news").await;
    let (rogue, to) = (&parent.rogue, edge.peer());
    let before = refused_peers(&edge).await;
    // The configuration says that pipes encrypt.
    assert_eq!(rogue.ask_edge(to, parent.create(false)).await.map(drop), Err(Code::Insecure));
    // What it was asked for one room opens nothing in another.
    let mut elsewhere = parent.create(true);
    elsewhere.room_id = "elsewhere".parse().unwrap();
    assert_eq!(rogue.ask_edge(to, elsewhere).await.map(drop), Err(Code::UnknownRoom));
    rogue.ask_edge(to, parent.create(true)).await.expect("encrypted, it is taken");
    assert_eq!(rogue.ask_edge(to, parent.connect()).await, Err(Code::Insecure));
    // Nor may it bring what is another's, with a join of its own.
    let mut other = parent.produce();
    other.stream = "other".parse().unwrap();
    let answer = rogue.ask_edge(to, other).await;
    assert_eq!(answer, Err(Code::UnknownStream));
    let mut other = parent.produce();
    other.publication.0 = Uuid::new_v4();
    assert_eq!(rogue.ask_edge(to, other).await, Err(Code::Superseded));
    let mut endless = parent.produce();
    endless.rtp_parameters.encodings = vec![endless.rtp_parameters.encodings[0].clone(); 1_000];
    assert_eq!(rogue.ask_edge(to, endless).await, Err(Code::Malformed));
    let mut winding = parent.produce();
    winding.path = vec![rogue.peer().node.clone(); 1_000];
    assert_eq!(rogue.ask_edge(to, winding).await, Err(Code::Malformed));
    let counted = refused_peers(&edge).await - before;
    assert!(counted >= 4.0, "{counted} are counted");
}
