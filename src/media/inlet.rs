//! The receiving end of a pipe.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use futures_util::future::join_all;
use mediasoup::prelude::{
    DataProducer, DataProducerId, DataProducerOptions, ProduceError, Producer, ProducerOptions, Transport,
};
use mediasoup::producer::ProducerTraceEventType;
use tokio::sync::mpsc;

use super::callbacks::{Watched, watch_producer};
use super::codecs::for_worker;
use super::engine::{Engine, worker_error};
use super::messages::not_produced;
use super::pipe::{Pipe, is_associated};
use super::{Carried, FeedId, LINGER, MediaError, MediaEvent, PipeFlow, Piped, ProducerFlow, feed};
use crate::protocol::data::PipedData;
use crate::protocol::ids::ProducerId;
use crate::protocol::rtp::{MediaKind, RtpParameters};

/// A pipe and what arrives on it. Dropping it closes both.
#[derive(Debug)]
pub(super) struct Inlet {
    feeds: HashMap<FeedId, Received>,
    /// What comes of each producer now; what came before it lingers.
    newest: HashMap<ProducerId, FeedId>,
    /// What comes of producers of messages, and on which SCTP stream.
    messages: HashMap<ProducerId, (u16, DataProducer)>,
    pub(super) pipe: Pipe,
}

/// What comes of a producer.
#[derive(Debug)]
struct Received {
    of: ProducerId,
    producer: Producer,
    /// What is counted of it; none of audio.
    watched: Option<Arc<Watched>>,
    /// Whether it was seen that its first packet has arrived, which isn't asked for of audio.
    seen: bool,
    /// Since when the pipe brings the producer otherwise.
    replaced: Option<Instant>,
}

/// What is traced of a video producer for its metrics: rare events only.
const TRACED: [ProducerTraceEventType; 3] =
    [ProducerTraceEventType::KeyFrame, ProducerTraceEventType::Pli, ProducerTraceEventType::Fir];

impl Inlet {
    pub(super) fn new(pipe: Pipe) -> Self {
        Self { feeds: HashMap::new(), newest: HashMap::new(), messages: HashMap::new(), pipe }
    }

    /// Takes a producer from the pipe under `id`. Again is no error; with other SSRCs it takes the place of what
    /// came before.
    pub(super) async fn receive(
        &mut self,
        id: ProducerId,
        piped: &Piped,
        engine: &Engine,
        events: &mpsc::Sender<MediaEvent>,
    ) -> Result<FeedId, MediaError> {
        let Carried::Media(kind, rtp) = &piped.carried else { return Err(MediaError::UnknownProducer) };
        let same = |received: &Received| {
            received.of == id && ssrcs(received.producer.rtp_parameters()).eq(ssrcs(rtp))
        };
        let known = self.feeds.iter().find(|(_, received)| same(received)).map(|(feed, _)| *feed);
        let feed = match known {
            Some(feed) => feed,
            None => self.produce(id, (*kind, rtp), piped.paused, engine, events).await?,
        };
        self.set_paused(feed, piped.paused).await?;
        if let Some(former) = self.newest.insert(id, feed).and_then(|former| self.feeds.get_mut(&former)) {
            former.replaced = Some(Instant::now());
        }
        if let Some(received) = self.feeds.get_mut(&feed) {
            received.replaced = None;
        }
        Ok(feed)
    }

    async fn produce(
        &mut self,
        id: ProducerId,
        (kind, rtp): (MediaKind, &RtpParameters),
        paused: bool,
        engine: &Engine,
        events: &mpsc::Sender<MediaEvent>,
    ) -> Result<FeedId, MediaError> {
        // The worker gives it an id of its own: a router can't hold two producers of one.
        let mut options = ProducerOptions::new(kind, for_worker(rtp.clone()));
        options.paused = paused;
        options.key_frame_request_delay = engine.key_frame_delay_ms;
        let producer = self.pipe.transport.produce(options).await.map_err(|error| match error {
            ProduceError::Request(error) => worker_error(error),
            other => MediaError::Unsupported(other.to_string()),
        })?;
        let mut watched = None;
        if kind == MediaKind::Video {
            watched = Some(watch_producer(&producer, "pipe", events, &engine.metrics));
            let mut traced = TRACED.to_vec();
            traced.push(ProducerTraceEventType::Rtp);
            producer.enable_trace_event(traced).await.map_err(worker_error)?;
        }
        let feed = feed(&producer);
        self.feeds.insert(feed, Received { of: id, producer, watched, seen: false, replaced: None });
        Ok(feed)
    }

    /// Takes a producer's messages from the pipe; answers what the worker knows it by, and whether it wasn't taken before.
    pub(super) async fn receive_messages(
        &mut self,
        id: ProducerId,
        piped: &PipedData,
    ) -> Result<(DataProducerId, bool), MediaError> {
        if let Some((stream, known)) = self.messages.get(&id)
            && *stream == piped.stream_id
        {
            return Ok((known.id(), false));
        }
        let options = DataProducerOptions::new_sctp(piped.channel.on(piped.stream_id));
        let producer = self.pipe.transport.produce_data(options).await.map_err(not_produced)?;
        let native = producer.id();
        self.messages.insert(id, (piped.stream_id, producer));
        Ok((native, true))
    }

    pub(super) fn brings_messages(&self, id: ProducerId) -> bool {
        self.messages.contains_key(&id)
    }

    /// The first packet of a feed has arrived; answers whether that is news. Tracing every further packet would
    /// cost.
    pub(super) async fn first_packet_seen(&mut self, feed: FeedId) -> bool {
        let received = self.feeds.get_mut(&feed);
        let Some(received) = received.filter(|received| received.has_arrived()) else { return false };
        received.seen = true;
        let _ = received.producer.enable_trace_event(TRACED.to_vec()).await;
        true
    }

    /// The feeds whose first packet has arrived and was not seen yet.
    pub(super) fn arrived(&self) -> impl Iterator<Item = FeedId> {
        self.feeds.iter().filter(|(_, received)| received.has_arrived()).map(|(feed, _)| *feed)
    }

    pub(super) async fn set_paused(&self, feed: FeedId, paused: bool) -> Result<(), MediaError> {
        set_paused(self.producer(feed).ok_or(MediaError::UnknownProducer)?, paused).await
    }

    /// Stops taking a producer; answers what came of it.
    pub(super) fn stop_receiving(&mut self, id: ProducerId) -> Vec<FeedId> {
        self.newest.remove(&id);
        self.messages.remove(&id);
        let feeds: Vec<_> = self.feeds_of(id).collect();
        feeds.iter().for_each(|feed| self.close(*feed));
        feeds
    }

    /// Closes what came of a producer.
    pub(super) fn close(&mut self, feed: FeedId) {
        self.feeds.remove(&feed);
    }

    pub(super) fn producer(&self, feed: FeedId) -> Option<&Producer> {
        self.feeds.get(&feed).map(|received| &received.producer)
    }

    /// What comes of a producer now.
    pub(super) fn feed_of(&self, id: ProducerId) -> Option<FeedId> {
        self.newest.get(&id).copied()
    }

    /// What comes of a producer, and what lingers.
    pub(super) fn feeds_of(&self, id: ProducerId) -> impl Iterator<Item = FeedId> {
        self.feeds.iter().filter(move |(_, received)| received.of == id).map(|(feed, _)| *feed)
    }

    /// What lingers, and whether it has for long enough.
    pub(super) fn former(&self, now: Instant) -> impl Iterator<Item = (FeedId, bool)> {
        self.feeds.iter().filter_map(move |(feed, received)| {
            let since = received.replaced?;
            Some((*feed, now.saturating_duration_since(since) >= LINGER))
        })
    }

    pub(super) fn feeds(&self) -> impl Iterator<Item = FeedId> {
        self.feeds.keys().copied()
    }

    /// How many producers it holds, of media and messages.
    pub(super) fn producer_count(&self) -> usize {
        self.feeds.len() + self.messages.len()
    }

    /// The producers that come.
    pub(super) fn ids(&self) -> impl Iterator<Item = ProducerId> {
        self.newest.keys().chain(self.messages.keys()).copied()
    }

    /// What comes by the pipe now, none where that isn't known, and what of each producer.
    pub(super) async fn flow(&self) -> (Option<PipeFlow>, HashMap<ProducerId, ProducerFlow>) {
        let asked = self.feeds.values();
        let asked = asked.map(async |it| (it, it.producer.get_stats().await.unwrap_or_default()));
        let (stat, brought) = tokio::join!(self.pipe.stats(), join_all(asked));
        let (mut packets, mut lost, mut producers) = (0, 0, HashMap::<_, ProducerFlow>::new());
        for (received, stats) in brought {
            let mut bytes = 0;
            for stat in stats {
                bytes += stat.byte_count;
                packets += stat.packet_count;
                // Duplicates may make it negative.
                lost += u64::try_from(stat.packets_lost).unwrap_or(0);
            }
            // What lingers comes of the same producer, which isn't silent while its successor waits for a key frame.
            let flow = producers.entry(received.of).or_default();
            let bytes = flow.bytes + bytes;
            *flow = if received.replaced.is_none() {
                received.flow(bytes)
            } else {
                ProducerFlow { bytes, ..*flow }
            };
        }
        let flow = stat.map(|stat| PipeFlow {
            bytes_received: stat.rtp_bytes_received,
            bitrate: stat.rtp_recv_bitrate,
            packets,
            lost,
            associated: is_associated(&stat),
            ..PipeFlow::default()
        });
        (flow, producers)
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

fn ssrcs(parameters: &RtpParameters) -> impl Iterator<Item = Option<u32>> {
    parameters.encodings.iter().map(|encoding| encoding.ssrc)
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
