//! A player that goes on at another node when its own one dies or sends it away.
//!
//! The server names other endpoints with each session. Where no packet comes, the session is asked for: if its node
//! doesn't answer, or another one says that the session is gone, these are tried in turn, and the first endpoint last.

use std::time::{Duration, Instant};

use reqwest::Url;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, timeout};
use tokio_util::sync::CancellationToken;

use super::http::{Http, parse_url};
use super::links::{Ways, rounds};
use super::listening::{Told, listen};
use super::{ClientError, ConnectionState, Player, WatchOptions, WatchReport};

/// How often it is looked whether packets come.
const LOOK: Duration = Duration::from_millis(100);
/// Without a packet for so long, the session is asked for; and again after so long, growing to the longest.
const SILENCE: Duration = Duration::from_millis(400);
const LONGEST_SILENCE: Duration = Duration::from_secs(5);
/// How often it is asked for where all is well: other nodes come and go.
const REFRESH: Duration = Duration::from_secs(10);
/// How long the new session may take to bring media before the old one is left.
const OVERLAP: Duration = Duration::from_secs(5);
/// How long leaving may take.
const LEAVE: Duration = Duration::from_secs(3);
/// When a node that sends away, and knows no other, is heard again.
const RETRY: Duration = Duration::from_secs(1);
/// How long it is tried to go on.
const PATIENCE: Duration = Duration::from_secs(120);

/// A player that follows its stream from node to node. Dropping it stops it at once.
#[derive(Debug)]
pub struct Roaming {
    report: watch::Receiver<WatchReport>,
    stop: CancellationToken,
    task: JoinSet<()>,
}

impl Roaming {
    /// Begins as [`Player::start`] does.
    ///
    /// # Errors
    ///
    /// [`ClientError`] where the first endpoint can't be watched.
    pub async fn start(mut options: WatchOptions) -> Result<Roaming, ClientError> {
        let first = parse_url(&options.url)?;
        let http = options.http.clone().map_or_else(Http::new, Ok)?;
        options.http = Some(http.clone());
        let player = Player::start(options.clone()).await?;
        let (sender, report) = watch::channel(player.report().borrow().clone());
        let stop = CancellationToken::new();
        let way = Way { options, http, ways: Ways::new(first), moves: 0, sender, leaving: JoinSet::new() };
        let mut task = JoinSet::new();
        task.spawn(way.run(player, stop.clone()));
        Ok(Roaming { report, stop, task })
    }

    /// The report of the session that there is now; `moves` says how many there were before.
    #[must_use]
    pub fn report(&self) -> watch::Receiver<WatchReport> {
        self.report.clone()
    }

    /// Ends the session and returns the last report.
    pub async fn stop(mut self) -> WatchReport {
        self.stop.cancel();
        self.task.join_next().await;
        self.report.borrow().clone()
    }
}

/// What ends a stay at a node.
enum End {
    Stopped,
    /// The node is gone, or the session is.
    Gone(&'static str),
    /// The node closed the connection.
    Closed,
    /// It asks to go on elsewhere.
    SentAway(Option<Url>),
}

struct Way {
    options: WatchOptions,
    http: Http,
    ways: Ways,
    moves: u32,
    sender: watch::Sender<WatchReport>,
    /// Sessions that are being left.
    leaving: JoinSet<()>,
}

impl Way {
    async fn run(mut self, mut player: Player, stop: CancellationToken) {
        loop {
            let end = self.stay(&player, &stop).await;
            let sent_away = matches!(end, End::SentAway(_));
            let (wished, patience) = match end {
                End::Stopped => break,
                End::Gone(reason) => {
                    tracing::warn!(reason, "the node is gone: going on at another one");
                    (None, PATIENCE)
                }
                // A session that was ended for a reason is not opened again: that is asked once.
                End::Closed => (None, Duration::ZERO),
                End::SentAway(url) => {
                    tracing::info!(?url, "the node is on its way out: going on at another one");
                    (url, Duration::ZERO)
                }
            };
            let Some(next) = stop.run_until_cancelled(self.seek(wished, patience)).await else { break };
            match next {
                Some(next) => {
                    if sent_away {
                        // Make before break.
                        let _ = stop.run_until_cancelled(timeout(OVERLAP, plays(&next))).await;
                    }
                    self.go_to(&mut player, next);
                }
                // It plays here for as long as the node lets it.
                None if sent_away => drop(stop.run_until_cancelled(tokio::time::sleep(RETRY)).await),
                None => return self.say(&player.report().borrow()),
            }
        }
        let last = player.stop().await;
        self.say(&last);
        let _ = timeout(LEAVE, async { while self.leaving.join_next().await.is_some() {} }).await;
    }

    fn say(&self, report: &WatchReport) {
        self.sender.send_replace(WatchReport { moves: self.moves, ..report.clone() });
    }

    fn go_to(&mut self, player: &mut Player, next: Player) {
        self.moves += 1;
        let old = std::mem::replace(player, next);
        self.leaving.spawn(async move { drop(timeout(LEAVE, old.stop()).await) });
        while self.leaving.try_join_next().is_some() {}
        self.say(&player.report().borrow());
    }

    /// Stays at a node, and passes on its reports.
    async fn stay(&mut self, player: &Player, stop: &CancellationToken) -> End {
        let mut report = player.report();
        self.ways.note(player.ways());
        let (sender, mut told) = mpsc::channel(4);
        let mut listening = JoinSet::new();
        if let Some(events) = player.events() {
            listening.spawn(listen(self.http.clone(), events, self.options.token.clone(), sender));
        }
        let mut look = tokio::time::interval(LOOK);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let began = Instant::now();
        let (mut asked, mut patience, mut packets, mut heard) = (Instant::now(), SILENCE, 0, Instant::now());
        loop {
            let mut doubt = None;
            tokio::select! {
                biased;
                () = stop.cancelled() => return End::Stopped,
                changed = report.changed() => {
                    let now = report.borrow_and_update().clone();
                    self.say(&now);
                    if now.packets > packets {
                        (packets, heard, patience) = (now.packets, Instant::now(), SILENCE);
                    }
                    if changed.is_err() {
                        return End::Closed;
                    }
                }
                Some(word) = told.recv() => match word {
                    Told::Reconnect(url) => return End::SentAway(url),
                    Told::Over => doubt = Some("its events ended"),
                },
                _ = look.tick() => {
                    let silent = heard.max(began).elapsed() > patience && asked.elapsed() > patience;
                    if silent {
                        doubt = Some("no packet comes");
                    } else if asked.elapsed() > REFRESH {
                        doubt = Some("it is time");
                    }
                }
            }
            let Some(why) = doubt else { continue };
            match player.is_there().await {
                Ok(told) => self.ways.note(told),
                Err(absent) => {
                    let closed = async { while report.changed().await.is_ok() {} };
                    let closed = timeout(absent.last_word(), closed).await.is_ok();
                    return if closed { End::Closed } else { End::Gone(why) };
                }
            }
            asked = Instant::now();
            patience = (patience * 2).min(LONGEST_SILENCE);
        }
    }

    /// A session at the first of all ways that serves, in rounds until `patience` is over.
    async fn seek(&self, wished: Option<Url>, patience: Duration) -> Option<Player> {
        let start = |url: Url| {
            Player::start(WatchOptions { url: url.into(), retry_until_live: None, ..self.options.clone() })
        };
        rounds(&self.ways.all(wished), patience, start).await
    }
}

/// Returns once media comes.
async fn plays(player: &Player) {
    let mut report = player.report();
    let comes = |report: &WatchReport| {
        let video = report.video.packets == 0 || report.video.frames > 0;
        report.packets > 0 && video && report.state == ConnectionState::Connected
    };
    // A player that ends is left by the next look.
    let _ = report.wait_for(comes).await;
}
