//! The room's task: one message at a time.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::mpsc;
use tokio::time::MissedTickBehavior;
use tracing::Instrument;

use super::context::Context;
use super::error::RoomError;
use super::message::{JobDone, Message};
use super::state::{Known, Room};
use crate::broker::InboundBody;
use crate::media::{MediaEvent, RoomMedia};
use crate::protocol::announcement::EndReason;
use crate::protocol::edge::Done;
use crate::protocol::event::{LeaveReason, What};
use crate::protocol::ids::{RoomId, StreamName};
use crate::protocol::origin::{OriginReply, OriginRequest};

/// How often a room looks at itself.
const LOOK: Duration = Duration::from_millis(250);
/// How long a stopping room tries to say what is left to say.
const LAST_WORDS: Duration = Duration::from_secs(2);
/// Events of media that may wait; a lost one is found by the next look.
const EVENTS: usize = 256;

/// Runs a room until it is over; answers the messages that came too late to be read.
pub(super) async fn run(
    id: RoomId,
    ctx: Arc<Context>,
    sender: mpsc::Sender<Message>,
    mut inbox: mpsc::Receiver<Message>,
    registry: BTreeMap<StreamName, Known>,
) -> Vec<Message> {
    let (events, mut media_events) = mpsc::channel(EVENTS);
    let media = match RoomMedia::open(Arc::clone(&ctx.engine), events).await {
        Ok(media) => media,
        Err(error) => {
            tracing::error!(%error, "room not opened");
            inbox.close();
            while let Some(message) = inbox.recv().await {
                message.refuse(RoomError::Media(error.to_string()));
            }
            return Vec::new();
        }
    };
    tracing::info!("room opened");
    let mut room = Room::new(id.clone(), ctx, media, sender, registry);
    let mut look = tokio::time::interval(LOOK);
    look.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        // Handlers run after the selection: no request to a worker is ever abandoned half-way.
        tokio::select! {
            Some(message) = inbox.recv() => room.handle(message).await,
            Some(event) = media_events.recv() => room.hear(event).await,
            _ = look.tick() => room.look(Instant::now()).await,
        }
        let now = Instant::now();
        room.plan(now).await;
        if room.is_over(now) {
            break;
        }
    }
    inbox.close();
    let mut unread = Vec::new();
    while let Some(message) = inbox.recv().await {
        if !matches!(message, Message::Job(_)) {
            unread.push(message);
        }
    }
    tracing::info!("room closed");
    room.record_room_closed();
    unread
}

impl Room {
    async fn handle(&mut self, message: Message) {
        // Whoever asked may be gone; then no one needs the answer.
        match message {
            Message::Publish(request, answer) => {
                let session = request.session;
                let stream = request.stream.clone();
                let published = self.publish(request).await;
                if let Err(error) = &published {
                    self.turned(&stream, error, What::PublisherRejected);
                }
                if answer.send(published).is_err() {
                    self.end_publisher(session, EndReason::Unpublished);
                }
            }
            Message::Watch(request, answer) => {
                let span = tracing::info_span!("watch", trace_id = request.trace.id());
                self.watch(request, answer).instrument(span).await;
            }
            Message::End(session, stream, answer) => {
                let known = self.check(session, &stream);
                if known.is_ok() && !self.end_viewer(session, LeaveReason::Left).await {
                    self.end_publisher(session, EndReason::Unpublished);
                }
                let _ = answer.send(known);
            }
            Message::Connect(session, stream, answered, answer) => {
                let _ = answer.send(self.answered(session, &stream, answered).await);
            }
            Message::Patch(session, stream, patch, answer) => {
                let _ = answer.send(self.patch(session, &stream, patch).await);
            }
            Message::Check(session, stream, answer) => {
                let known = self.check(session, &stream);
                let _ = answer.send(known.map(|()| self.media.sent_to_viewer(session)));
            }
            Message::SetPaused(stream, paused, answer) => {
                let _ = answer.send(self.set_paused(&stream, paused).await);
            }
            Message::Close(stream, answer) => {
                let here = self.publications.contains_key(&stream);
                self.end_publication(&stream, EndReason::Closed);
                let _ = answer.send(if here { Ok(()) } else { Err(RoomError::NoStream) });
            }
            Message::Inspect(answer) => drop(answer.send(self.inspect().await)),
            Message::Remote(InboundBody::Edge(request, answer), trace) => {
                let span = tracing::info_span!("request", name = request.name(), trace_id = trace.id());
                let _ = answer.send(self.accept(request).instrument(span).await);
            }
            Message::Remote(InboundBody::Origin(request, answer), trace) => {
                let span = tracing::info_span!("request", name = request.name(), trace_id = trace.id());
                let reply = match request {
                    OriginRequest::Join(join) => {
                        self.join(join, trace).instrument(span).await.map(OriginReply::Joined)
                    }
                    OriginRequest::Leave(leave) => {
                        self.leave(&leave);
                        Ok(OriginReply::Done(Done {}))
                    }
                };
                let _ = answer.send(reply);
            }
            Message::Registry(stream, known) => self.registry_changed(stream, known),
            Message::WorkerDied(worker) => {
                if self.media.workers().contains(&worker) {
                    tracing::error!(worker, "media worker died: the room ends here");
                    self.stop(EndReason::Media).await;
                }
            }
            Message::Stop(reason) => self.stop(reason).await,
            Message::Job(done) => self.job_done(done).await,
        }
    }

    async fn job_done(&mut self, done: JobDone) {
        match done {
            JobDone::Joined { parent, streams, result } => self.joined(parent, streams, result).await,
            JobDone::Left { parent } => self.left(&parent),
            JobDone::PipeOffered { child, pipe, result } => self.pipe_offered(child, pipe, result).await,
            JobDone::PipeChanged { child, pipe, changes, result } => {
                self.pipe_changed(&child, pipe, &changes, result);
            }
            JobDone::Announced { announcement, result } => self.announced(*announcement, result),
        }
    }

    async fn hear(&mut self, event: MediaEvent) {
        match event {
            MediaEvent::Connected(session) => self.session_connected(session).await,
            MediaEvent::Disconnected(session) => {
                self.session_failed(session, LeaveReason::Disconnected).await;
            }
            MediaEvent::FirstPacket(producer) => self.media.first_packet(producer).await,
        }
    }

    /// Compares what should be with what is, and acts on the difference.
    async fn plan(&mut self, now: Instant) {
        self.yield_to_newer();
        self.plan_announcements(now);
        self.plan_parents(now);
        self.plan_children(now).await;
    }

    /// Ends everything here and says so; the task ends once that is said.
    async fn stop(&mut self, reason: EndReason) {
        if self.stop_by.is_some() {
            return;
        }
        self.stop_by = Some(Instant::now() + LAST_WORDS);
        for node in self.children.keys().cloned().collect::<Vec<_>>() {
            self.close_outlet(&node, "the node stops", false);
        }
        self.children.clear();
        for stream in self.publications.keys().cloned().collect::<Vec<_>>() {
            self.end_publication(&stream, reason);
        }
        for session in self.connecting.keys().copied().collect::<Vec<_>>() {
            self.end_publisher(session, reason);
        }
        for session in self.viewers.keys().copied().collect::<Vec<_>>() {
            self.end_viewer(session, LeaveReason::Stopped).await;
        }
        self.wanted_at.clear();
        for waiting in std::mem::take(&mut self.waiting) {
            let _ = waiting.answer.send(Err(RoomError::Stopped));
        }
        // A parent of which nothing was asked yet is forgotten; the others are left by the plan.
        self.parents.retain(|_, parent| parent.pipe.is_some() || parent.in_flight);
    }
}
