//! Who is sent out and kept out, as nodes ask and tell each other.

use async_nats::{Message, Subscriber};
use futures_util::StreamExt;
use tokio::sync::{mpsc, oneshot};
use tokio_util::task::TaskTracker;

use super::discovery::Endpoint;
use super::hear::Disbelief;
use super::serve::{Pending, busy};
use super::{Broker, CallError, ConnectError, SUBSCRIBE_AGAIN};
use crate::protocol::codec::{self, Addressed};
use crate::protocol::gate::{BarsDigest, GateReply, GateRequest};
use crate::protocol::ids::Peer;
use crate::protocol::refusal::{Code, Refusal};
use crate::protocol::subjects::Subject;
use crate::telemetry::Trace;

/// What other nodes say to this one's gate.
#[derive(Debug)]
pub enum GateNews {
    /// One asks; dropping the sender answers `busy`.
    Asked(GateRequest, oneshot::Sender<Result<GateReply, Refusal>>),
    /// One sums up its bars.
    Heard(BarsDigest),
}

/// Subscriptions to what is said to this node's gate.
#[derive(Debug)]
pub struct GateHearing {
    broker: Broker,
    asked: Subscriber,
    digests: Subscriber,
}

impl Broker {
    /// Begins to hear what is said to this node's gate.
    ///
    /// # Errors
    /// [`ConnectError::Closed`].
    pub async fn hear_gate(&self) -> Result<GateHearing, ConnectError> {
        let (client, subjects) = (&self.inner.client, &self.inner.subjects);
        let asked = client.subscribe(subjects.gate(&self.inner.me.node)).await?;
        let digests = client.subscribe(subjects.all_bars()).await?;
        Ok(GateHearing { broker: self.clone(), asked, digests })
    }

    /// Asks another node's gate.
    ///
    /// # Errors
    /// [`CallError`].
    pub async fn call_gate(&self, to: &Peer, request: GateRequest) -> Result<GateReply, CallError> {
        let (subject, name) = (self.inner.subjects.gate(&to.node), request.name());
        let addressed = Addressed { to: to.incarnation, request };
        self.call(subject, &to.node, name, &addressed, Trace::start()).await
    }

    /// Sums up this node's bars. Silent while NATS is not connected: it is said again.
    pub async fn say_bars(&self, digest: &BarsDigest) {
        if !self.is_connected() {
            return;
        }
        let subject = self.inner.subjects.bars(&digest.from.node);
        match codec::encode(digest) {
            Ok(bytes) => {
                let sent = self.inner.client.publish(subject, bytes.into()).await;
                drop(sent.inspect_err(|error| tracing::debug!(%error, "digest of bars not sent")));
            }
            Err(error) => tracing::error!(%error, "digest of bars can't be written"),
        }
    }
}

impl GateHearing {
    /// Reads until the receiver of `news` is dropped; subscriptions that end are made again. `tracker` owns
    /// the answers.
    pub async fn read(mut self, news: mpsc::Sender<GateNews>, tracker: TaskTracker) {
        loop {
            tokio::select! {
                () = news.closed() => return,
                () = self.read_once(&news, &tracker) => {}
            }
            tracing::warn!("the gate is no longer heard; subscribing again");
            tokio::time::sleep(SUBSCRIBE_AGAIN).await;
            match self.broker.hear_gate().await {
                Ok(again) => self = again,
                Err(error) => tracing::debug!(%error, "the gate can't be heard"),
            }
        }
    }

    async fn read_once(&mut self, news: &mpsc::Sender<GateNews>, tracker: &TaskTracker) {
        loop {
            tokio::select! {
                asked = self.asked.next() => match asked {
                    Some(asked) => {
                        let broker = &self.broker;
                        let deliver = |_: &_, request| broker.pass_on(request, news);
                        broker.take(asked, Endpoint::Gate, GateRequest::name, tracker, deliver);
                    }
                    None => return,
                },
                digest = self.digests.next() => match digest {
                    Some(digest) => self.broker.heard_bars(&digest, news),
                    None => return,
                },
            }
        }
    }
}

impl Broker {
    fn pass_on(&self, request: GateRequest, news: &mpsc::Sender<GateNews>) -> Pending<GateReply> {
        if !request.is_sound() {
            self.count_refused("unsound");
            return Err(Refusal::new(Code::Malformed, "its parts are too many or too long"));
        }
        let (reply, answer) = oneshot::channel();
        news.try_send(GateNews::Asked(request, reply)).map_err(|_| busy())?;
        Ok(answer)
    }

    fn heard_bars(&self, message: &Message, news: &mpsc::Sender<GateNews>) {
        let result = match self.believed_bars(message) {
            Ok(digest) if digest.from.incarnation == self.inner.me.incarnation => "own",
            Ok(digest) => match news.try_send(GateNews::Heard(digest)) {
                Ok(()) => "ok",
                // It is said again.
                Err(_) => "dropped",
            },
            Err(Disbelief::Speaker) => {
                self.count_refused("speaker");
                "speaker"
            }
            Err(_) => "unreadable",
        };
        self.count_received("bars", result);
    }

    fn believed_bars(&self, message: &Message) -> Result<BarsDigest, Disbelief> {
        let digest: BarsDigest = codec::decode(&message.payload, self.inner.message_bytes)?;
        let named = Subject::Bars(digest.from.node.clone());
        let speaks = self.inner.subjects.parse(&message.subject) == Some(named);
        if speaks { Ok(digest) } else { Err(Disbelief::Speaker) }
    }
}
