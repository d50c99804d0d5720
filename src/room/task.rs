//! The room's task: one input at a time into the core, and its effects carried out in their order.

use std::collections::{HashMap, VecDeque};
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::Utc;
use futures_util::future::join_all;
use tokio::sync::mpsc;
use uuid::Uuid;

use super::carry::Carrier;
use super::context::Context;
use super::core::{Core, Input, Mint, Moment, Rhythm};
use super::error::RoomError;
use super::message::Message;
use super::replies::Replies;
use super::seats::Seats;
use crate::fleet::Notice;
use crate::media::{MediaEvent, RoomMedia, ViewerFlow, WorkerId};
use crate::protocol::claim::EndReason;
use crate::protocol::event::{About, What};
use crate::protocol::ids::{RoomId, RouterId};

/// Of how many viewers an operator is told what they are sent: each costs a question to a worker.
const INSPECTED: usize = 100;
/// Events of media that may wait; a lost one is found by the looks.
const EVENTS: usize = 256;

/// Runs a room until it is over; answers the messages that came too late to be read.
pub(super) async fn run(
    id: RoomId,
    ctx: Arc<Context>,
    seats: Seats,
    sender: mpsc::Sender<Message>,
    mut inbox: mpsc::Receiver<Message>,
) -> Vec<Message> {
    let Some((known, mut notices)) = ctx.directory.follow(id.clone()).await else {
        return refuse_all(inbox, || RoomError::Stopped).await;
    };
    let mut limits = ctx.limits.clone();
    limits.mark_changed();
    let mut deciding = Deciding::new(&id, &ctx, known);
    // What has nothing to do here is turned away before any media is opened for it.
    let Some(first) = deciding.first(&mut inbox).await else {
        ctx.directory.unfollow(id);
        return drain(inbox);
    };
    let (events, mut media_events) = mpsc::channel(EVENTS);
    let media = match RoomMedia::open(Arc::clone(&ctx.engine), events).await {
        Ok(media) => media,
        Err(error) => {
            tracing::error!(%error, "room not opened");
            first.refuse(RoomError::Media(error.to_string()));
            return refuse_all(inbox, || RoomError::Media(error.to_string())).await;
        }
    };
    tracing::info!("room opened");
    let mut room = deciding.open(media, seats, sender);
    room.hear(first).await;
    let mut look = pin!(tokio::time::sleep(Duration::ZERO));
    loop {
        let now = Instant::now();
        if room.core.is_over(now) {
            break;
        }
        let next = room.rhythm.next(&room.core, now).into();
        if look.deadline() != next {
            look.as_mut().reset(next);
        }
        // Handlers run after the selection: no request to a worker is ever abandoned half-way.
        tokio::select! {
            Some(message) = inbox.recv() => room.hear(message).await,
            Some(event) = media_events.recv() => room.media_event(event).await,
            news = notices.next() => for notice in news {
                room.handle(Input::Notice(notice)).await;
            },
            Ok(()) = limits.changed() => {
                let now = *limits.borrow_and_update();
                room.handle(Input::Limits(now)).await;
            }
            () = &mut look => room.look().await,
        }
    }
    ctx.directory.unfollow(id.clone());
    tracing::info!("room closed");
    ctx.events.record(About::Room(id), room.core.closed(Instant::now()));
    drain(inbox)
}

/// Closes an inbox and answers what it still held.
fn drain(mut inbox: mpsc::Receiver<Message>) -> Vec<Message> {
    inbox.close();
    let mut unread = Vec::new();
    while let Ok(message) = inbox.try_recv() {
        if !matches!(message, Message::Done(_)) {
            unread.push(message);
        }
    }
    unread
}

async fn refuse_all(mut inbox: mpsc::Receiver<Message>, why: impl Fn() -> RoomError) -> Vec<Message> {
    inbox.close();
    while let Some(message) = inbox.recv().await {
        message.refuse(why());
    }
    Vec::new()
}

/// A room without media: enough to turn away what has nothing to do here.
struct Deciding {
    id: RoomId,
    ctx: Arc<Context>,
    core: Core,
    mint: Mint,
}

/// A room with its media.
struct Room {
    core: Core,
    ctx: Arc<Context>,
    mint: Mint,
    replies: Replies,
    carrier: Carrier,
    rhythm: Rhythm,
}

impl Deciding {
    fn new(id: &RoomId, ctx: &Arc<Context>, known: Vec<Notice>) -> Self {
        let nobody = RouterId(Uuid::nil());
        let mut core = Core::new(id.clone(), ctx.me.clone(), nobody, Arc::clone(&ctx.config), Instant::now());
        for notice in known {
            core.learn(notice);
        }
        // The operating system's dice: a token that could be guessed would let strangers into pipes.
        let mint = Mint::new(0, |_| Uuid::new_v4().as_u128());
        Self { id: id.clone(), ctx: Arc::clone(ctx), core, mint }
    }

    /// The first message that the room is to be opened for.
    async fn first(&mut self, inbox: &mut mpsc::Receiver<Message>) -> Option<Message> {
        let mut next = inbox.recv().await;
        while let Some(message) = next {
            let fleet = self.ctx.fleet();
            let m = moment(&self.ctx, &fleet, &mut self.mint);
            let refused = match &message {
                Message::Watch(request, ..) => self.core.may_watch(&request.stream, &m).err(),
                Message::Remote(crate::broker::InboundBody::Origin(request, _), _) => {
                    let room = RoomError::NoStream;
                    (!self.core.may_be_asked(request, &m)).then_some(room)
                }
                Message::Publish(..) | Message::Enter(..) | Message::Carry => None,
                _ => Some(RoomError::NoSession),
            };
            let Some(error) = refused else { return Some(message) };
            if matches!(message, Message::Watch(..)) {
                self.ctx.metrics.joins.get_or_create(&[("result", error.kind())]).inc();
            }
            message.refuse(error);
            next = inbox.try_recv().ok();
        }
        None
    }

    fn open(self, media: RoomMedia, seats: Seats, sender: mpsc::Sender<Message>) -> Room {
        let Self { id, ctx, mut core, mint } = self;
        core.has_router(media.router_id());
        let carrier = Carrier::new(id, Arc::clone(&ctx), media, seats, sender);
        Room { core, ctx, mint, replies: Replies::default(), carrier, rhythm: Rhythm::default() }
    }
}

fn moment<'a>(ctx: &Context, fleet: &'a crate::fleet::Fleet, mint: &'a mut Mint) -> Moment<'a> {
    Moment {
        now: Instant::now(),
        wall: Utc::now(),
        fleet,
        draining: ctx.is_draining(),
        log: ctx.events.log(),
        mint,
    }
}

impl Room {
    /// Handles an input, and all that follows from carrying out what it leads to.
    async fn handle(&mut self, input: Input) {
        let mut inputs = VecDeque::from([input]);
        while let Some(input) = inputs.pop_front() {
            let fleet = self.ctx.fleet();
            let effects = self.core.handle(input, &mut moment(&self.ctx, &fleet, &mut self.mint));
            for effect in effects {
                inputs.extend(self.carrier.carry(effect, &mut self.replies).await);
            }
        }
    }

    async fn hear(&mut self, message: Message) {
        match message {
            Message::Inspect(answer) => drop(answer.send(self.inspect().await)),
            Message::Status(stream, answer) => drop(answer.send(self.core.status(&stream))),
            Message::WorkerDied(worker) => self.worker_died(worker).await,
            Message::Publish(request, seat, reply) => {
                self.carrier.seat(request.session, seat);
                let input = self.replies.publish(request, reply);
                self.handle(input).await;
            }
            Message::Watch(request, seat, reply) => {
                self.carrier.seat(request.session, seat);
                let input = self.replies.watch(request, reply);
                self.handle(input).await;
            }
            Message::Enter(entrance, seat, listener, reply) => {
                self.carrier.seat(entrance.session, seat);
                self.carrier.listen(entrance.session, listener);
                let input = self.replies.enter(entrance, reply);
                self.handle(input).await;
            }
            // Of a session that is over nothing is told: who asks for it is answered so.
            Message::Listen(session, listener) if self.core.is_participant(session) => {
                self.carrier.listen(session, listener);
            }
            Message::Listen(..) => {}
            other => {
                if let Some(input) = self.replies.input(other) {
                    self.handle(input).await;
                }
            }
        }
    }

    async fn media_event(&mut self, event: MediaEvent) {
        match event {
            MediaEvent::Connected(session) => self.handle(Input::Connected(session)).await,
            MediaEvent::Disconnected(session) => self.handle(Input::Disconnected(session)).await,
            MediaEvent::FirstPacket(feed) => self.carrier.media.first_packet(feed).await,
            MediaEvent::Volumes(heard) => self.handle(Input::Volumes(heard)).await,
            MediaEvent::Layers(by, id, layers) => self.handle(Input::Layers(by, id, layers)).await,
            MediaEvent::Score(by, id, score) => self.handle(Input::Score(by, id, score)).await,
            MediaEvent::ProducerScore(id, score) => self.handle(Input::ProducerScore(id, score)).await,
            MediaEvent::Moved(session) => self.carrier.media.moved(session).await,
        }
    }

    async fn look(&mut self) {
        let look = self.rhythm.look(&self.core, Instant::now());
        self.carrier.media.look().await;
        self.carrier.media.adapt(look.tries).await;
        for ticket in self.replies.hung_up() {
            self.handle(Input::HungUp(ticket)).await;
        }
        if look.sessions {
            let changed = |(session, up): &(_, bool)| *up != self.core.is_connected(*session);
            let connections = self.carrier.media.connections();
            for (session, up) in connections.into_iter().filter(changed).collect::<Vec<_>>() {
                let input = if up { Input::Connected(session) } else { Input::Disconnected(session) };
                self.handle(input).await;
            }
        }
        let measured = match look.measures {
            true => Some(self.carrier.media.measure().await),
            false => None,
        };
        self.handle(Input::Look(measured)).await;
    }

    async fn worker_died(&mut self, worker: WorkerId) {
        if self.carrier.media.workers().contains(&worker) {
            tracing::error!(worker = worker.index, "media worker died: the room ends here");
            self.handle(Input::Stop(EndReason::Media)).await;
        }
    }

    async fn inspect(&mut self) -> super::RoomView {
        let media = &self.carrier.media;
        let asked = self.core.viewers().into_iter().take(INSPECTED);
        let asked = asked.map(async |session| Some((session, media.viewer_flow(session).await?)));
        let flows: HashMap<_, ViewerFlow> = join_all(asked).await.into_iter().flatten().collect();
        let workers = media.workers().into_iter().map(|worker| worker.index).collect();
        let flow = |session| flows.get(&session).copied();
        let fleet = self.ctx.fleet();
        self.core.view(workers, media.counts(), flow, &moment(&self.ctx, &fleet, &mut self.mint))
    }
}

/// What is said of a room by its last word, should its task have failed.
pub(super) fn failed_word() -> What {
    What::RoomClosed(crate::protocol::event::RoomClosed { duration_ms: 0 })
}
