//! A publisher: its connection and its producers.

use std::collections::HashMap;
use std::sync::Arc;

use futures_util::future::join_all;
use mediasoup::prelude::{
    DataProducer, DataProducerOptions, ProduceError, Producer, ProducerOptions, Router, Transport,
    TransportGeneric, WebRtcTransport,
};
use mediasoup::producer::ProducerTraceEventType;
use tokio::sync::mpsc;
use uuid::Uuid;

use super::callbacks::{Watched, watch_producer, watch_sender};
use super::codecs::for_worker;
use super::engine::{Engine, WorkerId, worker_error};
use super::messages::{known_as, not_produced};
use super::session::Needs;
use super::{
    MediaError, MediaEvent, Medium, ProducerFlow, ProducerInfo, SessionFlow, TransportInfo, UplinkFlow,
    session,
};
use crate::protocol::data::{Channel, ProducerKind};
use crate::protocol::ids::{ProducerId, SessionId};
use crate::protocol::rtc::{Produce, ProduceData};
use crate::protocol::rtp::{DtlsParameters, MediaKind};

/// A publisher's connection and what it sends. Dropping it closes both.
#[derive(Debug)]
pub(super) struct Uplink {
    producers: HashMap<ProducerId, Producer>,
    /// What sends messages.
    messages: HashMap<ProducerId, DataProducer>,
    /// What is counted of its videos.
    watched: HashMap<ProducerId, Arc<Watched>>,
    /// What each producer had brought when it was last asked, and all of them together.
    brought: HashMap<ProducerId, Brought>,
    bytes: Option<u64>,
    pub(super) transport: WebRtcTransport,
}

/// What a producer has brought.
#[derive(Debug, Clone, Copy, Default)]
struct Brought {
    bytes: u64,
    packets: u64,
}

impl Uplink {
    pub(super) async fn open(
        router: &Router,
        worker: WorkerId,
        engine: &Engine,
        session: SessionId,
        offered: Vec<Medium>,
        dtls: DtlsParameters,
        events: &mpsc::Sender<MediaEvent>,
    ) -> Result<Self, MediaError> {
        let mut uplink = Self::opened(router, worker, engine, session, false, events).await?;
        session::connect(&uplink.transport, dtls).await?;
        for medium in offered {
            let options = ProducerOptions::new(medium.kind, for_worker(medium.agreed));
            uplink.produce(options, engine, events).await?;
        }
        Ok(uplink)
    }

    /// One that nobody may connect to yet, and nothing is sent on.
    pub(super) async fn opened(
        router: &Router,
        worker: WorkerId,
        engine: &Engine,
        session: SessionId,
        sctp: bool,
        events: &mpsc::Sender<MediaEvent>,
    ) -> Result<Self, MediaError> {
        let needs = Needs { estimate: true, sctp };
        let transport = session::open(router, worker, engine, session, needs, events).await?;
        Ok(Self {
            producers: HashMap::new(),
            messages: HashMap::new(),
            watched: HashMap::new(),
            brought: HashMap::new(),
            bytes: None,
            transport,
        })
    }

    /// Takes a further producer.
    pub(super) async fn add(
        &mut self,
        produce: &Produce,
        engine: &Engine,
        events: &mpsc::Sender<MediaEvent>,
    ) -> Result<ProducerInfo, MediaError> {
        let mut options = ProducerOptions::new(produce.kind, for_worker(produce.rtp_parameters.clone()));
        options.paused = produce.paused;
        let id = self.produce(options, engine, events).await?;
        let producer = self.producers.get(&id).ok_or(MediaError::UnknownProducer)?;
        watch_sender(producer, id, events);
        let (label, app_data) = (produce.label.clone(), produce.app_data.clone());
        Ok(ProducerInfo { label, app_data, ..describe(id, producer) })
    }

    /// Takes a further producer, of messages.
    pub(super) async fn add_messages(&mut self, produce: &ProduceData) -> Result<ProducerInfo, MediaError> {
        let mut options = DataProducerOptions::new_sctp(produce.sctp_stream_parameters);
        (options.label, options.protocol) = (produce.label.clone(), produce.protocol.clone());
        let producer = self.transport.produce_data(options).await.map_err(not_produced)?;
        let id = known_as(producer.id());
        self.messages.insert(id, producer);
        let channel = Channel::new(produce.sctp_stream_parameters, &produce.protocol);
        let info = describe_messages(id, channel);
        Ok(ProducerInfo { label: produce.label.clone(), app_data: produce.app_data.clone(), ..info })
    }

    pub(super) fn messages(&self, id: ProducerId) -> Option<&DataProducer> {
        self.messages.get(&id)
    }

    /// Closes a producer; answers whether there was one.
    pub(super) fn remove(&mut self, id: ProducerId) -> bool {
        self.watched.remove(&id);
        self.brought.remove(&id);
        self.messages.remove(&id).is_some() || self.producers.remove(&id).is_some()
    }

    async fn produce(
        &mut self,
        mut options: ProducerOptions,
        engine: &Engine,
        events: &mpsc::Sender<MediaEvent>,
    ) -> Result<ProducerId, MediaError> {
        options.key_frame_request_delay = engine.key_frame_delay_ms;
        let kind = options.kind;
        let producer = self.transport.produce(options).await.map_err(|error| match error {
            ProduceError::Request(error) => worker_error(error),
            other => MediaError::Unsupported(other.to_string()),
        })?;
        let id = ProducerId(Uuid::from(producer.id()));
        if kind == MediaKind::Video {
            let watched = watch_producer(&producer, "publisher", events, &engine.metrics);
            self.watched.insert(id, watched);
            producer.enable_trace_event(TRACED.to_vec()).await.map_err(worker_error)?;
        }
        self.producers.insert(id, producer);
        Ok(id)
    }

    pub(super) fn info(&self, engine: &Engine) -> TransportInfo {
        session::info(&self.transport, engine)
    }

    pub(super) fn producers(&self) -> Vec<ProducerInfo> {
        let mut infos: Vec<_> = self.producers.iter().map(|(id, producer)| describe(*id, producer)).collect();
        infos.sort_by_key(|info| (info.kind, info.id));
        infos
    }

    /// How many it sends, media and messages.
    pub(super) fn producer_count(&self) -> usize {
        self.producers.len() + self.messages.len()
    }

    pub(super) fn producer(&self, id: ProducerId) -> Option<&Producer> {
        self.producers.get(&id)
    }

    /// Its sounds, as the worker calls them.
    pub(super) fn audios(&self) -> impl Iterator<Item = mediasoup::prelude::ProducerId> {
        let audios = self.producers.values().filter(|producer| producer.kind() == MediaKind::Audio);
        audios.map(Producer::id)
    }

    /// Looks at each packet of its videos, or no more: every look costs.
    pub(super) async fn inspect(&self, on: bool) {
        let mut traced = TRACED.to_vec();
        traced.extend(on.then_some(ProducerTraceEventType::Rtp));
        for producer in self.watched.keys().filter_map(|id| self.producers.get(id)) {
            let _ = producer.enable_trace_event(traced.clone()).await;
        }
    }

    /// What comes from the publisher now: all of it, over its connection, and of each producer.
    pub(super) async fn flow(
        &mut self,
    ) -> Option<(UplinkFlow, SessionFlow, Vec<(ProducerId, ProducerFlow)>)> {
        let stat = self.transport.get_stats().await.ok()?.pop()?;
        // Where the connection has brought no more media, no producer has.
        if self.bytes.replace(stat.rtp_bytes_received) != Some(stat.rtp_bytes_received) {
            let asked = self.producers.iter().map(async |(id, producer)| {
                let stats = producer.get_stats().await.unwrap_or_default();
                let bytes = stats.iter().map(|stat| stat.byte_count).sum();
                (*id, Brought { bytes, packets: stats.iter().map(|stat| stat.packet_count).sum() })
            });
            self.brought = join_all(asked).await.into_iter().collect();
        }
        let producers: Vec<_> =
            self.producers.iter().map(|(id, own)| (*id, self.flow_of(*id, own))).collect();
        let packets: u64 = self.brought.values().map(|brought| brought.packets).sum();
        let media = stat.rtp_bytes_received + stat.rtx_bytes_received + packets * SRTP_TAG;
        let flow = UplinkFlow {
            bytes: stat.rtp_bytes_received,
            bitrate: stat.rtp_recv_bitrate,
            key_frame_requests: producers.iter().map(|(_, flow)| flow.requests).sum(),
            strays: stat.bytes_received.saturating_sub(media),
        };
        let session = SessionFlow { received: stat.bytes_received, sent: stat.rtp_bytes_sent };
        Some((flow, session, producers))
    }

    fn flow_of(&self, id: ProducerId, producer: &Producer) -> ProducerFlow {
        let bytes = self.brought.get(&id).copied().unwrap_or_default().bytes;
        let watched = self.watched.get(&id);
        let flow = watched.map_or(ProducerFlow { bytes, ..ProducerFlow::default() }, |it| it.flow(bytes));
        ProducerFlow { described: is_described(producer), ..flow }
    }
}

/// What is traced of a video all the time: rare events only.
const TRACED: [ProducerTraceEventType; 3] =
    [ProducerTraceEventType::KeyFrame, ProducerTraceEventType::Pli, ProducerTraceEventType::Fir];

/// The most that encryption adds to a packet, in bytes (RFC 7714 section 14.2).
const SRTP_TAG: u64 = 16;

/// Whether a video's description carries its parameter sets (RFC 6184 section 8.1).
fn is_described(producer: &Producer) -> bool {
    let codecs = &producer.rtp_parameters().codecs;
    codecs.first().is_some_and(|codec| match codec {
        mediasoup::prelude::RtpCodecParameters::Video { parameters, .. } => {
            parameters.get("sprop-parameter-sets").is_some()
        }
        mediasoup::prelude::RtpCodecParameters::Audio { .. } => false,
    })
}

/// A producer as the room and other nodes know it.
pub(super) fn describe(id: ProducerId, producer: &Producer) -> ProducerInfo {
    let parameters = producer.rtp_parameters();
    ProducerInfo {
        id,
        kind: producer.kind().into(),
        mime_type: parameters.codecs.first().map(mime_type).unwrap_or_default(),
        encodings: u8::try_from(parameters.encodings.len()).unwrap_or(u8::MAX),
        paused: producer.paused(),
        label: String::new(),
        app_data: serde_json::Map::new(),
        channel: None,
    }
}

/// A producer of messages, likewise.
pub(super) fn describe_messages(id: ProducerId, channel: Channel) -> ProducerInfo {
    ProducerInfo {
        id,
        kind: ProducerKind::Data,
        mime_type: String::new(),
        encodings: 1,
        paused: false,
        label: String::new(),
        app_data: serde_json::Map::new(),
        channel: Some(channel),
    }
}

fn mime_type(codec: &mediasoup::prelude::RtpCodecParameters) -> String {
    use mediasoup::prelude::RtpCodecParameters::{Audio, Video};
    match codec {
        Audio { mime_type, .. } => mime_type.as_str().to_owned(),
        Video { mime_type, .. } => mime_type.as_str().to_owned(),
    }
}
