//! Publishers and viewers as people have them: who is sent out or cut off posts again.

use std::sync::Arc;
use std::time::Duration;

use headwater::client::{
    Clip, ConnectionState, Http, Player, PublishOptions, Publisher, WatchOptions, WatchReport,
};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

/// Between two attempts.
const AGAIN: Duration = Duration::from_millis(500);

/// All who publish and watch.
pub(super) struct Crew {
    addresses: Vec<String>,
    clip: Arc<Clip>,
    http: Http,
    publishers: Vec<(usize, CancellationToken)>,
    viewers: Vec<Viewer>,
    tasks: JoinSet<()>,
}

/// Someone who watches a stream at a node.
pub(super) struct Viewer {
    pub(super) what: String,
    /// What the last session tells; none before the first.
    pub(super) session: watch::Receiver<Option<watch::Receiver<WatchReport>>>,
    stop: CancellationToken,
}

impl Crew {
    pub(super) fn new(addresses: Vec<String>) -> Self {
        let (clip, http) = (Arc::new(Clip::builtin()), Http::new().expect("an http client"));
        Self { addresses, clip, http, publishers: Vec::new(), viewers: Vec::new(), tasks: JoinSet::new() }
    }

    /// A stream's publisher begins at a node, in place of the one before.
    pub(super) fn publish(&mut self, stream: usize, node: usize) {
        for (_, before) in self.publishers.extract_if(.., |(of, _)| *of == stream) {
            before.cancel();
        }
        let stop = CancellationToken::new();
        self.publishers.push((stream, stop.clone()));
        let urls: Vec<_> = self.addresses.iter().map(|at| format!("{at}/whip/room-{stream}")).collect();
        let (clip, http) = (Arc::clone(&self.clip), self.http.clone());
        self.tasks.spawn(async move {
            for url in urls.iter().cycle().skip(node) {
                let mut options = PublishOptions::new(url.clone(), Arc::clone(&clip));
                options.http = Some(http.clone());
                let session = tokio::select! {
                    () = stop.cancelled() => return,
                    session = Publisher::start(options) => session,
                };
                let Ok(publisher) = session else {
                    sleep(AGAIN).await;
                    continue;
                };
                let stats = publisher.stats();
                tokio::select! {
                    () = stop.cancelled() => {
                        let _ = publisher.stop().await;
                        return;
                    }
                    () = over(stats, |stats| stats.state == ConnectionState::Disconnected) => {}
                }
            }
        });
    }

    /// A viewer comes.
    pub(super) fn watch(&mut self, stream: usize, node: usize) {
        let url = format!("{}/whep/room-{stream}", self.addresses[node]);
        let (sessions, session) = watch::channel(None);
        let stop = CancellationToken::new();
        self.viewers.push(Viewer { what: url.clone(), session, stop: stop.clone() });
        let http = self.http.clone();
        self.tasks.spawn(async move {
            loop {
                let mut options = WatchOptions::new(url.clone());
                options.http = Some(http.clone());
                let session = tokio::select! {
                    () = stop.cancelled() => return,
                    session = Player::start(options) => session,
                };
                let Ok(player) = session else {
                    sleep(AGAIN).await;
                    continue;
                };
                let report = player.report();
                sessions.send_replace(Some(player.report()));
                tokio::select! {
                    () = stop.cancelled() => {
                        player.stop().await;
                        return;
                    }
                    () = over(report, |report| report.state == ConnectionState::Disconnected) => {}
                }
            }
        });
    }

    /// The viewer who is there longest goes.
    pub(super) fn one_leaves(&mut self) {
        if !self.viewers.is_empty() {
            self.viewers.remove(0).stop.cancel();
        }
    }

    pub(super) fn viewers(&self) -> &[Viewer] {
        &self.viewers
    }

    /// All go, and say so.
    pub(super) async fn leave(mut self) {
        let publishers = self.publishers.iter().map(|(_, stop)| stop);
        publishers.chain(self.viewers.iter().map(|viewer| &viewer.stop)).for_each(CancellationToken::cancel);
        while self.tasks.join_next().await.is_some() {}
    }
}

/// Returns when a session is so, or has ended.
async fn over<T>(mut session: watch::Receiver<T>, is: impl FnMut(&T) -> bool) {
    let _ = session.wait_for(is).await;
}

impl Viewer {
    /// Whether it gets media now; else what its session says.
    pub(super) fn plays(&self) -> Result<(), String> {
        let session = self.session.borrow();
        let Some(report) = session.as_ref().map(|report| report.borrow().clone()) else {
            return Err(format!("{}: no session", self.what));
        };
        let flows = |age: Option<u64>| age.is_some_and(|age| age < 500);
        let plays = report.state == ConnectionState::Connected
            && flows(report.audio.last_packet_age_ms)
            && flows(report.video.last_packet_age_ms)
            && report.video.frames > 0;
        if plays { Ok(()) } else { Err(format!("{}: {report:?}", self.what)) }
    }
}
