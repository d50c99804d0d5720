//! Asking a node for claims, and being asked.

use std::time::Instant;

use async_nats::Message;
use tokio::sync::{mpsc, oneshot};
use tokio_util::task::TaskTracker;

use super::discovery::Endpoint;
use super::serve::busy;
use super::{Broker, CallError};
use crate::fleet::FleetNews;
use crate::protocol::codec::{self, Form};
use crate::protocol::directory::{Claims, GetClaims};
use crate::protocol::ids::NodeName;
use crate::protocol::refusal::Refusal;
use crate::telemetry::Trace;

/// The request's name in metrics and logs.
const NAME: &str = "getClaims";

impl Broker {
    /// Asks whoever serves under a node's name, this one excepted, for claims.
    ///
    /// # Errors
    /// [`CallError`].
    pub async fn get_claims(&self, node: &NodeName, request: GetClaims) -> Result<Claims, CallError> {
        let subject = self.inner.subjects.directory(node);
        self.call(subject, node, NAME, &request, Trace::start()).await
    }

    /// Passes on a request for claims, and its answer. A process does not answer itself: that is how it
    /// finds out whether another serves under its name.
    pub(super) fn take_directory(
        &self,
        message: Message,
        news: &mpsc::Sender<FleetNews>,
        tracker: &TaskTracker,
    ) {
        let at = Instant::now();
        let (reply, answer) = oneshot::channel();
        let refused = match self.decode_directory(&message) {
            Ok(None) => return self.count_received(NAME, "other"),
            Ok(Some(request)) => news.try_send(FleetNews::Asked(request, reply)).err().map(|_| busy()),
            Err(refusal) => Some(refusal),
        };
        let broker = self.clone();
        tracker.spawn(async move {
            let answer: Result<Claims, Refusal> = match refused {
                Some(refusal) => Err(refusal),
                None => match answer.await {
                    Ok(claims) => Ok(claims),
                    // Whoever would answer has gone: the asking node tries another.
                    Err(_) => return broker.count_received(NAME, "dropped"),
                },
            };
            broker.reply(message, Endpoint::Directory, NAME, at, Form::MessagePack, answer).await;
        });
    }

    /// The request; none if it is this process's own.
    fn decode_directory(&self, message: &Message) -> Result<Option<GetClaims>, Refusal> {
        let request: GetClaims = codec::decode(&message.payload, self.inner.message_bytes)
            .map_err(|error| Refusal::from(&error))?;
        Ok(Some(request).filter(|request| request.from.incarnation != self.inner.me.incarnation))
    }
}
