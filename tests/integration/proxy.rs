//! A node behind Debian's Caddy, by the file in `deploy/`.

use std::fs;
use std::process::Stdio;

use headwater::client::{Roaming, WatchOptions};
use headwater::node::Node;

use crate::support::browser::Browser;
use crate::support::certificates::Authority;
use crate::support::child::ChildNode;
use crate::support::fleet::{Address, SOON, config, get_json, get_status, heard_of, publish, start};
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
    run_caddy(authority, &text)
}

fn run_caddy(authority: &Authority, text: &str) -> Process {
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

const FLEET: &str = include_str!("../../deploy/caddy/fleet.Caddyfile");

#[tokio::test(flavor = "multi_thread")]
async fn nodes_behind_one_name_are_one_service() {
    let nats = NatsServer::start().await;
    let port = free_port();
    let name = format!("http://127.0.0.1:{port}");
    let more = [("HEADWATER_HTTP__PUBLIC_URL", name.as_str())];
    let mut nodes = Vec::new();
    for node in ["a", "b", "c"] {
        nodes.push(ChildNode::start(node, "west", &nats.url(), &more).await);
    }
    let mut text = FLEET.replace("live.example.com {", &format!("{name} {{"));
    for (number, node) in nodes.iter().enumerate() {
        let example = format!("10.0.0.{}:8080", number + 1);
        assert_eq!(text.matches(&example).count(), 1, "{example}");
        text = text.replace(&example, &node.public_url().replace("http://", ""));
    }
    let authority = Authority::new();
    let _caddy = run_caddy(&authority, &text);
    eventually(SOON, "caddy passes on, and each node knows of the others", || async {
        let mut heard = true;
        for node in &nodes {
            let fleet = get_json(&format!("{}/api/fleet", node.operators_url())).await;
            let known = fleet["nodes"].as_array().map_or(0, Vec::len);
            heard &= known == 0 || known == 3;
        }
        let status = get_status(&format!("{name}/api/node")).await;
        if heard && status == 200 {
            Ok(())
        } else {
            Err(fs::read_to_string(authority.file("caddy.log")).unwrap_or_default())
        }
    })
    .await;

    // Answer, candidates and end of each go by way of whichever node has its turn.
    let publisher = publish(&Name(&name), "news").await;
    for node in &nodes {
        heard_of(node, "news").await;
    }
    let mut options = WatchOptions::new(format!("{name}/whep/news"));
    options.counter_offer = true;
    options.retry_until_live = Some(SOON);
    let mut viewers = Vec::new();
    for _ in 0..3 {
        viewers.push(Roaming::start(options.clone()).await.expect("the viewer is served"));
    }
    let plays = async |viewer: &Roaming, limit| {
        let report = viewer.report();
        eventually(limit, "the viewer gets pictures", || {
            let report = report.borrow().clone();
            async move { if report.video.frames > 10 { Ok(()) } else { Err(format!("{report:?}")) } }
        })
        .await;
    };
    let mut served = std::collections::BTreeSet::new();
    for viewer in &viewers {
        plays(viewer, SOON).await;
        served.insert(viewer.report().borrow().route.node.clone().expect("a node"));
    }
    assert!(served.len() > 1, "{served:?}");
    let origin = publisher.stats().borrow().route.node.clone().expect("a node");

    // A viewer whose node dies comes back by the same name.
    let place = viewers
        .iter()
        .position(|viewer| viewer.report().borrow().route.node.as_deref().is_some_and(|node| node != origin));
    let viewer = viewers.swap_remove(place.expect("a viewer elsewhere than its publisher"));
    let lost = viewer.report().borrow().route.node.clone().expect("a node");
    let index = ["a", "b", "c"].iter().position(|node| *node == lost).unwrap();
    let killed = std::time::Instant::now();
    nodes[index].process().kill();
    let report = viewer.report();
    eventually(SOON, "it goes on at another node", || {
        let report = report.borrow().clone();
        async move {
            let elsewhere = report.moves > 0 && report.video.frames > 10;
            if elsewhere { Ok(()) } else { Err(format!("{report:?}")) }
        }
    })
    .await;
    println!("killed behind caddy: pictures again after {:?}", killed.elapsed());
    viewers.push(viewer);
    for viewer in viewers {
        viewer.stop().await;
    }
    publisher.stop().await.expect("its node is reached by way of any");
    for (_, node) in nodes.iter().enumerate().filter(|(number, _)| *number != index) {
        eventually(SOON, "nothing is left", || async {
            let room = node.room("news").await;
            if room["counts"]["transports"].as_u64().unwrap_or(0) == 0 { Ok(()) } else { Err(room) }
        })
        .await;
    }
}

/// The balancer's name as an address.
struct Name<'a>(&'a str);

impl Address for Name<'_> {
    fn public(&self) -> String {
        self.0.to_owned()
    }
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
    assert!(
        publisher.starts_with(&format!("https://127.0.0.1:{port}/live/whip/news/main/origin/")),
        "{publisher}"
    );
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
    assert!(
        publisher.starts_with(&format!("https://127.0.0.1:{port}/whip/other/main/origin/")),
        "{publisher}"
    );
}
