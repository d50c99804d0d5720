//! A stream comes by another way from now on, and nobody who watches it notices.

use std::cell::Cell;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::FutureExt;
use headwater::client::{Clip, Player, PublishOptions, Publisher, WatchOptions};
use headwater::protocol::ids::PipeId;
use serde_json::Value;

use crate::support::browser::Browser;
use crate::support::fleet::SOON;
use crate::support::player::PLAIN_PLAYER;
use crate::support::station::Station;
use crate::support::tape::{Played, Tape, longest_delay, longest_gap, missing};
use crate::support::wait::{assert_holds, eventually};

/// The clip's pictures and sounds, by the clocks of RTP.
const PICTURE: u32 = 3_600;
const SOUND: u32 = 960;

/// What a viewer may notice.
const GAP: Duration = Duration::from_millis(100);

/// An origin, a relay and an edge with a child: the edge pulls from the origin, and may from the relay.
struct Tree {
    origin: Station,
    relay: Station,
    edge: Station,
    child: Station,
    /// From the origin to the edge, from the relay to it, and on to the child.
    direct: PipeId,
    by_relay: PipeId,
    on: PipeId,
    _publisher: Publisher,
}

impl Tree {
    async fn grow(set: impl FnOnce(&mut PublishOptions)) -> Self {
        let origin = Station::start(1).await;
        let (relay, edge, child) =
            (Station::start(1).await, Station::start(2).await, Station::start(1).await);
        let mut options = PublishOptions::new(origin.url("whip"), Arc::new(Clip::builtin()));
        set(&mut options);
        let publisher = Publisher::start(options).await.expect("published");
        let stats = publisher.stats();
        eventually(SOON, "the publisher connects", || {
            let connected = stats.borrow().connected();
            async move { connected }
        })
        .await;
        let to_relay = origin.pipe_to(&relay).await;
        origin.send(to_relay, &relay).await;
        let direct = origin.pipe_to(&edge).await;
        origin.send(direct, &edge).await;
        let on = edge.pipe_to(&child).await;
        edge.send(on, &child).await;
        let by_relay = relay.pipe_to(&edge).await;
        Self { origin, relay, edge, child, direct, by_relay, on, _publisher: publisher }
    }

    /// Waits until the relay's pipe brings all that the edge has.
    async fn both_come(&self) {
        self.relay.send(self.by_relay, &self.edge).await;
        let ids = self.edge.ids().await;
        eventually(SOON, "both pipes bring it", || async {
            let measured = self.edge.measured().await;
            let comes = |id| measured.coming.get(&(self.by_relay, id)).is_some_and(|flow| flow.bytes > 0);
            let flows = |id| measured.producers.get(&id).is_some_and(|flow| flow.bytes > 0);
            ids.iter().all(|id| comes(*id) && flows(*id))
        })
        .await;
    }

    /// What the core does: the edge takes the stream from the relay, and its child is sent it anew.
    async fn switch(&self) {
        let (pipe, ids) = (self.by_relay, self.edge.ids().await);
        self.edge.with(move |room| async move { room.media.switch(pipe, &ids) }.boxed()).await;
        self.edge.show().await;
        self.edge.send(self.on, &self.child).await;
        self.child.show().await;
    }
}

/// Waits until a viewer plays on: so many pictures more.
async fn plays(tape: &Tape, pictures: usize) {
    let before = tape.pictures().len();
    eventually(SOON, "a viewer plays on", || async {
        let now = tape.pictures().len();
        if now >= before + pictures { Ok(()) } else { Err((before, now)) }
    })
    .await;
}

/// Nothing is missing, nothing is late, but for what came late to the first viewer too.
fn assert_whole(name: &str, played: &Played, reference: &Played, step: u32) {
    let (gap, delay) = (longest_gap(played), longest_delay(played, reference));
    println!("{name}: {} played, longest gap {gap:?}, at most {delay:?} after the origin", played.len());
    assert_eq!(missing(played, step), Vec::<u32>::new(), "{name}");
    assert!(delay <= GAP || gap <= GAP, "{name}: a gap of {gap:?}, {delay:?} after the origin");
}

async fn moves_without_a_gap(set: impl FnOnce(&mut PublishOptions)) {
    let tree = Tree::grow(set).await;
    let reference = Tape::watch(&tree.origin.url("whep")).await;
    // Two viewers, one on each worker.
    let at_edge = [Tape::watch(&tree.edge.url("whep")).await, Tape::watch(&tree.edge.url("whep")).await];
    let at_child = Tape::watch(&tree.child.url("whep")).await;
    let viewers = [("home", &at_edge[0]), ("spread", &at_edge[1]), ("child", &at_child)];
    let mut before = (tree.edge.counts().await, tree.child.counts().await);
    assert_eq!(before.0.routers, 2, "one viewer is on another worker");
    for (_, viewer) in viewers {
        plays(viewer, 20).await;
    }
    tree.both_come().await;
    for (_, viewer) in viewers {
        assert_eq!(viewer.streams(), (1, 1), "what comes is sent to nobody");
    }
    tree.switch().await;
    eventually(SOON, "all have moved", || async {
        let streams: Vec<_> = viewers.iter().map(|(_, viewer)| viewer.streams()).collect();
        let consumers = (tree.edge.counts().await.consumers, tree.child.counts().await.consumers);
        let moved = streams.iter().all(|streams| *streams == (2, 2)) && consumers == (4, 2);
        if moved { Ok(()) } else { Err((streams, consumers)) }
    })
    .await;
    let direct = tree.direct;
    tree.edge.with(move |room| async move { room.media.close_inlet(direct) }.boxed()).await;
    tree.origin.with(move |room| async move { room.media.close_outlet(direct) }.boxed()).await;
    for (_, viewer) in viewers {
        plays(viewer, 50).await;
    }
    let (pictures, sounds) = (reference.pictures(), reference.sounds());
    assert_whole("origin", &pictures, &pictures, PICTURE);
    for (name, viewer) in viewers {
        assert_whole(name, &viewer.pictures(), &pictures, PICTURE);
        assert_whole(name, &viewer.sounds(), &sounds, SOUND);
        assert_eq!(viewer.streams(), (2, 2), "{name}");
    }
    // Of the two pipes that were there, one is closed.
    before.0.transports -= 1;
    eventually(SOON, "nothing is left of the former way", || async {
        let now = (tree.edge.counts().await, tree.child.counts().await);
        if now == before { Ok(()) } else { Err(now) }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_changes_its_pipe_without_a_gap() {
    moves_without_a_gap(|_| {}).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn where_key_frames_come_when_they_like_the_former_way_goes_on_until_then() {
    moves_without_a_gap(|options| options.key_frame_on_request = false).await;
}

/// What a page notes of its player: when pictures were shown, and what the decoder has had.
const NOTES: &str = r"
    window.shown = [];
    const video = document.querySelector('video');
    const note = now => { window.shown.push(now); video.requestVideoFrameCallback(note); };
    video.requestVideoFrameCallback(note);
    window.longest = () => window.shown.slice(1).reduce((most, at, i) => Math.max(most, at - window.shown[i]), 0);
    window.inbound = async () => {
        const all = [...(await window.pc.getStats()).values()].filter(stat => stat.type === 'inbound-rtp');
        const sum = (kind, what) => all.filter(stat => stat.kind === kind).reduce((sum, stat) => sum + (stat[what] ?? 0), 0);
        return {
            framesDecoded: sum('video', 'framesDecoded'), keyFrames: sum('video', 'keyFramesDecoded'),
            freezes: sum('video', 'freezeCount'), videos: all.filter(stat => stat.kind === 'video').length,
            concealed: sum('audio', 'concealedSamples'), ssrcs: all.map(stat => stat.ssrc),
        };
    };
    undefined
";

#[tokio::test(flavor = "multi_thread")]
async fn a_browser_shows_no_freeze() {
    let tree = Tree::grow(|_| {}).await;
    let browser = Browser::start().await;
    let page = browser.page(&tree.edge.url("")).await;
    let _: () = page.eval(PLAIN_PLAYER).await;
    let _: String = page.eval(&format!("window.play('{}')", tree.edge.url("whep"))).await;
    page.wait_for("window.frames_() > 50", SOON).await;
    let _: () = page.eval(NOTES).await;
    page.wait_for("window.shown.length > 50", SOON).await;
    let usual: f64 = page.eval("window.longest()").await;
    tree.both_come().await;
    let before: Value = page.eval("window.inbound()").await;
    let _: () = page.eval("window.shown = window.shown.slice(-1); undefined").await;
    tree.switch().await;
    eventually(SOON, "the browser has moved", || async {
        let counts = tree.edge.counts().await;
        if counts.consumers == 2 { Ok(()) } else { Err(counts) }
    })
    .await;
    let direct = tree.direct;
    tree.edge.with(move |room| async move { room.media.close_inlet(direct) }.boxed()).await;
    page.wait_for("window.shown.length > 75", SOON).await;
    let gap: f64 = page.eval("window.longest()").await;
    let after: Value = page.eval("window.inbound()").await;
    println!("browser: longest gap {gap} ms, {usual} ms before; {before} then {after}");
    assert_ne!(before["ssrcs"], after["ssrcs"], "it has moved");
    assert!(gap <= usual.max(50.0) + 100.0, "{gap} ms without a picture, {usual} ms before");
    assert_eq!(after["freezes"], before["freezes"], "{after}");
    // What was counted begins anew with another SSRC.
    assert!(after["framesDecoded"].as_u64() > Some(50), "{after}");
}

/// Which layer the only viewer of the edge is sent.
async fn layer(tree: &Tree) -> Option<u8> {
    let flow = tree.edge.with(|room| {
        async { room.media.viewer_flow(room.viewers[0]).await.and_then(|flow| flow.layer) }.boxed()
    });
    flow.await
}

/// A viewer is moved when it has settled: how much goes through is found out anew by each connection, and the first
/// key frame throws that back.
///
/// While both are sent they share what goes through, and what is new weighs more than it is: its key frames count.
/// So an estimate may give it less for a moment; then it has again what it had.
async fn keeps_its_layer(tree: &Tree, climbed: u8, streams: impl Fn() -> usize) {
    let seen = Cell::new((None, Instant::now()));
    let before = eventually(SOON, "the viewer has climbed, and stays there", || async {
        let now = layer(tree).await;
        let (last, since) = seen.get();
        if now != last {
            seen.set((now, Instant::now()));
        }
        let settled = now == last && now >= Some(climbed) && since.elapsed() > Duration::from_secs(1);
        if settled { Ok(now) } else { Err(now) }
    })
    .await;
    tree.both_come().await;
    let former = streams();
    tree.switch().await;
    eventually(SOON, "the viewer has moved", || async {
        let counts = tree.edge.counts().await;
        let moved = counts.consumers == 2 && streams() > former;
        if moved { Ok(()) } else { Err(counts) }
    })
    .await;
    eventually(SOON, "it has its layer", || async {
        let now = layer(tree).await;
        if now >= before { Ok(()) } else { Err((before, now)) }
    })
    .await;
    assert_holds(Duration::from_secs(2), Duration::from_millis(100), "it keeps its layer", || async {
        let now = layer(tree).await;
        if now >= before { Ok(()) } else { Err((before, now)) }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_viewer_with_an_estimate_keeps_its_layer() {
    let tree = Tree::grow(|options| options.simulcast = true).await;
    let player = Player::start(WatchOptions::new(tree.edge.url("whep"))).await.expect("watched");
    let streams = || usize::try_from(player.report().borrow().video.streams).unwrap();
    keeps_its_layer(&tree, 1, streams).await;
    let report = player.report().borrow().video.clone();
    assert_eq!((report.freezes, report.lost), (0, 0), "{report:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_viewer_without_an_estimate_keeps_its_layer() {
    let tree = Tree::grow(|options| options.simulcast = true).await;
    let tape = Tape::watch(&tree.edge.url("whep")).await;
    keeps_its_layer(&tree, 2, || tape.streams().0).await;
    assert!(longest_gap(&tape.sounds()) <= GAP, "{:?}", longest_gap(&tape.sounds()));
}
