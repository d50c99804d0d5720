//! The monitor's page, in a real browser.

use std::time::Instant;

use serde_json::Value;

use crate::support::browser::Browser;
use crate::support::child::ChildNode;
use crate::support::fleet::{SOON, acquainted, heard_of, node, plays, publish, watch};
use crate::support::monitors::{self, SHOWN, get, monitor};
use crate::support::nats::NatsServer;
use crate::support::page::Page;
use crate::support::wait::eventually;

const SCREENSHOTS: &str = concat!(env!("CARGO_TARGET_TMPDIR"), "/screenshots");

/// Waits until the log tells of the room what `js` needs, then for the page to show it.
async fn shows(page: &Page, url: &str, of: &str, told: &str, js: &str) {
    eventually(SOON, "the log tells it", || async {
        let events = get(url, &format!("/api/rooms/{of}/events?limit=1000")).await;
        let types: Vec<_> = events["events"].as_array().into_iter().flatten().collect();
        types.iter().any(|event| event["event"]["type"] == told).then_some(())
    })
    .await;
    let begin = Instant::now();
    page.wait_for(js, SHOWN).await;
    tracing::info!(told, elapsed_ms = begin.elapsed().as_millis(), "shown");
}

fn tree_node(name: &str) -> String {
    format!("document.querySelector('[data-tree-node=\"{name}\"]')")
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_shows_what_happens_and_goes_back_to_before() {
    let nats = NatsServer::start().await;
    let monitor = monitor(&nats.url()).await;
    let url = monitor.url();
    let origin = node("origin", "west", &nats.url()).await;
    let doomed = ChildNode::start("doomed", "east", &nats.url(), &[]).await;
    let browser = Browser::start().await;
    let page = browser.page(&format!("{url}/?room=news")).await;
    page.set_viewport(1400, 1300).await;
    let node_is = |name: &str, condition: &str| {
        format!("document.querySelector('[data-node=\"{name}\"]')?.dataset.condition === '{condition}'")
    };
    page.wait_for(&node_is("origin", "serving"), SOON).await;
    page.wait_for(&node_is("doomed", "serving"), SOON).await;

    let publisher = publish(&origin, "news").await;
    shows(&page, &url, "news", "stream.started", &format!("!!{}", tree_node("origin"))).await;
    // The viewer's own process ends with the edge; what is looked at here is the picture.
    let options = {
        let mut options = headwater::client::WatchOptions::new(format!("{}/whep/news", doomed.public_url()));
        options.retry_until_live = Some(SOON);
        options
    };
    let viewer = headwater::client::Player::start(options).await.expect("the viewer is served");
    plays(&viewer, 3).await;
    let watched = format!("{}?.dataset.viewers === '1'", tree_node("doomed"));
    shows(&page, &url, "news", "viewer.joined", &watched).await;
    page.wait_for("!!document.querySelector('[data-line=\"origin->doomed\"]')", SHOWN).await;
    // Wait for bitrates, so that the picture is worth a look.
    page.wait_for("/bit\\/s/.test(document.querySelector('[data-line=\"origin->doomed\"]')?.closest('section, article, main').textContent)", SOON).await;
    let together = get(&url, "/api/log").await["last"]["sequence"].as_u64().unwrap();
    std::fs::create_dir_all(SCREENSHOTS).unwrap();
    page.screenshot(format!("{SCREENSHOTS}/monitor.png")).await;

    let mut doomed = doomed;
    doomed.process().kill();
    let gone = format!("{}?.dataset.condition !== 'serving'", tree_node("doomed"));
    shows(&page, &url, "news", "pipe.closed", &gone).await;
    page.wait_for(&node_is("doomed", "lost"), SOON).await;
    page.wait_for("/doomed/.test(document.querySelector('#problems').textContent)", SOON).await;
    page.screenshot(format!("{SCREENSHOTS}/monitor-lost.png")).await;

    // Back to before, by the slider.
    let moment: Value = get(&url, &format!("/api/rooms/news?at={together}")).await["at"]["time"].clone();
    let _: () = page
        .eval(&format!(
            "(() => {{ const slider = document.querySelector('#moment');
               const then = new Date({moment}).getTime() + 1;
               slider.value = String(then);
               if (Math.abs(Number(slider.value) - then) > 5000) throw new Error(slider.min + ' ' + slider.max + ' ' + slider.value);
               slider.dispatchEvent(new Event('input', {{ bubbles: true }}));
               slider.dispatchEvent(new Event('change', {{ bubbles: true }})); }})()"
        ))
        .await;
    page.wait_for("!document.querySelector('#past').hidden", SOON).await;
    page.wait_for(&watched, SOON).await;
    page.wait_for(&node_is("doomed", "serving"), SOON).await;
    page.screenshot(format!("{SCREENSHOTS}/monitor-past.png")).await;
    // And live again.
    let _: () = page.eval("document.querySelector('#live').click()").await;
    page.wait_for(&node_is("doomed", "lost"), SOON).await;
    page.wait_for("document.querySelector('#past').hidden", SOON).await;
    // The room was asked for before it was there.
    let errors = page.console().into_iter().filter(|line| !line.contains("404"));
    assert_eq!(errors.collect::<Vec<_>>(), Vec::<String>::new());
    drop(viewer);
    publisher.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_asks_for_the_token_and_finds_rooms_by_name() {
    let nats = NatsServer::start().await;
    let mut settings = monitors::config("monitor", &nats.url());
    settings.operators.token = Some("hunter2".into());
    let guarded = monitors::start(settings).await;
    let origin = node("origin", "west", &nats.url()).await;
    let edge = node("edge", "east", &nats.url()).await;
    acquainted(&[&origin, &edge]).await;
    let mut publishers = Vec::new();
    for room in ["news", "music", "match-7"] {
        publishers.push(publish(&origin, room).await);
    }
    heard_of(&edge, "match-7").await;
    let viewer = watch(&edge, "match-7").await;
    let browser = Browser::start().await;
    let page = browser.page(&guarded.url()).await;
    page.wait_for("!!document.querySelector('#token')?.closest('dialog')?.open", SOON).await;
    let _: () = page
        .eval(
            "(() => { const field = document.querySelector('#token');
               const input = field.matches('input') ? field : field.querySelector('input');
               input.value = 'hunter2'; input.form.requestSubmit(); })()",
        )
        .await;
    let row = |room: &str| format!("!!document.querySelector('[data-room=\"{room}\"]')");
    page.wait_for(&row("news"), SOON).await;
    let address: String = page.eval("location.href").await;
    assert!(!address.contains("hunter2"), "{address}");
    let only = format!("{} && {}", row("match-7"), &row("news")[1..]);
    let search = async |text: &str| {
        let js = format!(
            "(() => {{ const search = document.querySelector('#search');
               search.focus(); search.value = '{text}'; search.dispatchEvent(new Event('input', {{ bubbles: true }})); }})()"
        );
        page.eval::<()>(&js).await;
    };
    search("match").await;
    page.wait_for(&only, SOON).await;
    search("").await;
    page.wait_for(&row("news"), SOON).await;
    // A chosen node shows the rooms that it carries.
    page.eval::<()>("document.querySelector('[data-node=\"edge\"]').click()").await;
    page.wait_for(&only, SOON).await;
    page.eval::<()>("document.querySelector('#rooms-everywhere').click()").await;
    page.wait_for(&row("news"), SOON).await;
    viewer.stop().await;
}
