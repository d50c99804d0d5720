//! A publisher comes, connects and goes.

use std::time::Instant;

use chrono::Utc;
use uuid::Uuid;

use super::error::RoomError;
use super::message::{PublishRequest, Published};
use super::state::{KeyFrameWindow, Publication, Room, Source, Via, Writing};
use crate::config::Takeover;
use crate::protocol::announcement::EndReason;
use crate::protocol::ids::{PublicationId, SessionId, StreamName};
use crate::protocol::presence::Role;
use crate::telemetry::Counted;

impl Room {
    /// Takes a publisher. The stream is live once it has connected, not before: a publisher that
    /// never connects replaces no one.
    pub(super) async fn publish(&mut self, request: PublishRequest) -> Result<Published, RoomError> {
        if self.ctx.is_draining() || self.stop_by.is_some() {
            return Err(RoomError::Draining);
        }
        if !self.ctx.config.node.roles.contains(&Role::Origin) {
            return Err(RoomError::Role("publishers"));
        }
        let limits = &self.ctx.config.limits;
        if self.publications.len() + self.connecting.len() >= limits.streams_per_room {
            return Err(RoomError::Limit("streams_per_room"));
        }
        if usize::try_from(self.ctx.metrics.streams.get()).unwrap_or(0) >= limits.streams {
            return Err(RoomError::Limit("streams"));
        }
        let now = Instant::now();
        let taken =
            self.publications.contains_key(&request.stream) || self.live(&request.stream, now).is_some();
        if taken && self.ctx.config.media.takeover == Takeover::Reject {
            return Err(RoomError::AlreadyPublished);
        }
        let (transport, producers) =
            self.media.publish(request.session, request.offered, request.dtls).await?;
        self.note_ice(request.session, request.ufrag, &transport);
        let publication = Publication {
            id: PublicationId(Uuid::now_v7()),
            session: request.session,
            stream: request.stream,
            producers,
            started_at: Utc::now(),
            since: now,
            heard: now,
            bytes: 0,
            bitrate: 0,
            key_frames: KeyFrameWindow { since: now, requests: 0 },
            writing: Writing::default(),
            _counted: Counted::new(&self.ctx.metrics.streams),
        };
        self.connecting.insert(request.session, publication);
        Ok(Published { transport })
    }

    /// A publisher has connected: its stream is live from here on.
    pub(super) async fn publisher_connected(&mut self, session: SessionId) {
        let Some(mut publication) = self.connecting.remove(&session) else { return };
        let now = Instant::now();
        let stream = publication.stream.clone();
        // Named now, so that the newest name is that of the last one to go live.
        publication.id = PublicationId(Uuid::now_v7());
        publication.started_at = Utc::now();
        publication.since = now;
        publication.heard = now;
        let old = self.publications.remove(&stream);
        let takeover = old.is_some();
        if let Some(old) = old {
            tracing::info!(%stream, reason = "replaced", "stream ended");
            self.record_ended(&old, EndReason::Replaced);
            self.media.unpublish(old.session);
            self.ice.remove(&old.session);
            // The new publication is written over the old one's epoch.
            publication.writing.written = old.writing.written;
        }
        self.endings.remove(&stream);
        // A pipe that brought the stream here until now is left by the next look.
        self.drop_source(&stream);
        let source = Source {
            publication: publication.id,
            path: Vec::new(),
            of: publication.producers.len(),
            producers: publication.producers.clone(),
            via: Via::Publisher,
        };
        tracing::info!(%stream, publication = %publication.id, "stream started");
        self.record_started(&publication, takeover);
        self.publications.insert(stream.clone(), publication);
        self.sources.insert(stream.clone(), source);
        self.source_complete(&stream).await;
    }

    /// Ends a publication of this node and has the registry told why.
    pub(super) fn end_publication(&mut self, stream: &StreamName, reason: EndReason) {
        let Some(publication) = self.publications.remove(stream) else { return };
        tracing::info!(%stream, reason = reason.as_str(), "stream ended");
        self.record_ended(&publication, reason);
        self.drop_source(stream);
        self.media.unpublish(publication.session);
        self.ice.remove(&publication.session);
        // A stream that was replaced is another's to announce; one never announced needs no end.
        if reason != EndReason::Replaced && publication.writing.written.is_some() {
            let announcement = self.announcement(&publication).ended(reason);
            let mut ending = publication.writing;
            ending.wanted = Some(announcement);
            ending.retry_at = None;
            ending.in_flight = false;
            self.endings.insert(stream.clone(), ending);
        }
    }

    /// Ends whatever a publisher's session is. Answers whether there was one.
    pub(super) fn end_publisher(&mut self, session: SessionId, reason: EndReason) -> bool {
        if self.connecting.remove(&session).is_some() {
            self.media.unpublish(session);
            self.ice.remove(&session);
            return true;
        }
        let stream = self.publications.values().find(|p| p.session == session).map(|p| p.stream.clone());
        stream.is_some_and(|stream| {
            self.end_publication(&stream, reason);
            true
        })
    }

    /// Pauses or resumes a stream that is published here.
    pub(super) async fn set_paused(&mut self, stream: &StreamName, paused: bool) -> Result<(), RoomError> {
        let publication = self.publications.get_mut(stream).ok_or(RoomError::NoStream)?;
        for producer in &mut publication.producers {
            self.media.set_paused(producer.id, paused).await?;
            producer.paused = paused;
        }
        publication.heard = Instant::now();
        if let Some(source) = self.sources.get_mut(stream) {
            source.producers = publication.producers.clone();
        }
        if let Some(publication) = self.publications.get(stream) {
            self.record_changed(publication);
        }
        Ok(())
    }

    /// A stream is no longer here. Its viewers stay connected and wait for it.
    pub(super) fn drop_source(&mut self, stream: &StreamName) -> Option<Source> {
        let source = self.sources.remove(stream)?;
        for viewer in self.viewers.values_mut().filter(|viewer| viewer.stream == *stream) {
            viewer.showing.clear();
        }
        if self.viewers_of(stream) > 0 {
            self.gone_since.entry(stream.clone()).or_insert_with(Instant::now);
        }
        if let Via::Pipe(pipe) = source.via {
            for producer in &source.producers {
                self.media.stop_receiving(pipe, producer.id);
            }
        }
        Some(source)
    }
}
