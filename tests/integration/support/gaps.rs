//! What a viewer misses: for how long nothing came.

use std::time::{Duration, Instant};

use headwater::client::{Player, TrackReport};
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::wait::{assert_holds, eventually};

/// The longest a promise lets a viewer be without media over a fault that doesn't touch the media.
///
/// Its packets come each 20 or 40 ms; the rest is for a busy machine's own delays.
pub(crate) const NOTHING: Duration = Duration::from_secs(1);

/// What is promised within three seconds; the rest is for a busy machine's own delays.
pub(crate) const PROMISED: Duration = Duration::from_secs(6);

/// The longest gaps of a viewer since this was made, as exact as its reports (a quarter of a second).
#[derive(Debug)]
pub(crate) struct Gaps {
    longest: watch::Sender<Longest>,
    _task: JoinSet<()>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Longest {
    audio: Duration,
    video: Duration,
}

impl Gaps {
    /// Watches a viewer that already gets something.
    pub(crate) fn of(player: &Player) -> Self {
        let longest = watch::Sender::new(Longest::default());
        let mut task = JoinSet::new();
        let (sender, mut report) = (longest.clone(), player.report());
        report.mark_unchanged();
        task.spawn(async move {
            while report.changed().await.is_ok() {
                let (audio, video) = {
                    let report = report.borrow_and_update();
                    (age(&report.audio), age(&report.video))
                };
                sender.send_modify(|longest| {
                    longest.audio = longest.audio.max(audio);
                    longest.video = longest.video.max(video);
                });
            }
        });
        Self { longest, _task: task }
    }

    /// The longest time without a packet of audio.
    pub(crate) fn audio(&self) -> Duration {
        self.longest.borrow().audio
    }

    /// The longest time without a packet of video.
    pub(crate) fn video(&self) -> Duration {
        self.longest.borrow().video
    }

    /// The longer of the two.
    pub(crate) fn longest(&self) -> Duration {
        self.audio().max(self.video())
    }
}

/// How long ago the last packet came; nothing for what never came.
fn age(track: &TrackReport) -> Duration {
    Duration::from_millis(track.last_packet_age_ms.unwrap_or(0))
}

/// Waits until a viewer that got nothing gets pictures again, within what is promised since `since`.
///
/// Answers how long that took.
pub(crate) async fn is_back(viewer: &Player, since: Instant, what: &str) -> Duration {
    let frames = viewer.report().borrow().video.frames;
    let left = PROMISED.saturating_sub(since.elapsed());
    eventually(left, format!("media is back: {what}"), || async {
        let report = viewer.report().borrow().clone();
        let back = report.video.frames > frames + 5 && report.last_packet_age_ms < Some(500);
        if back { Ok(()) } else { Err(report) }
    })
    .await;
    since.elapsed()
}

/// Viewers get their media without a gap for so long.
pub(crate) async fn goes_on(lasting: Duration, viewers: &[&Gaps]) {
    assert_holds(lasting, Duration::from_millis(500), "viewers play on", || async {
        let longest = viewers.iter().map(|gaps| gaps.longest()).max().unwrap_or_default();
        if longest < NOTHING { Ok(()) } else { Err(longest) }
    })
    .await;
}
