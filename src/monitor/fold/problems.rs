//! What went wrong lately.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::monitor::text;
use crate::monitor::view::{Problem, Severity};
use crate::protocol::claim::EndReason;
use crate::protocol::event::{About, Event, What};

/// The newest problems, up to a limit. What is kept doesn't depend on the order that they come in.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Problems(BTreeSet<Problem>);

impl Problems {
    /// Keeps the event if it tells a problem; at most `limit` stay.
    pub(crate) fn note(&mut self, event: &Event, limit: usize) {
        let Some(severity) = severity(&event.what) else { return };
        self.0.insert(problem(event, severity));
        if self.0.len() > limit {
            self.0.pop_first();
        }
    }

    /// Oldest first.
    pub(crate) fn iter(&self) -> impl DoubleEndedIterator<Item = &Problem> {
        self.0.iter()
    }
}

/// How bad it is; none where it is no problem.
pub(in crate::monitor) fn severity(what: &What) -> Option<Severity> {
    match what {
        What::StreamEnded(ended) => match ended.reason {
            EndReason::Lost | EndReason::Media => Some(Severity::Error),
            EndReason::Disconnected | EndReason::Silent => Some(Severity::Warning),
            _ => None,
        },
        What::PipeClosed(closed) => closed.lost.then_some(Severity::Error),
        // As a moderator wants it.
        What::ViewerRejected(it) if it.reason == "locked" => None,
        // Anyone may knock: whoever isn't let in as far as a room may be a stranger.
        What::PublisherRejected(it) | What::ViewerRejected(it) if it.room.is_some() => {
            Some(Severity::Warning)
        }
        What::PublisherRejected(_)
        | What::ViewerRejected(_)
        | What::PipeFailed(_)
        | What::PipeStarved(_)
        | What::NodeLost(_)
        | What::WorkerDied(_) => Some(Severity::Error),
        What::StreamWarning(_)
        | What::PipeRefused(_)
        | What::LimitHit(_)
        | What::EventsDropped(_)
        | What::KeyFrameBurst(_) => Some(Severity::Warning),
        _ => None,
    }
}

fn problem(event: &Event, severity: Severity) -> Problem {
    let mut text = text::of(event);
    let room = match &event.subject {
        About::Room(room) => {
            text = format!("In room {room}, {text}");
            Some(room.clone())
        }
        About::Node(_) => None,
    };
    let advice = text::advice(event);
    if !advice.is_empty() {
        text = format!("{text} {advice}");
    }
    let kind = event.what.name().to_owned();
    Problem { time: event.time, kind, severity, text, room, node: event.source.node.clone() }
}
