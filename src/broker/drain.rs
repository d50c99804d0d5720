//! That a node is to take nothing new, as nodes ask each other for their operators.

use std::time::Instant;

use async_nats::{Message, Subscriber};
use futures_util::StreamExt;
use tokio::sync::{mpsc, oneshot};
use tokio_util::task::TaskTracker;

use super::discovery::Endpoint;
use super::serve::busy;
use super::{Broker, CallError, ConnectError, SUBSCRIBE_AGAIN};
use crate::protocol::codec::{self, Addressed};
use crate::protocol::drain::{Drain, DrainRequest};
use crate::protocol::ids::Peer;
use crate::protocol::refusal::Refusal;
use crate::telemetry::Trace;

/// Another node asks; dropping the sender answers `busy`.
#[derive(Debug)]
pub struct DrainAsked {
    /// For what.
    pub request: DrainRequest,
    /// Where the answer goes.
    pub reply: oneshot::Sender<Result<Drain, Refusal>>,
}

/// A subscription to operators' wishes for this node.
#[derive(Debug)]
pub struct DrainHearing {
    broker: Broker,
    asked: Subscriber,
}

impl Broker {
    /// Begins to hear operators' wishes for this node.
    ///
    /// # Errors
    /// [`ConnectError::Closed`].
    pub async fn hear_drain(&self) -> Result<DrainHearing, ConnectError> {
        let asked = self.inner.client.subscribe(self.inner.subjects.drain(&self.inner.me.node)).await?;
        Ok(DrainHearing { broker: self.clone(), asked })
    }

    /// Asks another node to drain, or whether it does.
    ///
    /// # Errors
    /// [`CallError`].
    pub async fn call_drain(&self, to: &Peer, request: DrainRequest) -> Result<Drain, CallError> {
        let (subject, name) = (self.inner.subjects.drain(&to.node), request.name());
        let addressed = Addressed { to: to.incarnation, request };
        self.call(subject, &to.node, name, &addressed, Trace::start()).await
    }
}

impl DrainHearing {
    /// Reads until the receiver of `news` is dropped; a subscription that ends is made again. `tracker` owns
    /// the answers.
    pub async fn read(mut self, news: mpsc::Sender<DrainAsked>, tracker: TaskTracker) {
        loop {
            tokio::select! {
                () = news.closed() => return,
                asked = self.asked.next() => match asked {
                    Some(asked) => self.broker.take_drain(asked, &news, &tracker),
                    None => self.again().await,
                },
            }
        }
    }

    async fn again(&mut self) {
        tracing::warn!("operators' wishes are no longer heard; subscribing again");
        tokio::time::sleep(SUBSCRIBE_AGAIN).await;
        match self.broker.hear_drain().await {
            Ok(again) => *self = again,
            Err(error) => tracing::debug!(%error, "operators' wishes can't be heard"),
        }
    }
}

impl Broker {
    /// Passes on a request, and its answer; one for another process is left to that.
    fn take_drain(&self, message: Message, news: &mpsc::Sender<DrainAsked>, tracker: &TaskTracker) {
        let at = Instant::now();
        let decoded = codec::decode::<Addressed<DrainRequest>>(&message.payload, self.inner.message_bytes);
        let (name, pending) = match decoded {
            Ok(request) if request.to != self.inner.me.incarnation => {
                return self.count_received(request.request.name(), "other");
            }
            Ok(Addressed { request, .. }) => {
                let (name, (reply, answer)) = (request.name(), oneshot::channel());
                let sent = news.try_send(DrainAsked { request, reply });
                (name, sent.map(|()| answer).map_err(|_| busy()))
            }
            Err(error) => ("unreadable", Err(Refusal::from(&error))),
        };
        let broker = self.clone();
        tracker.spawn(async move {
            let answer = match pending {
                Ok(answer) => answer.await.unwrap_or_else(|_| Err(busy())),
                Err(refusal) => Err(refusal),
            };
            broker.reply(message, Endpoint::Drain, name, at, answer).await;
        });
    }
}
