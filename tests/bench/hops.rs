//! What a hop adds to a packet's way: the same packets, at viewers of the origin and of two edges.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use headwater::node::Node;
use str0m::media::Direction;

use crate::joins::quiet;
use crate::peer::{Arrival, PAYLOAD, Peer, SPACING, Shared};
use crate::support::fleet::{SOON, acquainted, heard_of, http, start};
use crate::support::nats::NatsServer;
use crate::support::wait::eventually;
use crate::table::{self, Samples};

const ROOM: &str = "clock";
/// Packets that are compared.
const PACKETS: u64 = 10_000;
/// Packets that every viewer has got before the comparison begins.
const WARM: u64 = 1_000;

/// A viewer that runs.
struct Viewer {
    hops: usize,
    shared: Arc<Shared>,
    thread: JoinHandle<Vec<Arrival>>,
}

pub(crate) async fn run() {
    let nats = NatsServer::start().await;
    let origin = start(quiet("origin", "west", &nats.url())).await;
    // Two nodes of one other region: media enters it once, so one of them is the other's source.
    let one = start(quiet("one", "east", &nats.url())).await;
    let two = start(quiet("two", "east", &nats.url())).await;
    acquainted(&[&origin, &one, &two]).await;
    let epoch = Instant::now();
    let url = |node: &Node, way| format!("{}/{way}/{ROOM}", node.public_url());
    let http = http();
    let publisher = Peer::negotiate(&http, &url(&origin, "whip"), Direction::SendOnly).await;
    let sent = Arc::clone(&publisher.shared);
    let sender = thread::spawn(move || publisher.send(epoch));
    let mut viewers = Vec::new();
    for node in [&origin, &one, &two] {
        heard_of(node, ROOM).await;
        let peer = Peer::negotiate(&http, &url(node, "whep"), Direction::RecvOnly).await;
        let (hops, shared) = (peer.hops, Arc::clone(&peer.shared));
        viewers.push(Viewer { hops, shared, thread: thread::spawn(move || peer.receive(epoch)) });
    }
    viewers.sort_by_key(|viewer| viewer.hops);
    let hops: Vec<_> = viewers.iter().map(|viewer| viewer.hops).collect();
    assert_eq!(hops, [0, 1, 2], "a viewer at every distance");
    reach(viewers.iter().map(|viewer| &*viewer.shared), WARM).await;
    let first = sent.packets.load(Ordering::Relaxed);
    let began = Instant::now();
    reach([&*sent], first + PACKETS).await;
    let rate = PACKETS as f64 / began.elapsed().as_secs_f64();
    // The last packets are on their way still.
    reach([&*sent], first + PACKETS + WARM).await;
    sent.stop.store(true, Ordering::Relaxed);
    let compared = first..first + PACKETS;
    let arrivals: Vec<_> = viewers.into_iter().map(|viewer| viewer.end(&compared)).collect();
    sender.join().expect("the publisher ends well");
    report(&arrivals, rate);
    for node in [two, one, origin] {
        node.stop().await;
    }
}

fn report(arrivals: &[BTreeMap<u64, Duration>], rate: f64) {
    let [origin, edges @ ..] = arrivals else { panic!("no viewers") };
    let rate_of = format!("{PAYLOAD}-byte packets sent, one every {SPACING:?}");
    table::value(&rate_of, rate, "/s", arrivals.iter().map(BTreeMap::len).sum());
    let way: Samples = origin.values().copied().collect();
    way.print("publisher to viewer at the origin, SRTP both ways");
    for (edge, what) in edges.iter().zip(["1 hop", "2 hops"]) {
        let ms = |latency: &Duration| latency.as_secs_f64() * 1000.0;
        let both = edge.iter().filter_map(|(number, at)| Some(ms(at) - ms(origin.get(number)?)));
        let added: Samples = both.collect();
        added.print(&format!("added by {what}, per packet, edge's viewer - origin's"));
    }
}

impl Viewer {
    /// Ends it; answers how long each of the compared packets took.
    fn end(self, compared: &Range<u64>) -> BTreeMap<u64, Duration> {
        self.shared.stop.store(true, Ordering::Relaxed);
        let arrivals = self.thread.join().expect("the viewer ends well");
        let of = arrivals.into_iter().filter(|arrival| compared.contains(&arrival.number));
        of.map(|arrival| (arrival.number, arrival.latency)).collect()
    }
}

/// Waits until each of the peers has sent or received so many packets.
async fn reach(peers: impl IntoIterator<Item = &Shared>, packets: u64) {
    for peer in peers {
        eventually(SOON, "packets", || async {
            let now = peer.packets.load(Ordering::Relaxed);
            if now >= packets { Ok(()) } else { Err(format!("{now} of {packets}")) }
        })
        .await;
    }
}
