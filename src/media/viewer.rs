//! A viewer: its connection and what is sent on it.

use std::collections::HashMap;
use std::time::Instant;

use mediasoup::prelude::{
    ConsumeError, Consumer, ConsumerOptions, Router, Transport, TransportGeneric, WebRtcTransport,
};

use super::adapt::{Adaptation, Rate};
use super::engine::LoadShare;
use super::layout::{consumable, written_mid};
use super::{MediaError, Medium};
use crate::protocol::ids::ProducerId;
use crate::protocol::media::Adapted;
use crate::telemetry::Metrics;

/// A viewer's connection and what it is sent. Dropping it closes both.
#[derive(Debug)]
pub(super) struct Viewer {
    /// By section; with the producer of the home router that it comes from.
    consumers: HashMap<String, (ProducerId, Consumer)>,
    pub(super) transport: WebRtcTransport,
    /// The router that serves it: an index into the room's spreads; none is the home router.
    pub(super) spread: Option<usize>,
    /// Its m-lines, with what was agreed of each.
    pub(super) media: Vec<Medium>,
    /// The m-lines of our own description that it turned down.
    pub(super) turned_down: Vec<String>,
    /// The choice of its layers; none where the connection's estimate makes it.
    adaptation: Option<Adaptation>,
    _load: Option<LoadShare>,
}

impl Viewer {
    pub(super) fn new(
        transport: WebRtcTransport,
        spread: Option<usize>,
        media: Vec<Medium>,
        adaptation: Option<Adaptation>,
        load: Option<LoadShare>,
    ) -> Self {
        Self {
            consumers: HashMap::new(),
            transport,
            spread,
            media,
            turned_down: Vec::new(),
            adaptation,
            _load: load,
        }
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
        let medium = self.media.iter().find(|medium| medium.mid == mid);
        let medium = medium.ok_or(MediaError::UnknownSession)?;
        let mut options = ConsumerOptions::new(local, consumable(medium, &router.rtp_capabilities()));
        options.mid = written_mid(mid);
        let consumer = self.transport.consume(options).await.map_err(|error| match error {
            ConsumeError::ProducerNotFound(_) => MediaError::UnknownProducer,
            ConsumeError::Request(error) => super::engine::worker_error(error),
            other => MediaError::Unsupported(format!("the viewer can't take this stream: {other}")),
        })?;
        if let Some(adaptation) = &mut self.adaptation {
            adaptation.begin(&consumer).await;
        }
        self.consumers.insert(mid.to_owned(), (home, consumer));
        Ok(())
    }

    /// Keeps of what was agreed what the viewer has accepted; nothing goes out on an m-line that it turned down.
    pub(super) fn narrow(&mut self, accepted: Vec<Medium>) {
        for medium in accepted {
            let carried = self.consumers.get(&medium.mid).and_then(|(_, consumer)| {
                let sent = consumer.rtp_parameters().codecs.first()?.payload_type();
                Some(medium.agreed.codecs.iter().any(|codec| codec.payload_type() == sent))
            });
            if carried == Some(false) {
                self.consumers.remove(&medium.mid);
            }
            if medium.agreed.codecs.is_empty() {
                self.turned_down.push(medium.mid);
            } else if let Some(own) = self.media.iter_mut().find(|own| own.mid == medium.mid) {
                *own = medium;
            }
        }
    }

    /// The producer of the home router whose layers are to be chosen now.
    pub(super) fn adapts_from(&self, now: Instant) -> Option<ProducerId> {
        let adaptation = self.adaptation.as_ref()?;
        self.consumers.values().find(|(_, consumer)| adaptation.is_due(consumer, now)).map(|(home, _)| *home)
    }

    /// Chooses the layers of what comes from `home`, whose layers arrive at these rates.
    pub(super) async fn adapt(
        &mut self,
        home: ProducerId,
        rates: &[Rate],
        may_try: bool,
        metrics: &Metrics,
        now: Instant,
    ) {
        let Some(adaptation) = &mut self.adaptation else { return };
        if let Some((_, consumer)) = self.consumers.values().find(|(sent, _)| *sent == home) {
            adaptation.look(consumer, rates, may_try, metrics, now).await;
        }
    }

    /// How its layers are chosen, where there are several and the choice is ours.
    pub(super) fn adapted(&self) -> Option<Adapted> {
        self.adaptation.as_ref().filter(|_| self.layer().is_some())?.seen()
    }

    /// Stops sending what comes from a producer of the home router.
    pub(super) fn stop_sending(&mut self, home: ProducerId) {
        self.consumers.retain(|_, (sent, _)| *sent != home);
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
