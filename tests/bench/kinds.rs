//! What a packet costs an edge, by what the stream is: sound alone, pictures of two rates, three layers.

use std::fs;
use std::path::Path;

use crate::load::{QUIET, ROUNDS, Run, Server, publish_with};
use crate::support::child::ChildNode;
use crate::support::fleet::{SOON, get_json};
use crate::support::nats::NatsServer;
use crate::support::wait::eventually;
use crate::table;

const CLIP: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/src/client/clip");
/// Pictures of the test clip in a second.
const PICTURES: usize = 25;
/// An IVF file's header, and that of a picture.
const HEADERS: (usize, usize) = (32, 12);

pub(crate) async fn run() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| folder.path().join(name).display().to_string();
    let (low, high, sound) = (path("low.ivf"), path("high.ivf"), format!("{CLIP}/test.ogg"));
    padded(Path::new(&low), 600_000);
    padded(Path::new(&high), 2_500_000);
    let kinds: [(&str, &str, &str, Vec<&str>); 4] = [
        ("sound alone", "sound", "300", vec!["--audio", &sound]),
        ("600 kbit/s", "low", "100", vec!["--video", &low]),
        ("2.5 Mbit/s", "high", "30", vec!["--video", &high]),
        ("three layers", "layers", "60", vec!["--simulcast"]),
    ];
    let nats = NatsServer::start().await;
    let origin = ChildNode::start("origin", "west", &nats.url(), &QUIET).await;
    let mut edge = ChildNode::start("edge", "east", &nats.url(), &QUIET).await;
    for node in [&origin, &edge] {
        node.hears(2).await;
    }
    let server = Server { url: edge.public_url(), pid: edge.process().child().id() };
    for (kind, name, viewers, arguments) in kinds {
        let _publishes = publish_with(&format!("{}/whip/{name}-1", origin.public_url()), &arguments);
        let status = format!("{}/api/status/{name}-1/main", edge.public_url());
        eventually(SOON, "the stream is heard of", || async { get_json(&status).await["live"] == true })
            .await;
        // Who has layers to be chosen does all that a browser does: else nobody estimates.
        let sample = if name == "layers" { "1" } else { "20" };
        let (mut micros, mut rates) = (vec![], vec![]);
        for _ in 0..ROUNDS {
            let arguments =
                ["--viewers", viewers, "--rate", "50/s", "--for", "8s", "--name", name, "--sample", sample];
            let run = Run::of(&[&server], &arguments).await;
            micros.push(run.of_server(&server, "microsPerPacket"));
            rates.push(run.number("/steady/packetsPerSecond") / run.number("/viewers/withMedia"));
        }
        table::values(
            &format!("processor time a packet at an edge, {kind}, {viewers} viewers"),
            micros,
            "us",
        );
        table::values(&format!("packets a second for each viewer, {kind}"), rates, "");
    }
}

/// The test clip with pictures so large that they come to these bits in a second; nobody decodes them.
fn padded(to: &Path, bits: usize) {
    let clip = fs::read(format!("{CLIP}/test-quarter.ivf")).expect("the clip");
    let (header, mut rest) = clip.split_at(HEADERS.0);
    let size = bits / 8 / PICTURES;
    let mut file = header.to_vec();
    while rest.len() > HEADERS.1 {
        let (head, pictures) = rest.split_at(HEADERS.1);
        let own = u32::from_le_bytes([head[0], head[1], head[2], head[3]]) as usize;
        let (picture, others) = pictures.split_at(own);
        file.extend((own.max(size) as u32).to_le_bytes());
        file.extend(&head[4..]);
        file.extend(picture);
        file.extend(vec![0; size.saturating_sub(own)]);
        rest = others;
    }
    fs::write(to, file).expect("a clip");
}
