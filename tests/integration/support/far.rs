//! A long way between the machines of a network: what goes there is late, and now and then lost.
//!
//! The kernel of a test machine may know neither delay nor random loss, so frames leave it through a TAP
//! device for this process, which gives them back when their time has come.

use std::collections::VecDeque;
use std::fs::File;
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use tokio::time::{Instant, sleep_until};
use tokio_tun::Tun;
use tokio_util::sync::CancellationToken;

/// More than any frame of a device whose MTU is 1,500.
const FRAME: usize = 2048;
/// What waits at most; beyond that frames are lost, as in any queue.
const WAITING: usize = 20_000;

/// What a way does to the frames on it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Way {
    /// How long each frame takes, in one direction.
    pub(crate) one_way: Duration,
    /// How many of a million are lost.
    pub(crate) lost: u64,
}

impl Way {
    /// Sixty milliseconds there and back, one packet of a hundred lost.
    pub(crate) const SIXTY: Self = Self { one_way: Duration::from_millis(30), lost: 10_000 };
}

/// A long way that is under way: ends on drop.
#[derive(Debug)]
pub(crate) struct Far {
    road: Arc<Road>,
    stop: CancellationToken,
    thread: Option<JoinHandle<()>>,
}

/// What its thread and the test share.
#[derive(Debug)]
struct Road {
    micros: AtomicU64,
    /// Of a million.
    lost: AtomicU64,
    carried: AtomicU64,
    dropped: AtomicU64,
}

impl Road {
    fn set(&self, way: Way) {
        let micros = u64::try_from(way.one_way.as_micros()).expect("a delay below ages");
        self.micros.store(micros, Ordering::Relaxed);
        self.lost.store(way.lost, Ordering::Relaxed);
    }

    fn takes(&self) -> Duration {
        Duration::from_micros(self.micros.load(Ordering::Relaxed))
    }
}

impl Far {
    /// A way through a new TAP device in this namespace; returns when the device is there.
    pub(crate) fn start(namespace: &str, device: &str, way: Way) -> Self {
        let zero = AtomicU64::default;
        let road = Arc::new(Road { micros: zero(), lost: zero(), carried: zero(), dropped: zero() });
        road.set(way);
        let (stop, (there, ready)) = (CancellationToken::new(), mpsc::sync_channel(1));
        let place = PathBuf::from("/run/netns").join(namespace);
        let (name, shared, end) = (device.to_owned(), Arc::clone(&road), stop.clone());
        // A thread of its own: it lives in another namespace, and is late for nobody's sake.
        let thread = thread::Builder::new().name(format!("far-{device}")).spawn(move || {
            let place = File::open(place).expect("the namespace");
            move_into_link_name_space(place.as_fd(), Some(LinkNameSpaceType::Network)).expect("move there");
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.expect("a runtime").block_on(async {
                let mut made = Tun::builder().name(&name).tap().up().build().expect("a TAP device");
                let tap = made.pop().expect("one device");
                there.send(()).expect("someone waits for it");
                carry(&tap, &shared, &end).await;
            });
        });
        ready.recv().expect("the device is there");
        Self { road, stop, thread: Some(thread.expect("a thread")) }
    }

    /// Changes what it does; what is on its way keeps its delay.
    pub(crate) fn set(&self, way: Way) {
        self.road.set(way);
    }

    /// How many frames came through so far, and how many were lost.
    pub(crate) fn carried(&self) -> (u64, u64) {
        (self.road.carried.load(Ordering::Relaxed), self.road.dropped.load(Ordering::Relaxed))
    }
}

impl Drop for Far {
    fn drop(&mut self) {
        self.stop.cancel();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

async fn carry(tap: &Tun, road: &Road, stop: &CancellationToken) {
    let mut waiting: VecDeque<(Instant, Vec<u8>)> = VecDeque::new();
    let mut dice = Dice(0x9e37_79b9_7f4a_7c15);
    let mut frame = vec![0; FRAME];
    loop {
        let first = waiting.front().map(|(at, _)| *at);
        let due = async {
            match first {
                Some(at) => sleep_until(at).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            () = stop.cancelled() => return,
            () = due => {
                let now = Instant::now();
                while waiting.front().is_some_and(|(at, _)| *at <= now) {
                    let Some((_, frame)) = waiting.pop_front() else { break };
                    let _ = tap.send(&frame).await;
                    road.carried.fetch_add(1, Ordering::Relaxed);
                }
            }
            read = tap.recv(&mut frame) => {
                let Ok(length) = read else { return };
                let unlucky = dice.roll() % 1_000_000 < road.lost.load(Ordering::Relaxed);
                if unlucky || waiting.len() >= WAITING {
                    road.dropped.fetch_add(1, Ordering::Relaxed);
                } else {
                    waiting.push_back((Instant::now() + road.takes(), frame[..length].to_vec()));
                }
            }
        }
    }
}

/// The same losses in every run, as far as the frames are the same (Marsaglia's xorshift).
struct Dice(u64);

impl Dice {
    fn roll(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }
}
