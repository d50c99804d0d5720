//! `/headwater.js` on other people's pages, and with other people's servers.

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::browser::Browser;
use crate::support::fleet::{SOON, config, http, node, publish, room, start};
use crate::support::nats::NatsServer;
use crate::support::page::Page;
use crate::support::wait::eventually;
use crate::support::web::{Plain, Site, proxied};

const MEDIA: Duration = Duration::from_secs(30);
const SCREENSHOTS: &str = concat!(env!("CARGO_TARGET_TMPDIR"), "/screenshots");

const PLAYER: &str = "document.querySelector('headwater-player')";

async fn is(page: &Page, state: &str) {
    page.wait_for(&format!("{PLAYER}?.state === '{state}'"), MEDIA).await;
}

/// Waits for `frames` more pictures than now.
async fn shows(page: &Page, frames: u32) {
    let shown = format!("{PLAYER}.video.getVideoPlaybackQuality().totalVideoFrames");
    let before: f64 = page.eval(&shown).await;
    // A player that connected anew counts anew.
    page.wait_for(&format!("{shown} < {before} || {shown} > {before} + {frames}"), MEDIA).await;
    page.wait_for(&format!("{shown} > {frames}"), MEDIA).await;
}

/// Takes pictures of a page, wide and narrow, light and dark.
async fn look_at(page: &Page, name: &str) {
    std::fs::create_dir_all(SCREENSHOTS).unwrap();
    for (size, (width, height)) in [("wide", (1280, 1500)), ("narrow", (390, 1900))] {
        page.set_viewport(width, height).await;
        for scheme in ["light", "dark"] {
            page.set_color_scheme(scheme).await;
            page.screenshot(format!("{SCREENSHOTS}/{name}-{size}-{scheme}.png")).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_copied_lines_play_on_another_sites_page_and_go_on_by_themselves() {
    let nats = NatsServer::start().await;
    let mut settings = config("origin", "west", &nats.url());
    settings.timeouts.retry_after = Duration::from_secs(1);
    let origin = start(settings).await;
    let browser = Browser::start().await;
    let copied = browser.page(&format!("{}/embed?room=show", origin.public_url())).await;
    let html: String = copied.eval("document.querySelector('#page').value").await;
    assert!(html.contains(&format!("{}/headwater.js", origin.public_url())), "{html}");
    look_at(&copied, "embed").await;
    let site = Site::page(html).await;
    let page = browser.page(site.url()).await;
    // Before there is anything to see, the player waits for it.
    is(&page, "waiting").await;
    let first = publish(&origin, "show").await;
    is(&page, "live").await;
    shows(&page, 10).await;
    // The publisher goes and comes back.
    first.stop().await.unwrap();
    is(&page, "waiting").await;
    let _second = publish(&origin, "show").await;
    is(&page, "live").await;
    shows(&page, 10).await;
    // The node ends the session.
    let session: String = page.eval(&format!("{PLAYER}.player.session.url")).await;
    let told = "window.told = []; document.querySelector('headwater-player')
        .addEventListener('statechange', ({ detail }) => window.told.push(detail.state)); undefined";
    let _: () = page.eval(told).await;
    assert!(http().delete(&session).send().await.unwrap().status().is_success());
    page.wait_for("window.told.includes('reconnecting') && window.told.at(-1) === 'live'", MEDIA).await;
    shows(&page, 10).await;
    let again: String = page.eval(&format!("{PLAYER}.player.session.url")).await;
    assert_ne!(session, again);
    // Taken off the page, it leaves.
    let _: () = page.eval(&format!("{PLAYER}.remove()")).await;
    eventually(SOON, "the viewer has left", || async {
        room(&origin, "show").await.is_some_and(|view| view.viewers.is_empty())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_module_is_for_every_page_and_kept_until_it_changes() {
    let nats = NatsServer::start().await;
    let mut settings = config("origin", "west", &nats.url());
    settings.http.cors_origins = vec!["https://app.example.org".to_owned()];
    let origin = start(settings).await;
    for file in ["headwater.js", "assets/player.js"] {
        let url = format!("{}/{file}", origin.public_url());
        let first = http().get(&url).header("origin", "https://else.example.org").send().await.unwrap();
        assert_eq!(first.status(), 200);
        let allowed: Vec<_> = first.headers().get_all("access-control-allow-origin").iter().collect();
        assert_eq!(allowed, ["*"]);
        assert!(first.headers()["content-type"].to_str().unwrap().starts_with("text/javascript"));
        let tag = first.headers()["etag"].clone();
        assert!(!first.text().await.unwrap().is_empty());
        let again = http().get(&url).header("if-none-match", tag).send().await.unwrap();
        assert_eq!(again.status(), 304);
        assert_eq!(again.headers()["access-control-allow-origin"], "*");
        let other = http().get(&url).header("if-none-match", "\"other\"").send().await.unwrap();
        assert_eq!(other.status(), 200);
    }
}

/// A page that has the module at hand, and a stream to publish: a moving picture, and a tone on the left alone.
const STUDIO: &str = r"
    window.studio = async (module) => {
        window.lib = await import(module);
        const canvas = Object.assign(document.createElement('canvas'), { width: 320, height: 180 });
        const drawing = canvas.getContext('2d');
        let turn = 0;
        setInterval(() => { drawing.fillStyle = `hsl(${turn += 7} 80% 50%)`; drawing.fillRect(0, 0, 320, 180); }, 40);
        const context = new AudioContext();
        await context.resume();
        const tone = new OscillatorNode(context, { frequency: 440 });
        const sides = new ChannelMergerNode(context, { numberOfInputs: 2 });
        const out = new MediaStreamAudioDestinationNode(context);
        tone.connect(new GainNode(context, { gain: 0.5 })).connect(sides, 0, 0);
        sides.connect(out);
        tone.start();
        const [sound] = out.stream.getAudioTracks();
        return new MediaStream([sound, ...canvas.captureStream(25).getVideoTracks()]);
    };
    // How loud each side of a stream is; one channel alone counts as both sides, as loudspeakers play it.
    window.listen = async (stream) => {
        const context = new AudioContext();
        await context.resume();
        const both = new GainNode(context, { channelCount: 2, channelCountMode: 'explicit', channelInterpretation: 'speakers' });
        const splitter = new ChannelSplitterNode(context, { numberOfOutputs: 2 });
        context.createMediaStreamSource(stream).connect(both).connect(splitter);
        const meters = [0, 1].map((side) => {
            const meter = new AnalyserNode(context, { fftSize: 2048 });
            splitter.connect(meter, side);
            return meter;
        });
        const read = (meter) => {
            const samples = new Float32Array(meter.fftSize);
            meter.getFloatTimeDomainData(samples);
            return Math.sqrt(samples.reduce((sum, one) => sum + one * one, 0) / samples.length);
        };
        window.sides = () => meters.map(read);
    };
    undefined
";

/// Waits until the tone is heard, and on the left alone.
async fn hears_the_left(page: &Page) {
    page.wait_for("window.sides()[0] > 0.05 || window.sides().join()", MEDIA).await;
    page.wait_for("(([left, right]) => left > 0.05 && right < left / 20)(window.sides())", MEDIA).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn publisher_and_player_work_with_a_server_that_is_as_plain_as_the_standards_allow() {
    let nats = NatsServer::start().await;
    let origin = node("origin", "west", &nats.url()).await;
    let plain = Plain::before(origin.public_url()).await;
    let module = format!("{}/headwater.js", origin.public_url());
    let whep = format!("{}/whep/show", plain.url());
    let site = Site::page(format!(
        "<!doctype html><script type='module' src='{module}'></script>
         <headwater-player src='{whep}' controls></headwater-player>"
    ))
    .await;
    let browser = Browser::start().await;
    let page = browser.page(site.url()).await;
    let _: () = page.eval(STUDIO).await;
    let _: () = page.eval(&format!("{PLAYER}.play()")).await;
    is(&page, "waiting").await;
    let begin = format!(
        "(async () => {{
            const stream = await window.studio('{module}');
            window.publisher = new window.lib.Publisher({{ url: '{}/whip/show', stream, video: {{ codec: 'VP8' }} }});
            window.publisher.start();
        }})()",
        plain.url()
    );
    let _: () = page.eval(&begin).await;
    page.wait_for("window.publisher.state === 'live'", MEDIA).await;
    is(&page, "live").await;
    shows(&page, 10).await;
    let _: () = page.eval(&format!("window.listen({PLAYER}.video.srcObject)")).await;
    hears_the_left(&page).await;
    let _: () = page.eval(&format!("{PLAYER}.stop()")).await;
    let _: () = page.eval("window.publisher.stop()").await;
    eventually(SOON, "both sessions are ended by DELETE", || async {
        let asked = plain.asked();
        let ended = ["DELETE whip", "DELETE whep"].iter().all(|end| asked.iter().any(|one| one == end));
        if ended { Ok(()) } else { Err(asked) }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tone_on_the_left_is_heard_on_the_left_alone() {
    let nats = NatsServer::start().await;
    let origin = node("origin", "west", &nats.url()).await;
    let browser = Browser::start().await;
    let publisher = browser.page(&origin.public_url()).await;
    let _: () = publisher.eval(STUDIO).await;
    let begin = "(async () => {
            const stream = await window.studio('./headwater.js');
            window.publisher = new window.lib.Publisher({ url: 'whip/show', stream });
            window.publisher.start();
        })()";
    let _: () = publisher.eval(begin).await;
    publisher.wait_for("window.publisher.state === 'live'", MEDIA).await;
    let url = format!("{}/watch?room=show&autostart=1&sound=1", origin.public_url());
    let viewer = browser.page(&url).await;
    is(&viewer, "live").await;
    let _: () = viewer.eval(STUDIO).await;
    let _: () = viewer.eval(&format!("window.listen({PLAYER}.video.srcObject)")).await;
    hears_the_left(&viewer).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn music_is_published_without_a_picture_and_without_voice_processing() {
    let nats = NatsServer::start().await;
    let origin = node("origin", "west", &nats.url()).await;
    let browser = Browser::start().await;
    let url = format!("{}/publish?room=show&autostart=1&source=sound&music=1", origin.public_url());
    let publisher = browser.page(&url).await;
    publisher.wait_for("window.headwater?.state === 'live'", MEDIA).await;
    let settings: Value =
        publisher.eval("document.querySelector('#video').srcObject.getAudioTracks()[0].getSettings()").await;
    for key in ["echoCancellation", "noiseSuppression", "autoGainControl"] {
        assert_eq!(settings[key], json!(false), "{settings}");
    }
    let view = room(&origin, "show").await.unwrap();
    let types: Vec<_> = view.streams[0].producers.iter().map(|p| p.mime_type.clone()).collect();
    assert_eq!(types.len(), 1, "{types:?}");
    assert!(types[0].starts_with("audio/"), "{types:?}");
    let viewer = browser.page(&format!("{}/watch?room=show&autostart=1&sound=1", origin.public_url())).await;
    viewer.wait_for("window.headwater?.state === 'live'", MEDIA).await;
    viewer.wait_for("window.headwater.stats.totalAudioEnergy > 0", MEDIA).await;
    look_at(&publisher, "publish-sound").await;
    look_at(&viewer, "watch-sound").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_watch_page_stands_in_the_pages_that_the_configuration_names() {
    let nats = NatsServer::start().await;
    // The frame's address must be known before the node's, and the node's before the frame's page.
    let mut settings = config("origin", "west", &nats.url());
    settings.http.listen.set_port(crate::support::nats::free_port());
    let framed = format!("http://{}/watch?room=show&autostart=1", settings.http.listen);
    let html = format!("<!doctype html><iframe src='{framed}' width=800 height=600></iframe>");
    let (friend, stranger) = (Site::page(html.clone()).await, Site::page(html).await);
    settings.http.frame_ancestors = vec![friend.url().to_owned()];
    let origin = start(settings).await;
    let _publisher = publish(&origin, "show").await;
    let browser = Browser::start().await;
    let refused = browser.page(stranger.url()).await;
    eventually(SOON, "the browser refuses the frame", || async {
        let console = refused.console();
        if console.iter().any(|line| line.contains("frame-ancestors")) { Ok(()) } else { Err(console) }
    })
    .await;
    assert_eq!(room(&origin, "show").await.unwrap().viewers.len(), 0);
    let _framing = browser.page(friend.url()).await;
    eventually(MEDIA, "the framed page watches", || async {
        room(&origin, "show").await.is_some_and(|view| view.viewers.len() == 1)
    })
    .await;
    // The publish page has a camera: it stands alone.
    let publish = http().get(format!("{}/publish", origin.public_url())).send().await.unwrap();
    assert!(
        publish.headers()["content-security-policy"].to_str().unwrap().ends_with("frame-ancestors 'none'")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_work_below_a_proxys_path_and_show_what_the_node_warns_of() {
    let nats = NatsServer::start().await;
    let mut settings = config("origin", "west", &nats.url());
    settings.http.listen.set_port(crate::support::nats::free_port());
    let proxy = proxied(format!("http://{}", settings.http.listen), "/live", |status| {
        status["warnings"] = json!([
            { "kind": "no_key_frame", "since": "2026-11-26T01:02:03Z", "detail": "no key frame has come for 10 s" },
            { "kind": "something_new", "since": "2026-11-26T01:02:03Z", "detail": "said by a newer node" },
        ]);
        status["muted"] = json!(true);
    })
    .await;
    settings.http.public_url = Some(format!("{}/live", proxy.url()).parse().unwrap());
    let _origin = start(settings).await;
    let browser = Browser::start().await;
    let publisher = browser
        .page(&format!("{}/live/publish?room=show&autostart=1&source=generated&size=640x360", proxy.url()))
        .await;
    let says = |text: &str| format!("document.querySelector('#notes').textContent.includes('{text}')");
    publisher.wait_for(&says("No key frame"), SOON).await;
    publisher.wait_for(&says("said by a newer node"), SOON).await;
    publisher.wait_for("window.headwater.state === 'live'", MEDIA).await;
    look_at(&publisher, "publish-warned").await;
    let viewer = browser.page(&format!("{}/live/watch?room=show&autostart=1", proxy.url())).await;
    is(&viewer, "live").await;
    viewer.wait_for(&says("sends nothing now"), SOON).await;
    // A viewer can do nothing about the rest.
    assert!(!viewer.eval::<bool>(&says("No key frame")).await);
    look_at(&viewer, "watch-muted").await;
    let home = browser.page(&format!("{}/live/", proxy.url())).await;
    home.wait_for("document.querySelector('#node-name').textContent === 'origin'", SOON).await;
    for page in [&publisher, &viewer, &home] {
        assert_eq!(page.console(), Vec::<String>::new());
    }
}
