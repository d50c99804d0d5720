//! How long a viewer waits for its answer, beside the source design's four messages one by one.

use std::time::Duration;

use futures_util::StreamExt;
use headwater::node::Node;

use crate::post::{end, offer, post, session};
use crate::sequence;
use crate::support::chaos::ChaosProxy;
use crate::support::fleet::{
    SOON, acquainted, config, heard_of, http, metric, plays, publish, room, start, watch,
};
use crate::support::nats::NatsServer;
use crate::support::wait::eventually;
use crate::table::{self, Samples};

/// How often each thing is measured.
pub(crate) const RUNS: usize = 30;
const ROOM: &str = "news";
/// Between the far edge and NATS, in milliseconds.
const RTT: f64 = 50.0;
/// What a cold join may take beyond two round trips.
const MARGIN_MS: f64 = 10.0;
const PIPE_WANTED_MS: f64 = 3.0;
/// What of a cold join is no round trip, by a warm join.
const COLD_BY_WARM: f64 = 1.5;

/// What was measured at one edge.
struct Edge {
    cold: Samples,
    warm: Samples,
    /// The origin's own time from its first request to the last reply.
    pipe: Samples,
}

pub(crate) async fn run() {
    let nats = NatsServer::start().await;
    let proxy = ChaosProxy::start(nats.url()).await;
    calibrate(&nats, &proxy).await;
    let origin = start(quiet("origin", "west", &nats.url())).await;
    // Each in a region of its own, so that none becomes another's relay.
    let near = start(forgetful("near", "east", &nats.url())).await;
    let far = start(forgetful("far", "south", &proxy.url())).await;
    acquainted(&[&origin, &near, &far]).await;
    let publisher = publish(&origin, ROOM).await;
    for (edge, url, rtt) in [(&near, nats.url(), 0.0), (&far, proxy.url(), RTT)] {
        heard_of(edge, ROOM).await;
        let joins = measure(&origin, edge).await;
        let four = sequence::measure(&nats, edge).await;
        let at = |what: &str| format!("{what}, NATS {rtt} ms");
        let trip = round_trip(&nats, &url).await;
        trip.print(&at("NATS round trip as measured"));
        joins.cold.print_wanted(&at("cold join, POST to 201"), 2.0 * rtt + MARGIN_MS);
        joins.warm.print(&at("warm join, POST to 201"));
        if rtt == 0.0 {
            joins.pipe.print_wanted(&at("pipe set-up, origin's histogram"), PIPE_WANTED_MS);
            let beyond = joins.cold.median() - 2.0 * trip.median();
            let ratio = vec![beyond / joins.warm.median()];
            table::values_wanted("(cold join - two round trips) / warm join", ratio, "x", COLD_BY_WARM);
        } else {
            joins.pipe.print(&at("pipe set-up, origin's histogram"));
        }
        four.messages.print(&at("four messages one by one, bare client"));
        four.further.print(&at("one further createPipeProducer"));
        let ratio = |ours: &Samples| four.messages.median() / ours.median();
        table::value(&at("four messages / our cold join"), ratio(&joins.cold), "x", RUNS);
        table::value(&at("four messages / our pipe set-up"), ratio(&joins.pipe), "x", RUNS);
    }
    publisher.stop().await.expect("the publisher ends");
    for node in [far, near, origin] {
        node.stop().await;
    }
}

/// Makes the round trip [`RTT`]: the proxy's timers are late by a millisecond or so each way.
async fn calibrate(nats: &NatsServer, proxy: &ChaosProxy) {
    let half = |rtt: f64| Duration::from_secs_f64(rtt / 2000.0);
    proxy.set_latency(half(RTT));
    let late = round_trip(nats, &proxy.url()).await.median() - RTT;
    proxy.set_latency(half(RTT - late));
}

/// A node's configuration that logs nothing which takes time.
pub(crate) fn quiet(name: &str, region: &str, nats: &str) -> headwater::config::Config {
    let mut config = config(name, region, nats);
    config.log.filter = Some("error".to_owned());
    config
}

/// An edge that lets a room go soon, but not while the messages one by one are under way.
pub(crate) fn forgetful(name: &str, region: &str, nats: &str) -> headwater::config::Config {
    let mut config = quiet(name, region, nats);
    config.timeouts.pipe_idle = Duration::from_millis(500);
    config.timeouts.room_idle = Duration::from_millis(10);
    config
}

async fn measure(origin: &Node, edge: &Node) -> Edge {
    let (http, offer) = (http(), offer());
    let url = format!("{}/whep/{ROOM}", edge.public_url());
    let (mut cold, mut pipe, mut warm) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..RUNS {
        forgotten(origin, edge).await;
        let (count, seconds) = set_ups(origin).await;
        let (took, viewer) = post(&http, &url, &offer).await;
        cold.push(took);
        // The last reply is on its way to the origin while the viewer has its answer already.
        let set_up = eventually(SOON, "the pipe is open", || async {
            let (now, sum) = set_ups(origin).await;
            (now > count).then_some(sum - seconds)
        });
        pipe.push(set_up.await * 1000.0);
        end(&http, &session(&viewer)).await;
    }
    let resident = watch(edge, ROOM).await;
    plays(&resident, 1).await;
    for _ in 0..RUNS {
        let (took, viewer) = post(&http, &url, &offer).await;
        warm.push(took);
        end(&http, &session(&viewer)).await;
    }
    resident.stop().await;
    forgotten(origin, edge).await;
    Edge {
        cold: cold.into_iter().collect(),
        warm: warm.into_iter().collect(),
        pipe: pipe.into_iter().collect(),
    }
}

/// Waits until the edge has nothing of the room and the origin nothing of the edge.
async fn forgotten(origin: &Node, edge: &Node) {
    eventually(SOON, "the edge forgets the room", || async {
        room(edge, ROOM).await.is_none()
            && room(origin, ROOM).await.is_some_and(|view| view.children.is_empty())
    })
    .await;
}

/// Pipes that the node has set up, and the seconds they took together.
async fn set_ups(node: &Node) -> (f64, f64) {
    let sample = |part: &str| format!("headwater_pipe_setup_seconds_{part}");
    (metric(node, &sample("count")).await, metric(node, &sample("sum")).await)
}

/// Request and reply between a client behind `url` and one beside the server.
async fn round_trip(nats: &NatsServer, url: &str) -> Samples {
    let near = nats.client().await;
    let far = async_nats::connect(url).await.expect("a connection");
    let mut requests = near.subscribe("bench.echo").await.expect("a subscription");
    near.flush().await.expect("the subscription is made");
    let mut echoes = tokio::task::JoinSet::new();
    echoes.spawn(async move {
        while let Some(request) = requests.next().await {
            let reply = request.reply.expect("a request");
            near.publish(reply, request.payload).await.expect("a reply");
        }
    });
    let ask = async || far.request("bench.echo", "?".into()).await;
    // The server hears of the subscription and of the client's inbox in its own time.
    eventually(SOON, "an echo", &ask).await;
    let mut times = Vec::new();
    for _ in 0..RUNS {
        let asked = std::time::Instant::now();
        ask().await.expect("an echo");
        times.push(asked.elapsed());
    }
    times.into_iter().collect()
}
