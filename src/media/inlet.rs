//! The receiving end of a pipe.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use mediasoup::prelude::{ProduceError, Producer, ProducerOptions, Transport};
use mediasoup::producer::ProducerTraceEventType;
use tokio::sync::mpsc;

use super::callbacks::{Watched, watch_producer};
use super::codecs::for_worker;
use super::engine::{Engine, worker_error};
use super::pipe::Pipe;
use super::{MediaError, MediaEvent, Piped, ProducerFlow, native};
use crate::protocol::ids::ProducerId;
use crate::protocol::rtp::MediaKind;

/// A pipe and what arrives on it. Dropping it closes both.
#[derive(Debug)]
pub(super) struct Inlet {
    producers: HashMap<ProducerId, Received>,
    pub(super) pipe: Pipe,
}

/// A producer of a pipe.
#[derive(Debug)]
struct Received {
    producer: Producer,
    /// What is counted of it; none of audio.
    watched: Option<Arc<Watched>>,
    /// Whether it was seen that its first packet has arrived, which isn't asked for of audio.
    seen: bool,
}

/// What a pipe has brought so far.
#[derive(Debug, Default)]
pub(super) struct Brought {
    pub(super) packets: u64,
    pub(super) lost: u64,
    /// By producer.
    pub(super) producers: Vec<(ProducerId, ProducerFlow)>,
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
        let mut options = ProducerOptions::new_pipe_transport(
            native(id)?,
            piped.kind,
            for_worker(piped.rtp_parameters.clone()),
        );
        options.paused = piped.paused;
        options.key_frame_request_delay = engine.key_frame_delay_ms;
        let producer = self.pipe.transport.produce(options).await.map_err(|error| match error {
            ProduceError::Request(error) => worker_error(error),
            other => MediaError::Unsupported(other.to_string()),
        })?;
        let mut watched = None;
        if piped.kind == MediaKind::Video {
            watched = Some(watch_producer(&producer, id, "pipe", events, &engine.metrics));
            let mut traced = TRACED.to_vec();
            traced.push(ProducerTraceEventType::Rtp);
            producer.enable_trace_event(traced).await.map_err(worker_error)?;
        }
        self.producers.insert(id, Received { producer, watched, seen: false });
        Ok(())
    }

    /// The first packet of a producer has arrived; answers whether that is news. Tracing every further packet
    /// would cost.
    pub(super) async fn first_packet_seen(&mut self, id: ProducerId) -> bool {
        let received = self.producers.get_mut(&id);
        let Some(received) = received.filter(|received| received.has_arrived()) else { return false };
        received.seen = true;
        let _ = received.producer.enable_trace_event(TRACED.to_vec()).await;
        true
    }

    /// The producers whose first packet has arrived and was not seen yet.
    pub(super) fn arrived(&self) -> impl Iterator<Item = ProducerId> {
        self.producers.iter().filter(|(_, received)| received.has_arrived()).map(|(id, _)| *id)
    }

    pub(super) async fn set_paused(&self, id: ProducerId, paused: bool) -> Result<(), MediaError> {
        set_paused(self.producer(id).ok_or(MediaError::UnknownProducer)?, paused).await
    }

    pub(super) fn stop_receiving(&mut self, id: ProducerId) -> bool {
        self.producers.remove(&id).is_some()
    }

    pub(super) fn producer(&self, id: ProducerId) -> Option<&Producer> {
        self.producers.get(&id).map(|received| &received.producer)
    }

    pub(super) fn ids(&self) -> impl Iterator<Item = ProducerId> {
        self.producers.keys().copied()
    }

    /// What all producers have brought so far.
    pub(super) async fn brought(&self) -> Brought {
        let mut brought = Brought::default();
        for (id, received) in &self.producers {
            let mut bytes = 0;
            for stat in received.producer.get_stats().await.unwrap_or_default() {
                bytes += stat.byte_count;
                brought.packets += stat.packet_count;
                // Duplicates may make it negative.
                brought.lost += u64::try_from(stat.packets_lost).unwrap_or(0);
            }
            brought.producers.push((*id, received.flow(bytes)));
        }
        brought
    }
}

impl Received {
    fn has_arrived(&self) -> bool {
        let watched = self.watched.as_ref().filter(|_| !self.seen);
        watched.is_some_and(|watched| watched.arrived.load(Ordering::Relaxed))
    }

    fn flow(&self, bytes: u64) -> ProducerFlow {
        let flow = ProducerFlow { bytes, ..ProducerFlow::default() };
        self.watched.as_ref().map_or(flow, |watched| watched.flow(bytes))
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
