//! NATS falls silent, for some or for all, with a word or without: nobody who publishes or watches notices.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use headwater::client::{Player, PublishOptions, Publisher};
use headwater::node::Node;
use headwater::protocol::ids::PipeId;

use crate::support::chaos::ChaosProxy;
use crate::support::clips::muting;
use crate::support::fleet::{
    SOON, acquainted, config, get_status, heard_of, http, knock, node, plays, publish, publish_with,
    readiness, room, start, watch, watch_with,
};
use crate::support::gaps::{Gaps, NOTHING};
use crate::support::nats::NatsServer;
use crate::support::wait::{assert_holds, eventually};

/// What is promised within three seconds; the rest is for a busy machine's own delays.
const PROMISED: Duration = Duration::from_secs(5);

/// A room, and what its viewers may count on while nothing happens to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Sound and picture.
    Plain,
    /// Sound alone.
    Sound,
    /// Sound, and a camera that is off.
    Muted,
    /// A camera that is off, and nothing else.
    Still,
    /// An operator has paused it.
    Paused,
}

impl Kind {
    fn room(self) -> String {
        format!("{self:?}").to_lowercase()
    }

    fn has_video(self) -> bool {
        self == Self::Plain
    }

    fn has_audio(self) -> bool {
        matches!(self, Self::Plain | Self::Sound | Self::Muted)
    }
}

/// A viewer of a room, by a pipe that is to stay.
struct Watched {
    kind: Kind,
    player: Player,
    gaps: Gaps,
    pipe: Option<PipeId>,
}

/// How long cameras are on before they go off: enough for everyone to have joined.
const CAMERA_ON: usize = 15;

async fn publish_kind(origin: &Node, kind: Kind, camera_off: Duration) -> Publisher {
    let set = |options: &mut PublishOptions| match kind {
        Kind::Plain | Kind::Paused => {}
        Kind::Sound => options.video = false,
        Kind::Muted | Kind::Still => {
            options.clip = muting(CAMERA_ON, camera_off, kind == Kind::Muted);
            options.key_frame_on_request = false;
        }
    };
    publish_with(origin, &kind.room(), set).await
}

/// A viewer of each kind on an edge; all of them play.
async fn audience(edge: &Node, kinds: &[Kind]) -> Vec<Watched> {
    join_all(kinds.iter().map(async |kind| {
        let name = kind.room();
        heard_of(edge, &name).await;
        let player = watch_with(edge, &name, |options| {
            options.video = *kind != Kind::Sound;
            options.audio = *kind != Kind::Still;
        })
        .await;
        let report = player.report();
        eventually(SOON, format!("{name} plays on {}", edge.peer().node), || async {
            let report = report.borrow().clone();
            let plays =
                (*kind == Kind::Sound || report.has_video()) && (*kind == Kind::Still || report.has_audio());
            if plays { Ok(()) } else { Err(report) }
        })
        .await;
        let pipe = room(edge, &name).await.expect("the room is here").parents[0].pipe;
        Watched { kind: *kind, gaps: Gaps::of(&player), player, pipe }
    }))
    .await
}

async fn set_paused(origin: &Node, room: &str, paused: bool) {
    let verb = if paused { "pause" } else { "resume" };
    let url = format!("{}/api/rooms/{room}/streams/main/{verb}", origin.operators_url());
    assert_eq!(http().post(url).send().await.unwrap().status(), 204);
}

/// Waits until cameras that go off are off.
async fn cameras_are_off(audience: &[Watched]) {
    for watched in audience.iter().filter(|watched| matches!(watched.kind, Kind::Muted | Kind::Still)) {
        let report = watched.player.report();
        eventually(Duration::from_secs(40), "the camera is off", || async {
            let age = report.borrow().video.last_packet_age_ms;
            if age > Some(2_000) { Ok(()) } else { Err(age) }
        })
        .await;
    }
}

/// Whether a viewer has missed nothing that it should have got, and is connected.
fn is_well(watched: &Watched) -> Result<(), String> {
    let report = watched.player.report().borrow().clone();
    let missing = [
        watched.kind.has_audio().then(|| watched.gaps.audio()),
        watched.kind.has_video().then(|| watched.gaps.video()),
    ];
    let missing = missing.into_iter().flatten().max().unwrap_or_default();
    let connected = report.state == headwater::client::ConnectionState::Connected;
    if missing < NOTHING && connected {
        Ok(())
    } else {
        Err(format!("{:?}: {missing:?}, {report:?}", watched.kind))
    }
}

/// Looks on for a while: nobody may miss anything, and no node may want to be killed or passed over.
async fn nobody_notices(lasting: Duration, audiences: &[&[Watched]], nodes: &[&Node]) {
    assert_holds(lasting, Duration::from_millis(1_000), "everyone plays", || async {
        audiences.iter().copied().flatten().try_for_each(is_well)?;
        for node in nodes {
            let alive = get_status(&format!("{}/healthz", node.operators_url())).await;
            let (ready, body) = readiness(&node.operators_url()).await;
            if (alive, ready) != (200, 200) {
                return Err(format!("{}: {alive}, {ready} {body}", node.peer().node));
            }
        }
        Ok(())
    })
    .await;
}

/// Waits until a node says whether it can be joined by others.
async fn joins(node: &Node, joins: bool) {
    eventually(SOON, format!("joins is {joins} on {}", node.peer().node), || async {
        let (status, body) = readiness(&node.operators_url()).await;
        if (status, body["joins"].as_bool()) == (200, Some(joins)) { Ok(()) } else { Err((status, body)) }
    })
    .await;
}

/// Waits until a newcomer is served, for as long as is promised.
async fn takes_newcomers(node: &Node, name: &str, since: Instant) {
    let left = PROMISED.saturating_sub(since.elapsed());
    eventually(left, format!("a newcomer gets {name} on {}", node.peer().node), || async {
        let (status, _) = knock(node, name).await;
        if status == 201 { Ok(()) } else { Err(status) }
    })
    .await;
}

/// After all: each viewer has the pipe that it had, and what was muted or paused comes when it goes on.
async fn all_is_as_it_was(origin: &Node, edge: &Node, audience: &[Watched]) {
    for watched in audience {
        is_well(watched).unwrap();
        let name = watched.kind.room();
        let view = room(edge, &name).await.expect("the room is here");
        // Or one within its region, in place of a second copy into it.
        let parent = &view.parents[0];
        let moved = parent.node != origin.peer().node;
        assert!(moved || parent.pipe == watched.pipe, "the same pipe all along: {name}: {view:?}");
        let frames = watched.player.report().borrow().video.frames;
        let limit = match watched.kind {
            Kind::Still => Duration::from_secs(60),
            Kind::Paused => PROMISED,
            _ => continue,
        };
        if watched.kind == Kind::Paused {
            set_paused(origin, &name, false).await;
        }
        eventually(limit, format!("{name} goes on"), || async {
            watched.player.report().borrow().video.frames > frames
        })
        .await;
    }
}

/// How a node is cut off from NATS: with a word, without, or in one direction. Its name is the way.
const WAYS: [&str; 4] = ["reset", "silent", "deaf", "mute"];

/// Cuts off each node behind its line.
async fn cut_all_off(lines: &[ChaosProxy]) {
    let [reset, silent, deaf, mute] = lines else { panic!("a line for each way") };
    reset.cut().await;
    silent.stall();
    deaf.stall_down();
    mute.stall_up();
}

async fn lines_to(nats: &NatsServer) -> Vec<ChaosProxy> {
    join_all(WAYS.map(|_| ChaosProxy::start(nats.url()))).await
}

#[tokio::test(flavor = "multi_thread")]
async fn origins_that_are_cut_off_lose_no_viewer_and_are_joined_as_soon_as_they_are_back() {
    let nats = NatsServer::start().await;
    let lines = lines_to(&nats).await;
    let mut origins = Vec::new();
    for (line, way) in lines.iter().zip(WAYS) {
        origins.push(node(way, "west", &line.url()).await);
    }
    let edge = node("edge", "east", &nats.url()).await;
    let other = node("other", "north", &nats.url()).await;
    acquainted(&origins.iter().chain([&edge, &other]).collect::<Vec<_>>()).await;
    let mut publishers = Vec::new();
    let mut viewers = Vec::new();
    for (origin, name) in origins.iter().zip(WAYS) {
        publishers.push(publish(origin, name).await);
        heard_of(&edge, name).await;
        heard_of(&other, name).await;
        let player = watch(&edge, name).await;
        plays(&player, 5).await;
        let pipe = room(&edge, name).await.unwrap().parents[0].pipe;
        viewers.push(Watched { kind: Kind::Plain, gaps: Gaps::of(&player), player, pipe });
    }
    let began = Instant::now();
    cut_all_off(&lines).await;
    for origin in &origins {
        joins(origin, false).await;
    }
    // Whoever asks before the silence is noticed waits for the join in vain.
    join_all(WAYS.map(async |name| {
        eventually(SOON, format!("newcomers elsewhere are told that {name} is away"), || async {
            let (status, after) = knock(&other, name).await;
            if matches!(status, 409 | 503) && after.is_some() { Ok(()) } else { Err((status, after)) }
        })
        .await;
    }))
    .await;
    // It has never heard them itself.
    let late = node("late", "north", &nats.url()).await;
    let left = Duration::from_secs(25).saturating_sub(began.elapsed());
    assert_holds(left, Duration::from_secs(6), "newcomers are told, viewers play", || async {
        viewers.iter().try_for_each(is_well)?;
        let knocks = [&other, &late].into_iter().flat_map(|node| WAYS.map(|name| (node, name)));
        let told = join_all(knocks.map(async |(node, name)| (name, knock(node, name).await.0))).await;
        // What still reaches an edge comes to newcomers by way of it, once it is asked.
        if told.iter().all(|(_, status)| matches!(status, 201 | 409 | 503)) {
            Ok(())
        } else {
            Err(format!("{told:?}"))
        }
    })
    .await;
    lines.iter().for_each(ChaosProxy::restore);
    let back = Instant::now();
    for name in WAYS {
        takes_newcomers(&other, name, back).await;
        takes_newcomers(&late, name, back).await;
    }
    for (viewer, name) in viewers.iter().zip(WAYS) {
        is_well(viewer).unwrap();
        assert_eq!(viewer.player.report().borrow().video.streams, 1, "{name}: the same stream all along");
        assert_eq!(room(&edge, name).await.unwrap().parents[0].pipe, viewer.pipe, "{name}: the same pipe");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn edges_that_are_cut_off_go_on_whatever_they_are_sent() {
    const CUT: Duration = Duration::from_secs(40);
    const KINDS: [Kind; 4] = [Kind::Plain, Kind::Sound, Kind::Muted, Kind::Still];
    let nats = NatsServer::start().await;
    let lines = lines_to(&nats).await;
    let mut settings = config("origin", "west", &nats.url());
    settings.timeouts.publisher_silence = Duration::from_secs(300);
    let origin = start(settings).await;
    let mut edges = Vec::new();
    for (line, way) in lines.iter().zip(WAYS) {
        // Each in a region of its own, so that each has the media from the origin.
        edges.push(node(way, way, &line.url()).await);
    }
    acquainted(&edges.iter().chain([&origin]).collect::<Vec<_>>()).await;
    let camera_off = CUT + Duration::from_secs(5);
    let _publishers = join_all(KINDS.iter().map(|kind| publish_kind(&origin, *kind, camera_off))).await;
    let audiences = join_all(edges.iter().map(|edge| audience(edge, &KINDS))).await;
    cameras_are_off(&audiences[0]).await;
    cut_all_off(&lines).await;
    let began = Instant::now();
    for edge in &edges {
        joins(edge, false).await;
    }
    let all: Vec<_> = audiences.iter().map(Vec::as_slice).collect();
    let nodes: Vec<_> = edges.iter().chain([&origin]).collect();
    nobody_notices(CUT.saturating_sub(began.elapsed()), &all, &nodes).await;
    lines.iter().for_each(ChaosProxy::restore);
    for (edge, audience) in edges.iter().zip(&audiences) {
        joins(edge, true).await;
        all_is_as_it_was(&origin, edge, audience).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_outage_for_all_is_noticed_by_nobody_and_what_happened_meanwhile_is_known_at_once() {
    const KINDS: [Kind; 4] = [Kind::Plain, Kind::Sound, Kind::Muted, Kind::Paused];
    let nats = NatsServer::start().await;
    let line = ChaosProxy::start(nats.url()).await;
    let origin = node("origin", "west", &line.url()).await;
    let edge = node("edge", "east", &line.url()).await;
    let third = node("third", "east", &line.url()).await;
    acquainted(&[&origin, &edge, &third]).await;
    let _publishers =
        join_all(KINDS.iter().map(|kind| publish_kind(&origin, *kind, Duration::from_secs(600)))).await;
    let leaving = publish(&origin, "leaving").await;
    heard_of(&third, "leaving").await;
    let audience = audience(&edge, &KINDS).await;
    set_paused(&origin, "paused", true).await;
    eventually(SOON, "the edge knows that it is paused", || async {
        room(&edge, "paused").await.is_some_and(|view| view.streams[0].producers.iter().all(|p| p.paused))
    })
    .await;
    line.cut().await;
    let began = Instant::now();
    joins(&third, false).await;
    leaving.stop().await.unwrap();
    let _coming = publish(&origin, "coming").await;
    // Where it is published it needs nobody else.
    plays(&watch(&origin, "coming").await, 3).await;
    nobody_notices(
        Duration::from_secs(60).saturating_sub(began.elapsed()),
        &[&audience],
        &[&origin, &edge, &third],
    )
    .await;
    line.restore();
    let back = Instant::now();
    for name in ["plain", "sound", "muted", "paused", "coming"] {
        takes_newcomers(&third, name, back).await;
    }
    takes_newcomers(&edge, "coming", back).await;
    for node in [&third, &edge] {
        let (status, _) = knock(node, "leaving").await;
        assert_eq!(status, 409, "it is over, and everyone knows");
    }
    all_is_as_it_was(&origin, &edge, &audience).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_machine_of_nats_may_vanish_without_a_word() {
    const KINDS: [Kind; 3] = [Kind::Plain, Kind::Sound, Kind::Muted];
    let nats = NatsServer::start().await;
    let line = ChaosProxy::start(nats.url()).await;
    let origin = node("origin", "west", &line.url()).await;
    let relay = node("relay", "east", &line.url()).await;
    let edge = node("edge", "east", &line.url()).await;
    acquainted(&[&origin, &relay, &edge]).await;
    let _publishers =
        join_all(KINDS.iter().map(|kind| publish_kind(&origin, *kind, Duration::from_secs(600)))).await;
    // One of the two gets it from the other.
    let audiences = [audience(&relay, &KINDS).await, audience(&edge, &KINDS).await];
    cameras_are_off(&audiences[0]).await;
    line.stall();
    let began = Instant::now();
    let nodes = [&origin, &relay, &edge];
    for node in nodes {
        joins(node, false).await;
    }
    let left = Duration::from_secs(30).saturating_sub(began.elapsed());
    nobody_notices(left, &[&audiences[0], &audiences[1]], &nodes).await;
    line.restore();
    let back = Instant::now();
    takes_newcomers(&relay, "plain", back).await;
    takes_newcomers(&edge, "plain", back).await;
    let late = node("late", "north", &line.url()).await;
    takes_newcomers(&late, "sound", Instant::now()).await;
    all_is_as_it_was(&origin, &relay, &audiences[0]).await;
    all_is_as_it_was(&origin, &edge, &audiences[1]).await;
}
