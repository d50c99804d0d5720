//! A publisher: its connection and its producers.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use mediasoup::prelude::{
    ProduceError, Producer, ProducerOptions, Router, Transport, TransportGeneric, WebRtcTransport,
};
use mediasoup::producer::ProducerTraceEventType;
use tokio::sync::mpsc;
use uuid::Uuid;

use super::callbacks::watch_producer;
use super::engine::{Engine, WorkerId, worker_error};
use super::{MediaError, MediaEvent, Offered, ProducerInfo, TransportInfo, UplinkFlow, session};
use crate::protocol::ids::{ProducerId, SessionId};
use crate::protocol::rtp::{DtlsParameters, MediaKind};

/// A publisher's connection and what it sends. Dropping it closes both.
#[derive(Debug)]
pub(super) struct Uplink {
    producers: HashMap<ProducerId, Producer>,
    /// Key frames that the publisher was asked for, by producer.
    key_frame_requests: Vec<Arc<AtomicU64>>,
    pub(super) transport: WebRtcTransport,
}

impl Uplink {
    pub(super) async fn open(
        router: &Router,
        worker: WorkerId,
        engine: &Engine,
        session: SessionId,
        offered: Vec<Offered>,
        dtls: DtlsParameters,
        events: &mpsc::Sender<MediaEvent>,
    ) -> Result<Self, MediaError> {
        let transport = session::open(router, worker, engine, session, events).await?;
        session::connect(&transport, dtls).await?;
        let mut uplink = Self { producers: HashMap::new(), key_frame_requests: Vec::new(), transport };
        for medium in offered {
            uplink.produce(medium, engine, events).await?;
        }
        Ok(uplink)
    }

    async fn produce(
        &mut self,
        medium: Offered,
        engine: &Engine,
        events: &mpsc::Sender<MediaEvent>,
    ) -> Result<(), MediaError> {
        let mut options = ProducerOptions::new(medium.kind, medium.rtp_parameters);
        options.key_frame_request_delay = engine.key_frame_delay_ms;
        let producer = self.transport.produce(options).await.map_err(|error| match error {
            ProduceError::Request(error) => worker_error(error),
            other => MediaError::Unsupported(other.to_string()),
        })?;
        let id = ProducerId(Uuid::from(producer.id()));
        if medium.kind == MediaKind::Video {
            let watched = watch_producer(&producer, id, "publisher", events, &engine.metrics);
            self.key_frame_requests.push(watched.requests);
            let traced = vec![
                ProducerTraceEventType::KeyFrame,
                ProducerTraceEventType::Pli,
                ProducerTraceEventType::Fir,
            ];
            producer.enable_trace_event(traced).await.map_err(worker_error)?;
        }
        self.producers.insert(id, producer);
        Ok(())
    }

    pub(super) fn info(&self) -> TransportInfo {
        session::info(&self.transport)
    }

    pub(super) fn producers(&self) -> Vec<ProducerInfo> {
        let mut infos: Vec<_> = self.producers.iter().map(|(id, producer)| describe(*id, producer)).collect();
        infos.sort_by_key(|info| (info.kind, info.id));
        infos
    }

    pub(super) fn producer(&self, id: ProducerId) -> Option<&Producer> {
        self.producers.get(&id)
    }

    /// Bytes received so far, by producer.
    pub(super) async fn bytes(&self) -> Vec<(ProducerId, u64)> {
        let mut bytes = Vec::with_capacity(self.producers.len());
        for (id, producer) in &self.producers {
            let stats = producer.get_stats().await.unwrap_or_default();
            bytes.push((*id, stats.iter().map(|stat| stat.byte_count).sum()));
        }
        bytes
    }

    /// What comes from the publisher now.
    pub(super) async fn flow(&self) -> Option<UplinkFlow> {
        let stat = self.transport.get_stats().await.ok()?.pop()?;
        let requests = self.key_frame_requests.iter().map(|requests| requests.load(Ordering::Relaxed));
        Some(UplinkFlow {
            bytes: stat.rtp_bytes_received,
            bitrate: stat.rtp_recv_bitrate,
            key_frame_requests: requests.sum(),
        })
    }
}

/// A producer as the room and other nodes know it.
pub(super) fn describe(id: ProducerId, producer: &Producer) -> ProducerInfo {
    let parameters = producer.rtp_parameters();
    ProducerInfo {
        id,
        kind: producer.kind(),
        mime_type: parameters.codecs.first().map(mime_type).unwrap_or_default(),
        encodings: u8::try_from(parameters.encodings.len()).unwrap_or(u8::MAX),
        paused: producer.paused(),
    }
}

fn mime_type(codec: &mediasoup::prelude::RtpCodecParameters) -> String {
    use mediasoup::prelude::RtpCodecParameters::{Audio, Video};
    match codec {
        Audio { mime_type, .. } => mime_type.as_str().to_owned(),
        Video { mime_type, .. } => mime_type.as_str().to_owned(),
    }
}
