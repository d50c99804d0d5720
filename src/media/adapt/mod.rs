//! Layers for viewers whose connection has no bandwidth estimate.
//!
//! mediasoup chooses layers by transport-cc feedback. Who numbers header extensions in its own way (any plain WHEP
//! player) can't agree on it, as a consumer sends with its router's numbers. For such viewers the layer is chosen
//! here: what their video's consumer counts is read once a second, [`controller`] decides, and the consumer's
//! preferred layers are set. What has one layer only costs nothing: its viewers are not asked for feedback, as an
//! estimate would choose nothing; should the stream return with layers, theirs are chosen here.

mod controller;
mod ladder;
mod link;
mod memory;
mod read;
#[cfg(test)]
mod tests;

use std::time::{Duration, Instant};

use mediasoup::consumer::ConsumerType;
use mediasoup::prelude::{Consumer, ConsumerLayers};
use mediasoup_types::rtp_parameters::{RtcpFeedback, RtpHeaderExtensionUri};

use self::controller::{Controller, Observation};
use super::Medium;
use crate::protocol::media::{Adapted, Layers};
use crate::protocol::rtp::{MediaKind, RtpCapabilitiesFinalized};
use crate::telemetry::Metrics;

pub(super) use self::ladder::Rate;
pub(super) use self::read::rates;

/// How often a viewer is looked at, and how often while something is under way.
const CALM: Duration = Duration::from_secs(1);
const RESTLESS: Duration = Duration::from_millis(250);
/// Looks come at about these times.
const SLACK: Duration = Duration::from_millis(50);

/// Whether a viewer's feedback gives its connection an estimate: transport-cc for its video, with the router's
/// number. REMB alone is none: it starts low and stays there with what browsers send of it.
pub(super) fn has_estimate(wanted: &[Medium], router: &RtpCapabilitiesFinalized) -> bool {
    let number = router.header_extensions.iter().find(|extension| {
        extension.kind == MediaKind::Video && extension.uri == RtpHeaderExtensionUri::TransportWideCcDraft01
    });
    let Some(number) = number else { return false };
    wanted.iter().filter(|wanted| wanted.kind == MediaKind::Video).any(|wanted| {
        let numbered = |offered: &crate::protocol::rtp::RtpHeaderExtension| {
            offered.uri == number.uri && offered.preferred_id == number.preferred_id
        };
        wanted.takes.header_extensions.iter().any(numbered)
            && wanted.takes.codecs.iter().any(|c| c.rtcp_feedback().contains(&RtcpFeedback::TransportCc))
    })
}

/// What viewers want without what an estimate needs.
pub(super) fn without_estimate(mut wanted: Vec<Medium>) -> Vec<Medium> {
    for medium in &mut wanted {
        let extensions = &mut medium.takes.header_extensions;
        extensions.retain(|extension| extension.uri != RtpHeaderExtensionUri::TransportWideCcDraft01);
    }
    wanted
}

/// The choice of layers for one viewer.
#[derive(Debug)]
pub(super) struct Adaptation {
    controller: Controller,
    /// When to look next.
    next: Option<Instant>,
}

impl Adaptation {
    /// Begins with layers of at most `bitrate` bits per second.
    pub(super) fn new(bitrate: u32) -> Self {
        Self { controller: Controller::new(f64::from(bitrate)), next: None }
    }

    /// A video is sent from now on. The first look chooses its layers by what they cost, so it begins in the
    /// middle, or where the last one was.
    pub(super) async fn begin(&mut self, consumer: &Consumer) {
        let Some(mode) = layered(consumer) else { return };
        let middle = (mode.spatial_layers().get() - 1) / 2;
        let last = self.controller.wanted();
        let spatial_layer = last.map_or(middle, |last| last.spatial);
        let layers = ConsumerLayers { spatial_layer, temporal_layer: last.map(|last| last.temporal) };
        self.controller.restart();
        self.next = None;
        // Where it fails the first look sets them again, or the consumer has ended.
        let _ = consumer.set_preferred_layers(layers).await;
    }

    /// The same video is sent from now on by another consumer, with the layers that it had.
    pub(super) fn go_on(&mut self, consumer: &Consumer) {
        if layered(consumer).is_some() {
            self.controller.recount();
        }
    }

    /// Whether it is time to look at this consumer.
    pub(super) fn is_due(&self, consumer: &Consumer, now: Instant) -> bool {
        self.next.is_none_or(|next| now + SLACK >= next) && layered(consumer).is_some()
    }

    /// Looks at what is sent, and changes it where that is due.
    pub(super) async fn look(
        &mut self,
        consumer: &Consumer,
        rates: &[Rate],
        may_try: bool,
        metrics: &Metrics,
        now: Instant,
    ) {
        let Some(counters) = read::counters(consumer).await else { return };
        let sent = consumer.current_layers().map(plain);
        let switch = self.controller.observe(&Observation { rates, sent, counters, may_try }, now);
        self.next = Some(now + if self.controller.is_restless() { RESTLESS } else { CALM });
        let Some(switch) = switch else { return };
        let (_, condition) = self.controller.state();
        tracing::debug!(?switch, ?sent, ?condition, "viewer's layers");
        metrics.layer_switches.get_or_create(&[("direction", switch.direction.as_str())]).inc();
        let layers =
            ConsumerLayers { spatial_layer: switch.to.spatial, temporal_layer: Some(switch.to.temporal) };
        if let Err(error) = consumer.set_preferred_layers(layers).await {
            tracing::debug!(%error, "viewer's layers not set");
        } else if switch.is_relief() && sent.is_some_and(|sent| sent.spatial > switch.to.spatial) {
            relieve(consumer).await;
        }
    }

    /// What operators are told.
    pub(super) fn seen(&self) -> Option<Adapted> {
        let preferred = self.controller.wanted()?;
        let (state, condition) = self.controller.state();
        let best = self.controller.best();
        Some(Adapted { preferred, best, state, loss: condition.loss, queue: condition.queue })
    }
}

/// Stops at once what a link can't carry: else it goes on, and is repeated, until the lower layer's key frame comes.
/// With SVC the lower layer is in what is sent already.
async fn relieve(consumer: &Consumer) {
    let waits = consumer.r#type() == ConsumerType::Simulcast;
    if waits && !consumer.paused() && consumer.pause().await.is_ok() {
        // Where it fails the consumer has ended.
        let _ = consumer.resume().await;
    }
}

/// The layers of a consumer that has several.
fn layered(consumer: &Consumer) -> Option<&mediasoup_types::scalability_modes::ScalabilityMode> {
    if !matches!(consumer.r#type(), ConsumerType::Simulcast | ConsumerType::Svc) {
        return None;
    }
    Some(&consumer.rtp_parameters().encodings.first()?.scalability_mode)
}

fn plain(layers: ConsumerLayers) -> Layers {
    Layers { spatial: layers.spatial_layer, temporal: layers.temporal_layer.unwrap_or(0) }
}
