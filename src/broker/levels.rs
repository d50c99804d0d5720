//! How loud the participants of a room are, told by the nodes that take their sound to those that have participants of it.

use futures_util::StreamExt;

use super::{Broker, SUBSCRIBE_AGAIN};
use crate::protocol::codec;
use crate::protocol::ids::RoomId;
use crate::protocol::rtc::Levels;
use crate::protocol::subjects::Subject;

impl Broker {
    /// Tells the other nodes. Lost is lost: it is told twice a second while somebody speaks.
    pub async fn say_levels(&self, levels: &Levels) {
        if !self.is_connected() {
            return;
        }
        let subject = self.inner.subjects.level(&levels.room_id, &levels.from.node);
        match codec::encode(levels) {
            Ok(bytes) => drop(self.inner.client.publish(subject, bytes.into()).await),
            Err(error) => tracing::error!(%error, "levels can't be written"),
        }
    }

    /// Hands on what other nodes tell of a room, for as long as it is awaited.
    pub async fn hear_levels(&self, room: &RoomId, mut told: impl FnMut(Levels)) {
        loop {
            let subscribed = self.inner.client.subscribe(self.inner.subjects.levels_of(room)).await;
            if let Ok(mut messages) = subscribed {
                while let Some(message) = messages.next().await {
                    let Ok(levels) = codec::decode::<Levels>(&message.payload, self.inner.message_bytes)
                    else {
                        continue;
                    };
                    // A node is believed where NATS lets it speak.
                    let speaker = self.inner.subjects.parse(&message.subject);
                    let is_its = matches!(&speaker, Some(Subject::Level(of, node))
                        if *of == levels.room_id && *node == levels.from.node);
                    if is_its && levels.from != self.inner.me {
                        told(levels);
                    }
                }
            }
            tokio::time::sleep(SUBSCRIBE_AGAIN).await;
        }
    }
}
