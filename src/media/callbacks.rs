//! The only place that registers callbacks. They run on the worker's own thread, so they count, or
//! send an id into a channel, and return; none of them holds a handle.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use mediasoup::prelude::{Producer, WebRtcTransport};
use mediasoup::producer::ProducerTraceEventData;
use mediasoup_types::data_structures::{DtlsState, IceState};
use tokio::sync::mpsc;

use crate::protocol::ids::{ProducerId, SessionId};
use crate::telemetry::Metrics;

/// What media tells its room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MediaEvent {
    /// A publisher or viewer is connected.
    Connected(SessionId),
    /// A publisher or viewer is gone.
    Disconnected(SessionId),
    /// A producer's first packet has arrived.
    FirstPacket(ProducerId),
}

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

/// Counts key frames and the requests for them, and tells the room of the first packet. Answers where
/// the requests of this producer alone are counted.
pub(super) fn watch_producer(
    producer: &Producer,
    id: ProducerId,
    hop: &'static str,
    events: &mpsc::Sender<MediaEvent>,
    metrics: &Arc<Metrics>,
) -> Arc<AtomicU64> {
    let requests = metrics.key_frame_requests.get_or_create_owned(&[("hop", hop)]);
    let key_frames = metrics.key_frames.get_or_create_owned(&[("hop", hop)]);
    let own = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&own);
    let events = events.clone();
    let first = AtomicBool::new(true);
    producer
        .on_trace(move |trace| match trace {
            ProducerTraceEventData::Rtp { .. } if first.swap(false, Ordering::Relaxed) => {
                let _ = events.try_send(MediaEvent::FirstPacket(id));
            }
            ProducerTraceEventData::KeyFrame { .. } => drop(key_frames.inc()),
            ProducerTraceEventData::Pli { .. } | ProducerTraceEventData::Fir { .. } => {
                requests.inc();
                counted.fetch_add(1, Ordering::Relaxed);
            }
            _ => {}
        })
        .detach();
    own
}
