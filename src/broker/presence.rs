//! Signs of life: said each second, never buffered.

use futures_util::StreamExt;
use tokio::sync::mpsc;

use super::Broker;
use crate::protocol::codec;
use crate::protocol::presence::Presence;
use crate::protocol::subjects::Subject;

impl Broker {
    /// Tells the fleet that this node is there. Silent while NATS is not connected.
    pub async fn say_present(&self, presence: &Presence) {
        if !self.is_connected() {
            return;
        }
        let subject = self.inner.subjects.presence(&presence.peer.node);
        match codec::encode(presence) {
            Ok(bytes) => {
                if let Err(error) = self.inner.client.publish(subject, bytes.into()).await {
                    tracing::debug!(%error, "presence not sent");
                }
            }
            Err(error) => tracing::error!(%error, "presence can't be written"),
        }
    }

    /// Reads the signs of life of all nodes into `heard` until the receiver is dropped.
    ///
    /// # Errors
    /// If the subscription can't be made.
    pub async fn read_presences(self, heard: mpsc::Sender<Presence>) -> Result<(), async_nats::Error> {
        let mut presences = self.inner.client.subscribe(self.inner.subjects.presences()).await?;
        loop {
            let message = tokio::select! {
                () = heard.closed() => return Ok(()),
                message = presences.next() => match message {
                    Some(message) => message,
                    None => return Ok(()),
                },
            };
            let presence: Presence = match codec::decode(&message.payload, self.inner.message_bytes) {
                Ok(presence) => presence,
                Err(error) => {
                    tracing::debug!(subject = %message.subject, %error, "presence skipped");
                    continue;
                }
            };
            let named = Subject::Presence(presence.peer.node.clone());
            if self.inner.subjects.parse(&message.subject) == Some(named) {
                // A full channel loses a sign of life; the next one comes in a second.
                let _ = heard.try_send(presence);
            }
        }
    }
}
