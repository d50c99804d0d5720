//! Our own client with the servers of others.

use std::sync::Arc;

use headwater::client::{Clip, ConnectionState, Player, PublishOptions, Publisher, WatchOptions};

use super::script::{START, Script};
use crate::support::fleet::plays;
use crate::support::nats::free_port;
use crate::support::wait::eventually;

#[tokio::test(flavor = "multi_thread")]
async fn our_client_publishes_to_aiortc_and_watches_it() {
    let port = free_port();
    let server = Script::run("aiortc server".to_owned(), "python3", "aiortc_server.py", &[&port.to_string()]);
    server.until(START, |report| report.state == "listening").await.unwrap();
    let clip = Arc::new(Clip::builtin());
    let publisher =
        Publisher::start(PublishOptions::new(format!("http://127.0.0.1:{port}/whip"), clip)).await;
    let player = Player::start(WatchOptions::new(format!("http://127.0.0.1:{port}/whep"))).await;
    let (publisher, player) = (publisher.unwrap(), player.unwrap());
    server.until(START, |report| report.frames > 20 && report.left > 0.0).await.unwrap();
    plays(&player, 20).await;
    publisher.stop().await.unwrap();
    player.stop().await;
    server.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_our_client_cannot_use_is_told_with_the_reason() {
    let port = free_port();
    let line = format!(
        "gst-launch-1.0 whepserversink name=whep signaller::host-addr=http://127.0.0.1:{port} \
         videotestsrc is-live=true ! video/x-raw,width=320,height=180,framerate=15/1 ! whep."
    );
    let server = Script::line(&line);
    let options = || WatchOptions::new(format!("http://127.0.0.1:{port}/whep/endpoint"));
    let player = eventually(START, "the server answers", || Player::start(options())).await;
    let mut reports = player.report();
    let over = reports.wait_for(|report| report.state == ConnectionState::Disconnected);
    let report = tokio::time::timeout(START, over).await.expect("it ends").unwrap().clone();
    assert!(report.reason.as_deref().is_some_and(|reason| reason.contains("RSA")), "{report:?}");
    server.stop().await.unwrap();
}
