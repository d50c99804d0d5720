//! Six machines in two datacenters, a node on each, and NATS in the west.

use std::fs;
use std::time::{Duration, Instant};

use crate::support::child::{ChildNode, Place};
use crate::support::cluster::PINGS;
use crate::support::far::{Far, Way};
use crate::support::nats::{NatsServer, Recipe};
use crate::support::netns::{Host, Net, Traffic};
use crate::support::wait::eventually;

pub(super) const COUNT: usize = 6;
/// The first half of them is in the west.
const WEST: usize = 3;
const BACK: Duration = Duration::from_secs(60);
/// Quick to let go of what nobody needs, and quiet.
const SETTINGS: [(&str, &str); 4] = [
    ("HEADWATER_LOG__FILTER", "headwater=info,warn"),
    ("HEADWATER_TIMEOUTS__DRAIN", "5s"),
    ("HEADWATER_TIMEOUTS__PIPE_IDLE", "3s"),
    ("HEADWATER_TIMEOUTS__ROOM_IDLE", "3s"),
];

/// The machines. Nodes end before the network does: the order of the fields is the order of the ends.
pub(super) struct Machines {
    pub(super) slots: Vec<Slot>,
    pub(super) nats: NatsServer,
    bus: Host,
    hosts: Vec<Host>,
    /// When wires that are cut are whole again, and the server is back.
    heals: Option<Instant>,
    bus_back: Option<Instant>,
    _way: Far,
    net: Net,
}

/// A machine's node, while it runs.
pub(super) struct Slot {
    pub(super) name: String,
    pub(super) node: Option<ChildNode>,
    back: Option<Instant>,
}

impl Machines {
    pub(super) async fn start() -> Option<Self> {
        let net = Net::start()?;
        let bus = net.host();
        let hosts: Vec<_> = (0..COUNT).map(|_| net.host()).collect();
        let (west, east) = hosts.split_at(WEST);
        let west: Vec<_> = west.iter().chain([&bus]).collect();
        let way = net.far(Way::SIXTY, &west, &east.iter().collect::<Vec<_>>());
        let launcher = bus.launcher();
        let recipe = Recipe {
            config: PINGS.to_owned(),
            jetstream: true,
            ip: bus.ip.into(),
            launcher,
            ..Recipe::default()
        };
        let nats = NatsServer::of(recipe).await;
        let slots = (0..COUNT).map(|number| Slot { name: name(number), node: None, back: None }).collect();
        let mut machines = Self { slots, nats, bus, hosts, heals: None, bus_back: None, _way: way, net };
        machines.rest().await;
        Some(machines)
    }

    /// Where publishers and viewers go, machine by machine.
    pub(super) fn addresses(&self) -> Vec<String> {
        self.hosts.iter().map(|host| format!("http://{}:8080", host.ip)).collect()
    }

    /// How many nodes run and were not told to go.
    pub(super) fn running(&self) -> usize {
        self.slots.iter().filter(|slot| slot.node.is_some() && slot.back.is_none()).count()
    }

    /// A node gets a signal, and is started again so much later, or once it has ended.
    pub(super) fn signal(&mut self, number: usize, signal: &str, away: Duration) -> bool {
        let slot = &mut self.slots[number];
        let Some(node) = slot.node.as_mut().filter(|_| slot.back.is_none()) else { return false };
        node.process().signal(signal);
        slot.back = Some(Instant::now() + away);
        true
    }

    /// The datacenters are cut off from each other for so long.
    pub(super) fn part(&mut self, lasting: Duration) -> bool {
        let (west, east) = self.hosts.split_at(WEST);
        let west: Vec<_> = west.iter().chain([&self.bus]).collect();
        let free = self.heals.is_none();
        if free {
            self.net.cut(Traffic::All, &west, &east.iter().collect::<Vec<_>>());
            self.heals = Some(Instant::now() + lasting);
        }
        free
    }

    /// Media between two machines is dropped for so long, in one direction or both.
    pub(super) fn drop_media(&mut self, [from, to]: [usize; 2], both: bool, lasting: Duration) -> bool {
        // What heals heals all: one at a time.
        let free = self.heals.is_none() && from != to;
        if free {
            let (from, to) = (&self.hosts[from], &self.hosts[to]);
            self.net.cut_one_way(Traffic::Udp, &[from], &[to]);
            if both {
                self.net.cut_one_way(Traffic::Udp, &[to], &[from]);
            }
            self.heals = Some(Instant::now() + lasting);
        }
        free
    }

    /// The NATS server is away for so long.
    pub(super) fn stop_bus(&mut self, lasting: Duration) -> bool {
        let free = self.bus_back.is_none();
        if free {
            self.nats.stop();
            self.bus_back = Some(Instant::now() + lasting);
        }
        free
    }

    /// Whatever is due to be back is.
    pub(super) async fn look(&mut self) {
        let now = Instant::now();
        if self.heals.is_some_and(|at| at <= now) {
            self.net.heal();
            self.heals = None;
        }
        if self.bus_back.is_some_and(|at| at <= now) {
            self.nats.restart().await;
            self.bus_back = None;
        }
        for number in 0..COUNT {
            let slot = &mut self.slots[number];
            let ended = slot.node.as_mut().is_none_or(|node| node.process().exited().is_some());
            if ended && slot.back.is_none_or(|at| at <= now) {
                slot.back = None;
                slot.node = None;
                let place = Place { host: Some(&self.hosts[number]), ..Place::default() };
                let region = if number < WEST { "west" } else { "east" };
                let node = ChildNode::spawn(&name(number), region, &self.nats.url(), &SETTINGS, &place);
                self.slots[number].node = Some(node);
            }
        }
    }

    /// All is whole, and every node there.
    pub(super) async fn rest(&mut self) {
        self.heals = self.heals.map(|_| Instant::now());
        self.bus_back = self.bus_back.map(|_| Instant::now());
        for number in 0..COUNT {
            let slot = &mut self.slots[number];
            slot.back = slot.back.map(|_| Instant::now());
            if let Some(node) = slot.node.as_mut().filter(|_| slot.back.is_some()) {
                eventually(BACK, format!("{} ends", slot.name), || {
                    let ended = node.process().exited().is_some();
                    async move { ended }
                })
                .await;
            }
        }
        self.look().await;
        for slot in &self.slots {
            slot.node.as_ref().expect("a node that runs").ready().await;
        }
    }

    /// The resident memory of each node, in MiB.
    pub(super) fn resident(&mut self) -> Vec<f64> {
        let nodes = self.slots.iter_mut().filter_map(|slot| slot.node.as_mut());
        nodes
            .map(|node| {
                let path = format!("/proc/{}/status", node.process().child().id());
                let status = fs::read_to_string(path).expect("the process runs");
                let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("VmRSS");
                line.trim().trim_end_matches("kB").trim().parse::<f64>().expect("a number") / 1024.0
            })
            .collect()
    }
}

fn name(number: usize) -> String {
    let (region, place) = if number < WEST { ("west", number) } else { ("east", number - WEST) };
    format!("{region}-{}", ["a", "b", "c"][place])
}
