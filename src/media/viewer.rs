//! A viewer: its connection and what is sent on it.

use std::collections::HashMap;

use mediasoup::prelude::{
    ConsumeError, Consumer, ConsumerOptions, Router, Transport, TransportGeneric, WebRtcTransport,
};

use super::engine::LoadShare;
use super::layout::{consumable, offered_type};
use super::{MediaError, Sent, Wanted};
use crate::protocol::ids::ProducerId;

/// A viewer's connection and what it is sent. Dropping it closes both.
#[derive(Debug)]
pub(super) struct Viewer {
    /// By section; with the producer of the home router that it comes from.
    consumers: HashMap<String, (ProducerId, Consumer)>,
    pub(super) transport: WebRtcTransport,
    /// The router that serves it: an index into the room's spreads; none is the home router.
    pub(super) spread: Option<usize>,
    pub(super) wanted: Vec<Wanted>,
    _load: Option<LoadShare>,
}

impl Viewer {
    pub(super) fn new(
        transport: WebRtcTransport,
        spread: Option<usize>,
        wanted: Vec<Wanted>,
        load: Option<LoadShare>,
    ) -> Self {
        Self { consumers: HashMap::new(), transport, spread, wanted, _load: load }
    }

    /// Sends `local`, the producer of the viewer's router that stands for `home`, on a section.
    ///
    /// The consumer is not started paused: nothing is sent before the viewer has connected, which it
    /// can't before it has applied our description, and on connecting a key frame is asked for.
    pub(super) async fn send(
        &mut self,
        router: &Router,
        mid: &str,
        home: ProducerId,
        local: mediasoup::prelude::ProducerId,
    ) -> Result<(), MediaError> {
        if self.consumers.get(mid).is_some_and(|(sent, _)| *sent == home) {
            return Ok(());
        }
        // The section's former consumer goes first: one MID has one sender at a time.
        self.consumers.remove(mid);
        let wanted = self.wanted.iter().find(|wanted| wanted.mid == mid);
        let wanted = wanted.ok_or(MediaError::UnknownSession)?;
        let capabilities = consumable(&wanted.capabilities, &router.rtp_capabilities());
        let mut options = ConsumerOptions::new(local, capabilities);
        options.mid = Some(mid.to_owned());
        let consumer = self.transport.consume(options).await.map_err(|error| match error {
            ConsumeError::ProducerNotFound(_) => MediaError::UnknownProducer,
            ConsumeError::Request(error) => super::engine::worker_error(error),
            other => MediaError::Unsupported(format!("the viewer can't take this stream: {other}")),
        })?;
        // The router was chosen for what the stream was then; another codec may be numbered otherwise.
        let codec = consumer.rtp_parameters().codecs.first();
        if codec.is_none_or(|codec| offered_type(&wanted.capabilities, codec) != Some(codec.payload_type())) {
            let why = "the stream changed to a codec that the viewer numbers differently; connect again";
            return Err(MediaError::Unsupported(why.to_owned()));
        }
        self.consumers.insert(mid.to_owned(), (home, consumer));
        Ok(())
    }

    /// Stops sending what comes from a producer of the home router.
    pub(super) fn stop_sending(&mut self, home: ProducerId) {
        self.consumers.retain(|_, (sent, _)| *sent != home);
    }

    pub(super) fn sent(&self) -> Vec<Sent> {
        let of = |wanted: &Wanted| Sent {
            mid: wanted.mid.clone(),
            kind: wanted.kind,
            rtp_parameters: self.consumers.get(&wanted.mid).map(|(_, c)| c.rtp_parameters().clone()),
        };
        self.wanted.iter().map(of).collect()
    }

    /// Asks for a key frame of whatever comes from a producer of the home router.
    pub(super) async fn request_key_frame(&self, home: ProducerId) {
        for (_, consumer) in self.consumers.values().filter(|(sent, _)| *sent == home) {
            let _ = consumer.request_key_frame().await;
        }
    }

    pub(super) fn consumer_count(&self) -> usize {
        self.consumers.len()
    }

    /// The spatial layer that is sent now, of a video with layers.
    pub(super) fn layer(&self) -> Option<u8> {
        self.consumers.values().find_map(|(_, c)| c.current_layers().map(|layers| layers.spatial_layer))
    }

    /// Bits of media per second that are sent now, and that could be (none without an estimate).
    pub(super) async fn bitrates(&self) -> Option<(u64, Option<u64>)> {
        let stat = self.transport.get_stats().await.ok()?.pop()?;
        Some((stat.rtp_send_bitrate, stat.available_outgoing_bitrate))
    }

    /// Bytes of media that it was sent so far, without retransmissions.
    pub(super) async fn bytes(&self) -> u64 {
        let stats = self.transport.get_stats().await.unwrap_or_default();
        stats.first().map_or(0, |stat| stat.rtp_bytes_sent)
    }
}
