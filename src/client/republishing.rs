//! A publisher that goes on at another node when its own one dies, or stops.

use std::time::Duration;

use reqwest::Url;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, timeout};
use tokio_util::sync::CancellationToken;

use super::http::{Http, parse_url};
use super::links::{Ways, rounds};
use super::session::Absent;
use super::{ClientError, PublishOptions, PublishStats, Publisher};

/// How often the session is asked for: whoever sends is told by no silence.
const ASK: Duration = Duration::from_secs(1);
/// How long it is tried to go on.
const PATIENCE: Duration = Duration::from_secs(120);
/// How long leaving may take.
const LEAVE: Duration = Duration::from_secs(3);

/// A publisher that goes on at another node when its own one dies, or stops at a drain's deadline. One whose session the
/// server ends while it goes on itself stays ended: it may have been overtaken, or sent out. Dropping it stops it at once.
#[derive(Debug)]
pub struct Republishing {
    stats: watch::Receiver<PublishStats>,
    stop: CancellationToken,
    task: JoinSet<Result<(), ClientError>>,
}

impl Republishing {
    /// Begins as [`Publisher::start`] does.
    ///
    /// # Errors
    ///
    /// [`ClientError`] where the first endpoint doesn't take it.
    pub async fn start(mut options: PublishOptions) -> Result<Republishing, ClientError> {
        let first = parse_url(&options.url)?;
        options.http = Some(options.http.clone().map_or_else(Http::new, Ok)?);
        let publisher = Publisher::start(options.clone()).await?;
        let (sender, stats) = watch::channel(publisher.stats().borrow().clone());
        let stop = CancellationToken::new();
        let mut task = JoinSet::new();
        task.spawn(run(options, Ways::new(first), publisher, sender, stop.clone()));
        Ok(Republishing { stats, stop, task })
    }

    /// The numbers of the session that there is now.
    #[must_use]
    pub fn stats(&self) -> watch::Receiver<PublishStats> {
        self.stats.clone()
    }

    /// Deletes the session and ends the media.
    ///
    /// # Errors
    ///
    /// [`ClientError`] where the server does not confirm the DELETE; the media has ended all the same.
    pub async fn stop(mut self) -> Result<(), ClientError> {
        self.stop.cancel();
        self.task.join_next().await.and_then(Result::ok).unwrap_or(Ok(()))
    }
}

async fn run(
    options: PublishOptions,
    mut ways: Ways,
    mut publisher: Publisher,
    sender: watch::Sender<PublishStats>,
    stop: CancellationToken,
) -> Result<(), ClientError> {
    while !stop.is_cancelled() {
        ways.note(publisher.ways());
        let Some(is_gone) = stop.run_until_cancelled(stay(&publisher, &mut ways, &sender)).await else {
            break;
        };
        if !is_gone {
            return Ok(());
        }
        tracing::warn!("the node is gone: going on at another one");
        let start = |url: Url| Publisher::start(PublishOptions { url: url.into(), ..options.clone() });
        let next = stop.run_until_cancelled(rounds(&ways.all(None), PATIENCE, start)).await;
        let Some(Some(next)) = next else { break };
        // What it may still hold of us is overtaken, and ends by itself.
        drop(std::mem::replace(&mut publisher, next));
    }
    timeout(LEAVE, publisher.stop()).await.unwrap_or(Ok(()))
}

/// Passes on the numbers; true once the node is gone, false once it has ended the session.
async fn stay(publisher: &Publisher, ways: &mut Ways, sender: &watch::Sender<PublishStats>) -> bool {
    let mut stats = publisher.stats();
    let mut ask = tokio::time::interval(ASK);
    ask.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            changed = stats.changed() => {
                sender.send_replace(stats.borrow_and_update().clone());
                if changed.is_err() {
                    // A node that knows nothing of the session has ended it for a reason. One that is on its way out, or
                    // gone already, has not.
                    return !matches!(publisher.is_there().await, Err(Absent::Unknown));
                }
            }
            _ = ask.tick() => match publisher.is_there().await {
                Ok(told) => ways.note(told),
                Err(absent) => {
                    let closed = async { while stats.changed().await.is_ok() {} };
                    let closed = timeout(absent.last_word(), closed).await.is_ok();
                    return !(closed && absent == Absent::Unknown);
                }
            }
        }
    }
}
