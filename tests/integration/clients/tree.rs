//! Three nodes, and rooms whose viewers are two hops from their publisher.

use std::net::{IpAddr, Ipv4Addr, UdpSocket};
use std::time::Duration;

use headwater::client::{Player, WatchOptions};
use headwater::node::Node;

use super::script::{START, Script};
use crate::support::fleet::{SOON, acquainted, config, metric, start};
use crate::support::nats::NatsServer;
use crate::support::wait::eventually;

/// Where publishers go, and two nodes of another region, of which one is the other's relay.
pub(super) struct Tree {
    pub(super) origin: Node,
    pub(super) east: [Node; 2],
    _nats: NatsServer,
}

/// A room that is published and has come to both eastern nodes.
pub(super) struct Room {
    pub(super) name: &'static str,
    /// The WHEP endpoint that is two hops away.
    pub(super) far: String,
    /// They keep the tree as it is, and measure nothing.
    keepers: Vec<Player>,
}

impl Tree {
    pub(super) async fn start() -> Tree {
        let nats = NatsServer::start().await;
        let node = async |name: &str, region: &str| {
            let mut settings = config(name, region, &nats.url());
            settings.webrtc.listen.extend(address());
            // Many clients for long: what a failure says is read by itself.
            settings.log.filter = Some("warn".to_owned());
            start(settings).await
        };
        let origin = node("origin", "west").await;
        let east = [node("east-1", "east").await, node("east-2", "east").await];
        acquainted(&[&origin, &east[0], &east[1]]).await;
        Tree { origin, east, _nats: nats }
    }

    pub(super) fn whip(&self, room: &str) -> String {
        format!("{}/whip/{room}", self.origin.public_url())
    }

    /// Waits until a room is live everywhere, and finds out which node is two hops away.
    ///
    /// `Err` where the publisher doesn't get so far.
    pub(super) async fn room(&self, name: &'static str, publisher: &Script) -> Result<Room, String> {
        publisher.until(START, |report| report.state == "connected").await?;
        let mut keepers = Vec::new();
        for node in &self.east {
            keepers.push(keep(node, name).await?);
        }
        let hops = keepers.iter().map(|keeper| keeper.report().borrow().route.hops);
        let at = hops.clone().position(|hops| hops == Some(2));
        let at = at.ok_or_else(|| format!("{name}: a relay and its edge: {:?}", hops.collect::<Vec<_>>()))?;
        let far = format!("{}/whep/{name}", self.east[at].public_url());
        Ok(Room { name, far, keepers })
    }

    /// Waits until nothing is left of what was published and watched, on any node.
    pub(super) async fn is_empty(&self) {
        for node in [&self.origin, &self.east[0], &self.east[1]] {
            eventually(SOON + Duration::from_secs(20), "nothing is left", || async {
                let routers = node.context().engine.router_count().await.unwrap();
                let mut left = vec![("routers", f64::from(u32::try_from(routers).unwrap()))];
                for sample in ["rooms", "streams", "viewers", "pipes", "pipe_ports_used"] {
                    left.push((sample, metric(node, &format!("headwater_{sample}")).await));
                }
                if left.iter().all(|(_, count)| *count == 0.0) { Ok(()) } else { Err(left) }
            })
            .await;
        }
    }
}

/// A viewer of ours that gets pictures.
async fn keep(node: &Node, name: &str) -> Result<Player, String> {
    let mut options = WatchOptions::new(format!("{}/whep/{name}", node.public_url()));
    options.retry_until_live = Some(START);
    let keeper = Player::start(options).await.map_err(|error| format!("{name}: {error}"))?;
    let mut reports = keeper.report();
    let plays = tokio::time::timeout(START, reports.wait_for(|report| report.video.frames >= 3)).await;
    match plays.is_ok() {
        true => Ok(keeper),
        false => Err(format!("{name}: nothing comes: {:?}", keeper.report().borrow())),
    }
}

/// The address that other machines know this one by, if any: Firefox takes no media from loopback alone.
fn address() -> Option<IpAddr> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).ok()?;
    // Nothing is sent: the system only chooses where it would be sent from.
    socket.connect((Ipv4Addr::new(198, 51, 100, 1), 9)).ok()?;
    let ip = socket.local_addr().ok()?.ip();
    (!ip.is_loopback() && !ip.is_unspecified()).then_some(ip)
}

impl Room {
    pub(super) async fn end(self) {
        for keeper in self.keepers {
            keeper.stop().await;
        }
    }
}
