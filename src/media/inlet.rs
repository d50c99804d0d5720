//! The receiving end of a pipe.

use std::collections::HashMap;

use mediasoup::prelude::{ProduceError, Producer, ProducerOptions, Transport};
use mediasoup::producer::ProducerTraceEventType;
use tokio::sync::mpsc;

use super::callbacks::{MediaEvent, watch_producer};
use super::engine::{Engine, worker_error};
use super::pipe::Pipe;
use super::{MediaError, Piped, native};
use crate::protocol::ids::ProducerId;
use crate::protocol::rtp::MediaKind;

/// A pipe and what arrives on it. Dropping it closes both.
#[derive(Debug)]
pub(super) struct Inlet {
    producers: HashMap<ProducerId, Producer>,
    pub(super) pipe: Pipe,
}

/// What is traced of a video producer for its metrics: rare events only.
const TRACED: [ProducerTraceEventType; 3] =
    [ProducerTraceEventType::KeyFrame, ProducerTraceEventType::Pli, ProducerTraceEventType::Fir];

impl Inlet {
    pub(super) fn new(pipe: Pipe) -> Self {
        Self { producers: HashMap::new(), pipe }
    }

    /// Takes a producer from the pipe under `id`. Again is no error.
    pub(super) async fn receive(
        &mut self,
        id: ProducerId,
        piped: &Piped,
        engine: &Engine,
        events: &mpsc::Sender<MediaEvent>,
    ) -> Result<(), MediaError> {
        if self.producers.contains_key(&id) {
            return self.set_paused(id, piped.paused).await;
        }
        let mut options =
            ProducerOptions::new_pipe_transport(native(id)?, piped.kind, piped.rtp_parameters.clone());
        options.paused = piped.paused;
        options.key_frame_request_delay = engine.key_frame_delay_ms;
        let producer = self.pipe.transport.produce(options).await.map_err(|error| match error {
            ProduceError::Request(error) => worker_error(error),
            other => MediaError::Unsupported(other.to_string()),
        })?;
        if piped.kind == MediaKind::Video {
            watch_producer(&producer, id, "pipe", events, &engine.metrics);
            let mut traced = TRACED.to_vec();
            traced.push(ProducerTraceEventType::Rtp);
            producer.enable_trace_event(traced).await.map_err(worker_error)?;
        }
        self.producers.insert(id, producer);
        Ok(())
    }

    /// The first packet is seen: tracing every further one would cost.
    pub(super) async fn first_packet_seen(&self, id: ProducerId) {
        if let Some(producer) = self.producers.get(&id) {
            let _ = producer.enable_trace_event(TRACED.to_vec()).await;
        }
    }

    pub(super) async fn set_paused(&self, id: ProducerId, paused: bool) -> Result<(), MediaError> {
        let producer = self.producers.get(&id).ok_or(MediaError::UnknownProducer)?;
        set_paused(producer, paused).await
    }

    pub(super) fn stop_receiving(&mut self, id: ProducerId) -> bool {
        self.producers.remove(&id).is_some()
    }

    pub(super) fn producer(&self, id: ProducerId) -> Option<&Producer> {
        self.producers.get(&id)
    }

    pub(super) fn ids(&self) -> impl Iterator<Item = ProducerId> {
        self.producers.keys().copied()
    }

    /// Packets received and lost, of all producers.
    pub(super) async fn packets(&self) -> (u64, u64) {
        let mut sum = (0, 0);
        for producer in self.producers.values() {
            for stat in producer.get_stats().await.unwrap_or_default() {
                sum.0 += stat.packet_count;
                // Duplicates may make it negative.
                sum.1 += u64::try_from(stat.packets_lost).unwrap_or(0);
            }
        }
        sum
    }
}

/// Pauses or resumes a producer, if it isn't so already.
pub(super) async fn set_paused(producer: &Producer, paused: bool) -> Result<(), MediaError> {
    let result = match (producer.paused(), paused) {
        (false, true) => producer.pause().await,
        (true, false) => producer.resume().await,
        _ => Ok(()),
    };
    result.map_err(worker_error)
}
