//! What a hop adds to a packet's way: one publisher, and one viewer at a time at every distance.
//!
//! Viewers of one moment can't be compared on few cores: they wait for each other's turn.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::{Duration, Instant};

use headwater::node::Node;
use reqwest::Client;
use str0m::media::Direction;

use crate::joins::{forgetful, quiet};
use crate::peer::{PAYLOAD, Peer, SPACING, Shared};
use crate::post::end;
use crate::support::fleet::{SOON, acquainted, heard_of, http, room, start};
use crate::support::nats::NatsServer;
use crate::support::wait::eventually;
use crate::table::Samples;

const ROOM: &str = "clock";
/// Every viewer has its turn so often, for what else the machine does changes with time.
const ROUNDS: usize = 3;
/// What a hop may add.
const HOP_MS: f64 = 0.2;
/// Packets of a turn that count, and those before them that don't.
const PACKETS: usize = 2_000;
const WARM: usize = 500;

pub(crate) async fn run() {
    let nats = NatsServer::start().await;
    let origin = start(quiet("origin", "west", &nats.url())).await;
    // Two nodes of one other region: media enters it once, so one of them is the other's source.
    let one = start(forgetful("one", "east", &nats.url())).await;
    let two = start(forgetful("two", "east", &nats.url())).await;
    acquainted(&[&origin, &one, &two]).await;
    let epoch = Instant::now();
    let http = http();
    let publisher = Peer::negotiate(&http, &url(&origin, "whip"), Direction::SendOnly).await;
    let sent = Arc::clone(&publisher.shared);
    let sender = thread::spawn(move || publisher.send(epoch));
    let mut ways: [Vec<Duration>; 3] = Default::default();
    for _ in 0..ROUNDS {
        for node in [&origin, &one, &two] {
            heard_of(node, ROOM).await;
            let (hops, latencies) = turn(&http, node, epoch).await;
            ways[hops].extend(latencies);
            for edge in [&one, &two] {
                let gone = || async { room(edge, ROOM).await.is_none() };
                eventually(SOON, "the edge forgets the room", gone).await;
            }
        }
    }
    sent.stop.store(true, Ordering::Relaxed);
    sender.join().expect("the publisher ends well");
    let [none, one_hop, two_hops] = ways.map(Samples::from_iter);
    let way = |hops| format!("{PAYLOAD} bytes every {SPACING:?}, publisher to viewer, {hops}");
    none.print(&way("0 hops"));
    one_hop.print(&way("1 hop"));
    two_hops.print(&way("2 hops"));
    one_hop.print_beyond("added by 1 hop (median - median, p99 - p99)", &none, Some(HOP_MS));
    two_hops.print_beyond("added by 2 hops (median - median, p99 - p99)", &none, None);
    for node in [two, one, origin] {
        node.stop().await;
    }
}

fn url(node: &Node, way: &str) -> String {
    format!("{}/{way}/{ROOM}", node.public_url())
}

/// A viewer comes, gets its packets and goes; answers its distance and how long each packet took.
async fn turn(http: &Client, node: &Node, epoch: Instant) -> (usize, Vec<Duration>) {
    let viewer = Peer::negotiate(http, &url(node, "whep"), Direction::RecvOnly).await;
    let (hops, session, shared) = (viewer.hops, viewer.session.clone(), Arc::clone(&viewer.shared));
    let thread = thread::spawn(move || viewer.receive(epoch));
    reach(&shared, WARM + PACKETS).await;
    shared.stop.store(true, Ordering::Relaxed);
    let latencies = thread.join().expect("the viewer ends well");
    end(http, &session).await;
    (hops, latencies.into_iter().skip(WARM).take(PACKETS).collect())
}

/// Waits until a peer has received so many packets.
async fn reach(peer: &Shared, packets: usize) {
    eventually(SOON, "packets", || async {
        let now = peer.packets.load(Ordering::Relaxed);
        if now >= packets { Ok(()) } else { Err(format!("{now} of {packets}")) }
    })
    .await;
}
