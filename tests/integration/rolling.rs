//! A rolling restart: nine nodes in three regions, each restarted once while publishers and viewers go on.

use std::time::Duration;

use futures_util::future::join_all;
use headwater::client::{ConnectionState, Player, Publisher};

use crate::support::child::ChildNode;
use crate::support::fleet::{SOON, get_json, heard_within, plays, plays_on, publish, watch};
use crate::support::nats::NatsServer;
use crate::support::wait::eventually;

const REGIONS: [&str; 3] = ["west", "central", "east"];
/// How long a node waits for its publishers and viewers.
const DRAIN: [(&str, &str); 1] = [("HEADWATER_TIMEOUTS__DRAIN", "2s")];
/// How long nothing may come to a viewer whose node and whose publisher stay: a relay between them goes.
const UNNOTICED: Duration = Duration::from_secs(1);

/// Three nodes in each region: `nodes[region][place]`.
type Nodes = [Vec<ChildNode>; 3];

/// Someone who publishes or watches a room, at a node of a region.
struct Client<S> {
    room: String,
    region: usize,
    place: usize,
    session: S,
}

/// A node of the region that stays: the one whose turn is furthest away.
fn other(place: usize) -> usize {
    (place + 2) % 3
}

impl Client<Publisher> {
    fn is_over(&self) -> bool {
        self.session.stats().borrow().state == ConnectionState::Disconnected
    }

    /// Publishes again once its session has ended.
    async fn goes_elsewhere(&mut self, nodes: &Nodes) {
        eventually(SOON, "the publisher hears that it is over", || {
            let over = self.is_over();
            async move { over.then_some(()) }
        })
        .await;
        self.place = other(self.place);
        self.session = publish(&nodes[self.region][self.place], &self.room).await;
    }
}

impl Client<Player> {
    fn is_over(&self) -> bool {
        self.session.report().borrow().state == ConnectionState::Disconnected
    }

    /// Watches again once its session has ended.
    async fn goes_elsewhere(&mut self, nodes: &Nodes) {
        eventually(SOON, "the viewer hears that it is over", || {
            let over = self.is_over();
            async move { over.then_some(()) }
        })
        .await;
        self.place = other(self.place);
        let node = &nodes[self.region][self.place];
        heard_within(SOON, node, &self.room).await;
        self.session = watch(node, &self.room).await;
        plays(&self.session, 3).await;
    }

    /// The longest time without a packet so far.
    fn gap(&self) -> Duration {
        let report = self.session.report().borrow().clone();
        let track = |track: &headwater::client::TrackReport| {
            track.longest_gap_ms.max(track.last_packet_age_ms.unwrap_or(0))
        };
        Duration::from_millis(track(&report.audio).max(track(&report.video)))
    }
}

fn all(nodes: &Nodes) -> impl Iterator<Item = &ChildNode> {
    nodes.iter().flatten()
}

async fn spawn(region: usize, place: usize, nats: &str) -> ChildNode {
    let name = format!("{}-{}", REGIONS[region], place + 1);
    ChildNode::start(&name, REGIONS[region], nats, &DRAIN).await
}

/// Waits until each node hears nine that serve.
async fn whole(nodes: &Nodes) {
    join_all(all(nodes).map(|node| async move {
        let url = format!("{}/api/fleet", node.operators_url());
        eventually(SOON, "nine nodes serve", || async {
            let fleet = get_json(&url).await;
            let nodes = fleet.as_array().cloned().unwrap_or_default();
            let serving = nodes.iter().filter(|node| node["phase"] == "serving").count();
            if serving == 9 { Ok(()) } else { Err(fleet) }
        })
        .await;
    }))
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rolling_restart_is_noticed_by_nobody_whose_nodes_stay() {
    let nats = NatsServer::start().await;
    let url = nats.url();
    let region = |region| {
        let url = url.clone();
        async move { join_all((0..3).map(|place| spawn(region, place, &url))).await }
    };
    let mut nodes: Nodes = join_all((0..3).map(region)).await.try_into().unwrap();
    whole(&nodes).await;
    // One publisher in each region, whose turns are different, and one viewer at each node.
    let mut publishers = join_all((0..3).map(|region| {
        let (room, node) = (format!("from-{}", REGIONS[region]), &nodes[region][region]);
        async move {
            let session = publish(node, &room).await;
            Client { room, region, place: region, session }
        }
    }))
    .await;
    let seats = (0..9).map(|seat| (seat / 3, seat % 3, (seat / 3 + seat % 3) % 3));
    let mut viewers = join_all(seats.map(|(region, place, of)| {
        let (room, node) = (publishers[of].room.clone(), &nodes[region][place]);
        async move {
            heard_within(SOON, node, &room).await;
            let session = watch(node, &room).await;
            plays(&session, 3).await;
            Client { room, region, place, session }
        }
    }))
    .await;
    let mut worst = Duration::ZERO;
    for turn in 0..3 {
        let before: Vec<_> = viewers.iter().map(Client::gap).collect();
        for region in &mut nodes {
            region[turn].process().signal("TERM");
        }
        let moved: Vec<_> =
            publishers.iter().filter(|it| it.place == turn).map(|it| it.room.clone()).collect();
        let unaffected = |it: &Client<Player>| it.place != turn && !moved.contains(&it.room);
        let stays: Vec<_> = viewers.iter().map(unaffected).collect();
        let leaving = publishers.iter_mut().filter(|it| it.place == turn);
        join_all(leaving.map(|it| it.goes_elsewhere(&nodes))).await;
        let leaving = viewers.iter_mut().filter(|it| it.place == turn);
        join_all(leaving.map(|it| it.goes_elsewhere(&nodes))).await;
        for (number, region) in nodes.iter_mut().enumerate() {
            let node = &mut region[turn];
            let status = eventually(SOON, "it exits", || {
                let exited = node.process().exited();
                async move { exited }
            })
            .await;
            assert!(status.success(), "{} {}: {status}", REGIONS[number], turn + 1);
        }
        let fresh = join_all((0..3).map(|region| spawn(region, turn, &url))).await;
        for (region, node) in nodes.iter_mut().zip(fresh) {
            region[turn] = node;
        }
        whole(&nodes).await;
        // Everybody watches, those whose publisher went on the session that they had.
        join_all(viewers.iter().map(|it| plays_on(&it.session))).await;
        assert!(
            !viewers.iter().any(Client::<Player>::is_over)
                && !publishers.iter().any(Client::<Publisher>::is_over)
        );
        for (viewer, before) in
            viewers.iter().zip(before).zip(&stays).filter(|(_, stays)| **stays).map(|(it, _)| it)
        {
            // A gap of before the restart hides smaller ones.
            let gap = viewer.gap();
            let (region, place) = (REGIONS[viewer.region], viewer.place + 1);
            eprintln!("turn {turn}: {} at {region}-{place}: gap {gap:?}, before {before:?}", viewer.room);
            worst = worst.max(if gap > before { gap } else { Duration::ZERO });
        }
        assert!(stays.contains(&true), "there is someone whose node and publisher stay");
    }
    eprintln!("longest gap of those whose node and publisher stayed: {worst:?}");
    assert!(worst < UNNOTICED, "{worst:?}");
}
