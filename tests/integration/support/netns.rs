//! Machines on a network of their own: network namespaces on one bridge, whose wires can be cut and
//! whose ways can be long.
//!
//! What is dropped is dropped on the wire, without a word to either side. Needs root, `ip` (iproute2)
//! and `nft` (nftables). The test itself is on the network too: it reaches every host, and is near to all.

use std::env;
use std::fs::{self, File};
use std::net::Ipv4Addr;
use std::os::unix::fs::MetadataExt;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU8, Ordering};

use super::far::{Far, Way};

/// How many networks may be there at once; each has 198.18.<number>.0/24, from the range that is set
/// aside for tests of networks (RFC 2544).
const NETWORKS: u8 = 250;

/// A network. Its hosts end with it: drop what runs on them first.
#[derive(Debug)]
pub(crate) struct Net {
    number: u8,
    hosts: AtomicU8,
    /// How many long ways were made.
    ways: AtomicU8,
    /// Locked for as long as the number is ours; a process that is killed gives it back as well.
    _claim: File,
}

/// A machine on a [`Net`].
#[derive(Debug, Clone)]
pub(crate) struct Host {
    namespace: String,
    /// Its address.
    pub(crate) ip: Ipv4Addr,
}

/// What a cut lets through no more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Traffic {
    All,
    /// Pipes' media.
    Udp,
    /// What NATS says.
    Tcp,
}

impl Net {
    /// A network without hosts; none for a user who may not make one.
    ///
    /// # Panics
    /// Where root can't make one either: that is a machine to be put right, not to be passed over.
    pub(crate) fn start() -> Option<Self> {
        if !is_root() {
            eprintln!("skipped: only root can make network namespaces");
            return None;
        }
        let (number, claim) =
            (1..=NETWORKS).find_map(|number| Some((number, claimed(number)?))).expect("a free network");
        let net = Self { number, hosts: AtomicU8::new(1), ways: AtomicU8::new(0), _claim: claim };
        // A test that was killed leaves them behind.
        net.remove();
        let switch = net.switch();
        ip(&["netns", "add", &switch]);
        ip(&["-n", &switch, "link", "add", "bridge", "type", "bridge"]);
        ip(&["-n", &switch, "link", "set", "bridge", "up"]);
        net.plug(&[], &format!("hw{number}"), net.address(1));
        net.nft("add table bridge wires");
        net.nft("add chain bridge wires wire { type filter hook forward priority 0 ; policy accept ; }");
        net.nft("add table netdev ways");
        Some(net)
    }

    /// A further machine.
    pub(crate) fn host(&self) -> Host {
        let last = self.hosts.fetch_add(1, Ordering::Relaxed) + 1;
        let host = Host { namespace: format!("hw{}-{last}", self.number), ip: self.address(last) };
        ip(&["netns", "add", &host.namespace]);
        ip(&["-n", &host.namespace, "link", "set", "lo", "up"]);
        self.plug(&["-n", &host.namespace], "eth0", host.ip);
        let port = port(host.ip);
        self.nft(&format!(
            "add chain netdev ways {port} {{ type filter hook ingress device {port} priority 0 ; }}"
        ));
        host
    }

    /// A long way between `these` and `those`, for as long as the answer is kept.
    #[must_use]
    pub(crate) fn far(&self, way: Way, these: &[&Host], those: &[&Host]) -> Far {
        let device = format!("far{}", self.ways.fetch_add(1, Ordering::Relaxed));
        let far = Far::start(&self.switch(), &device, way);
        ip(&["-n", &self.switch(), "link", "set", &device, "master", "bridge", "up"]);
        // What comes back from there is no news of where a machine is, and nothing else goes there.
        let set = ["type", "bridge_slave", "learning", "off", "flood", "off", "mcast_flood", "off"];
        ip(&[&["-n", &self.switch(), "link", "set", &device][..], &set, &["bcast_flood", "off"]].concat());
        for (from, to) in [(these, those), (those, these)] {
            let destinations = addresses(to);
            for host in from {
                let (chain, source) = (port(host.ip), host.ip);
                self.nft(&format!(
                    "add rule netdev ways {chain} ip saddr {source} ip daddr {destinations} fwd to {device}"
                ));
            }
        }
        far
    }

    /// Nothing of this kind passes between `these` and `those` any more, in either direction.
    pub(crate) fn cut(&self, traffic: Traffic, these: &[&Host], those: &[&Host]) {
        self.cut_one_way(traffic, these, those);
        self.cut_one_way(traffic, those, these);
    }

    /// Nothing of this kind gets from `these` to `those` any more.
    pub(crate) fn cut_one_way(&self, traffic: Traffic, these: &[&Host], those: &[&Host]) {
        let kind = match traffic {
            Traffic::All => "",
            Traffic::Udp => "ip protocol udp",
            Traffic::Tcp => "ip protocol tcp",
        };
        let (from, to) = (addresses(these), addresses(those));
        self.nft(&format!("add rule bridge wires wire ip saddr {from} ip daddr {to} {kind} drop"));
    }

    /// As if the machine's plug were pulled: nothing reaches it and nothing leaves it, and no one is told.
    pub(crate) fn vanish(&self, host: &Host) {
        self.nft(&format!("add rule bridge wires wire ip saddr {} drop", host.ip));
        self.nft(&format!("add rule bridge wires wire ip daddr {} drop", host.ip));
    }

    /// All wires are whole again.
    pub(crate) fn heal(&self) {
        self.nft("flush chain bridge wires wire");
    }

    fn nft(&self, rule: &str) {
        run(Command::new("ip").args(["netns", "exec", &self.switch(), "nft", rule]));
    }

    fn switch(&self) -> String {
        format!("hw{}-switch", self.number)
    }

    fn address(&self, last: u8) -> Ipv4Addr {
        Ipv4Addr::new(198, 18, self.number, last)
    }

    /// Wires a device to the switch; `place` is how `ip` is told where it is to be.
    fn plug(&self, place: &[&str], device: &str, address: Ipv4Addr) {
        let (switch, port) = (self.switch(), port(address));
        let here = |arguments: &[&str]| ip(&[place, arguments].concat());
        here(&["link", "add", device, "type", "veth", "peer", "name", &port, "netns", &switch]);
        here(&["address", "add", &format!("{address}/24"), "dev", device]);
        here(&["link", "set", device, "up"]);
        ip(&["-n", &switch, "link", "set", &port, "master", "bridge", "up"]);
    }

    fn remove(&self) {
        // A namespace takes its time to go; its wire goes at once.
        let wire = format!("hw{}", self.number);
        let _ = Command::new("ip").args(["link", "delete", &wire]).stderr(Stdio::null()).status();
        let listed = Command::new("ip").args(["netns", "list"]).output().map(|output| output.stdout);
        let listed = String::from_utf8_lossy(&listed.unwrap_or_default()).into_owned();
        let names = listed.lines().filter_map(|line| line.split_whitespace().next());
        for name in names.filter(|name| name.starts_with(&format!("hw{}-", self.number))) {
            ip(&["netns", "delete", name]);
        }
    }
}

impl Drop for Net {
    fn drop(&mut self) {
        self.remove();
    }
}

impl Host {
    /// What starts a program on this machine.
    pub(crate) fn launcher(&self) -> Vec<String> {
        ["ip", "netns", "exec", &self.namespace].map(str::to_owned).into()
    }
}

/// The switch's end of a machine's wire.
fn port(address: Ipv4Addr) -> String {
    format!("port{}", address.octets()[3])
}

fn is_root() -> bool {
    fs::metadata("/proc/self").is_ok_and(|process| process.uid() == 0)
}

/// The lock of a network's number, unless another process has it.
fn claimed(number: u8) -> Option<File> {
    let path = env::temp_dir().join(format!("headwater-net-{number}.lock"));
    let file = File::create(path).ok()?;
    file.try_lock().ok()?;
    Some(file)
}

fn addresses(hosts: &[&Host]) -> String {
    let list: Vec<_> = hosts.iter().map(|host| host.ip.to_string()).collect();
    format!("{{ {} }}", list.join(", "))
}

fn ip(arguments: &[&str]) {
    run(Command::new("ip").args(arguments));
}

fn run(command: &mut Command) {
    let output = command.stdin(Stdio::null()).output();
    let output = output.unwrap_or_else(|error| panic!("{command:?}: {error}; run `make test-tools`"));
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}
