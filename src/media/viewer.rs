//! A viewer: its connection and what is sent on it.

use std::collections::HashMap;
use std::time::Instant;

use mediasoup::prelude::{
    ConsumeError, ConsumerOptions, Router, Transport, TransportGeneric, WebRtcTransport,
};
use tokio::sync::mpsc;

use super::adapt::{Adaptation, Rate};
use super::callbacks::watch_consumer;
use super::engine::LoadShare;
use super::layout::{consumable, written_mid};
use super::section::{Became, Section, Sent};
use super::{FeedId, MediaError, MediaEvent, Medium, native};
use crate::protocol::ids::{ProducerId, SessionId};
use crate::protocol::media::Adapted;
use crate::telemetry::Metrics;

/// A viewer's connection and what it is sent. Dropping it closes both.
#[derive(Debug)]
pub(super) struct Viewer {
    session: SessionId,
    /// By MID.
    sections: HashMap<String, Section>,
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
        session: SessionId,
        transport: WebRtcTransport,
        spread: Option<usize>,
        media: Vec<Medium>,
        adaptation: Option<Adaptation>,
        load: Option<LoadShare>,
    ) -> Self {
        Self {
            session,
            sections: HashMap::new(),
            transport,
            spread,
            media,
            turned_down: Vec::new(),
            adaptation,
            _load: load,
        }
    }

    /// Sends on a section what comes of a producer by `feed`, for which `local` stands in the viewer's router. What
    /// the section was sent before goes on until that begins.
    ///
    /// A first consumer is not started paused: nothing is sent before the viewer has connected, which it
    /// can't before it has applied our description, and on connecting a key frame is asked for.
    pub(super) async fn send(
        &mut self,
        router: &Router,
        mid: &str,
        (of, feed, local): (ProducerId, FeedId, FeedId),
        events: &mpsc::Sender<MediaEvent>,
    ) -> Result<(), MediaError> {
        let now = Instant::now();
        self.settle(now);
        let section = self.sections.get_mut(mid);
        if section.is_some_and(|section| section.latest().feed == feed || section.go_back_to(feed)) {
            return Ok(());
        }
        let medium = self.media.iter().find(|medium| medium.mid == mid);
        let medium = medium.ok_or(MediaError::UnknownSession)?;
        let section = self.sections.get_mut(mid);
        let mut options =
            ConsumerOptions::new(native(local)?, consumable(medium, &router.rtp_capabilities()));
        options.mid = written_mid(mid);
        options.paused = section.is_some();
        let same = section.as_ref().map(|section| section.lasting()).filter(|sent| sent.of == of);
        options.preferred_layers = same.and_then(|sent| sent.consumer.preferred_layers());
        let is_other = same.is_none();
        let consumer = self.transport.consume(options).await.map_err(|error| match error {
            ConsumeError::ProducerNotFound(_) => MediaError::UnknownProducer,
            ConsumeError::Request(error) => super::engine::worker_error(error),
            other => MediaError::Unsupported(format!("the viewer can't take this stream: {other}")),
        })?;
        if let Some(adaptation) = self.adaptation.as_mut().filter(|_| is_other) {
            adaptation.begin(&consumer).await;
        }
        match section {
            Some(section) => {
                let sends = watch_consumer(&consumer, self.session, events);
                section.replace(Sent { of, feed, consumer }, sends, now).await;
            }
            None => {
                self.sections.insert(mid.to_owned(), Section::new(Sent { of, feed, consumer }));
            }
        }
        Ok(())
    }

    /// Closes what was sent before, where what replaces it is sent, or doesn't come.
    pub(super) fn settle(&mut self, now: Instant) {
        for section in self.sections.values_mut() {
            if let (Became::Moved { same_producer: true }, Some(adaptation)) =
                (section.settle(now), &mut self.adaptation)
            {
                adaptation.go_on(&section.latest().consumer);
            }
        }
    }

    /// Looks for first packets no more, where none is awaited.
    pub(super) async fn quiet(&mut self) {
        for section in self.sections.values_mut() {
            section.quiet().await;
        }
    }

    /// Whether anything of it is being replaced.
    pub(super) fn is_moving(&self) -> bool {
        self.sections.values().any(Section::is_moving)
    }

    /// Keeps of what was agreed what the viewer has accepted; nothing goes out on an m-line that it turned down.
    pub(super) fn narrow(&mut self, accepted: Vec<Medium>) {
        for medium in accepted {
            let carried = self.sections.get(&medium.mid).and_then(|section| {
                let sent = section.latest().consumer.rtp_parameters().codecs.first()?.payload_type();
                Some(medium.agreed.codecs.iter().any(|codec| codec.payload_type() == sent))
            });
            if carried == Some(false) {
                self.sections.remove(&medium.mid);
            }
            if medium.agreed.codecs.is_empty() {
                self.turned_down.push(medium.mid);
            } else if let Some(own) = self.media.iter_mut().find(|own| own.mid == medium.mid) {
                *own = medium;
            }
        }
    }

    /// The feed of the home router whose layers are to be chosen now: not while it is being replaced.
    pub(super) fn adapts_from(&self, now: Instant) -> Option<FeedId> {
        let adaptation = self.adaptation.as_ref()?;
        let sent = self.sections.values().filter(|section| !section.is_moving()).map(Section::latest);
        sent.filter(|sent| adaptation.is_due(&sent.consumer, now)).map(|sent| sent.feed).next()
    }

    /// Chooses the layers of a feed of the home router, whose layers arrive at these rates.
    pub(super) async fn adapt(
        &mut self,
        feed: FeedId,
        rates: &[Rate],
        may_try: bool,
        metrics: &Metrics,
        now: Instant,
    ) {
        let Some(adaptation) = &mut self.adaptation else { return };
        if let Some(sent) = self.sections.values().map(Section::latest).find(|sent| sent.feed == feed) {
            adaptation.look(&sent.consumer, rates, may_try, metrics, now).await;
        }
    }

    /// How its layers are chosen, where there are several and the choice is ours.
    pub(super) fn adapted(&self) -> Option<Adapted> {
        self.adaptation.as_ref().filter(|_| self.layer().is_some())?.seen()
    }

    /// A feed of the home router has ended.
    pub(super) fn stop(&mut self, feed: FeedId) {
        self.sections.retain(|_, section| section.stop(feed));
    }

    pub(super) fn is_sent(&self, feed: FeedId) -> bool {
        self.sections.values().flat_map(Section::all).any(|sent| sent.feed == feed)
    }

    /// Asks for a key frame of whatever comes from a feed of the home router.
    pub(super) async fn request_key_frame(&self, feed: FeedId) {
        for sent in self.sections.values().map(Section::latest).filter(|sent| sent.feed == feed) {
            let _ = sent.consumer.request_key_frame().await;
        }
    }

    pub(super) fn consumer_count(&self) -> usize {
        self.sections.values().flat_map(Section::all).count()
    }

    /// The spatial layer that is sent now, of a video with layers.
    pub(super) fn layer(&self) -> Option<u8> {
        let mut sent = self.sections.values().map(Section::lasting);
        sent.find_map(|sent| sent.consumer.current_layers().map(|layers| layers.spatial_layer))
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
