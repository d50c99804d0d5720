//! The threads that carry the sessions, each with a runtime and connections of its own.

use std::num::NonZero;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use tokio::sync::{Semaphore, mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, timeout};
use tokio_util::sync::CancellationToken;

use super::LoadError;
use super::gauge::THREAD;
use super::outcome::reason;
use crate::client::{Http, Player, PublishOptions, PublishStats, Publisher, WatchOptions, WatchReport};

/// How often a thread looks how late it comes.
const BEAT: Duration = Duration::from_millis(20);
/// How many sessions of a thread leave at the same time.
const LEAVING: usize = 16;
/// How long leaving may take.
const LEAVE: Duration = Duration::from_secs(5);
/// Events that wait; more than a second brings.
const EVENTS: usize = 4096;

/// A session to begin.
#[derive(Debug)]
pub(super) enum Task {
    Watch(usize, Box<WatchOptions>),
    Publish(usize, Box<PublishOptions>),
}

/// What became of the session of that number.
#[derive(Debug)]
pub(super) enum Event {
    Watching(usize, watch::Receiver<WatchReport>),
    Watched(usize, Box<WatchReport>),
    NotWatching(usize, String),
    Publishing(usize, watch::Receiver<PublishStats>),
    Published(usize, Box<PublishStats>),
    NotPublishing(usize, String),
    /// A thread came so late to its own appointment.
    Late(Duration),
}

/// All threads.
#[derive(Debug)]
pub(super) struct Crew {
    inboxes: Vec<mpsc::Sender<Task>>,
    threads: Vec<JoinHandle<()>>,
    /// Viewers' sessions end, and publishers'.
    viewers: CancellationToken,
    publishers: CancellationToken,
    /// Threads end, whatever they have.
    abort: CancellationToken,
}

impl Crew {
    /// Starts so many threads, one for each core where it is 0. They tell what happens.
    pub(super) fn start(threads: usize) -> Result<(Crew, mpsc::Receiver<Event>), LoadError> {
        let cores = thread::available_parallelism().map_or(1, NonZero::get);
        let (events, told) = mpsc::channel(EVENTS);
        let mut crew = Crew {
            inboxes: Vec::new(),
            threads: Vec::new(),
            viewers: CancellationToken::new(),
            publishers: CancellationToken::new(),
            abort: CancellationToken::new(),
        };
        for number in 0..(if threads == 0 { cores } else { threads }) {
            let (sender, inbox) = mpsc::channel(64);
            let hand = Hand {
                events: events.clone(),
                viewers: crew.viewers.clone(),
                publishers: crew.publishers.clone(),
                leaving: Arc::new(Semaphore::new(LEAVING)),
            };
            let abort = crew.abort.clone();
            let system = |source| LoadError::System { what: "starting a thread", source };
            let runtime =
                tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(system)?;
            let work = move || {
                runtime.block_on(abort.run_until_cancelled(hand.work(inbox)));
                // Look-ups of names may hang; nothing waits for them.
                runtime.shutdown_background();
            };
            let thread =
                thread::Builder::new().name(format!("{THREAD}{number}")).spawn(work).map_err(system)?;
            crew.inboxes.push(sender);
            crew.threads.push(thread);
        }
        Ok((crew, told))
    }

    /// Begins a session; by turns on each thread.
    pub(super) async fn begin(&self, task: Task) {
        let (Task::Watch(number, _) | Task::Publish(number, _)) = &task;
        if let Some(inbox) = self.inboxes.get(number % self.inboxes.len().max(1)) {
            // A thread that has ended has nothing to tell any more either.
            let _ = inbox.send(task).await;
        }
    }

    /// Has all viewers leave.
    pub(super) fn dismiss_viewers(&self) {
        self.viewers.cancel();
    }

    /// Has all leave, and the threads end with the last session. Events go on until then.
    pub(super) fn dismiss(&mut self) {
        self.viewers.cancel();
        self.publishers.cancel();
        self.inboxes.clear();
    }

    /// Ends the threads, with what is left on them.
    pub(super) fn end(mut self) {
        self.abort.cancel();
        for thread in self.threads.drain(..) {
            if thread.join().is_err() {
                tracing::error!("a thread of the load tool ended badly");
            }
        }
    }
}

impl Drop for Crew {
    fn drop(&mut self) {
        self.abort.cancel();
    }
}

/// What a thread has.
#[derive(Debug, Clone)]
struct Hand {
    events: mpsc::Sender<Event>,
    viewers: CancellationToken,
    publishers: CancellationToken,
    leaving: Arc<Semaphore>,
}

impl Hand {
    async fn work(self, mut inbox: mpsc::Receiver<Task>) {
        let http = match Http::new() {
            Ok(http) => http,
            Err(error) => return tracing::error!(%error, "no connections"),
        };
        let mut sessions = JoinSet::new();
        let mut beat = tokio::time::interval(BEAT);
        beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                task = inbox.recv() => match task {
                    Some(Task::Watch(number, options)) => {
                        let options = WatchOptions { http: Some(http.clone()), ..*options };
                        sessions.spawn(self.clone().watch(number, options));
                    }
                    Some(Task::Publish(number, options)) => {
                        let options = PublishOptions { http: Some(http.clone()), ..*options };
                        sessions.spawn(self.clone().publish(number, options));
                    }
                    None => break,
                },
                due = beat.tick() => {
                    let late = Instant::now().saturating_duration_since(due.into_std());
                    let _ = self.events.try_send(Event::Late(late));
                }
                Some(_) = sessions.join_next() => {}
            }
        }
        while sessions.join_next().await.is_some() {}
    }

    async fn watch(self, number: usize, options: WatchOptions) {
        let event = match Player::start(options).await {
            Err(error) => Event::NotWatching(number, reason(&error)),
            Ok(player) => {
                let mut report = player.report();
                self.tell(Event::Watching(number, player.report())).await;
                stay(&self.viewers, async { while report.changed().await.is_ok() {} }).await;
                let _permit = self.leaving.acquire().await;
                let last = timeout(LEAVE, player.stop()).await.unwrap_or_else(|_| report.borrow().clone());
                Event::Watched(number, Box::new(last))
            }
        };
        self.tell(event).await;
    }

    async fn publish(self, number: usize, options: PublishOptions) {
        let event = match Publisher::start(options).await {
            Err(error) => Event::NotPublishing(number, reason(&error)),
            Ok(publisher) => {
                let mut stats = publisher.stats();
                self.tell(Event::Publishing(number, publisher.stats())).await;
                stay(&self.publishers, async { while stats.changed().await.is_ok() {} }).await;
                let last = stats.borrow().clone();
                let _permit = self.leaving.acquire().await;
                if !matches!(timeout(LEAVE, publisher.stop()).await, Ok(Ok(()))) {
                    tracing::warn!(number, "the server does not confirm that a publisher has left");
                }
                Event::Published(number, Box::new(last))
            }
        };
        self.tell(event).await;
    }

    async fn tell(&self, event: Event) {
        // Nobody listens once the report is made.
        let _ = self.events.send(event).await;
    }
}

/// Until all are to leave, or the session has ended by itself.
async fn stay(stop: &CancellationToken, ended: impl Future<Output = ()>) {
    tokio::select! {
        () = stop.cancelled() => {}
        () = ended => {}
    }
}
