//! The command lines in README.md for clients of others, run as they stand: only addresses are replaced.

use std::time::Duration;

use super::script::{START, Script, all};
use super::tree::Tree;

const LASTING: Duration = Duration::from_secs(70);
const README: &str = include_str!("../../../README.md");

/// The one command in README.md's `sh` blocks that contains this word, without its blocks' indentation.
fn command(word: &str) -> String {
    let blocks = README.split("```").skip(1).step_by(2).filter_map(|block| block.strip_prefix("sh\n"));
    let lines = blocks
        .map(|block| block.replace("\\\n", " "))
        .flat_map(|block| block.lines().map(|line| line.trim().to_owned()).collect::<Vec<_>>());
    let found: Vec<_> = lines.filter(|line| line.contains(word)).collect();
    let [line] = found.as_slice() else { panic!("one command with {word} in README.md: {found:?}") };
    line.clone()
}

/// The command, with this address in place of its own.
fn line(word: &str, path: &str, address: &str) -> String {
    let line = command(word);
    let at = line.find("http://").expect("an address");
    let own = line[at..].split(|c: char| c.is_whitespace() || c == '"').next().expect("an address");
    assert!(own.contains(path), "{own} is no address for {path}");
    line.replace(own, address)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_lines_in_the_readme_work() {
    let tree = Tree::start().await;
    let publishers = [
        ("whipclientsink", Script::line(&line("whipclientsink", "/whip/", &tree.whip("whipclientsink")))),
        ("whipsink", Script::line(&line("whipsink", "/whip/", &tree.whip("whipsink")))),
        ("ffmpeg", Script::line(&line("ffmpeg", "/whip/", &tree.whip("ffmpeg")))),
    ];
    let opened =
        futures_util::future::join_all(publishers.iter().map(|(room, publisher)| tree.room(room, publisher)));
    let mut faults = Vec::new();
    let (mut rooms, mut viewers) = (Vec::new(), Vec::new());
    for room in opened.await {
        match room {
            Ok(room) => rooms.push(room),
            Err(fault) => faults.push(fault),
        }
    }
    for room in &rooms {
        viewers.push(match room.name {
            // What these lines send is VP8, which is what that line takes.
            "whipclientsink" | "whipsink" => Script::line(&line("whepsrc", "/whep/", &room.far)),
            _ => Script::start("gstreamer", "watch", &room.far, "H264"),
        });
    }
    let seen = |report: &super::script::Report| report.frames > 10 && report.left > 0.01;
    faults.extend(all(viewers.iter().map(|viewer| viewer.until(START, seen))).await);
    let before: Vec<_> = viewers.iter().map(|viewer| viewer.report().frames).collect();
    // This is the test: nothing else than time passes.
    tokio::time::sleep(LASTING).await;
    for (viewer, before) in viewers.iter().zip(before) {
        let report = viewer.report();
        if report.frames < before + 5 * LASTING.as_secs() || report.gap > 5.0 || report.left < 0.01 {
            faults.push(format!("{before} frames, then {viewer:?}"));
        }
    }
    faults.extend(all(viewers.into_iter().map(|viewer| async { viewer.stop().await.map(drop) })).await);
    for room in rooms {
        room.end().await;
    }
    faults.extend(
        all(publishers.into_iter().map(|(_, publisher)| async { publisher.stop().await.map(drop) })).await,
    );
    tree.is_empty().await;
    assert!(faults.is_empty(), "{} faults:\n{}", faults.len(), faults.join("\n"));
}
