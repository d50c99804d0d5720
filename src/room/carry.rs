//! Carrying out what the core wants done: the room's media at once, other nodes by jobs.

use std::collections::HashMap;
use std::sync::Arc;

use futures_util::future;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tracing::Instrument;

use super::context::Context;
use super::core::{Change, Done, Effect, Failure, Figure, Input, Offer, Tell, ToldOf};
use super::message::{Listener, Message};
use super::replies::Replies;
use super::seats::{Seat, Seats};
use crate::broker::CallError;
use crate::media::{Piped, RoomMedia};
use crate::protocol::edge::{ClosePipeProducer, CreatePipeProducer, PausePipeProducer, ResumePipeProducer};
use crate::protocol::event::{About, Quality, RoomSummary, What};
use crate::protocol::ids::{RoomId, SessionId, StreamName};
use crate::protocol::rtc::RtcEvent;
use crate::telemetry::Trace;

/// The hands of a room: its media, and the ways to everything else.
pub(super) struct Carrier {
    id: RoomId,
    ctx: Arc<Context>,
    pub(super) media: RoomMedia,
    /// Where jobs report back.
    inbox: mpsc::Sender<Message>,
    /// The node's places, and those that its sessions have.
    places: Seats,
    seats: HashMap<SessionId, Seat>,
    /// Who is told what happens in participants' sessions.
    listeners: HashMap<SessionId, Listener>,
    /// Who hears how loud participants of other nodes are.
    hearing: JoinSet<()>,
}

impl Carrier {
    pub(super) fn new(
        id: RoomId,
        ctx: Arc<Context>,
        media: RoomMedia,
        places: Seats,
        inbox: mpsc::Sender<Message>,
    ) -> Self {
        Self {
            id,
            ctx,
            media,
            inbox,
            places,
            seats: HashMap::new(),
            listeners: HashMap::new(),
            hearing: JoinSet::new(),
        }
    }

    pub(super) fn seat(&mut self, session: SessionId, seat: Option<Seat>) {
        if let Some(seat) = seat {
            self.seats.insert(session, seat);
        }
    }

    pub(super) fn listen(&mut self, session: SessionId, listener: Listener) {
        self.listeners.insert(session, listener);
    }

    /// Tells a session. A listener that can't keep up is let go: it may ask anew for all that holds.
    fn notify(&mut self, session: SessionId, event: RtcEvent) {
        let is_over = matches!(event, RtcEvent::SessionEnded(_));
        let told = self.listeners.get(&session).map(|listener| listener.try_send(event));
        if is_over || told.is_some_and(|told| told.is_err()) {
            self.listeners.remove(&session);
        }
    }

    /// Carries out one effect; what came of it at once is the core's next input.
    pub(super) async fn carry(&mut self, effect: Effect, replies: &mut Replies) -> Option<Input> {
        match effect {
            Effect::Offer(offer) => self.offer(*offer),
            Effect::Tell(tell) => self.tell(*tell),
            Effect::TellClosed(to, close) => {
                let broker = self.ctx.broker.clone();
                self.spawn(async move {
                    // The edge's own look finds a dead pipe as well.
                    let _ = broker.call_edge(&to, close, Trace::start()).await;
                });
            }
            Effect::Join(to, join, trace) => {
                let (broker, trace) = (self.ctx.broker.clone(), trace.unwrap_or_else(Trace::start));
                let (token, streams) = (join.token, join.streams.clone());
                self.job(async move {
                    let result = broker.call_origin(&to, join, trace).await.map_err(Failure::from);
                    Done::Joined(to.incarnation, token, streams, result)
                });
            }
            Effect::Leave(to, leave) => {
                let (broker, token) = (self.ctx.broker.clone(), leave.token);
                self.job(async move {
                    // What the parent doesn't hear of, its own look ends.
                    let _ = broker.call_origin(&to, leave, Trace::start()).await;
                    Done::Left(to.incarnation, token)
                });
            }
            Effect::Claim(claim) => self.ctx.directory.claim(*claim).await,
            Effect::Answer(ticket, answer) => return replies.answer(ticket, answer, &self.media),
            Effect::HearLevels(true) => self.hear_levels(),
            Effect::HearLevels(false) => self.hearing.abort_all(),
            Effect::SayLevels(levels) => self.ctx.broker.say_levels(&levels).await,
            Effect::Notify(session, event) => self.notify(session, *event),
            Effect::Deafen(session) => drop(self.listeners.remove(&session)),
            Effect::Gate(ticket, to, request) => {
                let broker = self.ctx.broker.clone();
                self.job(async move {
                    let result = broker.call_gate(&to, request).await;
                    Done::Gated(ticket, result.map(drop).map_err(Failure::from))
                });
            }
            Effect::Seat(session) => {
                let seat = self.seats.get_mut(&session);
                let seated = seat.is_none_or(|seat| self.places.connected(seat));
                return Some(Input::Done(Done::Seated(session, seated)));
            }
            Effect::Release(session) => drop(self.seats.remove(&session)),
            Effect::Record(what) => self.record(what),
            Effect::RecordOften(reason, what) => self.ctx.events.record_often(self.about(), reason, what),
            Effect::LimitHit(limit) => self.ctx.events.limit_hit(limit),
            Effect::Summarize(summary, samples) => self.summarize(summary, &samples).await,
            Effect::Count(figure) => self.count(&figure),
            media => return self.carry_media(media).await.map(Input::Done),
        }
        None
    }

    /// What is done with the room's media; it is awaited here, so that nothing overtakes it.
    async fn carry_media(&mut self, effect: Effect) -> Option<Done> {
        let media = &mut self.media;
        match effect {
            Effect::CloseUplink(session) => media.unpublish(session),
            Effect::Inspect(session, on) => media.inspect(session, on).await,
            Effect::StopSending(pipe, id) => media.stop_sending(pipe, id),
            Effect::CloseOutlet(pipe) => media.close_outlet(pipe),
            Effect::StopReceiving(pipe, id) => media.stop_receiving(pipe, id),
            Effect::CloseInlet(pipe) => media.close_inlet(pipe),
            Effect::Switch(pipe, ids) => media.switch(pipe, &ids),
            Effect::MeasureLevels(on) => media.measure_levels(on).await,
            Effect::CloseReceiving(id) => media.close_receiving(id),
            Effect::CloseProducer(session, id) => media.close_producer(session, id),
            Effect::CloseConsumer(by, id) => media.close_consumer(by, id),
            other => return Self::answered(media, other).await,
        }
        None
    }

    /// What media answers at once.
    async fn answered(media: &mut RoomMedia, effect: Effect) -> Option<Done> {
        Some(match effect {
            Effect::OpenUplink(request) => {
                let result = media.publish(request.session, request.offered, request.dtls).await;
                Done::UplinkOpened(request.session, result)
            }
            Effect::OpenViewer(request, producers) => {
                let result = media.watch(request.session, request.wanted, request.dtls, &producers).await;
                Done::ViewerOpened(request.session, result)
            }
            Effect::ShowViewer(session, producers) => {
                let result = media.show(session, &producers).await;
                Done::ViewerShown(session, producers.iter().map(|producer| producer.id).collect(), result)
            }
            Effect::CloseViewer(session) => Done::ViewerClosed(session, media.unwatch(session).await),
            Effect::ConnectViewer(ticket, session, dtls, accepted) => {
                Done::ViewerConnected(ticket, session, media.connect_viewer(session, dtls, accepted).await)
            }
            Effect::RestartIce(ticket, session, ufrag) => {
                Done::IceRestarted(ticket, session, ufrag, media.restart_ice(session).await)
            }
            Effect::SetPaused(ticket, stream, ids, paused) => {
                let mut result = Ok(());
                for id in &ids {
                    result = result.and(media.set_paused(*id, paused).await);
                }
                Done::Paused(ticket, stream, ids, paused, result)
            }
            Effect::OpenSending(ticket, session, sctp) => {
                Done::LinkOpened(ticket, session, session, media.open_sending(session, sctp).await)
            }
            Effect::OpenReceiving(ticket, session, id, sctp) => {
                Done::LinkOpened(ticket, session, id, media.open_receiving(id, sctp).await)
            }
            Effect::ConnectLink(ticket, id, dtls) => Done::Acted(ticket, media.connect_link(id, dtls).await),
            Effect::RestartLink(ticket, id) => Done::LinkRestarted(ticket, media.restart_ice(id).await),
            Effect::Produce(ticket, session, produce) => {
                Done::Produced(ticket, session, media.produce(session, &produce).await)
            }
            Effect::ProduceData(ticket, session, produce) => {
                Done::Produced(ticket, session, media.produce_data(session, &produce).await)
            }
            Effect::Consume(session, receive) => {
                Done::Consumed(session, receive.by, receive.consumer, media.consume(&receive).await)
            }
            Effect::Tune(ticket, by, id, tuning) => Done::Acted(ticket, media.tune(by, id, tuning).await),
            Effect::Stats(ticket, session, by, of) => {
                Done::Counted(ticket, media.stats(session, by, &of).await)
            }
            Effect::OpenOutlet(token, pipe) => Done::OutletOpened(token, pipe, media.open_outlet(pipe).await),
            Effect::Send(token, pipe, to, producers) => {
                let connected = match to {
                    Some(to) => media.connect_outlet(pipe, &to).await,
                    None => Ok(()),
                };
                let mut sent = Vec::with_capacity(producers.len());
                for id in producers {
                    sent.push((id, media.send(pipe, id).await));
                }
                Done::Sending(token, pipe, connected, sent)
            }
            Effect::OpenInlet(ticket, pipe, srtp, rtx) => {
                Done::InletOpened(ticket, pipe, media.open_inlet(pipe, srtp, rtx).await)
            }
            Effect::ConnectInlet(ticket, pipe, to) => {
                Done::InletConnected(ticket, pipe, media.connect_inlet(pipe, &to).await)
            }
            Effect::Receive(ticket, request) => {
                let result = media.receive(request.pipe_id, &piped(&request)).await;
                Done::Received(ticket, request, result)
            }
            other => {
                tracing::error!(?other, "an effect that is no one's matter");
                return None;
            }
        })
    }

    /// Has the room told how loud participants of other nodes are.
    fn hear_levels(&mut self) {
        self.hearing.abort_all();
        let (broker, room, inbox) = (self.ctx.broker.clone(), self.id.clone(), self.inbox.clone());
        self.hearing.spawn(async move {
            broker
                .hear_levels(&room, |levels| {
                    // A busy room hears the next ones.
                    let _ = inbox.try_send(Message::Levels(levels));
                })
                .await;
        });
    }

    fn offer(&self, offer: Offer) {
        let broker = self.ctx.broker.clone();
        self.job(async move {
            let Offer { to, info, create, trace } = offer;
            let (token, pipe) = (create.token, create.pipe_id);
            let (info, remote) =
                future::join(broker.call_edge(&to, info, trace), broker.call_edge(&to, create, trace)).await;
            Done::Offered(token, pipe, info.and(remote).map_err(Failure::from))
        });
    }

    /// Makes all calls at once; they leave, and so arrive, in their order.
    fn tell(&self, tell: Tell) {
        let (broker, room) = (self.ctx.broker.clone(), self.id.clone());
        self.job(async move {
            let Tell { to, token, pipe, connect, changes, trace } = tell;
            let connected = async {
                match connect {
                    Some(connect) => broker.call_edge(&to, connect, trace).await.map(drop),
                    None => Ok(()),
                }
            };
            let call = async |revision: u64, change: Change| {
                let (room_id, pipe_id) = (room.clone(), pipe);
                let to = &to;
                let (of, result) = match change {
                    Change::Create(create) => {
                        (ToldOf::Create(create.id), broker.call_edge(to, *create, trace).await)
                    }
                    Change::Close(id, of) => {
                        let close = ClosePipeProducer { room_id, token, pipe_id, revision, id, of };
                        (ToldOf::Close(id), broker.call_edge(to, close, trace).await)
                    }
                    Change::Pause(id) => {
                        let pause = PausePipeProducer { room_id, token, pipe_id, revision, id };
                        (ToldOf::Pause(id), broker.call_edge(to, pause, trace).await)
                    }
                    Change::Resume(id) => {
                        let resume = ResumePipeProducer { room_id, token, pipe_id, revision, id };
                        (ToldOf::Resume(id), broker.call_edge(to, resume, trace).await)
                    }
                };
                (of, result.map(drop).map_err(Failure::from))
            };
            let told = changes.into_iter().map(|(revision, change)| call(revision, change));
            let (connected, told) = future::join(connected, future::join_all(told)).await;
            Done::Told(token, pipe, connected.map_err(Failure::from), told)
        });
    }

    /// Runs what crosses the network outside the room's task; its result comes back by the inbox.
    fn job(&self, work: impl Future<Output = Done> + Send + 'static) {
        let inbox = self.inbox.clone();
        self.spawn(async move {
            let done = work.await;
            // A room that has ended needs no result.
            let _ = inbox.send(Message::Done(done)).await;
        });
    }

    fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) {
        self.ctx.tracker.spawn(work.in_current_span());
    }

    fn about(&self) -> About {
        About::Room(self.id.clone())
    }

    fn record(&self, what: What) {
        self.ctx.events.record(self.about(), what);
    }

    async fn summarize(
        &mut self,
        mut summary: RoomSummary,
        samples: &std::collections::BTreeMap<StreamName, Vec<SessionId>>,
    ) {
        for here in &mut summary.streams {
            here.quality = quality(&self.media, samples.get(&here.stream).map_or(&[], Vec::as_slice)).await;
        }
        self.record(What::RoomSummary(summary));
    }

    fn count(&self, figure: &Figure) {
        let metrics = &self.ctx.metrics;
        match figure {
            Figure::Join(result, took) => {
                metrics.joins.get_or_create(&[("result", result)]).inc();
                if let Some((kind, took)) = took {
                    metrics.join_seconds.get_or_create(&[("kind", kind)]).observe(took.as_secs_f64());
                }
            }
            Figure::Consumer(result) => _ = metrics.consumers.get_or_create(&[("result", result)]).inc(),
            Figure::PipeSetup(result, took) => {
                metrics.pipe_setups.get_or_create(&[("result", result)]).inc();
                if let Some(took) = took {
                    metrics.pipe_setup_seconds.observe(took.as_secs_f64());
                }
            }
            Figure::Warning(kind) => {
                metrics.stream_warnings.get_or_create(&[("kind", kind.as_str())]).inc();
            }
            Figure::Sent(bytes) => _ = metrics.bytes_sent.inc_by(*bytes),
            Figure::RefusedPeer(reason) => {
                metrics.refused_peers.get_or_create(&[("reason", reason)]).inc();
            }
        }
    }
}

/// What a sample of a stream's viewers get.
async fn quality(media: &RoomMedia, sample: &[SessionId]) -> Quality {
    let mut quality = Quality::default();
    let mut bitrates = 0;
    for session in sample {
        let Some(flow) = media.viewer_flow(*session).await else { continue };
        quality.sampled += 1;
        bitrates += flow.bitrate;
        let least = quality.least_estimate.into_iter().chain(flow.estimate).min();
        quality.least_estimate = least;
        if let Some(layer) = flow.layer.map(usize::from) {
            quality.layers.resize(quality.layers.len().max(layer + 1), 0);
            quality.layers.get_mut(layer).into_iter().for_each(|count| *count += 1);
        }
    }
    quality.bitrate = bitrates / u64::from(quality.sampled.max(1));
    quality
}

fn piped(request: &CreatePipeProducer) -> Piped {
    Piped { id: request.id, carried: request.carried(), paused: request.paused }
}

impl From<CallError> for Failure {
    fn from(error: CallError) -> Self {
        match error {
            CallError::NoResponders(_) => Self::Gone,
            CallError::Timeout(_) => Self::Silent,
            CallError::Offline => Self::Offline,
            CallError::Refused(refusal) => Self::Refused(refusal),
            other => Self::Broken(other.to_string()),
        }
    }
}
