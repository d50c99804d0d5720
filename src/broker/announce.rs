//! Writing the registry: an announcement expects the epoch that its writer knew.

use async_nats::jetstream::context::PublishErrorKind;
use async_nats::jetstream::message::PublishMessage;
use async_nats::jetstream::stream::LastRawMessageErrorKind;

use super::Broker;
use crate::protocol::announcement::Announcement;
use crate::protocol::codec;
use crate::protocol::ids::{RoomId, StreamName};

/// What the registry holds of a stream now.
#[derive(Debug, Clone)]
pub struct Current {
    /// Its epoch; 0 where the stream was never announced.
    pub epoch: u64,
    /// The announcement; none where it can't be read (a newer version's).
    pub announcement: Option<Announcement>,
}

/// Why an announcement was not written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AnnounceError {
    /// Someone else wrote meanwhile.
    #[error("the stream was announced by another at epoch {}", .0.epoch)]
    Conflict(Current),
    /// NATS or JetStream can't be reached.
    #[error("the registry can't be reached: {0}")]
    Unreachable(String),
}

impl Broker {
    /// Writes a stream's state if its epoch is still `expected`; answers the new epoch.
    ///
    /// # Errors
    /// [`AnnounceError::Conflict`] with what stands there instead.
    pub async fn announce(&self, announcement: &Announcement, expected: u64) -> Result<u64, AnnounceError> {
        let result = self.write(announcement, expected).await;
        let outcome = match &result {
            Ok(_) => "ok",
            Err(AnnounceError::Conflict(_)) => "conflict",
            Err(AnnounceError::Unreachable(_)) => "unreachable",
        };
        self.inner.metrics.announcements.get_or_create(&[("result", outcome)]).inc();
        result
    }

    async fn write(&self, announcement: &Announcement, expected: u64) -> Result<u64, AnnounceError> {
        if !self.is_connected() {
            return Err(AnnounceError::Unreachable("nats is not connected".to_owned()));
        }
        let unreachable = |error: &dyn std::fmt::Display| AnnounceError::Unreachable(error.to_string());
        let payload = codec::encode(announcement).map_err(|error| unreachable(&error))?;
        let subject = self.inner.subjects.stream(&announcement.room_id, &announcement.stream);
        let message =
            PublishMessage::build().payload(payload.into()).expected_last_subject_sequence(expected);
        let sent = self.inner.jetstream.send_publish(subject, message).await;
        match sent.map_err(|error| unreachable(&error))?.await {
            Ok(ack) => Ok(ack.sequence),
            Err(error) if error.kind() == PublishErrorKind::WrongLastSequence => {
                let current = self.current(&announcement.room_id, &announcement.stream).await?;
                Err(AnnounceError::Conflict(current))
            }
            Err(error) => Err(unreachable(&error)),
        }
    }

    async fn current(&self, room: &RoomId, stream: &StreamName) -> Result<Current, AnnounceError> {
        let name = self.inner.subjects.announcements_stream();
        let registry = self.inner.jetstream.get_stream_no_info(name).await;
        let registry = registry.map_err(|error| AnnounceError::Unreachable(error.to_string()))?;
        let subject = self.inner.subjects.stream(room, stream);
        match registry.get_last_raw_message_by_subject(&subject).await {
            Ok(message) => Ok(Current {
                epoch: message.sequence,
                announcement: codec::decode(&message.payload, self.inner.message_bytes).ok(),
            }),
            Err(error) if error.kind() == LastRawMessageErrorKind::NoMessageFound => {
                Ok(Current { epoch: 0, announcement: None })
            }
            Err(error) => Err(AnnounceError::Unreachable(error.to_string())),
        }
    }
}
