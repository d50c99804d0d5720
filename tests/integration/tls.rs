//! HTTPS without a proxy: browsers publish off localhost, certificates are renewed, and a stop is one.

use std::fs;
use std::time::{Duration, Instant};

use headwater::config::{Config, Tls};
use headwater::node::Node;
use reqwest::Certificate;
use reqwest::tls::TlsInfo;

use crate::support::browser::Browser;
use crate::support::certificates::Authority;
use crate::support::fleet::{SOON, config, http, start};
use crate::support::nats::NatsServer;
use crate::support::wait::eventually;

const MEDIA: Duration = Duration::from_secs(40);
const NAME: &str = "live.example.com";

fn with_tls(authority: &Authority, nats: &NatsServer) -> Config {
    let mut settings = config("origin", "west", &nats.url());
    settings.http.tls = Some(Tls { certificate: authority.file("cert.pem"), key: authority.file("key.pem") });
    settings
}

/// The certificate that a new connection gets, if one can be made.
async fn served(authority: &Authority, node: &Node) -> Result<Vec<u8>, String> {
    let _ = http();
    let client = reqwest::Client::builder()
        .tls_certs_only([Certificate::from_pem(authority.pem().as_bytes()).unwrap()])
        .tls_info(true)
        .build()
        .unwrap();
    let answer = client.get(format!("{}/api/node", node.public_url())).send().await;
    let answer = answer.map_err(|error| format!("{error:?}"))?;
    assert_eq!(answer.status(), 200);
    let info = answer.extensions().get::<TlsInfo>().expect("its certificate");
    Ok(info.peer_certificate().expect("its certificate").to_vec())
}

async fn metric(node: &Node, name: &str) -> f64 {
    let text = http().get(format!("{}/metrics", node.operators_url())).send().await.unwrap();
    let text = text.text().await.unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.expect(name).parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_browser_publishes_and_watches_over_https_off_localhost() {
    let nats = NatsServer::start().await;
    let authority = Authority::new();
    authority.issue(&[NAME]);
    let node = start(with_tls(&authority, &nats)).await;
    let port = node.public_url().rsplit(':').next().unwrap().to_owned();
    let names = format!("--host-resolver-rules=MAP {NAME} 127.0.0.1, MAP * ~NOTFOUND, EXCLUDE 127.0.0.1");
    let browser = Browser::start_in(Some(authority.home()), &[&names]).await;
    let url = |page: &str| format!("https://{NAME}:{port}/{page}?room=show&autostart=1");
    let publisher = browser.page(&format!("{}&source=camera", url("publish"))).await;
    publisher.wait_for("window.isSecureContext", MEDIA).await;
    publisher.wait_for("window.headwater?.state === 'live'", MEDIA).await;
    let spoken: String =
        publisher.eval("performance.getEntriesByType('navigation')[0].nextHopProtocol").await;
    assert_eq!(spoken, "h2");
    let viewer = browser.page(&url("watch")).await;
    viewer.wait_for("window.headwater?.stats?.framesRendered > 20", MEDIA).await;

    // Their connections are open and idle: they keep nothing from ending.
    let address = node.public_url().replace("https://", "");
    let stopping = Instant::now();
    node.stop().await;
    assert!(stopping.elapsed() < Duration::from_secs(15), "{:?}", stopping.elapsed());
    tokio::net::TcpStream::connect(&address).await.unwrap_err();
    viewer.wait_for("window.headwater.state !== 'live'", MEDIA).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_renewed_certificate_is_served_and_a_broken_one_is_not() {
    let nats = NatsServer::start().await;
    let authority = Authority::new();
    authority.issue(&["127.0.0.1"]);
    let node = start(with_tls(&authority, &nats)).await;
    let first = served(&authority, &node).await.unwrap();
    assert_eq!(metric(&node, "headwater_tls_current").await, 1.0);
    assert!(metric(&node, "headwater_tls_expires").await > 1e9);

    authority.issue(&["127.0.0.1"]);
    let second = eventually(SOON, "the renewed certificate is served", || async {
        served(&authority, &node).await.ok().filter(|now| *now != first)
    })
    .await;

    let key = fs::read(authority.file("key.pem")).unwrap();
    fs::write(authority.file("key.pem"), "no key").unwrap();
    eventually(SOON, "the operators can see it", || async {
        metric(&node, "headwater_tls_current").await == 0.0
    })
    .await;
    assert_eq!(served(&authority, &node).await.unwrap(), second, "the one before stays");
    fs::write(authority.file("key.pem"), key).unwrap();
    eventually(SOON, "it is well again", || async { metric(&node, "headwater_tls_current").await == 1.0 })
        .await;

    // Plain HTTP is not spoken there, and harms nothing.
    let plain = node.public_url().replace("https://", "http://");
    http().get(plain).send().await.unwrap_err();
    served(&authority, &node).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_does_not_start_with_files_that_are_none() {
    let nats = NatsServer::start().await;
    let authority = Authority::new();
    authority.issue(&["127.0.0.1"]);
    fs::remove_file(authority.file("cert.pem")).unwrap();
    let error = Node::start(with_tls(&authority, &nats)).await.unwrap_err().to_string();
    assert!(error.starts_with("http.tls.certificate") && error.contains("cert.pem"), "{error}");
}
