//! A bad network: a TCP proxy that cuts, stalls, delays and counts.

use std::future::pending;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::io::{self, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

use super::wire::{Sighting, WireReader, matches};

const CHUNK: usize = 64 * 1024;
/// Chunks under way in one direction: at the longest latency of a test, more than it sends.
const IN_FLIGHT: usize = 4096;

/// A TCP proxy on 127.0.0.1; it and all its connections end on drop.
#[derive(Debug)]
pub(crate) struct ChaosProxy {
    address: SocketAddr,
    scheme: Option<String>,
    line: Arc<Line>,
    _tasks: JoinSet<()>,
}

/// What the proxy and its connections share.
#[derive(Debug)]
struct Line {
    upstream: String,
    open: watch::Sender<bool>,
    stall: watch::Sender<Stall>,
    connections: watch::Sender<usize>,
    latency_micros: AtomicU64,
    up: Direction,
    down: Direction,
}

/// Which directions swallow what comes.
#[derive(Debug, Clone, Copy, Default)]
struct Stall {
    up: bool,
    down: bool,
    /// How many stalls there were: tells whether a connection has lived through one.
    count: u64,
}

#[derive(Debug, Clone, Copy)]
enum Way {
    Up,
    Down,
}

#[derive(Debug, Default)]
struct Direction {
    bytes: AtomicU64,
    messages: watch::Sender<Vec<Sighting>>,
}

impl ChaosProxy {
    /// Starts a proxy in front of `upstream`, `host:port` with or without a scheme.
    pub(crate) async fn start(upstream: impl AsRef<str>) -> Self {
        let (scheme, host) = match upstream.as_ref().split_once("://") {
            Some((scheme, host)) => (Some(scheme.to_owned()), host),
            None => (None, upstream.as_ref()),
        };
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a port for the proxy");
        let line = Arc::new(Line {
            upstream: host.trim_end_matches('/').to_owned(),
            open: watch::Sender::new(true),
            stall: watch::Sender::new(Stall::default()),
            connections: watch::Sender::new(0),
            latency_micros: AtomicU64::new(0),
            up: Direction::default(),
            down: Direction::default(),
        });
        let address = listener.local_addr().expect("the proxy's address");
        let mut tasks = JoinSet::new();
        tasks.spawn(accept(listener, Arc::clone(&line)));
        Self { address, scheme, line, _tasks: tasks }
    }

    /// Where to connect instead of the upstream, with the scheme the upstream was given with.
    pub(crate) fn url(&self) -> String {
        match &self.scheme {
            Some(scheme) => format!("{scheme}://{}", self.address),
            None => self.address.to_string(),
        }
    }

    /// Resets every connection, with what is under way in it, and every new one until
    /// [`restore`](Self::restore); returns when none is left.
    pub(crate) async fn cut(&self) {
        self.line.open.send_replace(false);
        let mut connections = self.line.connections.subscribe();
        connections.wait_for(|count| *count == 0).await.expect("the proxy runs");
    }

    /// As if the upstream's machine had vanished: connections stay open, new ones are accepted, and
    /// whatever is sent in either direction is swallowed, the end of a connection too.
    pub(crate) fn stall(&self) {
        self.swallow(true, true);
    }

    /// The same for what clients send alone: they still hear the upstream.
    pub(crate) fn stall_up(&self) {
        self.swallow(true, false);
    }

    /// The same for what clients are sent alone: the upstream still hears them.
    pub(crate) fn stall_down(&self) {
        self.swallow(false, true);
    }

    /// Lets new connections through again. Those that were stalled are reset, as by a machine that
    /// is back and knows nothing of them.
    pub(crate) fn restore(&self) {
        self.swallow(false, false);
        self.line.open.send_replace(true);
    }

    fn swallow(&self, up: bool, down: bool) {
        self.line.stall.send_modify(|stall| {
            let count = stall.count + u64::from(up || down);
            *stall = Stall { up, down, count };
        });
    }

    /// Delays each direction by `latency` from now on; what is already under way keeps its delay.
    pub(crate) fn set_latency(&self, latency: Duration) {
        let micros = u64::try_from(latency.as_micros()).expect("a latency below ages");
        self.line.latency_micros.store(micros, Ordering::Relaxed);
    }

    /// How many connections go through.
    pub(crate) fn connections(&self) -> usize {
        *self.line.connections.borrow()
    }

    /// What clients published: subject and bytes of headers and payload, in order of arrival at
    /// the proxy, also if a cut kept it from the server.
    pub(crate) fn published(&self) -> Vec<(String, usize)> {
        self.line.up.list()
    }

    /// How many messages clients published on subjects that match `filter` (`*`, `>`).
    pub(crate) fn published_on(&self, filter: &str) -> usize {
        self.line.up.count(filter)
    }

    /// What the server delivered, as [`published`](Self::published); once per subscription.
    pub(crate) fn delivered(&self) -> Vec<(String, usize)> {
        self.line.down.list()
    }

    /// How many messages the server delivered on subjects that match `filter` (`*`, `>`).
    pub(crate) fn delivered_on(&self, filter: &str) -> usize {
        self.line.down.count(filter)
    }

    /// Bytes of all kinds from clients and to clients.
    pub(crate) fn bytes(&self) -> (u64, u64) {
        let read = |direction: &Direction| direction.bytes.load(Ordering::Relaxed);
        (read(&self.line.up), read(&self.line.down))
    }

    /// Forgets the messages and bytes seen so far.
    pub(crate) fn forget(&self) {
        for direction in [&self.line.up, &self.line.down] {
            direction.bytes.store(0, Ordering::Relaxed);
            direction.messages.send_replace(Vec::new());
        }
    }
}

impl Direction {
    fn note(&self, bytes: &[u8], reader: &mut WireReader) {
        self.bytes.fetch_add(bytes.len() as u64, Ordering::Relaxed);
        let seen = reader.read(bytes);
        if !seen.is_empty() {
            self.messages.send_modify(|messages| messages.extend(seen));
        }
    }

    fn list(&self) -> Vec<(String, usize)> {
        let messages = self.messages.borrow();
        messages.iter().map(|seen| (seen.subject.clone(), seen.size)).collect()
    }

    fn count(&self, filter: &str) -> usize {
        let messages = self.messages.borrow();
        let matching = |seen: &&Sighting| matches(filter, &seen.subject);
        messages.iter().filter(matching).count()
    }
}

async fn accept(listener: TcpListener, line: Arc<Line>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => if let Ok((client, _)) = accepted {
                // Counted before it runs, so that a cut cannot miss it.
                line.connections.send_modify(|count| *count += 1);
                let line = Arc::clone(&line);
                connections.spawn(async move {
                    carry(client, &line).await;
                    line.connections.send_modify(|count| *count -= 1);
                });
            },
            Some(_) = connections.join_next() => {}
        }
    }
}

impl Stall {
    fn swallows(self, way: Way) -> bool {
        match way {
            Way::Up => self.up,
            Way::Down => self.down,
        }
    }

    fn is_on(self) -> bool {
        self.up || self.down
    }
}

impl Line {
    fn swallows(&self, way: Way) -> bool {
        self.stall.borrow().swallows(way)
    }

    fn direction(&self, way: Way) -> &Direction {
        match way {
            Way::Up => &self.up,
            Way::Down => &self.down,
        }
    }

    /// Returns when a stall is over through which a connection that begins now has lived.
    async fn stalled_and_back(&self) {
        let mut stall = self.stall.subscribe();
        let first = { *stall.borrow_and_update() };
        let before = first.count - u64::from(first.is_on());
        let _ = stall.wait_for(|now| !now.is_on() && now.count > before).await;
    }
}

/// Carries one connection until both sides have closed it, one fails, or the line is cut.
async fn carry(mut client: TcpStream, line: &Line) {
    let mut open = line.open.subscribe();
    let carried = tokio::select! {
        biased;
        _ = open.wait_for(|open| !open) => false,
        () = line.stalled_and_back() => false,
        result = converse(&mut client, line) => result.is_ok(),
    };
    if !carried {
        // A reset, not a polite end.
        let _ = client.set_zero_linger();
    }
}

async fn converse(client: &mut TcpStream, line: &Line) -> io::Result<()> {
    if line.stall.borrow().is_on() {
        return pending().await;
    }
    let mut server = TcpStream::connect(&line.upstream).await?;
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    let (from_client, to_client) = client.split();
    let (from_server, to_server) = server.split();
    let carried = tokio::try_join!(
        delay(from_client, to_server, line, Way::Up),
        delay(from_server, to_client, line, Way::Down),
    );
    match carried {
        // One side has given up: in a stall, nothing tells the other.
        Err(_) if line.stall.borrow().is_on() => pending().await,
        result => result.map(drop),
    }
}

/// One direction: each chunk leaves one latency after it came, however many are under way.
async fn delay(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    line: &Line,
    way: Way,
) -> io::Result<()> {
    let direction = line.direction(way);
    let (queue, mut due) = mpsc::channel::<(Instant, Vec<u8>)>(IN_FLIGHT);
    let read = async move {
        let mut reader = WireReader::default();
        let mut chunk = vec![0; CHUNK];
        loop {
            let length = from.read(&mut chunk).await?;
            let bytes = chunk.get(..length).unwrap_or_default();
            direction.note(bytes, &mut reader);
            let latency = Duration::from_micros(line.latency_micros.load(Ordering::Relaxed));
            // An empty chunk is the end of the stream: it, too, travels for one latency.
            let sent = queue.send((Instant::now() + latency, bytes.to_vec())).await;
            if length == 0 || sent.is_err() {
                return io::Result::Ok(());
            }
        }
    };
    let write = async move {
        while let Some((at, bytes)) = due.recv().await {
            if at > Instant::now() {
                sleep_until(at).await;
            }
            if line.swallows(way) {
                continue;
            }
            if bytes.is_empty() {
                return to.shutdown().await;
            }
            to.write_all(&bytes).await?;
        }
        // The end was swallowed: what the other side makes of the silence is its own affair.
        pending().await
    };
    tokio::try_join!(read, write)?;
    Ok(())
}
