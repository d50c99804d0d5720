//! A publisher goes and comes back, in the same codec and in another: its viewers go on, or are ended.

use super::script::{START, Script, all};
use super::tree::Tree;

const VIEWERS: [&str; 4] = ["chromium", "firefox", "aiortc", "gstreamer"];

/// Waits until it has seen more than now.
async fn goes_on(viewer: &Script) -> Result<(), String> {
    let frames = viewer.report().frames;
    viewer.until(START, |report| report.frames > frames + 15).await
}

/// Waits until it has seen more, or its session has ended: a player connects again then.
async fn goes_on_or_ends(viewer: &Script) -> Result<(), String> {
    let frames = viewer.report().frames;
    let ended = |state: &str| matches!(state, "disconnected" | "failed" | "closed");
    viewer.until(START, |report| report.frames > frames + 15 || ended(&report.state)).await
}

/// What of this is not so, and what was sent meanwhile.
async fn all_of<T>(sends: &Script, waits: impl IntoIterator<Item = T>) -> Vec<String>
where
    T: Future<Output = Result<(), String>>,
{
    all(waits).await.into_iter().map(|fault| format!("{fault}, while {sends:?}")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn viewers_go_on_with_a_publisher_that_returns_or_are_ended() {
    let tree = Tree::start().await;
    let whip = tree.whip("news");
    let first = Script::start("aiortc", "publish", &whip, "VP8");
    let room = tree.room("news", &first).await.unwrap();
    let viewers = VIEWERS.map(|client| Script::start(client, "watch", &room.far, "VP8"));
    let seen = |report: &super::script::Report| report.frames > 15 && report.left > 0.05;
    let mut faults = all_of(&first, viewers.iter().map(|viewer| viewer.until(START, seen))).await;

    first.stop().await.unwrap();
    let same = Script::start("aiortc", "publish", &whip, "VP8");
    faults.extend(all_of(&same, viewers.iter().map(goes_on)).await);

    same.stop().await.unwrap();
    let other = Script::start("aiortc", "publish", &whip, "H264");
    faults.extend(all_of(&other, viewers.iter().map(goes_on_or_ends)).await);
    // Whoever was ended connects again. Firefox has no H.264 where it can't load its plug-in: it hears all the same.
    let again = VIEWERS.map(|client| Script::start(client, "watch", &room.far, "H264"));
    let waits = again.iter().zip(VIEWERS).map(|(viewer, client)| {
        viewer.until(START, move |report| report.left > 0.05 && (client == "firefox" || report.frames > 15))
    });
    faults.extend(all_of(&other, waits).await);

    faults.extend(all(again.into_iter().map(|viewer| async { viewer.stop().await.map(drop) })).await);
    for viewer in viewers {
        // How a client says that it was ended is its own matter.
        let _ = viewer.stop().await;
    }
    other.stop().await.unwrap();
    room.end().await;
    tree.is_empty().await;
    assert!(faults.is_empty(), "{} faults:\n{}", faults.len(), faults.join("\n"));
}
