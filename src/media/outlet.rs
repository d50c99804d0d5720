//! The sending end of a pipe.

use std::collections::HashMap;
use std::time::Instant;

use mediasoup::prelude::{
    ConsumeError, Consumer, ConsumerOptions, DataConsumer, DataConsumerOptions, RtpCapabilities, Transport,
};

use super::messages::not_consumed;
use super::pipe::{Pipe, is_associated};
use super::{Carried, FeedId, LINGER, MediaError, PipeFlow, Piped, native};
use crate::protocol::ids::ProducerId;

/// A pipe and what it sends. Dropping it closes both.
#[derive(Debug)]
pub(super) struct Outlet {
    sends: HashMap<ProducerId, Sent>,
    /// What was sent of a producer before, until the other end has moved.
    leaving: Vec<(ProducerId, Sent, Instant)>,
    /// What is sent of producers of messages.
    messages: HashMap<ProducerId, DataConsumer>,
    pub(super) pipe: Pipe,
}

/// What is sent of a producer.
#[derive(Debug)]
struct Sent {
    feed: FeedId,
    consumer: Consumer,
}

impl Outlet {
    pub(super) fn new(pipe: Pipe) -> Self {
        Self { sends: HashMap::new(), leaving: Vec::new(), messages: HashMap::new(), pipe }
    }

    /// What passes now.
    pub(super) async fn flow(&self) -> Option<PipeFlow> {
        let stat = self.pipe.stats().await?;
        Some(PipeFlow {
            bytes_received: stat.bytes_received,
            bytes_sent: stat.rtp_bytes_sent,
            bitrate: stat.rtp_send_bitrate,
            associated: is_associated(&stat),
            ..PipeFlow::default()
        })
    }

    /// Starts sending what comes of a producer. Again is no error; another feed is sent beside the former for a
    /// while, with other SSRCs.
    pub(super) async fn send(&mut self, id: ProducerId, feed: FeedId) -> Result<Piped, MediaError> {
        if self.sends.get(&id).is_none_or(|sent| sent.feed != feed) {
            // A pipe consumer takes everything: it needs no capabilities.
            let options = ConsumerOptions::new(native(feed)?, RtpCapabilities::default());
            let consumer = self.pipe.transport.consume(options).await.map_err(|error| match error {
                ConsumeError::ProducerNotFound(_) => MediaError::UnknownProducer,
                other => MediaError::Worker(other.to_string()),
            })?;
            let former = self.sends.insert(id, Sent { feed, consumer });
            self.leaving.extend(former.map(|former| (id, former, Instant::now() + LINGER)));
        }
        self.sent(id).ok_or(MediaError::UnknownProducer)
    }

    /// What is sent of a producer, with its state of now.
    pub(super) fn sent(&self, id: ProducerId) -> Option<Piped> {
        self.sends.get(&id).map(|Sent { consumer, .. }| Piped {
            id,
            carried: Carried::Media(consumer.kind(), consumer.rtp_parameters().clone()),
            paused: consumer.producer_paused(),
        })
    }

    /// The SCTP stream on which a producer's messages are sent, if they are.
    pub(super) fn stream_of(&self, id: ProducerId) -> Option<u16> {
        self.messages.get(&id)?.sctp_stream_parameters().map(|stream| stream.stream_id())
    }

    /// Sends a producer's messages.
    pub(super) async fn send_messages(
        &mut self,
        id: ProducerId,
        options: DataConsumerOptions,
    ) -> Result<&DataConsumer, MediaError> {
        let consumer = self.pipe.transport.consume_data(options).await.map_err(not_consumed)?;
        Ok(self.messages.entry(id).insert_entry(consumer).into_mut())
    }

    pub(super) fn sends_messages(&self, id: ProducerId) -> bool {
        self.messages.contains_key(&id)
    }

    /// Stops sending a producer.
    pub(super) fn stop_sending(&mut self, id: ProducerId) {
        self.sends.remove(&id);
        self.messages.remove(&id);
        self.leaving.retain(|(of, ..)| *of != id);
    }

    /// A feed has ended.
    pub(super) fn stop(&mut self, feed: FeedId) {
        self.sends.retain(|_, sent| sent.feed != feed);
        self.leaving.retain(|(_, sent, _)| sent.feed != feed);
    }

    /// Stops sending what has lingered long enough.
    pub(super) fn let_go(&mut self, now: Instant) {
        self.leaving.retain(|(.., until)| *until > now);
    }

    pub(super) fn is_sent(&self, feed: FeedId) -> bool {
        let leaving = self.leaving.iter().map(|(_, sent, _)| sent);
        self.sends.values().chain(leaving).any(|sent| sent.feed == feed)
    }

    /// Asks for a key frame of a feed that this outlet sends.
    pub(super) async fn request_key_frame(&self, feed: FeedId) {
        for sent in self.sends.values().filter(|sent| sent.feed == feed) {
            let _ = sent.consumer.request_key_frame().await;
        }
    }
}
