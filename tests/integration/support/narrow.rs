//! A narrow link for UDP: what goes through it waits its turn, and what finds the queue full is lost.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::net::UdpSocket;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

/// The most that waits for the link, as time.
const QUEUE: Duration = Duration::from_millis(300);
/// More packets than ever wait.
const WAITING: usize = 4096;
/// What IP and UDP add to each packet.
const HEADERS: usize = 28;
/// A rate that nothing in a test comes near.
const WIDE: u64 = 1_000_000_000;

/// A relay in front of a node's UDP port: on the same port, at an address of its own, which the node announces.
/// Everything else on the way to the node, HTTP too, is as wide as ever. Ends on drop.
#[derive(Debug)]
pub(crate) struct Narrow {
    down: Arc<Lane>,
    _tasks: JoinSet<()>,
}

/// One direction.
#[derive(Debug)]
struct Lane {
    bits_per_second: AtomicU64,
    lost: AtomicU64,
}

impl Lane {
    fn new() -> Arc<Self> {
        Arc::new(Self { bits_per_second: AtomicU64::new(WIDE), lost: AtomicU64::new(0) })
    }

    fn takes(&self, bytes: usize) -> Duration {
        let rate = self.bits_per_second.load(Ordering::Relaxed);
        Duration::from_secs_f64((bytes + HEADERS) as f64 * 8.0 / rate as f64)
    }
}

impl Narrow {
    /// Relays what comes to `at` to the node at `to`; as wide as can be, until [`set`](Self::set).
    pub(crate) async fn start(at: SocketAddr, to: SocketAddr) -> Self {
        let socket = Arc::new(UdpSocket::bind(at).await.expect("an address for the relay"));
        let down = Lane::new();
        let mut tasks = JoinSet::new();
        tasks.spawn(relay(socket, to, Arc::clone(&down)));
        Self { down, _tasks: tasks }
    }

    /// What viewers get from now on, in bits per second of IP packets.
    pub(crate) fn set(&self, bits_per_second: u64) {
        self.down.bits_per_second.store(bits_per_second, Ordering::Relaxed);
    }

    /// As wide as can be.
    pub(crate) fn widen(&self) {
        self.set(WIDE);
    }

    /// How many packets were lost so far.
    pub(crate) fn lost(&self) -> u64 {
        self.down.lost.load(Ordering::Relaxed)
    }
}

async fn relay(socket: Arc<UdpSocket>, to: SocketAddr, down: Arc<Lane>) {
    let mut clients: HashMap<SocketAddr, Arc<UdpSocket>> = HashMap::new();
    let mut links = JoinSet::new();
    let mut packet = vec![0; 2048];
    loop {
        let Ok((length, from)) = socket.recv_from(&mut packet).await else { continue };
        let client = match clients.entry(from) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(new) => {
                // To the node each client is another port of ours.
                let own = UdpSocket::bind((to.ip(), 0)).await.expect("a port for a client");
                own.connect(to).await.expect("a way to the node");
                let own = Arc::new(own);
                links.spawn(link(Arc::clone(&own), Arc::clone(&socket), from, Arc::clone(&down)));
                new.insert(own)
            }
        };
        let _ = client.send(&packet[..length]).await;
    }
}

/// A link of one client: from the node to it.
async fn link(node: Arc<UdpSocket>, socket: Arc<UdpSocket>, client: SocketAddr, lane: Arc<Lane>) {
    let (queue, mut waiting) = mpsc::channel::<(Instant, Vec<u8>)>(WAITING);
    let fill = async {
        let mut packet = vec![0; 2048];
        // When the last packet that waits will have gone.
        let mut free = Instant::now();
        loop {
            let Ok(length) = node.recv(&mut packet).await else { continue };
            let now = Instant::now();
            if free > now + QUEUE {
                lane.lost.fetch_add(1, Ordering::Relaxed);
                continue;
            }
            free = free.max(now) + lane.takes(length);
            let _ = queue.send((free, packet[..length].to_vec())).await;
        }
    };
    let drain = async {
        while let Some((at, packet)) = waiting.recv().await {
            sleep_until(at).await;
            let _ = socket.send_to(&packet, client).await;
        }
    };
    tokio::join!(fill, drain);
}
