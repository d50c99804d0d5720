//! What other nodes ask of this one, read into bounded inboxes.
//!
//! The subscriptions are in no queue group: a server that still believes in a node's former connection
//! would deliver every other request to that one.

use std::time::Instant;

use async_nats::{Message, Subscriber};
use futures_util::StreamExt;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::sync::{mpsc, oneshot};
use tokio_util::task::TaskTracker;

use super::asked::{Asked, Inbound};
use super::discovery::{Discovery, Endpoint};
use super::drain::{DrainAsked, pass_wish};
use super::rtc::RtcInbound;
use super::session::SessionAsked;
use super::{Broker, ConnectError, SUBSCRIBE_AGAIN, TRACE_HEADER};
use crate::fleet::FleetNews;
use crate::protocol::codec::{self, Addressed, Form, Reply};
use crate::protocol::drain::DrainRequest;
use crate::protocol::edge::EdgeRequest;
use crate::protocol::ids::RoomId;
use crate::protocol::origin::OriginRequest;
use crate::protocol::refusal::{Code, Refusal};
use crate::protocol::session::SessionRequest;
use crate::protocol::subjects::Subject;
use crate::telemetry::Trace;

/// Subscriptions to what is asked of this node.
#[derive(Debug)]
pub struct Requests {
    broker: Broker,
    edge: Subscriber,
    origin: Subscriber,
    directory: Subscriber,
    session: Subscriber,
    rtc: Subscriber,
    drain: Subscriber,
    discovery: Discovery,
}

/// Where requests go. Each inbox is bounded: who finds it full is answered `busy`.
#[derive(Debug)]
pub struct Inboxes {
    /// About rooms.
    pub rooms: mpsc::Sender<Inbound>,
    /// About streams.
    pub news: mpsc::Sender<FleetNews>,
    /// About sessions of this node, for clients that reached another.
    pub sessions: mpsc::Sender<SessionAsked>,
    /// Of application servers about sessions of this node.
    pub rtc: mpsc::Sender<RtcInbound>,
    /// Operators' wishes for this node.
    pub wishes: mpsc::Sender<DrainAsked>,
}

impl Broker {
    /// Begins to take requests: what this node says from now on reaches nobody before its requests do.
    ///
    /// # Errors
    /// [`ConnectError::Closed`].
    pub async fn take_requests(&self) -> Result<Requests, ConnectError> {
        let (client, subjects, me) = (&self.inner.client, &self.inner.subjects, &self.inner.me.node);
        Ok(Requests {
            broker: self.clone(),
            edge: client.subscribe(subjects.edges_of(me)).await?,
            origin: client.subscribe(subjects.origins_of(me)).await?,
            directory: client.subscribe(subjects.directory(me)).await?,
            session: client.subscribe(subjects.session(me)).await?,
            rtc: client.subscribe(subjects.rtc_of(me)).await?,
            drain: client.subscribe(subjects.drain(me)).await?,
            discovery: self.discoverable().await?,
        })
    }
}

impl Requests {
    /// Reads requests into their inboxes until the receiver of `rooms` is dropped; subscriptions that end are made
    /// again. `tracker` owns the answers.
    pub async fn read(mut self, inboxes: Inboxes, tracker: TaskTracker) {
        loop {
            tokio::select! {
                () = inboxes.rooms.closed() => return,
                () = self.read_once(&inboxes, &tracker) => {}
            }
            tracing::warn!("requests of other nodes are no longer heard; subscribing again");
            tokio::time::sleep(SUBSCRIBE_AGAIN).await;
            match self.broker.take_requests().await {
                Ok(again) => self = again,
                Err(error) => tracing::debug!(%error, "requests of other nodes can't be heard"),
            }
        }
    }

    async fn read_once(&mut self, inboxes: &Inboxes, tracker: &TaskTracker) {
        let Inboxes { rooms, news, sessions, rtc, wishes } = inboxes;
        loop {
            let broker = &self.broker;
            tokio::select! {
                Some(request) = self.edge.next() => {
                    let deliver = |message: &_, request| broker.deliver(message, request, rooms);
                    broker.take(request, Endpoint::Edge, EdgeRequest::name, tracker, deliver);
                }
                Some(request) = self.origin.next() => {
                    let deliver = |message: &_, request| broker.deliver(message, request, rooms);
                    broker.take(request, Endpoint::Origin, OriginRequest::name, tracker, deliver);
                }
                Some(request) = self.directory.next() => broker.take_directory(request, news, tracker),
                Some(request) = self.session.next() => {
                    let deliver = |message: &_, request| broker.pass_session(message, request, sessions);
                    broker.take(request, Endpoint::Session, SessionRequest::name, tracker, deliver);
                }
                Some(request) = self.rtc.next() => broker.take_rtc(request, rtc, tracker),
                Some(request) = self.drain.next() => {
                    let deliver = |_: &_, request| pass_wish(request, wishes);
                    broker.take(request, Endpoint::Drain, DrainRequest::name, tracker, deliver);
                }
                Some(question) = self.discovery.next() => broker.answer_discovery(&question).await,
                else => return,
            }
            broker.inner.metrics.inbox_depth.set(depth(rooms));
        }
    }
}

impl Broker {
    /// Has a request delivered, and its answer sent; one for another process is left to that.
    pub(super) fn take<M: DeserializeOwned, R: Serialize + Send + 'static>(
        &self,
        message: Message,
        endpoint: Endpoint,
        name: fn(&M) -> &'static str,
        tracker: &TaskTracker,
        deliver: impl FnOnce(&Message, M) -> Pending<R>,
    ) {
        let at = Instant::now();
        let decoded = codec::decode::<Addressed<M>>(&message.payload, self.inner.message_bytes);
        let (name, answer) = match decoded {
            Ok(Addressed { to, request }) if to != self.inner.me.incarnation => {
                return self.count_received(name(&request), "other");
            }
            Ok(Addressed { request, .. }) => (name(&request), deliver(&message, request)),
            Err(error) => ("unreadable", Err(Refusal::from(&error))),
        };
        tracker.spawn(self.clone().answer(message, endpoint, name, at, Form::MessagePack, answer));
    }

    fn deliver<M: Asked>(
        &self,
        message: &Message,
        request: M,
        inbox: &mpsc::Sender<Inbound>,
    ) -> Pending<M::Reply> {
        let malformed = |reason: &str| Err(Refusal::new(Code::Malformed, reason));
        let room = request.room().clone();
        if self.room_of(message).as_ref() != Some(&room) {
            return malformed("the message names another room than its subject");
        }
        if !request.is_sound() {
            self.count_refused("unsound");
            return malformed("its parts are too many or too long");
        }
        let trace = trace_of(message);
        tracing::debug!(%room, trace_id = %trace.id(), "received event: {}", request.name());
        let (reply, answer) = oneshot::channel();
        match inbox.try_send(Inbound { room, body: request.into_body(reply), trace }) {
            Ok(()) => Ok(answer),
            Err(_) => Err(busy()),
        }
    }

    fn room_of(&self, message: &Message) -> Option<RoomId> {
        match self.inner.subjects.parse(&message.subject)? {
            Subject::Edge(room, _) | Subject::Origin(room, _) => Some(room),
            _ => None,
        }
    }

    /// Waits for the answer and sends it.
    pub(super) async fn answer<R: Serialize>(
        self,
        message: Message,
        endpoint: Endpoint,
        name: &'static str,
        at: Instant,
        form: Form,
        answer: Pending<R>,
    ) {
        let answer = match answer {
            Ok(answer) => answer.await.unwrap_or_else(|_| Err(busy())),
            Err(refusal) => Err(refusal),
        };
        self.reply(message, endpoint, name, at, form, answer).await;
    }

    /// Sends an answer. A sender that wants none (no reply subject) gets none.
    pub(super) async fn reply<R: Serialize>(
        &self,
        message: Message,
        endpoint: Endpoint,
        name: &'static str,
        at: Instant,
        form: Form,
        answer: Result<R, Refusal>,
    ) {
        let result = answer.as_ref().map_or_else(|refusal| refusal.code.as_str(), |_| "ok");
        self.count_received(name, result);
        self.inner.served.count(endpoint, at.elapsed(), answer.is_ok());
        if let Err(refusal) = &answer {
            let subject = message.subject.as_str();
            tracing::info!(subject, message = name, %refusal, "request refused");
        }
        let reply = match answer {
            Ok(reply) => Reply::Ok(reply),
            Err(refusal) => Reply::Error(refusal),
        };
        match (form.encode(&reply), message.reply) {
            (Ok(bytes), Some(to)) => drop(self.inner.client.publish(to, bytes.into()).await),
            (Ok(_), None) => {}
            (Err(error), _) => tracing::error!(%error, "reply can't be written"),
        }
    }
}

/// An answer that will come, or why the request reaches nobody.
pub(super) type Pending<R> = Result<oneshot::Receiver<Result<R, Refusal>>, Refusal>;

pub(super) fn busy() -> Refusal {
    Refusal::new(Code::Busy, "the inbox is full; ask again shortly")
}

pub(super) fn trace_of(message: &Message) -> Trace {
    let headers = message.headers.as_ref();
    Trace::from_header(headers.and_then(|headers| headers.get(TRACE_HEADER)).map(|value| value.as_str()))
}

fn depth(inbox: &mpsc::Sender<Inbound>) -> i64 {
    i64::try_from(inbox.max_capacity() - inbox.capacity()).unwrap_or(i64::MAX)
}
