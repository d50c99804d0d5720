//! A node behind Debian's Caddy, by the file in `deploy/`.

use std::fs;
use std::process::Stdio;

use headwater::node::Node;

use crate::support::browser::Browser;
use crate::support::certificates::Authority;
use crate::support::fleet::{SOON, config, start};
use crate::support::nats::{NatsServer, free_port};
use crate::support::process::Process;
use crate::support::wait::eventually;

const CADDYFILE: &str = include_str!("../../deploy/caddy/Caddyfile");
const MEDIA: std::time::Duration = std::time::Duration::from_secs(40);

/// The example as it stands, for another name, node and certificate.
fn caddy(authority: &Authority, port: u16, node: &Node) -> Process {
    let node = node.public_url().replace("http://", "");
    let (cert, key) = (authority.file("cert.pem"), authority.file("key.pem"));
    for (what, times) in [("live.example.com {", 1), ("127.0.0.1:8080", 2)] {
        assert_eq!(CADDYFILE.matches(what).count(), times, "{what}");
    }
    let site = format!("https://127.0.0.1:{port} {{\n\ttls {} {}\n", cert.display(), key.display());
    let text = CADDYFILE.replace("live.example.com {", &site).replace("127.0.0.1:8080", &node);
    let file = authority.file("Caddyfile");
    fs::write(&file, format!("{{\n\tadmin off\n\tauto_https disable_redirects\n}}\n{text}")).unwrap();
    let log = fs::File::create(authority.file("caddy.log")).unwrap();
    Process::spawn("caddy", |command| {
        command
            .args(["run", "--adapter", "caddyfile", "--config"])
            .arg(file)
            .env("HOME", authority.home())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log);
    })
    .expect("caddy, of the package of that name")
}

/// A publisher and a player that know of nothing but WHIP and WHEP.
const CLIENT: &str = r"
    const exchange = async (pc, url) => {
        await pc.setLocalDescription();
        const answer = await fetch(url, {
            method: 'POST', body: pc.localDescription.sdp, headers: { 'Content-Type': 'application/sdp' },
        });
        if (answer.status !== 201) throw new Error(await answer.text());
        await pc.setRemoteDescription({ type: 'answer', sdp: await answer.text() });
        return new URL(answer.headers.get('location'), answer.url).href;
    };
    window.publish = async (url) => {
        const canvas = document.createElement('canvas');
        const context = canvas.getContext('2d');
        setInterval(() => { context.fillStyle = `hsl(${Date.now() / 20 % 360} 80% 50%)`; context.fillRect(0, 0, 300, 150); }, 40);
        const pc = new RTCPeerConnection();
        pc.addTransceiver(canvas.captureStream(25).getVideoTracks()[0], { direction: 'sendonly' });
        return exchange(pc, url);
    };
    window.watch = async (url) => {
        const pc = new RTCPeerConnection();
        pc.addTransceiver('video', { direction: 'recvonly' });
        const video = document.createElement('video');
        video.muted = true; video.autoplay = true; document.body.append(video);
        pc.ontrack = ({ track }) => { video.srcObject = new MediaStream([track]); };
        window.frames_ = () => video.getVideoPlaybackQuality().totalVideoFrames;
        return exchange(pc, url);
    };
    undefined
";

#[tokio::test(flavor = "multi_thread")]
async fn media_is_published_and_watched_behind_caddy_under_a_prefix() {
    let nats = NatsServer::start().await;
    let node = start(config("origin", "west", &nats.url())).await;
    let authority = Authority::new();
    authority.issue(&["127.0.0.1", "localhost"]);
    let port = free_port();
    let _caddy = caddy(&authority, port, &node);
    eventually(SOON, "caddy listens", || async {
        let connected = tokio::net::TcpStream::connect(("127.0.0.1", port)).await;
        connected.map(drop).map_err(|_| fs::read_to_string(authority.file("caddy.log")).unwrap_or_default())
    })
    .await;
    let browser = Browser::start_in(Some(authority.home()), &[]).await;
    let page = browser.page(&format!("https://127.0.0.1:{port}/live/api/node")).await;
    let _: () = page.eval(CLIENT).await;
    let publisher: String = page.eval("window.publish('/live/whip/news')").await;
    assert!(publisher.starts_with(&format!("https://127.0.0.1:{port}/live/whip/news/main/")), "{publisher}");
    let watch = "window.watch('/live/whep/news/')";
    let viewer: String = eventually(MEDIA, "the stream is live", || page.try_eval(watch)).await;
    page.wait_for("window.frames_() > 20", MEDIA).await;
    for session in [viewer, publisher] {
        let ended: u16 =
            page.eval(&format!("fetch('{session}', {{ method: 'DELETE' }}).then((r) => r.status)")).await;
        assert_eq!(ended, 200, "{session}");
    }
    eventually(SOON, "nothing is left", || async {
        crate::support::fleet::room(&node, "news").await.is_none_or(|view| view.counts.transports == 0)
    })
    .await;
    // The same without a prefix.
    let plain = browser.page(&format!("https://127.0.0.1:{port}/api/node")).await;
    let _: () = plain.eval(CLIENT).await;
    let publisher: String = plain.eval("window.publish('/whip/other')").await;
    assert!(publisher.starts_with(&format!("https://127.0.0.1:{port}/whip/other/main/")), "{publisher}");
}
