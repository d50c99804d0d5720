//! Datacenters: a NATS server and machines in each, gateways and a long way between them.

use super::child::ChildNode;
use super::cluster::{crosses, gateway};
use super::far::{Far, Way};
use super::nats::{NatsServer, Recipe};
use super::netns::{Host, Net, Traffic};

/// Some datacenters. What runs on the machines ends before the network does: drop nodes first.
#[derive(Debug)]
pub(crate) struct Datacenters {
    places: Vec<Datacenter>,
    ways: Vec<Far>,
    /// The last to go.
    net: Net,
}

/// One of them, and a region of the fleet.
#[derive(Debug)]
pub(crate) struct Datacenter {
    name: &'static str,
    /// Its NATS server, alone on a machine.
    pub(crate) nats: NatsServer,
    bus: Host,
    hosts: Vec<Host>,
}

impl Datacenters {
    /// Starts datacenters of these names, with so many machines for nodes in each, and returns when messages
    /// cross; none where there can be no such network.
    pub(crate) async fn start(names: &[&'static str], machines: usize, way: Way) -> Option<Self> {
        let net = Net::start()?;
        let buses: Vec<_> = names.iter().map(|_| net.host()).collect();
        let reached: Vec<_> =
            names.iter().zip(&buses).map(|(name, bus)| (*name, format!("{}:7222", bus.ip))).collect();
        let mut places = Vec::new();
        for (me, (name, bus)) in names.iter().zip(buses).enumerate() {
            let recipe = Recipe {
                config: gateway(me, &reached[me].1, &reached),
                jetstream: false,
                ip: bus.ip.into(),
                launcher: bus.launcher(),
                ..Recipe::default()
            };
            let hosts = (0..machines).map(|_| net.host()).collect();
            places.push(Datacenter { name, nats: NatsServer::of(recipe).await, bus, hosts });
        }
        let mut ways = Vec::new();
        for (number, one) in places.iter().enumerate() {
            for other in &places[number + 1..] {
                ways.push(net.far(way, &one.machines(), &other.machines()));
            }
        }
        for (one, other) in places.iter().zip(places.iter().cycle().skip(1)) {
            crosses(&one.nats, &other.nats).await;
        }
        Some(Self { places, ways, net })
    }

    /// Starts a node on a machine and waits until it is ready.
    pub(crate) async fn node(
        &self,
        name: &str,
        place: usize,
        machine: usize,
        more: &[(&str, &str)],
    ) -> ChildNode {
        let Datacenter { name: region, nats, hosts, .. } = &self.places[place];
        ChildNode::on(&hosts[machine], name, region, &nats.url(), more).await
    }

    /// One of them.
    pub(crate) fn place(&self, number: usize) -> &Datacenter {
        &self.places[number]
    }

    /// The network, to cut its wires.
    pub(crate) fn net(&self) -> &Net {
        &self.net
    }

    /// Nothing gets from one to another any more, nor back.
    pub(crate) fn part(&self, one: usize, other: usize) {
        self.net.cut(Traffic::All, &self.places[one].machines(), &self.places[other].machines());
    }

    /// What NATS servers say to each other gets from one to another no more; all else does.
    pub(crate) fn part_buses(&self, one: usize, other: usize) {
        self.net.cut(Traffic::All, &[&self.places[one].bus], &[&self.places[other].bus]);
    }

    /// As if the plug of a NATS server's machine were pulled.
    pub(crate) fn vanish_bus(&self, place: usize) {
        self.net.vanish(&self.places[place].bus);
    }

    /// A NATS server is killed; its connections are reset.
    pub(crate) fn stop_bus(&mut self, place: usize) {
        self.places[place].nats.stop();
    }

    /// It is there again.
    pub(crate) async fn restart_bus(&mut self, place: usize) {
        self.places[place].nats.restart().await;
    }

    /// All is whole again.
    pub(crate) fn heal(&self) {
        self.net.heal();
    }

    /// The long ways, as they are.
    pub(crate) fn ways(&self) -> &[Far] {
        &self.ways
    }
}

impl Datacenter {
    /// A machine for nodes.
    pub(crate) fn host(&self, machine: usize) -> &Host {
        &self.hosts[machine]
    }

    fn machines(&self) -> Vec<&Host> {
        self.hosts.iter().chain([&self.bus]).collect()
    }
}
