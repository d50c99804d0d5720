//! A room as text: its streams, and the tree of nodes that each of them reaches.

use chrono::{DateTime, Utc};

use super::format::{age, bitrate, bytes, count, milliseconds, plain, seconds, time};
use super::line::{Line, Tone};
use crate::monitor::view::{
    Condition, PipeView, Problem, RoomCounters, RoomView, Severity, StreamTree, TreeNode, TreeRole,
};
use crate::protocol::claim::{ClaimedProducer, EndReason};
use crate::protocol::ids::Region;

/// The whole room.
pub(super) fn room(view: &RoomView, now: DateTime<Utc>) -> Vec<Line> {
    let state = if view.live { "live" } else { "over" };
    let viewers = format!("  {state}  {}", count(view.viewers, "viewer"));
    let waiting = if view.waiting > 0 { format!(", {} waiting", view.waiting) } else { String::new() };
    let locks: Vec<&str> = view.locked_by.iter().map(|name| name.as_str()).collect();
    let locked = if locks.is_empty() { String::new() } else { format!("  locked by {}", locks.join(", ")) };
    let head = Line::default().with(Tone::Strong, view.room.to_string());
    let head = head.with(Tone::Plain, viewers).with(Tone::Warning, waiting).with(Tone::Warning, locked);
    let mut lines = vec![head];
    lines.extend(counters(&view.counters).into_iter().map(|text| Line::default().with(Tone::Faint, text)));
    for stream in &view.streams {
        lines.push(Line::default());
        lines.extend(self::stream(stream, now));
    }
    if !view.problems.is_empty() {
        lines.push(Line::default());
        lines.extend(view.problems.iter().map(problem));
    }
    lines
}

/// A problem, with its time.
pub(super) fn problem(problem: &Problem) -> Line {
    let (tone, word) = match problem.severity {
        Severity::Error => (Tone::Error, "error  "),
        Severity::Warning => (Tone::Warning, "warning"),
    };
    Line::default()
        .with(Tone::Faint, time(problem.time) + "  ")
        .with(tone, word)
        .with(Tone::Plain, format!("  {}", plain(&problem.text)))
}

fn counters(counters: &RoomCounters) -> [String; 2] {
    [
        format!(
            "{} joined, {} left, {} at most; those who left watched for {} and {} in sum",
            count(counters.viewers_joined, "viewer"),
            counters.viewers_left,
            counters.peak_viewers,
            seconds(counters.viewer_seconds),
            bytes(counters.watched_bytes),
        ),
        format!(
            "{} started; {} opened, {} failed; recovered {}",
            count(counters.streams_started, "stream"),
            count(counters.pipes_opened, "pipe"),
            counters.pipes_failed,
            count(counters.recoveries, "time"),
        ),
    ]
}

fn stream(stream: &StreamTree, now: DateTime<Utc>) -> Vec<Line> {
    let mut words = Vec::new();
    if stream.participant {
        words.push("participant".to_owned());
    }
    match (stream.live, stream.started_at, stream.ended) {
        (true, Some(started), _) => words.push(format!("live for {}", age(started, now))),
        (true, None, _) => words.push("live".to_owned()),
        // It is not over: it holds again with its origin's next word.
        (false, _, Some(EndReason::Lost)) => words.push("lost: its origin isn't heard".to_owned()),
        (false, _, Some(reason)) => words.push(format!("over: {}", reason.as_str())),
        (false, _, None) => words.push("not published".to_owned()),
    }
    words.extend(stream.ended_at.filter(|_| !stream.live).map(|ended| format!("{} ago", age(ended, now))));
    if stream.live {
        words.push(bitrate(stream.bitrate));
    }
    words.push(count(stream.viewers, "viewer"));
    if stream.depth > 0 {
        words.push(count(stream.depth, "hop"));
    }
    if stream.crossings > 0 {
        words.push(format!("crosses regions {}", count(stream.crossings, "time")));
    }
    words.extend(stream.producers.iter().map(producer));
    let head = Line::default()
        .with(Tone::Strong, stream.stream.to_string())
        .with(Tone::Plain, format!("  {}", words.join("  ")));
    let muted = if stream.muted { "  muted: no media comes from its publisher" } else { "" };
    let mut lines = vec![head.with(Tone::Warning, muted)];
    for warning in &stream.warnings {
        let since = format!("  for {}  ", age(warning.since, now));
        let line = Line::default().with(Tone::Warning, format!("! {}", warning.kind.as_str()));
        lines.push(line.with(Tone::Faint, since).with(Tone::Plain, plain(&warning.detail)));
    }
    if let Some(tree) = &stream.tree {
        branch(&mut lines, tree, &Place::root());
    }
    if !stream.apart.is_empty() {
        lines.push(Line::default().with(Tone::Warning, "apart, waiting or with an unknown source:"));
        stream.apart.iter().for_each(|node| branch(&mut lines, node, &Place::root()));
    }
    lines
}

fn producer(producer: &ClaimedProducer) -> String {
    let layers = if producer.encodings > 1 { format!(" ×{}", producer.encodings) } else { String::new() };
    let paused = if producer.paused { " paused" } else { "" };
    format!("{}{layers}{paused}", plain(&producer.mime_type))
}

/// Where in a tree a node is drawn.
struct Place<'a> {
    guide: String,
    below: String,
    parent: Option<&'a Region>,
}

impl<'a> Place<'a> {
    fn root() -> Self {
        Self { guide: String::new(), below: String::new(), parent: None }
    }

    fn child(&self, last: bool, parent: &'a Region) -> Self {
        let (own, below) = if last { ("└─ ", "   ") } else { ("├─ ", "│  ") };
        Self {
            guide: format!("{}{own}", self.below),
            below: format!("{}{below}", self.below),
            parent: Some(parent),
        }
    }
}

fn branch(lines: &mut Vec<Line>, node: &TreeNode, place: &Place<'_>) {
    lines.push(self::node(node, place));
    for (index, child) in node.children.iter().enumerate() {
        branch(lines, child, &place.child(index + 1 == node.children.len(), &node.region));
    }
}

fn node(node: &TreeNode, place: &Place<'_>) -> Line {
    let mut words = vec![role(node.role).to_owned()];
    if node.hops > 0 {
        words.push(format!("hop {}", node.hops));
    }
    if place.parent != Some(&node.region) {
        words.push(format!("in {}", node.region));
    }
    words.push(bitrate(node.bitrate));
    words.push(count(node.viewers, "viewer"));
    words.extend(node.pipe.as_ref().and_then(setup));
    let mut line = Line::default()
        .with(Tone::Faint, place.guide.clone())
        .with(Tone::Strong, node.node.to_string())
        .with(Tone::Plain, format!("  {}", words.join("  ")));
    if node.lost > 0 {
        line = line.with(Tone::Warning, format!("  {} lost", count(node.lost, "packet")));
    }
    if let Some(pipe) = node.pipe.as_ref().filter(|pipe| !pipe.open) {
        let attempt = if pipe.attempt > 1 { format!(", attempt {}", pipe.attempt) } else { String::new() };
        line = line.with(Tone::Warning, format!("  pipe opening{attempt}"));
    }
    match node.condition {
        Condition::Serving => line,
        other => line.with(tone(other), format!("  {}", condition(other))),
    }
}

fn setup(pipe: &PipeView) -> Option<String> {
    pipe.setup_us.map(|us| format!("opened in {}", milliseconds(us)))
}

fn role(role: TreeRole) -> &'static str {
    match role {
        TreeRole::Origin => "origin",
        TreeRole::Relay => "relay",
        TreeRole::Edge => "edge",
    }
}

/// A node's condition, as a word.
pub(super) fn condition(condition: Condition) -> &'static str {
    match condition {
        Condition::Serving => "serving",
        Condition::Draining => "draining",
        Condition::Stopped => "stopped",
        Condition::Lost => "lost",
    }
}

/// How a node's condition is meant.
pub(super) fn tone(condition: Condition) -> Tone {
    match condition {
        Condition::Serving => Tone::Plain,
        Condition::Draining => Tone::Warning,
        Condition::Stopped => Tone::Faint,
        Condition::Lost => Tone::Error,
    }
}

#[cfg(test)]
mod tests {
    use super::super::line::plain;
    use super::super::sample;
    use super::*;
    use crate::protocol::event::{Warning, WarningKind};

    fn drawn(view: &RoomView) -> String {
        plain(&room(view, sample::now()))
    }

    #[test]
    fn a_tree_is_drawn_from_its_origin() {
        let text = drawn(&sample::room());
        let tree = "\
main  live for 12m  2.1 Mbit/s  10 viewers  2 hops  crosses regions 1 time  video/VP8 ×3
west-1  origin  in west  2.1 Mbit/s  3 viewers
├─ east-1  relay  hop 1  in east  2.1 Mbit/s  1 viewer  opened in 12 ms  4 packets lost
│  ├─ east-2  edge  hop 2  2.0 Mbit/s  2 viewers  opened in 0.9 ms
│  └─ east-3  edge  hop 2  0 bit/s  0 viewers  pipe opening, attempt 2  draining
└─ west-2  edge  hop 1  2.1 Mbit/s  4 viewers  opened in 1.5 ms
";
        assert!(text.contains(tree), "{text}");
        assert!(
            text.starts_with("demo  live  10 viewers, 1 waiting\n40 viewers joined, 30 left, 12 at most;"),
            "{text}"
        );
    }

    #[test]
    fn a_muted_stream_and_what_its_publisher_does_wrong_stand_with_it() {
        let mut view = sample::room();
        let stream = &mut view.streams[0];
        stream.muted = true;
        let (kind, detail) = (WarningKind::NoKeyFrame, "no key frame came".to_owned());
        stream.warnings =
            vec![Warning { kind, since: sample::now() - chrono::TimeDelta::minutes(2), detail }];
        let text = drawn(&view);
        assert!(text.contains("video/VP8 ×3  muted: no media comes from its publisher\n"), "{text}");
        assert!(text.contains("\n! no_key_frame  for 2m  no key frame came\nwest-1  origin"), "{text}");
    }

    #[test]
    fn participants_are_told_apart_and_who_locks_the_room_is_named() {
        let mut view = sample::room();
        view.streams[0].participant = true;
        view.locked_by = vec!["chair".parse().unwrap()];
        let text = drawn(&view);
        assert!(text.starts_with("demo  live  10 viewers, 1 waiting  locked by chair\n"), "{text}");
        assert!(text.contains("main  participant  live for 12m"), "{text}");
    }

    #[test]
    fn what_went_wrong_stands_below() {
        let text = drawn(&sample::room());
        let line = "2026-05-01T11:59:00.000Z  error    The pipe from west-1 to east-3 failed.\n";
        assert!(text.ends_with(line), "{text}");
    }

    #[test]
    fn a_stream_without_its_origin_shows_who_waits() {
        let mut view = sample::room();
        view.live = false;
        let stream = &mut view.streams[0];
        stream.apart = stream.tree.take().unwrap().children;
        stream.live = false;
        stream.ended = Some(EndReason::Lost);
        stream.ended_at = Some(sample::now() - chrono::TimeDelta::seconds(5));
        let text = drawn(&view);
        assert!(text.contains("main  lost: its origin isn't heard  5s ago  10 viewers"), "{text}");
        assert!(text.contains("unknown source:\neast-1  relay  hop 1  in east"), "{text}");
    }

    #[test]
    fn trouble_stands_out_on_a_terminal() {
        let view = sample::room();
        let painted = super::super::line::painted(&room(&view, sample::now()));
        assert!(painted.contains("\u{1b}[33m  draining\u{1b}[0m"), "{painted}");
        assert!(painted.contains("\u{1b}[31merror  \u{1b}[0m"), "{painted}");
    }
}
