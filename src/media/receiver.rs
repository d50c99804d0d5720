//! A participant's connection by which it is sent what others send: single consumers, each closed on its own.

use std::collections::HashMap;

use mediasoup::consumer::ConsumerType;
use mediasoup::prelude::{
    ConsumeError, Consumer, ConsumerLayers, ConsumerOptions, DataConsumer, DataConsumerOptions, Router,
    Transport, WebRtcTransport,
};
use serde::Serialize;
use serde_json::Value;
use tokio::sync::mpsc;

use super::callbacks::watch_receiver;
use super::engine::{LoadShare, worker_error};
use super::messages::not_consumed;
use super::{FeedId, MediaError, MediaEvent, native};
use crate::protocol::ids::{ConsumerId, ProducerId, StreamName};
use crate::protocol::media::{Layers, Receive, Tuning};
use crate::protocol::rtc::{Consumed, ConsumerKind, DataConsumed};

/// A participant's connection and what it is sent. Dropping it closes both.
#[derive(Debug)]
pub(super) struct Receiver {
    consumers: HashMap<ConsumerId, Sent>,
    /// What it is sent of others' messages.
    messages: HashMap<ConsumerId, (ProducerId, DataConsumer)>,
    pub(super) transport: WebRtcTransport,
    /// The router that serves it: an index into the room's spreads; none is the home router.
    pub(super) spread: Option<usize>,
    _load: Option<LoadShare>,
}

#[derive(Debug)]
struct Sent {
    /// The feed of the home router.
    feed: FeedId,
    consumer: Consumer,
}

impl Receiver {
    pub(super) fn new(transport: WebRtcTransport, spread: Option<usize>, load: Option<LoadShare>) -> Self {
        Self { consumers: HashMap::new(), messages: HashMap::new(), transport, spread, _load: load }
    }

    /// Sends what comes by `feed`, for which `local` stands in this connection's router.
    pub(super) async fn consume(
        &mut self,
        router: &Router,
        receive: &Receive,
        (feed, local): (FeedId, FeedId),
        events: &mpsc::Sender<MediaEvent>,
    ) -> Result<Consumed, MediaError> {
        let source = native(local)?;
        if !router.can_consume(&source, &receive.takes) {
            return Err(MediaError::Unsupported(format!(
                "rtpCapabilities have nothing in common with {}",
                receive.producer.mime_type
            )));
        }
        let mut options = ConsumerOptions::new(source, receive.takes.clone());
        options.mid = Some(receive.mid.clone());
        options.paused = receive.paused;
        options.preferred_layers = receive.layers.map(layers);
        let consumer = self.transport.consume(options).await.map_err(|error| match error {
            ConsumeError::ProducerNotFound(_) => MediaError::UnknownProducer,
            ConsumeError::Request(error) => worker_error(error),
            other => MediaError::Unsupported(other.to_string()),
        })?;
        if let Some(priority) = receive.priority {
            let _ = consumer.set_priority(priority).await;
        }
        watch_receiver(&consumer, receive.by, receive.consumer, events);
        let consumed = Consumed {
            id: receive.consumer,
            producer_id: receive.producer.id,
            participant: StreamName::default(),
            kind: consumer.kind(),
            rtp_parameters: consumer.rtp_parameters().clone(),
            r#type: match consumer.r#type() {
                ConsumerType::Simulcast => ConsumerKind::Simulcast,
                ConsumerType::Svc => ConsumerKind::Svc,
                _ => ConsumerKind::Simple,
            },
            producer_paused: receive.producer.paused,
            label: String::new(),
            app_data: serde_json::Map::new(),
        };
        self.consumers.insert(receive.consumer, Sent { feed, consumer });
        Ok(consumed)
    }

    /// Sends a producer's messages.
    pub(super) async fn consume_messages(
        &mut self,
        receive: &Receive,
        options: DataConsumerOptions,
    ) -> Result<(&DataConsumer, DataConsumed), MediaError> {
        let consumer = self.transport.consume_data(options).await.map_err(not_consumed)?;
        let stream = consumer.sctp_stream_parameters();
        let no_stream = || MediaError::Unsupported("its connection takes no messages".to_owned());
        let channel = receive.producer.channel.as_ref();
        let consumed = DataConsumed {
            id: receive.consumer,
            data_producer_id: receive.producer.id,
            participant: StreamName::default(),
            sctp_stream_parameters: stream.ok_or_else(no_stream)?,
            label: String::new(),
            protocol: channel.map(|channel| channel.protocol.to_string()).unwrap_or_default(),
            app_data: serde_json::Map::new(),
        };
        let entry = self.messages.entry(receive.consumer).insert_entry((receive.producer.id, consumer));
        Ok((&entry.into_mut().1, consumed))
    }

    /// Whether it is sent a producer's messages.
    pub(super) fn is_sent_messages(&self, of: ProducerId) -> bool {
        self.messages.values().any(|(id, _)| *id == of)
    }

    fn consumer(&self, id: ConsumerId) -> Result<&Consumer, MediaError> {
        self.consumers.get(&id).map(|sent| &sent.consumer).ok_or(MediaError::UnknownConsumer)
    }

    pub(super) async fn tune(&self, id: ConsumerId, tuning: Tuning) -> Result<(), MediaError> {
        let consumer = self.consumer(id)?;
        let done = match tuning {
            Tuning::Pause => consumer.pause().await,
            Tuning::Resume => consumer.resume().await,
            Tuning::KeyFrame => consumer.request_key_frame().await,
            Tuning::Layers(preferred) => consumer.set_preferred_layers(layers(preferred)).await,
            Tuning::Priority(priority) => consumer.set_priority(priority).await,
        };
        done.map_err(worker_error)
    }

    pub(super) async fn stats(&self, id: ConsumerId) -> Result<Vec<Value>, MediaError> {
        if let Some((_, consumer)) = self.messages.get(&id) {
            return consumer.get_stats().await.map(listed).map_err(worker_error)?;
        }
        self.consumer(id)?.get_stats().await.map(listed).map_err(worker_error)?
    }

    pub(super) fn close(&mut self, id: ConsumerId) {
        self.messages.remove(&id);
        self.consumers.remove(&id);
    }

    /// A feed of the home router has ended.
    pub(super) fn stop(&mut self, feed: FeedId) {
        self.consumers.retain(|_, sent| sent.feed != feed);
    }

    pub(super) fn is_sent(&self, feed: FeedId) -> bool {
        self.consumers.values().any(|sent| sent.feed == feed)
    }

    /// Asks for a key frame of whatever comes from a feed of the home router.
    pub(super) async fn request_key_frame(&self, feed: FeedId) {
        for sent in self.consumers.values().filter(|sent| sent.feed == feed) {
            let _ = sent.consumer.request_key_frame().await;
        }
    }

    pub(super) fn consumer_count(&self) -> usize {
        self.consumers.len() + self.messages.len()
    }
}

/// mediasoup's figures of one thing, as a list of JSON.
pub(super) fn listed<T: Serialize>(stats: T) -> Result<Vec<Value>, MediaError> {
    match serde_json::to_value(stats) {
        Ok(Value::Array(stats)) => Ok(stats),
        Ok(one) => Ok(vec![one]),
        Err(error) => Err(MediaError::Worker(error.to_string())),
    }
}

fn layers(layers: Layers) -> ConsumerLayers {
    let temporal_layer = Some(layers.temporal).filter(|temporal| *temporal != u8::MAX);
    ConsumerLayers { spatial_layer: layers.spatial, temporal_layer }
}
