//! The pages, in a real browser.

use std::time::Duration;

use crate::support::browser::Browser;
use crate::support::fleet::{SOON, heard_of, node, publish, room};
use crate::support::nats::NatsServer;
use crate::support::player::PLAIN_PLAYER;
use crate::support::wait::eventually;

const MEDIA: Duration = Duration::from_secs(30);
const SCREENSHOTS: &str = concat!(env!("CARGO_TARGET_TMPDIR"), "/screenshots");

#[tokio::test(flavor = "multi_thread")]
async fn a_camera_published_on_one_node_is_seen_and_heard_on_another() {
    let nats = NatsServer::start().await;
    let origin = node("origin", "west", &nats.url()).await;
    let edge = node("edge", "east", &nats.url()).await;
    let browser = Browser::start().await;
    let publisher =
        browser.page(&format!("{}/publish?room=show&autostart=1&source=camera", origin.public_url())).await;
    publisher.wait_for("window.headwater?.state === 'live'", MEDIA).await;
    heard_of(&edge, "show").await;
    let viewer = browser.page(&format!("{}/watch?room=show&autostart=1&sound=1", edge.public_url())).await;
    viewer.wait_for("window.headwater?.state === 'live'", MEDIA).await;
    viewer.wait_for("window.headwater.stats.framesRendered > 30", MEDIA).await;
    viewer.wait_for("window.headwater.stats.totalAudioEnergy > 0", MEDIA).await;
    let node: String = viewer.eval("window.headwater.stats.node").await;
    assert_eq!(node, "edge");
    std::fs::create_dir_all(SCREENSHOTS).unwrap();
    for page in [&publisher, &viewer] {
        page.set_viewport(1280, 1400).await;
    }
    publisher.screenshot(format!("{SCREENSHOTS}/publish.png")).await;
    viewer.screenshot(format!("{SCREENSHOTS}/watch.png")).await;
    let home = browser.page(&origin.public_url()).await;
    home.screenshot(format!("{SCREENSHOTS}/home.png")).await;

    // The publisher leaves and returns: the viewer waits and goes on, on the same connection.
    let _: () = publisher.eval("document.querySelector('#stop').click()").await;
    viewer.wait_for("window.headwater.state === 'waiting'", MEDIA).await;
    let _: () = publisher.eval("document.querySelector('#start').click()").await;
    publisher.wait_for("window.headwater.state === 'live'", MEDIA).await;
    viewer.wait_for("window.headwater.state === 'live'", MEDIA).await;
    let rendered: f64 = viewer.eval("window.headwater.stats.framesRendered").await;
    viewer.wait_for(&format!("window.headwater.stats.framesRendered !== {rendered}"), MEDIA).await;
    let view = room(&edge, "show").await.unwrap();
    assert_eq!(view.viewers.len(), 1, "the same session: {view:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_browser_publishes_layers_and_they_cross_the_pipe() {
    let nats = NatsServer::start().await;
    let origin = node("origin", "west", &nats.url()).await;
    let edge = node("edge", "east", &nats.url()).await;
    let browser = Browser::start().await;
    let url = format!(
        "{}/publish?room=show&autostart=1&source=generated&simulcast=1&codec=VP8",
        origin.public_url()
    );
    let publisher = browser.page(&url).await;
    publisher.wait_for("window.headwater?.state === 'live'", MEDIA).await;
    heard_of(&edge, "show").await;
    let viewer = browser.page(&format!("{}/watch?room=show&autostart=1", edge.public_url())).await;
    viewer.wait_for("window.headwater?.stats?.framesRendered > 10", MEDIA).await;
    let view = room(&edge, "show").await.unwrap();
    let video = view.streams[0].producers.iter().find(|p| p.mime_type.starts_with("video/")).unwrap();
    assert_eq!(video.encodings, 3, "{view:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plain_whep_player_watches_and_goes_on_with_the_next_publication() {
    let nats = NatsServer::start().await;
    let origin = node("origin", "west", &nats.url()).await;
    let edge = node("edge", "east", &nats.url()).await;
    let first = publish(&origin, "show").await;
    heard_of(&edge, "show").await;
    let browser = Browser::start().await;
    let page = browser.page(&edge.public_url()).await;
    let _: () = page.eval(PLAIN_PLAYER).await;
    let _: String = page.eval(&format!("window.play('{}/whep/show')", edge.public_url())).await;
    page.wait_for("window.frames_() > 20", MEDIA).await;
    first.stop().await.unwrap();
    eventually(SOON, "the stream ends at the edge", || async {
        room(&edge, "show").await.is_some_and(|view| view.streams.is_empty())
    })
    .await;
    let before: f64 = page.eval("window.frames_()").await;
    let _second = publish(&origin, "show").await;
    page.wait_for(&format!("window.frames_() > {before} + 20"), MEDIA).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_codec_crosses_the_pipe() {
    let nats = NatsServer::start().await;
    let origin = node("origin", "west", &nats.url()).await;
    let edge = node("edge", "east", &nats.url()).await;
    let browser = Browser::start().await;
    for codec in ["VP8", "VP9", "H264", "AV1"] {
        let query =
            format!("room={codec}&autostart=1&source=generated&simulcast=0&size=640x360&codec={codec}");
        let publisher = browser.page(&format!("{}/publish?{query}", origin.public_url())).await;
        publisher.wait_for("window.headwater?.state === 'live'", MEDIA).await;
        heard_of(&edge, codec).await;
        let viewer = browser.page(&format!("{}/watch?room={codec}&autostart=1", edge.public_url())).await;
        viewer.wait_for("window.headwater?.stats?.framesRendered > 10", MEDIA).await;
        let shown: String = viewer.eval("window.headwater.stats.videoCodec").await;
        assert!(shown.to_uppercase().contains(codec), "{shown}");
        // A player that numbers payload types in its own way gets it as well.
        let page = browser.page(&edge.public_url()).await;
        let _: () = page.eval(PLAIN_PLAYER).await;
        let _: String = page.eval(&format!("window.play('{}/whep/{codec}')", edge.public_url())).await;
        page.wait_for("window.frames_() > 10", MEDIA).await;
    }
}
