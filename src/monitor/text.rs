//! Events in plain words.

use std::fmt::Write;

use crate::protocol::claim::{ClaimedProducer, EndReason};
use crate::protocol::event::{
    Deed, Event, LeaveReason, NodeSummary, RoomModerated, RoomSummary, StreamHere, Turned, ViewerJoined,
    ViewerLeft, What,
};
use crate::protocol::ids::StreamName;

/// What happened, as one plain sentence that starts with the node that tells it. The room isn't named.
pub fn of(event: &Event) -> String {
    let node = &event.source.node;
    match &event.what {
        What::StreamStarted(it) if it.participant => {
            let over = if it.takeover { ", in place of a former one" } else { "" };
            format!("{node} has participant {}{over}: it is there{}.", it.stream, media(&it.producers))
        }
        What::StreamStarted(it) => {
            let over = if it.takeover { ", which took the name from another" } else { "" };
            let media = media(&it.producers);
            format!("{node} has a publisher of stream {}{over}: it is live{media}.", it.stream)
        }
        What::StreamChanged(it) => {
            format!("{node} has new media of stream {}: it goes on{}.", it.stream, media(&it.producers))
        }
        What::StreamEnded(it) => {
            let lasted = milliseconds(it.duration_ms);
            format!("{node} ended stream {} after {lasted}: {}.", it.stream, why_over(it.reason))
        }
        What::StreamRecovered(it) => {
            let (gap, viewers) = (milliseconds(it.gap_ms), count(it.viewers, "viewer"));
            format!("{node} has stream {} back for {viewers} after {gap}.", it.stream)
        }
        What::StreamWarning(it) => {
            let (kind, detail) = (it.kind.as_str(), trimmed(&it.detail));
            format!("{node} warns of stream {} ({kind}): {detail}.", it.stream)
        }
        What::StreamCleared(it) => {
            let (kind, lasted) = (it.kind.as_str(), milliseconds(it.duration_ms));
            format!("{node} warns of stream {} no more ({kind}): it lasted {lasted}.", it.stream)
        }
        What::PublisherRejected(it) => turned(node.as_str(), "publisher", it),
        What::PipeOpening(it) => {
            format!("{node} is opening a pipe to {} (attempt {}, hop {}).", it.to.node, it.attempt, it.hop)
        }
        What::PipeOpened(it) => {
            let (took, streams) = (microseconds(it.setup_us), names(&it.streams));
            format!("{node} opened its pipe to {} within {took}; it carries {streams}.", it.to.node)
        }
        What::PipeFailed(it) => {
            let why = reason(&it.detail, &it.reason);
            format!("{node}'s pipe to {} failed at attempt {}: {why}.", it.to.node, it.attempt)
        }
        What::PipeRefused(it) => {
            let of = it.stream.as_ref().map_or_else(String::new, |stream| format!(" of stream {stream}"));
            let why = reason(&it.detail, &it.reason);
            format!("{node} has a producer{of} that {} can't take: {why}.", it.to.node)
        }
        What::PipeStarved(it) => {
            let silent = milliseconds(it.silent_ms);
            let (from, streams) = (&it.from.node, names(&it.streams));
            format!(
                "{node} got no media over its pipe from {from} for {silent}, though {from} sends {streams}."
            )
        }
        What::PipeClosed(it) => {
            let verb = if it.lost { "lost" } else { "closed" };
            let lasted = milliseconds(it.duration_ms);
            format!("{node} {verb} its pipe to {} after {lasted}: {}.", it.to.node, trimmed(&it.reason))
        }
        What::ViewerJoined(it) => joined(node.as_str(), it),
        What::ViewerLeft(it) => left(node.as_str(), it),
        What::ViewerRejected(it) => turned(node.as_str(), "viewer", it),
        What::KeyFrameBurst(it) => {
            let within = milliseconds(it.within_ms);
            format!("{node} asked for {} key frames of stream {} within {within}.", it.requests, it.stream)
        }
        What::RoomSummary(it) => room(node.as_str(), it),
        What::RoomModerated(it) => moderated(node.as_str(), it),
        What::RoomClosed(it) => {
            format!("{node} carries nothing of the room any more, after {}.", milliseconds(it.duration_ms))
        }
        What::RoomForgotten(_) => format!("{node} tells that the history of the room was deleted."),
        What::NodeStarted(it) => format!("{node} has started with version {}.", it.version),
        What::NodeDraining(it) => format!("{node} takes nothing new; it still has {}.", load(it)),
        What::NodeUndrained(_) => format!("{node} takes everything again."),
        What::NodeStopped(_) => format!("{node} has stopped."),
        What::NodeSummary(it) => format!("{node} has {}.", load(it)),
        What::NodeLost(it) => format!("{node} has not heard from {} for too long.", it.lost.node),
        What::LimitHit(it) => format!("{node} reached its limit {} {}.", it.limit, times(it.times)),
        What::TokenBarred(it) => {
            let token = it.token.as_ref().map_or_else(String::new, |token| format!(" {}", trimmed(token)));
            let (by, until) = (&it.by, it.until.format("%Y-%m-%d %H:%M:%S UTC"));
            match it.lifted {
                true => format!("{node} was told by an operator to let the token of {by}{token} in again."),
                false => format!(
                    "{node} was told by an operator to keep the token of {by}{token} out until {until}."
                ),
            }
        }
        What::WorkerDied(it) => format!("{node} lost its media worker {}.", it.worker),
        What::EventsDropped(it) => {
            format!("{node} could not keep {} events while the bus was away.", it.count)
        }
    }
}

/// What to look at, as one plain sentence; empty where there is nothing to do.
pub(crate) fn advice(event: &Event) -> String {
    let node = &event.source.node;
    match &event.what {
        What::StreamEnded(it) => match it.reason {
            EndReason::Media => format!("Look at the log of {node} for why its media worker failed."),
            EndReason::Lost => format!("Look at whether {node} runs and reaches the bus."),
            EndReason::Silent => {
                "Have the publisher connect again: what it sends doesn't fit its description.".to_owned()
            }
            _ => format!("Look at the network between the publisher and {node}."),
        },
        What::PublisherRejected(it) | What::ViewerRejected(it) if it.reason == "limit" => {
            format!("Look at the limits of {node}, or add nodes.")
        }
        What::PublisherRejected(it) if it.reason == "taken_over" => {
            "Look at whether two encoders publish this stream: give each a stream of its own.".to_owned()
        }
        What::ViewerRejected(it) if it.reason == "unheard" => {
            format!("Look at whether the stream's origin runs, and whether it and {node} reach the bus.")
        }
        What::PublisherRejected(_) | What::ViewerRejected(_) => String::new(),
        What::PipeFailed(it) => {
            format!("Look at {} and the network between it and {node}.", it.to.node)
        }
        What::PipeRefused(it) if it.reason == "unsupported" => {
            let codecs = format!("{node} and {}", it.to.node);
            format!("Give {codecs} the same media.codecs, or publish what both can.")
        }
        What::PipeRefused(it) => format!("Look at the log of {}.", it.to.node),
        What::PipeStarved(it) => match &it.address {
            Some(address) => {
                let from = &it.from.node;
                format!("Let UDP from {address} through to {node}, or correct pipe.announced on {from}.")
            }
            None => format!("Look at the network between {} and {node}.", it.from.node),
        },
        What::PipeClosed(it) => {
            format!("Look at whether {} still runs and is reachable from {node}.", it.to.node)
        }
        What::KeyFrameBurst(it) => {
            format!(
                "Look at viewers of {}, on any node, with bad reception, or that join in a rush.",
                it.stream
            )
        }
        What::NodeLost(it) => format!("Look at whether {} runs and reaches the bus.", it.lost.node),
        What::LimitHit(it) => format!("Raise {} on {node}, or add nodes.", it.limit),
        What::WorkerDied(_) => format!("Look at the log of {node}; what it carried starts anew."),
        What::EventsDropped(_) => {
            format!("The picture of {node} has gaps; look at its connection to the bus.")
        }
        _ => String::new(),
    }
}

fn joined(node: &str, it: &ViewerJoined) -> String {
    let how = if it.warm { "had it already" } else { "fetched it first" };
    let (took, viewers) = (microseconds(it.join_us), count(it.viewers, "viewer"));
    format!("{node} serves a new viewer of stream {} after {took} and {how}: {viewers} now.", it.stream)
}

fn left(node: &str, it: &ViewerLeft) -> String {
    let why = match it.reason {
        LeaveReason::Left => "left",
        LeaveReason::Disconnected => "lost its connection",
        LeaveReason::NeverConnected => "never connected",
        LeaveReason::Starved => "was ended as its media doesn't come to this node",
        LeaveReason::StreamChanged => "has to connect again as the stream changed",
        LeaveReason::Stopped => "had to go as the node stops",
        LeaveReason::Kicked => "was sent out by an operator",
        LeaveReason::Expired => "had to go as its token expired",
        LeaveReason::Unknown => "is gone",
    };
    let (stayed, viewers) = (milliseconds(it.duration_ms), count(it.viewers, "viewer"));
    format!("{node} has a viewer of stream {} less: it {why} after {stayed}; {viewers} now.", it.stream)
}

fn room(node: &str, it: &RoomSummary) -> String {
    let viewers = it.streams.iter().fold(0u32, |sum, here| sum.saturating_add(here.viewers));
    let mut text = format!("{node} has {}", count(it.streams.len(), "stream"));
    let here: Vec<String> = it.streams.iter().map(stream).collect();
    if !here.is_empty() {
        let _ = write!(text, " ({})", here.join(", "));
    }
    let _ = write!(text, ", {} and {}", count(viewers, "viewer"), count(it.pipes.len(), "pipe"));
    if it.waiting > 0 {
        let _ = write!(text, ", and {} wait for a stream on its way", it.waiting);
    }
    text.push('.');
    text
}

fn moderated(node: &str, it: &RoomModerated) -> String {
    let (by, whom) = (&it.by, it.participant.as_ref().map_or("somebody", StreamName::as_str));
    match it.deed {
        Deed::Locked => format!("{node} lets nobody new into the room: moderator {by} has locked it."),
        Deed::Unlocked => format!("{node} tells that moderator {by} locks the room no more."),
        Deed::Muted => format!("{node} muted {whom}, as moderator {by} wants it."),
        Deed::Removed => format!("{node} removed {whom} from the room, as moderator {by} wants it."),
        Deed::Unknown => format!("{node} did what moderator {by} wants."),
    }
}

fn stream(here: &StreamHere) -> String {
    match (here.publication, here.path.last()) {
        (None, _) => format!("{} awaited", here.stream),
        (Some(_), Some(parent)) => format!("{} from {parent}", here.stream),
        (Some(_), None) => format!("{} published here", here.stream),
    }
}

fn why_over(reason: EndReason) -> &'static str {
    match reason {
        EndReason::Unpublished => "its publisher said so",
        EndReason::Disconnected => "its publisher's connection failed",
        EndReason::Silent => "its publisher sent nothing that can be used for too long",
        EndReason::Replaced => "another publisher took its name",
        EndReason::Closed => "an operator closed it",
        EndReason::Removed => "a moderator ended it",
        EndReason::Expired => "the publisher's token expired",
        EndReason::Drained => "the node is on its way out",
        EndReason::Media => "the media worker failed",
        EndReason::Lost => "the node was lost",
        EndReason::Unknown => "why isn't known",
    }
}

fn turned(node: &str, who: &str, it: &Turned) -> String {
    let who = if it.times == 1 { format!("a {who}") } else { format!("{} {who}s", it.times) };
    let room = it.room.as_ref().map_or_else(String::new, |room| format!(" in room {room}"));
    let why = reason(&it.detail, &it.reason);
    format!("{node} turned away {who} of stream {}{room}: {why}.", it.stream)
}

/// The words for a person, or else those for machines.
fn reason<'a>(detail: &'a str, reason: &'a str) -> &'a str {
    let detail = trimmed(detail);
    if detail.is_empty() { trimmed(reason) } else { detail }
}

fn trimmed(text: &str) -> &str {
    text.trim().trim_end_matches('.')
}

fn media(producers: &[ClaimedProducer]) -> String {
    let of = |producer: &ClaimedProducer| {
        let kind = producer.kind.as_str();
        format!("{}{kind}", if producer.paused { "paused " } else { "" })
    };
    let kinds: Vec<String> = producers.iter().map(of).collect();
    if kinds.is_empty() { String::new() } else { format!(" with {}", kinds.join(" and ")) }
}

fn names(streams: &[StreamName]) -> String {
    let names: Vec<&str> = streams.iter().map(StreamName::as_str).collect();
    if names.is_empty() { "nothing yet".to_owned() } else { names.join(", ") }
}

fn load(it: &NodeSummary) -> String {
    let streams = count(it.load.streams, "published stream");
    format!("{streams}, {} and {}", count(it.load.viewers, "viewer"), count(it.load.pipes, "pipe"))
}

fn count(number: impl TryInto<u64>, noun: &str) -> String {
    match number.try_into().unwrap_or(u64::MAX) {
        0 => format!("no {noun}s"),
        1 => format!("1 {noun}"),
        number => format!("{number} {noun}s"),
    }
}

fn times(number: u64) -> String {
    if number == 1 { "once".to_owned() } else { format!("{number} times") }
}

fn microseconds(us: u64) -> String {
    if us < 1000 { format!("{us} µs") } else { milliseconds(us / 1000) }
}

fn milliseconds(ms: u64) -> String {
    let seconds = ms / 1000;
    match (seconds / 86_400, seconds / 3600 % 24, seconds / 60 % 60, seconds % 60) {
        (0, 0, 0, 0) => format!("{ms} ms"),
        (0, 0, 0, s) => format!("{s}.{} s", ms % 1000 / 100),
        (0, 0, m, s) => format!("{m} min {s} s"),
        (0, h, m, _) => format!("{h} h {m} min"),
        (d, h, _, _) => format!("{d} d {h} h"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_read_well() {
        for (ms, text) in [
            (0, "0 ms"),
            (999, "999 ms"),
            (3_250, "3.2 s"),
            (65_000, "1 min 5 s"),
            (7_500_000, "2 h 5 min"),
            (180_000_000, "2 d 2 h"),
        ] {
            assert_eq!(milliseconds(ms), text);
        }
        assert_eq!(microseconds(850), "850 µs");
        assert_eq!(microseconds(12_900), "12 ms");
    }
}
