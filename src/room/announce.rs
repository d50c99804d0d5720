//! Keeping the registry true to what is published here.

use std::time::{Duration, Instant};

use super::message::JobDone;
use super::state::{Known, Publication, Room, Writing};
use crate::broker::AnnounceError;
use crate::protocol::announcement::{Announcement, EndReason, StreamState};
use crate::protocol::ids::StreamName;

const RETRY: Duration = Duration::from_millis(500);

impl Room {
    /// What the registry should say of a publication.
    pub(super) fn announcement(&self, publication: &Publication) -> Announcement {
        Announcement {
            room_id: self.id.clone(),
            stream: publication.stream.clone(),
            publication: publication.id,
            origin: self.ctx.me.clone(),
            state: StreamState::Live,
            producers: publication.announced(),
            started_at: publication.started_at,
        }
    }

    /// Writes what the registry does not say yet, or was told too long ago.
    pub(super) fn plan_announcements(&mut self, now: Instant) {
        let again = self.ctx.config.timeouts.announce_again;
        let mut due = Vec::new();
        for (stream, publication) in &self.publications {
            let desired = self.announcement(publication);
            let writing = &publication.writing;
            let told = writing.written.as_ref().is_some_and(|(_, written)| *written == desired);
            let recent = writing.written_at.is_some_and(|at| now.duration_since(at) < again);
            if !(told && recent) && writing.is_free(now) {
                due.push((stream.clone(), desired));
            }
        }
        for (stream, ending) in &self.endings {
            if let Some(wanted) = ending.wanted.clone().filter(|_| ending.is_free(now)) {
                due.push((stream.clone(), wanted));
            }
        }
        for (stream, announcement) in due {
            let known = self.registry.get(&stream).map_or(0, |known| known.epoch);
            let Some(writing) = self.writing(&stream) else { continue };
            writing.in_flight = true;
            let written = writing.written.as_ref().map_or(0, |(epoch, _)| *epoch);
            let expected = writing.found.unwrap_or_else(|| written.max(known));
            let broker = self.ctx.broker.clone();
            self.job(async move {
                let result = broker.announce(&announcement, expected).await;
                JobDone::Announced { announcement: Box::new(announcement), result }
            });
        }
    }

    fn writing(&mut self, stream: &StreamName) -> Option<&mut Writing> {
        let publication = self.publications.get_mut(stream).map(|publication| &mut publication.writing);
        publication.or_else(|| self.endings.get_mut(stream))
    }

    /// The registry was written, or someone else had written before.
    pub(super) fn announced(&mut self, announcement: Announcement, result: Result<u64, AnnounceError>) {
        let now = Instant::now();
        let stream = announcement.stream.clone();
        let Some(writing) = self.writing(&stream) else { return };
        writing.in_flight = false;
        match result {
            Ok(epoch) => {
                tracing::debug!(%stream, epoch, "stream announced");
                writing.written = Some((epoch, announcement.clone()));
                writing.written_at = Some(now);
                writing.found = None;
                let done = writing.wanted.as_ref() == Some(&announcement);
                if self.registry.get(&stream).is_none_or(|known| known.epoch < epoch) {
                    self.registry.insert(stream.clone(), Known { epoch, announcement });
                }
                if done {
                    self.endings.remove(&stream);
                }
            }
            Err(AnnounceError::Conflict(current)) => {
                writing.found = Some(current.epoch);
                let publication = announcement.publication;
                if let Some(other) = current.announcement {
                    // An end that another publication has overtaken is no news.
                    if other.publication != publication {
                        self.endings.remove(&stream);
                    }
                    self.registry.insert(stream, Known { epoch: current.epoch, announcement: other });
                }
            }
            Err(error) => {
                writing.retry_at = Some(now + RETRY);
                tracing::debug!(%stream, %error, "stream not announced; trying again");
            }
        }
    }

    /// The registry has news of a stream.
    pub(super) fn registry_changed(&mut self, stream: StreamName, known: Option<Known>) {
        let Some(known) = known else {
            // The registry has forgotten the stream: what is published here is written anew.
            self.registry.remove(&stream);
            if let Some(writing) = self.writing(&stream) {
                writing.written = None;
                writing.found = None;
            }
            return;
        };
        if self.registry.get(&stream).is_some_and(|old| old.epoch > known.epoch) {
            return;
        }
        if !known.announcement.is_live() {
            self.refuse_waiting(|waited| *waited == stream);
        }
        self.registry.insert(stream, known);
    }

    /// Closes what another publication has taken over: the newest epoch owns the stream.
    pub(super) fn yield_to_newer(&mut self) {
        let lost: Vec<StreamName> = self
            .publications
            .iter()
            .filter(|(stream, own)| {
                let Some(known) = self.registry.get(*stream) else { return false };
                let other = known.announcement.is_live() && known.announcement.publication != own.id;
                other
                    && match &own.writing.written {
                        Some((epoch, written)) if written.publication == own.id => known.epoch > *epoch,
                        // Not yet written: the later publication wins.
                        _ => known.announcement.publication > own.id,
                    }
            })
            .map(|(stream, _)| stream.clone())
            .collect();
        for stream in lost {
            self.end_publication(&stream, EndReason::Replaced);
        }
    }
}

impl Writing {
    fn is_free(&self, now: Instant) -> bool {
        !self.in_flight && self.retry_at.is_none_or(|at| now >= at)
    }
}
