//! A room: what each process has of it.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::counters::Counters;
use super::part::{Ended, Part};
use super::problems::Problems;
use crate::protocol::event::{Event, What};
use crate::protocol::ids::{Incarnation, Peer};

/// How many problems of a room are kept.
const PROBLEMS: usize = 50;

/// What is known of a room.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Room {
    /// By process; those of processes that are gone too, until they are forgotten.
    pub(crate) parts: BTreeMap<Incarnation, Part>,
    /// What was counted.
    pub(crate) counters: Counters,
    /// Viewers in all parts that are not superseded.
    viewers: u32,
    /// The most that these ever were.
    pub(crate) peak: u32,
    /// The latest event, except for summaries.
    changed_at: Option<DateTime<Utc>>,
    /// What went wrong in it.
    pub(crate) problems: Problems,
}

impl Room {
    /// Takes an event about this room.
    pub(crate) fn apply(&mut self, stored: DateTime<Utc>, event: &Event) {
        self.counters.count(&event.what);
        self.problems.note(event, PROBLEMS);
        if !event.what.is_summary() {
            self.changed_at = self.changed_at.max(Some(event.time));
        }
        if !belongs_to_a_part(&event.what) {
            return;
        }
        if !self.parts.contains_key(&event.source.incarnation) {
            self.add(&event.source, stored);
        }
        let Some(part) = self.parts.get_mut(&event.source.incarnation) else { return };
        let before = part.viewers;
        part.apply(stored, event);
        if !part.superseded {
            self.viewers = self.viewers.saturating_sub(before).saturating_add(part.viewers);
            self.peak = self.peak.max(self.viewers);
        }
    }

    /// Of the processes of one node the one that is heard of last in the log holds.
    fn add(&mut self, source: &Peer, stored: DateTime<Utc>) {
        for other in self.parts.values_mut().filter(|other| other.node == source.node && !other.superseded) {
            other.superseded = true;
            self.viewers = self.viewers.saturating_sub(other.viewers);
        }
        self.parts.insert(source.incarnation, Part::new(source, stored));
    }

    /// The publications that are over.
    pub(crate) fn ended(&self) -> impl Iterator<Item = &Ended> {
        self.parts.values().flat_map(|part| &part.ended)
    }

    /// When something last happened in it; none where nothing is known.
    pub(crate) fn changed_at(&self) -> Option<DateTime<Utc>> {
        self.changed_at.or_else(|| self.parts.values().map(|part| part.heard_at).max())
    }

    /// Drops the parts that `gone` names.
    pub(crate) fn drop_parts(&mut self, mut gone: impl FnMut(&Incarnation, &Part) -> bool) {
        let viewers = &mut self.viewers;
        self.parts.retain(|incarnation, part| {
            let stays = !gone(incarnation, part);
            if !stays && !part.superseded {
                *viewers = viewers.saturating_sub(part.viewers);
            }
            stays
        });
    }
}

/// Whether it tells what its source has of the room, rather than what befell somebody there.
fn belongs_to_a_part(what: &What) -> bool {
    matches!(
        what,
        What::StreamStarted(_)
            | What::StreamChanged(_)
            | What::StreamEnded(_)
            | What::StreamWarning(_)
            | What::StreamCleared(_)
            | What::PipeOpening(_)
            | What::PipeOpened(_)
            | What::PipeFailed(_)
            | What::PipeClosed(_)
            | What::ViewerJoined(_)
            | What::ViewerLeft(_)
            | What::RoomModerated(_)
            | What::RoomSummary(_)
            | What::RoomClosed(_)
    )
}
