//! Rooms of many: what it takes until a participant is sent what another sends, and until fifty have met.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use headwater::node::Node;
use serde_json::{Value, json};

use crate::joins::{forgetful, quiet};
use crate::support::browser::Browser;
use crate::support::chaos::ChaosProxy;
use crate::support::fleet::{SOON, acquainted, room, start};
use crate::support::nats::NatsServer;
use crate::support::peer::PEER;
use crate::support::socket::{Socket, rtp_parameters};
use crate::support::wait::eventually;
use crate::table::{self, Samples};

const RUNS: u32 = 20;
/// Between the far node and NATS.
const RTT_MS: f64 = 50.0;
const PARTICIPANTS: u32 = 50;
const SEEN: usize = 9;
/// So many join each second.
const RATE: f64 = 10.0;
const MEET_S: f64 = 10.0;
const MESSAGES: usize = 1_000;

pub(crate) async fn run() {
    let nats = NatsServer::start().await;
    let proxy = ChaosProxy::start(nats.url()).await;
    proxy.set_latency(Duration::from_secs_f64(RTT_MS / 2000.0));
    let near = start(quiet("near", "west", &nats.url())).await;
    let far = start(forgetful("far", "east", &proxy.url())).await;
    let third = start(quiet("third", "east", &nats.url())).await;
    acquainted(&[&near, &far, &third]).await;
    a_consumer(&near, &far).await;
    many(&[&near, &third]).await;
    messages(&near, &third).await;
    for node in [far, third, near] {
        node.stop().await;
    }
}

/// Sends a camera and a microphone without media: what is measured is who tells whom.
async fn sends(socket: &mut Socket, number: u32) -> [Value; 2] {
    let transport = socket.ask("createWebRtcTransport", json!({ "direction": "send" })).await.expect("one");
    let mut produced = [Value::Null, Value::Null];
    for (of, (kind, label)) in produced.iter_mut().zip([("audio", "microphone"), ("video", "camera")]) {
        let ssrc = 1_000 + 2 * number + u32::from(kind == "video");
        let produce = json!({ "transportId": transport["id"], "kind": kind, "label": label,
                              "rtpParameters": rtp_parameters(kind, ssrc) });
        *of = socket.ask("produce", produce).await.expect("it is taken")["id"].clone();
    }
    produced
}

async fn receives(socket: &mut Socket) -> Value {
    socket.ask("createWebRtcTransport", json!({ "direction": "recv" })).await.expect("one");
    socket.ask("getRouterRtpCapabilities", json!({})).await.expect("what is carried")
}

/// From `consume` to its answer, of the first producer of a node and of a further one.
async fn a_consumer(near: &Node, far: &Node) {
    let (mut ann, _) = Socket::join(near, "talk", "ann").await;
    let [microphone, camera] = sends(&mut ann, 0).await;
    let (mut probe, _) = Socket::join(far, "talk", "probe").await;
    let heard = async {
        loop {
            let there = probe.ask("getParticipants", json!({})).await.expect("who is there");
            let mut there = there["participants"].as_array().into_iter().flatten();
            if there
                .any(|it| it["name"] == "ann" && it["producers"].as_array().is_some_and(|all| all.len() == 2))
            {
                break;
            }
        }
    };
    tokio::time::timeout(SOON, heard).await.expect("the far node has heard what she sends");
    let (mut cold, mut warm) = (Vec::new(), Vec::new());
    for run in 0..RUNS {
        let (mut ben, _) = Socket::join(far, "talk", &format!("ben-{run}")).await;
        let takes = receives(&mut ben).await;
        for (id, times) in [(&microphone, &mut cold), (&camera, &mut warm)] {
            let asked = Instant::now();
            let consume = json!({ "producerId": id, "rtpCapabilities": takes });
            ben.ask("consume", consume).await.expect("it is sent");
            times.push(asked.elapsed());
        }
        ben.ask("leave", json!({})).await.expect("it leaves");
        // Whoever asks while the node's leave is under way waits for its answer first.
        eventually(SOON, "neither node has anything of it any more", || async {
            let views = (room(near, "talk").await, room(far, "talk").await);
            matches!(views, (Some(near), Some(far)) if near.children.is_empty() && far.parents.is_empty())
        })
        .await;
    }
    let (cold, warm): (Samples, Samples) = (cold.into_iter().collect(), warm.into_iter().collect());
    cold.print_wanted(&format!("consume, first of the node, NATS {RTT_MS} ms"), 2.0 * RTT_MS + 10.0);
    warm.print_wanted(&format!("consume, one more on that pipe, NATS {RTT_MS} ms"), RTT_MS + 10.0);
}

/// Many join at two nodes; each is sent all voices, and the pictures of some.
async fn many(nodes: &[&Node; 2]) {
    let began = Instant::now();
    let meet = async |number: u32| {
        tokio::time::sleep(Duration::from_secs_f64(f64::from(number) / RATE)).await;
        let asked = Instant::now();
        let node = nodes[number as usize % nodes.len()];
        let (mut socket, entered) = Socket::join(node, "hall", &format!("p{number}")).await;
        sends(&mut socket, number).await;
        let takes = receives(&mut socket).await;
        let others = entered["participants"].as_array().cloned().unwrap_or_default();
        let producers = others.iter().flat_map(|it| it["producers"].as_array().cloned().unwrap_or_default());
        let (voices, pictures): (Vec<_>, Vec<_>) = producers.partition(|it| it["kind"] == "audio");
        for producer in voices.iter().chain(pictures.iter().take(SEEN)) {
            let consume = json!({ "producerId": producer["id"], "rtpCapabilities": takes });
            socket.ask("consume", consume).await.expect("it is sent");
        }
        (asked.elapsed(), socket)
    };
    let met = join_all((0..PARTICIPANTS).map(meet)).await;
    let whole = began.elapsed().as_secs_f64();
    let (times, sockets): (Vec<_>, Vec<_>) = met.into_iter().unzip();
    let all = format!("{PARTICIPANTS} participants, {RATE} joins/s, each sent all that were there");
    let beyond = whole - f64::from(PARTICIPANTS) / RATE;
    table::values_wanted(
        &format!("{all}: after the last had come"),
        vec![beyond],
        "s",
        MEET_S - f64::from(PARTICIPANTS) / RATE,
    );
    times.into_iter().collect::<Samples>().print(&format!("{all}: of each, join to the last consume"));
    drop(sockets);
}

/// From a message's leaving one page to its coming to the same page: by one node, and by two.
async fn messages(near: &Node, far: &Node) {
    let browser = Browser::start().await;
    let page = browser.page_after(PEER, &format!("{}/embed", near.public_url())).await;
    let far = far.public_url();
    let meet = format!(
        "(async () => {{
            const [ann, ada, bob] = [await enter('anna'), await enter('ada'), await enter('bob', '{far}')];
            window.near = []; window.far = [];
            ada.heard = (at) => near.push(performance.now() - Number(at));
            bob.heard = (at) => far.push(performance.now() - Number(at));
            const clock = await ann.send('clock');
            for (const one of [ada, bob]) {{
                while (!one.others.has('anna/clock')) await new Promise((done) => setTimeout(done, 10));
                await one.hear('anna/clock');
            }}
            setInterval(() => clock.send(String(performance.now())), 10);
        }})()"
    );
    let _: () = page.eval(&meet).await;
    page.wait_for(&format!("near.length > {MESSAGES} && far.length > {MESSAGES}"), SOON).await;
    let near: Vec<f64> = page.eval(&format!("near.slice(-{MESSAGES})")).await;
    let far: Vec<f64> = page.eval(&format!("far.slice(-{MESSAGES})")).await;
    let (near, far): (Samples, Samples) = (near.into_iter().collect(), far.into_iter().collect());
    near.print("a message from page to page by one node");
    far.print_beyond("a further node: a message by two, beyond that", &near, Some(1.0));
}
