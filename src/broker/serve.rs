//! What other nodes ask of this one: two endpoints of a NATS service, read into one bounded inbox.

use std::collections::HashMap;

use async_nats::service::endpoint::Endpoint;
use async_nats::service::{Request, Service, ServiceExt};
use futures_util::StreamExt;
use serde::Serialize;
use tokio::sync::{mpsc, oneshot};
use tokio_util::task::TaskTracker;

use super::{Broker, TRACE_HEADER};
use crate::protocol::codec::{self, Reply};
use crate::protocol::edge::{EdgeReply, EdgeRequest};
use crate::protocol::ids::RoomId;
use crate::protocol::origin::{OriginReply, OriginRequest};
use crate::protocol::refusal::{Code, Refusal};
use crate::protocol::subjects::Subject;
use crate::telemetry::Trace;

/// A request of another node, on its way to its room.
#[derive(Debug)]
pub struct Inbound {
    /// The room.
    pub room: RoomId,
    /// What is asked, and where the answer goes.
    pub body: InboundBody,
    /// The request's trace.
    pub trace: Trace,
}

/// What is asked, and where the answer goes. Dropping the sender answers `busy`.
#[derive(Debug)]
pub enum InboundBody {
    /// Asked of this node as an edge.
    Edge(EdgeRequest, oneshot::Sender<Result<EdgeReply, Refusal>>),
    /// Asked of this node as an origin or relay.
    Origin(OriginRequest, oneshot::Sender<Result<OriginReply, Refusal>>),
}

impl Broker {
    /// Registers the node's service and reads requests into `inbox` until the connection closes.
    ///
    /// Returns once the server knows the subscriptions: only then may the node call itself ready.
    ///
    /// # Errors
    /// If the service can't be registered.
    pub async fn serve(
        &self,
        inbox: mpsc::Sender<Inbound>,
        tracker: &TaskTracker,
    ) -> Result<(), async_nats::Error> {
        let me = &self.inner.me;
        let metadata = HashMap::from([
            ("node".to_owned(), me.node.to_string()),
            ("region".to_owned(), me.region.to_string()),
            ("incarnation".to_owned(), me.incarnation.to_string()),
        ]);
        let service = self
            .inner
            .client
            .service_builder()
            .description("WebRTC with back to source")
            .metadata(metadata)
            .start("headwater", env!("CARGO_PKG_VERSION"))
            .await?;
        let subjects = &self.inner.subjects;
        // A queue group of the node's own: requests are for this node and no other.
        let group = format!("headwater-{}", me.node);
        let edge = service.endpoint_builder().name("edge").queue_group(&group);
        let edge = edge.add(subjects.edges_of(&me.node)).await?;
        let origin = service.endpoint_builder().name("origin").queue_group(&group);
        let origin = origin.add(subjects.origins_of(&me.node)).await?;
        self.inner.client.flush().await?;
        tracker.spawn(self.clone().read(service, edge, origin, inbox, tracker.clone()));
        Ok(())
    }

    async fn read(
        self,
        service: Service,
        mut edge: Endpoint,
        mut origin: Endpoint,
        inbox: mpsc::Sender<Inbound>,
        tracker: TaskTracker,
    ) {
        loop {
            tokio::select! {
                request = edge.next() => match request {
                    Some(request) => self.take(request, &inbox, &tracker, Asked::Edge),
                    None => break,
                },
                request = origin.next() => match request {
                    Some(request) => self.take(request, &inbox, &tracker, Asked::Origin),
                    None => break,
                },
                () = inbox.closed() => break,
            }
            self.inner.metrics.inbox_depth.set(depth(&inbox));
        }
        let _ = service.stop().await;
    }

    fn take(&self, request: Request, inbox: &mpsc::Sender<Inbound>, tracker: &TaskTracker, asked: Asked) {
        let trace = trace_of(&request);
        match asked {
            Asked::Edge => {
                let (name, answer) = self.deliver(
                    &request,
                    trace,
                    inbox,
                    EdgeRequest::room,
                    EdgeRequest::name,
                    InboundBody::Edge,
                );
                tracker.spawn(self.clone().answer(request, name, answer));
            }
            Asked::Origin => {
                let (name, answer) = self.deliver(
                    &request,
                    trace,
                    inbox,
                    OriginRequest::room,
                    OriginRequest::name,
                    InboundBody::Origin,
                );
                tracker.spawn(self.clone().answer(request, name, answer));
            }
        }
    }

    /// Decodes a request and puts it into the inbox; the answer is awaited by the caller.
    fn deliver<M: serde::de::DeserializeOwned, R>(
        &self,
        request: &Request,
        trace: Trace,
        inbox: &mpsc::Sender<Inbound>,
        room_of: fn(&M) -> &RoomId,
        name_of: fn(&M) -> &'static str,
        body: fn(M, oneshot::Sender<Result<R, Refusal>>) -> InboundBody,
    ) -> (&'static str, Pending<R>) {
        let payload = &request.message.payload;
        let message: M = match codec::decode(payload, self.inner.message_bytes) {
            Ok(message) => message,
            Err(error) => return ("unreadable", Err(Refusal::from(&error))),
        };
        let name = name_of(&message);
        let room = room_of(&message).clone();
        let addressed = match self.inner.subjects.parse(&request.message.subject) {
            Some(Subject::Edge(room, _) | Subject::Origin(room, _)) => Some(room),
            _ => None,
        };
        if addressed.as_ref() != Some(&room) {
            let reason = "the message names another room than its subject";
            return (name, Err(Refusal::new(Code::Malformed, reason)));
        }
        tracing::debug!(room = %room, trace_id = %trace.id(), "received event: {name}");
        let (reply, answer) = oneshot::channel();
        match inbox.try_send(Inbound { room, body: body(message, reply), trace }) {
            Ok(()) => (name, Ok(answer)),
            Err(_) => (name, Err(busy())),
        }
    }

    async fn answer<R: Serialize>(self, request: Request, name: &'static str, answer: Pending<R>) {
        let answer = match answer {
            Ok(answer) => answer.await.unwrap_or_else(|_| Err(busy())),
            Err(refusal) => Err(refusal),
        };
        let result = answer.as_ref().map_or_else(|refusal| refusal.code.as_str(), |_| "ok");
        self.inner.metrics.messages_received.get_or_create(&[("message", name), ("result", result)]).inc();
        if let Err(refusal) = &answer {
            let subject = request.message.subject.as_str();
            tracing::info!(subject, message = name, %refusal, "request refused");
        }
        let reply = match answer {
            Ok(reply) => Reply::Ok(reply),
            Err(refusal) => Reply::Error(refusal),
        };
        match codec::encode(&reply) {
            // A sender that wants no reply (no reply subject) gets none.
            Ok(bytes) => drop(request.respond(Ok(bytes.into())).await),
            Err(error) => tracing::error!(%error, "reply can't be written"),
        }
    }
}

/// An answer that the room will give, or why the request doesn't reach it.
type Pending<R> = Result<oneshot::Receiver<Result<R, Refusal>>, Refusal>;

#[derive(Clone, Copy)]
enum Asked {
    Edge,
    Origin,
}

fn busy() -> Refusal {
    Refusal::new(Code::Busy, "the inbox is full; ask again shortly")
}

fn trace_of(request: &Request) -> Trace {
    let headers = request.message.headers.as_ref();
    Trace::from_header(headers.and_then(|headers| headers.get(TRACE_HEADER)).map(|value| value.as_str()))
}

fn depth(inbox: &mpsc::Sender<Inbound>) -> i64 {
    i64::try_from(inbox.max_capacity() - inbox.capacity()).unwrap_or(i64::MAX)
}
