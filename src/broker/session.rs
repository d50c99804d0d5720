//! What clients ask of their sessions, as the node that they reached passes it on to the one that has them.

use std::time::Instant;

use async_nats::{Message, Subscriber};
use futures_util::StreamExt;
use tokio::sync::{mpsc, oneshot};
use tokio_util::task::TaskTracker;

use super::discovery::Endpoint;
use super::serve::{busy, trace_of};
use super::{Broker, CallError, ConnectError, SUBSCRIBE_AGAIN};
use crate::protocol::codec::{self, Addressed};
use crate::protocol::ids::Peer;
use crate::protocol::refusal::{Code, Refusal};
use crate::protocol::session::{SessionReply, SessionRequest};
use crate::telemetry::Trace;

/// A request of a client that came by another node; dropping `reply` answers `busy`.
#[derive(Debug)]
pub struct SessionAsked {
    /// What is asked.
    pub request: SessionRequest,
    /// The client's trace.
    pub trace: Trace,
    /// Where the answer goes.
    pub reply: oneshot::Sender<SessionReply>,
}

/// The subscription to what is asked of this node's sessions.
#[derive(Debug)]
pub struct SessionHearing {
    broker: Broker,
    asked: Subscriber,
}

impl Broker {
    /// Begins to hear what is asked of this node's sessions.
    ///
    /// # Errors
    /// [`ConnectError::Closed`].
    pub async fn hear_sessions(&self) -> Result<SessionHearing, ConnectError> {
        let asked = self.inner.client.subscribe(self.inner.subjects.session(&self.inner.me.node)).await?;
        Ok(SessionHearing { broker: self.clone(), asked })
    }

    /// Asks the node that has a session.
    ///
    /// # Errors
    /// [`CallError`].
    pub async fn call_session(
        &self,
        to: &Peer,
        request: SessionRequest,
        trace: Trace,
    ) -> Result<SessionReply, CallError> {
        let (subject, name) = (self.inner.subjects.session(&to.node), request.name());
        let addressed = Addressed { to: to.incarnation, request };
        self.call(subject, &to.node, name, &addressed, trace).await
    }
}

impl SessionHearing {
    /// Reads until the receiver of `asked` is dropped; a subscription that ends is made again. `tracker` owns the
    /// answers.
    pub async fn read(mut self, asked: mpsc::Sender<SessionAsked>, tracker: TaskTracker) {
        loop {
            tokio::select! {
                () = asked.closed() => return,
                message = self.asked.next() => if let Some(message) = message {
                    self.broker.take_session(message, &asked, &tracker);
                    continue;
                },
            }
            tracing::warn!("sessions are no longer heard by way of other nodes; subscribing again");
            tokio::time::sleep(SUBSCRIBE_AGAIN).await;
            match self.broker.hear_sessions().await {
                Ok(again) => self = again,
                Err(error) => tracing::debug!(%error, "sessions can't be heard by way of other nodes"),
            }
        }
    }
}

impl Broker {
    /// Passes on a request, and its answer; one for another process is left to that.
    fn take_session(&self, message: Message, asked: &mpsc::Sender<SessionAsked>, tracker: &TaskTracker) {
        let at = Instant::now();
        let decoded = codec::decode::<Addressed<SessionRequest>>(&message.payload, self.inner.message_bytes);
        let (name, pending) = match decoded {
            Ok(request) if request.to != self.inner.me.incarnation => {
                return self.count_received(request.request.name(), "other");
            }
            Ok(Addressed { request, .. }) => (request.name(), self.pass_session(&message, request, asked)),
            Err(error) => ("unreadable", Err(Refusal::from(&error))),
        };
        let broker = self.clone();
        tracker.spawn(async move {
            let answer = match pending {
                Ok(answer) => answer.await.map_err(|_| busy()),
                Err(refusal) => Err(refusal),
            };
            broker.reply(message, Endpoint::Session, name, at, answer).await;
        });
    }

    fn pass_session(
        &self,
        message: &Message,
        request: SessionRequest,
        asked: &mpsc::Sender<SessionAsked>,
    ) -> Result<oneshot::Receiver<SessionReply>, Refusal> {
        if !request.is_sound() {
            self.count_refused("unsound");
            return Err(Refusal::new(Code::Malformed, "its parts are too many or too long"));
        }
        let trace = trace_of(message);
        tracing::debug!(room = %request.at().room_id, trace_id = %trace.id(), "received event: {}", request.name());
        let (reply, answer) = oneshot::channel();
        asked.try_send(SessionAsked { request, trace, reply }).map_err(|_| busy())?;
        Ok(answer)
    }
}
