//! mediasoup's statistics as the controller takes them.

use std::time::Duration;

use mediasoup::consumer::ConsumerRtpStreamStat;
use mediasoup::prelude::{Consumer, Producer};
use serde::Deserialize;

use super::ladder::Rate;
use super::link::Counters;
use crate::protocol::media::Layers;

/// RTP ticks per second of any video.
const CLOCK: f64 = 90_000.0;

/// What arrives of each layer of a producer.
pub(in crate::media) async fn rates(producer: &Producer) -> Vec<Rate> {
    let stats = producer.get_stats().await.unwrap_or_default();
    let encodings = &producer.rtp_parameters().encodings;
    let mut rates = Vec::new();
    for stat in stats.iter().filter(|stat| stat.bitrate > 0 && stat.score > 0) {
        let is_own = |encoding: &mediasoup::prelude::RtpEncodingParameters| {
            encoding.ssrc.map_or(encoding.rid.is_some() && encoding.rid == stat.rid, |ssrc| ssrc == stat.ssrc)
        };
        let Some(index) = encodings.iter().position(is_own) else { continue };
        let index = u8::try_from(index).unwrap_or(u8::MAX);
        let layered = by_layer(&stat.bitrate_by_layer);
        if layered.is_empty() {
            rates.push(Rate { layers: Layers { spatial: index, temporal: 0 }, bitrate: stat.bitrate });
        }
        // Either encodings are pictures, or there is one encoding with all pictures in it.
        rates.extend(layered.into_iter().map(|(layers, bitrate)| {
            let spatial = index.saturating_add(layers.spatial);
            Rate { layers: Layers { spatial, ..layers }, bitrate }
        }));
    }
    rates
}

/// The library keeps the fields of these to itself, but not from serde.
fn by_layer(rates: &impl serde::Serialize) -> Vec<(Layers, u64)> {
    #[derive(Deserialize)]
    struct Of {
        layer: String,
        bitrate: u64,
    }
    let rates = serde_json::to_value(rates).and_then(serde_json::from_value::<Vec<Of>>).unwrap_or_default();
    let layers = |of: &Of| {
        let (spatial, temporal) = of.layer.split_once('.')?;
        Some(Layers { spatial: spatial.parse().ok()?, temporal: temporal.parse().ok()? })
    };
    rates.iter().filter_map(|of| Some((layers(of)?, of.bitrate))).collect()
}

/// What a consumer has counted of what it sends.
pub(super) async fn counters(consumer: &Consumer) -> Option<Counters> {
    let stats = consumer.get_stats().await.ok()?;
    let sent = stats.into_iter().find_map(|stat| match stat {
        ConsumerRtpStreamStat::Outbound(sent) => Some(sent),
        ConsumerRtpStreamStat::Inbound(_) => None,
    })?;
    let round_trip = sent.round_trip_time.filter(|millis| millis.is_finite() && *millis >= 0.0);
    Some(Counters {
        packets: sent.packet_count,
        bytes: sent.byte_count,
        lost: i64::from(sent.packets_lost),
        fraction: f64::from(sent.fraction_lost) / 256.0,
        nacked: sent.nack_packet_count,
        key_frames: sent.pli_count + sent.fir_count,
        round_trip: round_trip.map(|millis| Duration::from_secs_f32(millis / 1_000.0)),
        jitter: Duration::from_secs_f64(f64::from(sent.jitter) / CLOCK),
    })
}
