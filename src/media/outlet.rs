//! The sending end of a pipe.

use std::collections::HashMap;

use mediasoup::prelude::{ConsumeError, Consumer, ConsumerOptions, RtpCapabilities, Transport};

use super::pipe::Pipe;
use super::{MediaError, Piped, native};
use crate::protocol::ids::ProducerId;

/// A pipe and what it sends. Dropping it closes both.
#[derive(Debug)]
pub(super) struct Outlet {
    consumers: HashMap<ProducerId, Consumer>,
    pub(super) pipe: Pipe,
}

impl Outlet {
    pub(super) fn new(pipe: Pipe) -> Self {
        Self { consumers: HashMap::new(), pipe }
    }

    /// Starts sending a producer of this router. Again is no error.
    pub(super) async fn send(&mut self, id: ProducerId) -> Result<Piped, MediaError> {
        if !self.consumers.contains_key(&id) {
            // A pipe consumer takes everything: it needs no capabilities.
            let options = ConsumerOptions::new(native(id)?, RtpCapabilities::default());
            let consumer = self.pipe.transport.consume(options).await.map_err(|error| match error {
                ConsumeError::ProducerNotFound(_) => MediaError::UnknownProducer,
                other => MediaError::Worker(other.to_string()),
            })?;
            self.consumers.insert(id, consumer);
        }
        self.sent(id).ok_or(MediaError::UnknownProducer)
    }

    /// What is sent of a producer, with its state of now.
    pub(super) fn sent(&self, id: ProducerId) -> Option<Piped> {
        self.consumers.get(&id).map(|consumer| Piped {
            id,
            kind: consumer.kind(),
            rtp_parameters: consumer.rtp_parameters().clone(),
            paused: consumer.producer_paused(),
        })
    }

    pub(super) fn stop_sending(&mut self, id: ProducerId) {
        self.consumers.remove(&id);
    }

    /// Asks for a key frame of a producer that this outlet sends.
    pub(super) async fn request_key_frame(&self, id: ProducerId) {
        if let Some(consumer) = self.consumers.get(&id) {
            let _ = consumer.request_key_frame().await;
        }
    }
}
