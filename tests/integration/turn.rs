//! Viewers and publishers whose only way is a TURN server: Debian's coturn, over TLS.

use std::fs;
use std::process::Stdio;
use std::time::Duration;

use headwater::config::Config;
use headwater::node::Node;
use serde_json::Value;

use crate::support::browser::Browser;
use crate::support::certificates::Authority;
use crate::support::fleet::{SOON, config, publish, start};
use crate::support::nats::{NatsServer, free_port};
use crate::support::player::PLAIN_PLAYER;
use crate::support::process::Process;
use crate::support::wait::eventually;

const MEDIA: Duration = Duration::from_secs(40);
const SECRET: &str = "north";

/// A server that knows who has the secret; its TLS port.
async fn coturn(authority: &Authority) -> (Process, u16) {
    let (plain, tls) = (free_port(), free_port());
    let log = authority.file("coturn.log");
    let process = Process::spawn("turnserver", |command| {
        command
            .args(["-n", "--no-cli", "--fingerprint", "--realm=headwater.example"])
            .args(["--use-auth-secret", &format!("--static-auth-secret={SECRET}")])
            .args(["--listening-ip=127.0.0.1", "--relay-ip=127.0.0.1", "--allow-loopback-peers"])
            .args([format!("--listening-port={plain}"), format!("--tls-listening-port={tls}")])
            .arg(format!("--cert={}", authority.file("cert.pem").display()))
            .arg(format!("--pkey={}", authority.file("key.pem").display()))
            .arg(format!("--userdb={}", authority.file("coturn.db").display()))
            .arg(format!("--pidfile={}", authority.file("coturn.pid").display()))
            .args(["--log-file=stdout", "--verbose"])
            .stdin(Stdio::null())
            .stderr(Stdio::null())
            .stdout(fs::File::create(&log).unwrap());
    })
    .expect("turnserver, of coturn");
    eventually(SOON, "coturn listens", || async {
        let connected = tokio::net::TcpStream::connect(("127.0.0.1", tls)).await;
        connected.map(drop).map_err(|_| fs::read_to_string(&log).unwrap_or_default())
    })
    .await;
    (process, tls)
}

async fn node_with_turn(nats: &NatsServer, tls: u16) -> Node {
    let mut settings = config("origin", "west", &nats.url());
    let servers = format!(
        "[webrtc]\nice_servers = [{{ urls = ['turns:127.0.0.1:{tls}?transport=tcp'], secret = '{SECRET}', ttl = '1h' }}]"
    );
    settings.webrtc.ice_servers = Config::parse(&servers).unwrap().webrtc.ice_servers;
    start(settings).await
}

/// Before the scripts of a page: all that it connects goes through a relay, as behind a strict firewall.
const BEHIND_A_FIREWALL: &str = r"
    const Direct = window.RTCPeerConnection;
    window.connections_ = [];
    window.RTCPeerConnection = class extends Direct {
        constructor(configuration) {
            super({ ...configuration, iceTransportPolicy: 'relay' });
            window.connections_.push(this);
        }
    };
    window.way_ = async () => {
        for (const pc of window.connections_) {
            if (pc.connectionState !== 'connected') continue;
            const stats = [...(await pc.getStats()).values()];
            const pair = stats.find(({ type, state, nominated }) => type === 'candidate-pair' && state === 'succeeded' && nominated);
            const local = stats.find(({ id }) => id === pair?.localCandidateId);
            if (local) return { type: local.candidateType, protocol: local.relayProtocol };
        }
        return null;
    };
";

#[tokio::test(flavor = "multi_thread")]
async fn our_pages_publish_and_play_over_turn_with_tls_alone() {
    let nats = NatsServer::start().await;
    let authority = Authority::new();
    authority.issue(&["127.0.0.1", "localhost"]);
    let (_coturn, tls) = coturn(&authority).await;
    let node = node_with_turn(&nats, tls).await;
    let browser = Browser::start_in(Some(authority.home()), &[]).await;
    let publish =
        format!("{}/publish?room=show&autostart=1&source=generated&size=640x360", node.public_url());
    let publisher = browser.page_after(BEHIND_A_FIREWALL, &publish).await;
    publisher.wait_for("window.headwater?.state === 'live'", MEDIA).await;
    let watch = format!("{}/watch?room=show&autostart=1", node.public_url());
    let viewer = browser.page_after(BEHIND_A_FIREWALL, &watch).await;
    viewer.wait_for("window.headwater?.stats?.framesRendered > 20", MEDIA).await;
    for page in [&publisher, &viewer] {
        let way: Value = page.eval("window.way_()").await;
        assert_eq!((way["type"].as_str(), way["protocol"].as_str()), (Some("relay"), Some("tls")), "{way}");
    }
    let log = fs::read_to_string(authority.file("coturn.log")).unwrap();
    assert!(log.contains("TLS"), "{log}");
}

/// As MediaMTX's reader and Eyevinn's libraries do: the ICE servers are asked for first.
const ASKS_FIRST: &str = r"
    window.askAndPlay = async (url) => {
        const options = await fetch(url, { method: 'OPTIONS' });
        const iceServers = options.headers.get('link').split(', ').map((link) => {
            const [, urls, username, credential, type] =
                link.match(/^<(.+?)>; rel=.ice-server.; username=.(.+?).; credential=.(.+?).; credential-type=.(.+?).$/);
            if (type !== 'password') throw new Error(link);
            return { urls, username, credential };
        });
        return window.play(url, { iceServers });
    };
    undefined
";

#[tokio::test(flavor = "multi_thread")]
async fn a_player_of_another_origin_asks_for_the_servers_and_plays_over_turn() {
    let nats = NatsServer::start().await;
    let authority = Authority::new();
    authority.issue(&["127.0.0.1", "localhost"]);
    let (_coturn, tls) = coturn(&authority).await;
    let node = node_with_turn(&nats, tls).await;
    let _publisher = publish(&node, "show").await;
    let browser = Browser::start_in(Some(authority.home()), &[]).await;
    // Another origin: the operators' listener has another port.
    let page = browser.page_after(BEHIND_A_FIREWALL, &format!("{}/healthz", node.operators_url())).await;
    let _: () = page.eval(PLAIN_PLAYER).await;
    let _: () = page.eval(ASKS_FIRST).await;
    let _: String = page.eval(&format!("window.askAndPlay('{}/whep/show')", node.public_url())).await;
    page.wait_for("window.frames_() > 20", MEDIA).await;
    let way: Value = page.eval("window.way_()").await;
    assert_eq!((way["type"].as_str(), way["protocol"].as_str()), (Some("relay"), Some("tls")), "{way}");
}
