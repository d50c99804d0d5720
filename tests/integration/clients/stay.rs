//! Clients publish, and others watch, for longer than any of them may be silent.

use std::time::Duration;

use super::script::{START, Script, all};
use super::tree::{Room, Tree};

/// Longer than ICE consent (30 s), twice, and the time-outs that go by it.
const LASTING: Duration = Duration::from_secs(70);
/// Nothing may stand still for so many seconds once it has begun.
const FREEZE: f64 = 5.0;
/// Fewer frames a second than this of 15 aren't a picture.
const RATE: f64 = 7.0;

/// Who publishes in which codec, and who watches it.
const ROOMS: [(&str, &str, &str, &[&str]); 5] = [
    ("chromium-vp8", "chromium", "VP8", &["firefox"]),
    ("firefox-vp8", "firefox", "VP8", &["chromium"]),
    ("aiortc-h264", "aiortc", "H264", &["gstreamer", "chromium"]),
    ("gstreamer-vp8", "gstreamer", "VP8", &["aiortc", "gstreamer"]),
    ("gstreamer-h264", "gstreamer", "H264", &["aiortc"]),
];

/// A viewer, and what was seen of it since the time began.
struct Viewer<'a> {
    room: &'static str,
    script: Script,
    /// Who sends what it sees, shown beside it: a busy machine holds up both.
    publisher: &'a Script,
    /// How many frames it had then.
    frames: u64,
    /// How often it was listened to, heard the tone, and heard it on both sides.
    looks: u32,
    heard: u32,
    both: u32,
}

impl Viewer<'_> {
    /// Listens for the tone.
    fn look(&mut self) {
        let report = self.script.report();
        self.looks += 1;
        self.heard += u32::from(report.left > 0.05);
        self.both += u32::from(report.right > 0.05);
    }

    /// What is wrong with it after `LASTING`.
    fn judge(&self) -> Result<(), String> {
        let report = self.script.report();
        let rate = (report.frames - self.frames) as f64 / LASTING.as_secs_f64();
        let fault = if report.error.is_some() || report.state != "connected" {
            "has ended"
        } else if rate < RATE {
            "has too few frames"
        } else if report.gap > FREEZE {
            "stood still"
        } else if self.heard < self.looks / 2 {
            "hears little"
        } else if self.both > self.looks / 10 {
            "hears on both sides what is on the left"
        } else {
            return Ok(());
        };
        let [looks, heard, both] = [self.looks, self.heard, self.both];
        let heard = format!("heard {heard} times of {looks}, {both} on both sides");
        let of = self.publisher;
        Err(format!("{} {fault} ({rate:.1} frames/s, {heard}): {:?} of {of:?}", self.room, self.script))
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_publishes_and_who_watches_stays() {
    let tree = Tree::start().await;
    let mut faults = Vec::new();
    let publishers: Vec<_> = ROOMS
        .iter()
        .map(|(room, client, codec, _)| Script::start(client, "publish", &tree.whip(room), codec))
        .collect();
    let opened = futures_util::future::join_all(
        publishers.iter().zip(&ROOMS).map(|(publisher, (room, ..))| tree.room(room, publisher)),
    )
    .await;
    let mut rooms: Vec<Room> = Vec::new();
    let mut viewers = Vec::new();
    for ((opened, publisher), (_, _, codec, watch)) in opened.into_iter().zip(&publishers).zip(&ROOMS) {
        match opened {
            Ok(room) => {
                for client in *watch {
                    let script = Script::start(client, "watch", &room.far, codec);
                    let room = room.name;
                    viewers.push(Viewer { room, script, publisher, frames: 0, looks: 0, heard: 0, both: 0 });
                }
                rooms.push(room);
            }
            Err(fault) => faults.push(fault),
        }
    }
    faults.extend(
        all(viewers.iter().map(|viewer| viewer.script.until(START, |report| report.frames > 10))).await,
    );
    for viewer in &mut viewers {
        viewer.frames = viewer.script.report().frames;
    }
    // This is the test: nothing else than time passes.
    for _ in 0..LASTING.as_secs() {
        tokio::time::sleep(Duration::from_secs(1)).await;
        viewers.iter_mut().for_each(Viewer::look);
    }
    faults.extend(viewers.iter().filter_map(|viewer| viewer.judge().err()));
    for publisher in &publishers {
        let report = publisher.report();
        if report.error.is_some() || report.state != "connected" {
            faults.push(format!("the publisher has ended: {publisher:?}"));
        }
    }
    faults
        .extend(all(viewers.into_iter().map(|viewer| async { viewer.script.stop().await.map(drop) })).await);
    for room in rooms {
        room.end().await;
    }
    faults.extend(
        all(publishers.into_iter().map(|publisher| async { publisher.stop().await.map(drop) })).await,
    );
    tree.is_empty().await;
    assert!(faults.is_empty(), "{} faults:\n{}", faults.len(), faults.join("\n"));
}
