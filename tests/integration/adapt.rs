//! Plain players, which agree on no bandwidth estimate, behind a link that becomes narrow and wide again.

use std::net::{Ipv4Addr, UdpSocket};
use std::time::Duration;

use headwater::node::Node;
use headwater::protocol::media::{AdaptState, Layers};
use headwater::room::ViewerView;
use serde::Deserialize;

use crate::support::browser::Browser;
use crate::support::fleet::{self, acquainted, heard_of, metric, node, publish_with, room};
use crate::support::narrow::Narrow;
use crate::support::nats::NatsServer;
use crate::support::page::Page;
use crate::support::player::PLAIN_PLAYER;
use crate::support::wait::eventually;

/// How long a browser may take on a busy machine until it sends and shows all that it can.
const MEDIA: Duration = Duration::from_secs(60);
/// What a link of a poor mobile connection carries.
const NARROW: u64 = 300_000;
/// How long a viewer is watched behind it.
const WATCHED: u32 = 25;
/// What is promised once it is wide again; the rest is for a busy machine's own delays.
const AGAIN: Duration = Duration::from_secs(25);

/// What has come so far, by a player's own count.
const LOOK: &str = r"
    window.look = async () => {
        const seen = { at: performance.now() / 1000, frames: 0, height: 0, samples: 0, concealed: 0 };
        for (const report of (await window.pc.getStats()).values()) {
            if (report.type !== 'inbound-rtp') continue;
            if (report.kind === 'video') {
                seen.frames = report.framesDecoded ?? 0;
                seen.height = report.frameHeight ?? 0;
            } else {
                seen.samples = report.totalSamplesReceived ?? 0;
                // Silence is put in while there is no sound at all, too.
                seen.concealed = report.concealedSamples ?? 0;
            }
        }
        return seen;
    };
    undefined
";

#[derive(Debug, Clone, Copy, Deserialize)]
struct Seen {
    /// Seconds.
    at: f64,
    frames: f64,
    height: f64,
    samples: f64,
    concealed: f64,
}

async fn look(page: &Page) -> Seen {
    page.eval("window.look()").await
}

/// A node whose viewers come by a relay of its own.
async fn behind_a_relay(name: &str, nats: &str) -> (Node, Narrow) {
    let free = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    let at = free.local_addr().expect("its address");
    drop(free);
    let relay = Ipv4Addr::new(127, 0, 0, 77);
    let mut config = fleet::config(name, "east", nats);
    config.webrtc.port = at.port();
    config.webrtc.announced = Some(relay.to_string().parse().unwrap());
    // There is no way around it.
    config.webrtc.tcp = false;
    let narrow = Narrow::start((relay, at.port()).into(), at).await;
    (fleet::start(config).await, narrow)
}

async fn viewer(node: &Node) -> Option<ViewerView> {
    room(node, "show").await?.viewers.pop()
}

/// Waits until the viewer is sent such layers, and they are kept.
async fn is_sent(limit: Duration, node: &Node, what: &str, fits: impl Fn(Layers) -> bool) -> Layers {
    eventually(limit, what.to_owned(), || async {
        let viewer = viewer(node).await.ok_or("no viewer".to_owned())?;
        let adapts = viewer.adapts.ok_or("its layers aren't chosen".to_owned())?;
        let kept = matches!(adapts.state, AdaptState::Steady);
        let there = kept && viewer.layer == Some(adapts.preferred.spatial) && fits(adapts.preferred);
        if there { Ok(adapts.preferred) } else { Err(format!("{viewer:?}")) }
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plain_browser_plays_on_behind_a_narrow_link_and_is_sent_more_when_it_is_wide() {
    let nats = NatsServer::start().await;
    let origin = node("origin", "west", &nats.url()).await;
    let (edge, link) = behind_a_relay("edge", &nats.url()).await;
    acquainted(&[&origin, &edge]).await;
    // Three layers of 44, 104 and 354 kbit/s, whatever else the machine does.
    let _publisher = publish_with(&origin, "show", |options| options.simulcast = true).await;
    heard_of(&edge, "show").await;
    let browser = Browser::start().await;
    let page = browser.page(&edge.public_url()).await;
    page.eval::<()>(PLAIN_PLAYER).await;
    page.eval::<()>(LOOK).await;
    let answer: String = page.eval(&format!("window.play('{}/whep/show')", edge.public_url())).await;
    for estimate in ["transport-cc", "goog-remb", "abs-send-time"] {
        assert!(!answer.contains(estimate), "an estimate is agreed: {answer}");
    }
    is_sent(MEDIA, &edge, "the best layer is sent", |layers| layers.spatial == 2).await;
    page.wait_for("window.look().then(({ frames }) => frames > 25)", MEDIA).await;
    let wide = look(&page).await;

    link.set(NARROW);
    is_sent(MEDIA, &edge, "less is sent", |layers| layers.spatial < 2).await;
    let before = look(&page).await;
    page.wait_for(&format!("performance.now() / 1000 > {} + {WATCHED}", before.at), MEDIA).await;
    let after = look(&page).await;
    let rate = (after.frames - before.frames) / (after.at - before.at);
    let concealed = (after.concealed - before.concealed) / (after.samples - before.samples).max(1.0);
    let seen = viewer(&edge).await;
    tracing::info!(
        rate,
        concealed,
        lost = link.lost(),
        ?wide,
        ?before,
        ?after,
        ?seen,
        "behind a narrow link"
    );
    assert!(rate >= 15.0, "{rate} frames/s behind {NARROW} bit/s: {before:?} {after:?} {seen:?}");
    assert!(concealed < 0.15, "{concealed} of the sound is concealed: {before:?} {after:?} {seen:?}");
    assert!(link.lost() > 0, "the link was narrow");

    link.widen();
    let began = std::time::Instant::now();
    is_sent(AGAIN, &edge, "the best is sent again", |layers| layers.spatial == 2).await;
    tracing::info!(elapsed_ms = began.elapsed().as_millis(), "the best is sent again");
    page.wait_for(&format!("window.look().then(({{ height }}) => height >= {})", wide.height), MEDIA).await;
    for direction in ["up", "down"] {
        let switches = format!("headwater_layer_switches_total{{direction=\"{direction}\"}}");
        assert!(metric(&edge, &switches).await >= 1.0, "{direction}");
    }
}
