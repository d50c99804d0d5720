//! A viewer comes, waits for its stream, is served and goes.

use std::time::Instant;

use uuid::Uuid;

use super::error::RoomError;
use super::message::{Answer, WatchRequest, Watching};
use super::state::{Room, Viewer, Waiting};
use crate::protocol::event::{LeaveReason, ViewerId, What};
use crate::protocol::ids::{SessionId, StreamName};
use crate::protocol::presence::Role;
use crate::telemetry::Counted;

impl Room {
    /// Serves a viewer at once if its stream is here, else keeps it until the stream has come.
    pub(super) async fn watch(&mut self, request: WatchRequest, answer: Answer<Watching>) {
        let now = Instant::now();
        if let Err(error) = self.may_watch(&request.stream, now) {
            self.turned(&request.stream, &error, What::ViewerRejected);
            let _ = answer.send(Err(error));
            return;
        }
        self.wanted_at.insert(request.stream.clone(), now);
        let here = self.sources.get(&request.stream).is_some_and(super::state::Source::is_complete);
        if here {
            self.serve_viewer(Waiting { request, answer, since: now }, "warm").await;
        } else {
            self.waiting.push(Waiting { request, answer, since: now });
        }
    }

    fn may_watch(&self, stream: &StreamName, now: Instant) -> Result<(), RoomError> {
        if self.ctx.is_draining() || self.stop_by.is_some() {
            return Err(RoomError::Draining);
        }
        if !self.ctx.config.node.roles.contains(&Role::Edge) {
            return Err(RoomError::Role("viewers"));
        }
        let limits = &self.ctx.config.limits;
        if usize::try_from(self.ctx.metrics.viewers.get()).unwrap_or(0) >= limits.viewers {
            return Err(RoomError::Limit("viewers"));
        }
        if self.sources.contains_key(stream) || self.live(stream, now).is_some() {
            return Ok(());
        }
        Err(self.not_live())
    }

    pub(super) fn not_live(&self) -> RoomError {
        RoomError::NotLive { retry_after: self.ctx.config.timeouts.retry_after }
    }

    /// A stream is here in full: serves who waited for it and goes on with who watched it before.
    pub(super) async fn source_complete(&mut self, stream: &StreamName) {
        self.record_recovered(stream);
        let (ready, waiting) =
            std::mem::take(&mut self.waiting).into_iter().partition(|w| w.request.stream == *stream);
        self.waiting = waiting;
        for waiting in ready {
            self.serve_viewer(waiting, "cold").await;
        }
        self.show_again(stream).await;
    }

    async fn serve_viewer(&mut self, waiting: Waiting, kind: &'static str) {
        let Waiting { request, answer, since } = waiting;
        let (session, stream) = (request.session, request.stream.clone());
        let result = self.connect_viewer_to(request).await;
        let metrics = &self.ctx.metrics;
        let outcome = result.as_ref().map_or_else(RoomError::kind, |_| "ok");
        metrics.joins.get_or_create(&[("result", outcome)]).inc();
        if let Err(error) = &result {
            self.turned(&stream, error, What::ViewerRejected);
        } else {
            let elapsed = since.elapsed();
            metrics.join_seconds.get_or_create(&[("kind", kind)]).observe(elapsed.as_secs_f64());
            tracing::debug!(%stream, kind, elapsed_ms = elapsed.as_millis(), "viewer served");
            if let Some(viewer) = self.viewers.get(&session) {
                self.record_joined(viewer, kind == "warm", elapsed);
            }
        }
        // A viewer that hung up meanwhile leaves nothing behind.
        if answer.send(result).is_err() {
            self.end_viewer(session, LeaveReason::Left).await;
        }
    }

    async fn connect_viewer_to(&mut self, request: WatchRequest) -> Result<Watching, RoomError> {
        let source = self.sources.get(&request.stream).ok_or_else(|| self.not_live())?;
        let (producers, path) = (source.producers.clone(), source.path.clone());
        let (transport, sent) =
            self.media.watch(request.session, request.wanted, request.dtls, &producers).await?;
        self.note_ice(request.session, request.ufrag, &transport);
        let viewer = Viewer {
            id: ViewerId(Uuid::now_v7()),
            stream: request.stream,
            since: Instant::now(),
            connected: false,
            showing: producers.iter().map(|producer| producer.id).collect(),
            _counted: Counted::new(&self.ctx.metrics.viewers),
        };
        self.viewers.insert(request.session, viewer);
        Ok(Watching { transport, sent, path })
    }

    /// Sends the viewers of a stream what its source has now, on the sections that they have.
    async fn show_again(&mut self, stream: &StreamName) {
        let Some(source) = self.sources.get(stream).filter(|source| source.is_complete()) else { return };
        let ids: Vec<_> = source.producers.iter().map(|producer| producer.id).collect();
        for (session, viewer) in self.viewers.iter_mut().filter(|(_, viewer)| viewer.stream == *stream) {
            if viewer.showing == ids {
                continue;
            }
            match self.media.show(*session, &source.producers).await {
                Ok(()) => viewer.showing.clone_from(&ids),
                // The viewer stays: the next publication may suit it again.
                Err(error) => tracing::info!(%stream, %error, "viewer can't go on"),
            }
        }
    }

    /// Whether the session is a publisher or viewer of this stream.
    pub(super) fn check(&self, session: SessionId, stream: &StreamName) -> Result<(), RoomError> {
        let viewer = self.viewers.get(&session).map(|viewer| &viewer.stream);
        let publisher = || {
            let all = self.publications.values().chain(self.connecting.values());
            all.filter(|publication| publication.session == session).map(|p| &p.stream).next()
        };
        if viewer.or_else(publisher) == Some(stream) { Ok(()) } else { Err(RoomError::NoSession) }
    }

    /// Ends a viewer's session. Answers whether there was one.
    pub(super) async fn end_viewer(&mut self, session: SessionId, reason: LeaveReason) -> bool {
        let Some(viewer) = self.viewers.remove(&session) else { return false };
        let bytes = self.media.unwatch(session).await;
        self.ice.remove(&session);
        self.record_left(&viewer, reason, bytes);
        self.wanted_at.insert(viewer.stream, Instant::now());
        true
    }
}
