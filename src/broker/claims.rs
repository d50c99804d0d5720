//! Claims: what a node says of its own streams, once for each change.

use async_nats::Message;

use super::Broker;
use super::hear::Disbelief;
use crate::protocol::claim::Claim;
use crate::protocol::codec;
use crate::protocol::subjects::Subject;

impl Broker {
    /// Tells the fleet of a stream of this node. Silent while NATS is not connected: the digest in the
    /// presence tells the others that they miss something.
    pub async fn publish_claim(&self, claim: &Claim) {
        let sent = self.is_connected() && self.send_claim(claim).await;
        let result = if sent { "sent" } else { "unsent" };
        self.inner.metrics.claims.get_or_create(&[("result", result)]).inc();
    }

    async fn send_claim(&self, claim: &Claim) -> bool {
        let subject = self.inner.subjects.claim(&claim.room_id, &claim.stream, &claim.origin.node);
        match codec::encode(claim) {
            Ok(bytes) => {
                let sent = self.inner.client.publish(subject, bytes.into()).await;
                sent.inspect_err(|error| tracing::debug!(%error, "claim not sent")).is_ok()
            }
            Err(error) => {
                tracing::error!(%error, "claim can't be written");
                false
            }
        }
    }

    /// The claim in a message, if it speaks for its speaker alone.
    pub(super) fn believed_claim(&self, message: &Message) -> Result<Claim, Disbelief> {
        let claim: Claim = codec::decode(&message.payload, self.inner.message_bytes)?;
        let named = Subject::Claim(claim.room_id.clone(), claim.stream.clone(), claim.origin.node.clone());
        if self.inner.subjects.parse(&message.subject) != Some(named) {
            return Err(Disbelief::Speaker);
        }
        if claim.is_sound() { Ok(claim) } else { Err(Disbelief::Unsound) }
    }
}
