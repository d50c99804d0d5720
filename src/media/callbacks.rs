//! The only place that registers callbacks. They run on the worker's own thread, so they count, or
//! send an id into a channel, and return; none of them holds a handle.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};

use mediasoup::consumer::ConsumerTraceEventData;
use mediasoup::prelude::{Consumer, Producer, WebRtcTransport};
use mediasoup::producer::{ProducerScore, ProducerTraceEventData};
use mediasoup_types::data_structures::{DtlsState, IceState};
use tokio::sync::mpsc;

use super::feed;
use super::order::Order;
use crate::protocol::ids::{ConsumerId, ProducerId, SessionId};
use crate::protocol::media::{Layers, MediaEvent, ProducerFlow};
use crate::telemetry::Metrics;

/// Tells the room when a publisher or viewer connects and when its connection fails.
pub(super) fn watch_connection(
    transport: &WebRtcTransport,
    session: SessionId,
    events: &mpsc::Sender<MediaEvent>,
) {
    // A full channel loses the event; the room's next look at its sessions finds the state.
    let ice = events.clone();
    transport
        .on_ice_state_change(move |state| {
            if state == IceState::Disconnected {
                let _ = ice.try_send(MediaEvent::Disconnected(session));
            }
        })
        .detach();
    let dtls = events.clone();
    transport
        .on_dtls_state_change(move |state| {
            let event = match state {
                DtlsState::Connected => MediaEvent::Connected(session),
                DtlsState::Failed | DtlsState::Closed => MediaEvent::Disconnected(session),
                DtlsState::New | DtlsState::Connecting => return,
            };
            let _ = dtls.try_send(event);
        })
        .detach();
}

/// What a producer's callback leaves for its owner to read.
#[derive(Debug, Default)]
pub(super) struct Watched {
    /// Key frames that were asked for of this producer alone.
    pub(super) requests: AtomicU64,
    /// Key frames that it brought.
    key_frames: AtomicU64,
    /// Whether its first packet has arrived, where packets are traced.
    pub(super) arrived: AtomicBool,
    /// The order in which pictures come, while packets are traced.
    order: Order,
}

impl Watched {
    /// What was counted, beside bytes.
    pub(super) fn flow(&self, bytes: u64) -> ProducerFlow {
        let (inspected, out_of_order) = self.order.counted();
        ProducerFlow {
            bytes,
            key_frames: self.key_frames.load(Ordering::Relaxed),
            requests: self.requests.load(Ordering::Relaxed),
            inspected,
            out_of_order,
            described: false,
        }
    }
}

/// Counts key frames and the requests for them, and tells the room of the first packet. That event is a hint:
/// where a full channel loses it, the room's next look finds what it tells.
pub(super) fn watch_producer(
    producer: &Producer,
    hop: &'static str,
    events: &mpsc::Sender<MediaEvent>,
    metrics: &Arc<Metrics>,
) -> Arc<Watched> {
    let requests = metrics.key_frame_requests.get_or_create_owned(&[("hop", hop)]);
    let key_frames = metrics.key_frames.get_or_create_owned(&[("hop", hop)]);
    let watched = Arc::new(Watched::default());
    let (counts, events, feed) = (Arc::clone(&watched), events.clone(), feed(producer));
    producer
        .on_trace(move |trace| match trace {
            ProducerTraceEventData::Rtp { info, .. } => {
                counts.order.see(info.ssrc, info.sequence_number, info.timestamp, info.is_rtx);
                if !counts.arrived.swap(true, Ordering::Relaxed) {
                    let _ = events.try_send(MediaEvent::FirstPacket(feed));
                }
            }
            ProducerTraceEventData::KeyFrame { info, .. } => {
                counts.order.see(info.ssrc, info.sequence_number, info.timestamp, info.is_rtx);
                counts.key_frames.fetch_add(1, Ordering::Relaxed);
                key_frames.inc();
            }
            ProducerTraceEventData::Pli { .. } | ProducerTraceEventData::Fir { .. } => {
                requests.inc();
                counts.requests.fetch_add(1, Ordering::Relaxed);
            }
            _ => {}
        })
        .detach();
    watched
}

/// Tells the room which layers a participant is sent, and how well it comes: hints both.
pub(super) fn watch_receiver(
    consumer: &Consumer,
    by: SessionId,
    id: ConsumerId,
    events: &mpsc::Sender<MediaEvent>,
) {
    let layers = events.clone();
    consumer
        .on_layers_change(move |now| {
            let now = now.as_ref().map(|now| Layers {
                spatial: now.spatial_layer,
                temporal: now.temporal_layer.unwrap_or_default(),
            });
            let _ = layers.try_send(MediaEvent::Layers(by, id, now));
        })
        .detach();
    let scores = events.clone();
    consumer
        .on_score(move |score| {
            let _ = scores.try_send(MediaEvent::Score(by, id, score.score));
        })
        .detach();
}

/// Tells the room how well the best comes of what a participant sends, when that changes: a hint too.
pub(super) fn watch_sender(producer: &Producer, id: ProducerId, events: &mpsc::Sender<MediaEvent>) {
    let (scores, last) = (events.clone(), AtomicU8::new(0));
    let tell = Arc::new(move |encodings: &[ProducerScore]| {
        let best = encodings.iter().map(|encoding| encoding.score).max().unwrap_or_default();
        if last.swap(best, Ordering::Relaxed) != best {
            let _ = scores.try_send(MediaEvent::ProducerScore(id, best));
        }
    });
    let now = Arc::clone(&tell);
    producer.on_score(move |encodings| tell(encodings)).detach();
    // What comes of it may have been judged before.
    now(&producer.score());
}

/// Tells when the first packet is sent to a viewer, where packets are traced, and tells the room: a hint too.
pub(super) fn watch_consumer(
    consumer: &Consumer,
    session: SessionId,
    events: &mpsc::Sender<MediaEvent>,
) -> Arc<AtomicBool> {
    let sends = Arc::new(AtomicBool::new(false));
    let (begun, events) = (Arc::clone(&sends), events.clone());
    consumer
        .on_trace(move |trace| {
            if matches!(trace, ConsumerTraceEventData::Rtp { .. }) && !begun.swap(true, Ordering::Relaxed) {
                let _ = events.try_send(MediaEvent::Moved(session));
            }
        })
        .detach();
    sends
}
