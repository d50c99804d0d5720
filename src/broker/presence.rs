//! Signs of life: said each second, never buffered.

use async_nats::Message;

use super::Broker;
use super::hear::Disbelief;
use crate::protocol::codec;
use crate::protocol::presence::Presence;
use crate::protocol::subjects::Subject;

/// The longest text in a presence, in bytes: what it says is shown to people as it is.
const MAX_TEXT: usize = 1024;
/// The most roles that a presence may name.
const MAX_ROLES: usize = 16;

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

    /// The presence in a message, if it speaks for its speaker alone.
    pub(super) fn believed_presence(&self, message: &Message) -> Result<Presence, Disbelief> {
        let presence: Presence = codec::decode(&message.payload, self.inner.message_bytes)?;
        let named = Subject::Presence(presence.peer.node.clone());
        if self.inner.subjects.parse(&message.subject) != Some(named) {
            return Err(Disbelief::Speaker);
        }
        let sound = presence.roles.len() <= MAX_ROLES
            && presence.version.len() <= MAX_TEXT
            && presence.public_url.len() <= MAX_TEXT;
        if sound { Ok(presence) } else { Err(Disbelief::Unsound) }
    }
}
