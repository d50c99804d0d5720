//! Which payload types a viewer's router must use.
//!
//! A mediasoup consumer sends with its router's payload types, but a WHEP client offers, and so
//! chooses, its own (RFC 3264 section 5.1). Viewers whose choice differs from the home router's are
//! therefore served from a further router of the room, whose codecs carry their payload types; all
//! viewers of one browser make the same choice and share it.

use mediasoup::prelude::{
    MimeTypeVideo, RtpCapabilities, RtpCapabilitiesFinalized, RtpCodecCapability, RtpCodecParameters,
};
use mediasoup_types::rtp_parameters::{
    MimeType, RtpCodecCapabilityFinalized, RtpCodecParametersParametersValue,
};

use super::Wanted;
use crate::protocol::codec_match::same_codec;

/// Payload types that differ from the home router's.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Layout(Vec<RtpCodecCapability>);

impl Layout {
    /// The layout that a viewer needs for streams of these codecs; none where the home router serves
    /// it. The layout has all codecs that viewer and router share, so that viewers of one browser share
    /// it whatever they watch.
    pub(super) fn of(
        wanted: &[Wanted],
        home: &RtpCapabilitiesFinalized,
        sources: &[RtpCodecParameters],
    ) -> Option<Self> {
        let mut codecs = Vec::new();
        let mut differs = false;
        for codec in home.codecs.iter().filter(|codec| !codec.is_rtx()) {
            let offered = wanted.iter().find_map(|w| offered_type(&w.capabilities, codec));
            let Some(payload_type) = offered else { continue };
            let used = sources.iter().any(|source| same_codec(codec, source));
            differs |= used && payload_type != codec.preferred_payload_type();
            codecs.push(with_payload_type(codec, payload_type));
        }
        differs.then_some(Self(codecs))
    }

    /// The codecs of the router that serves this layout.
    pub(super) fn codecs(&self) -> Vec<RtpCodecCapability> {
        self.0.clone()
    }
}

/// The payload type that a viewer chose for a codec.
pub(super) fn offered_type<'a>(
    wanted: &RtpCapabilities,
    codec: impl Into<crate::protocol::codec_match::Codec<'a>>,
) -> Option<u8> {
    let codec = codec.into();
    let offered = wanted.codecs.iter().find(|offered| !is_rtx(offered) && same_codec(codec, *offered));
    offered.and_then(RtpCodecCapability::preferred_payload_type)
}

/// The capabilities with which a viewer consumes from a router: retransmission only where the
/// viewer chose the very payload type that the router uses for it.
pub(super) fn consumable(wanted: &RtpCapabilities, router: &RtpCapabilitiesFinalized) -> RtpCapabilities {
    let mut capabilities = wanted.clone();
    capabilities.codecs.retain(|codec| {
        !is_rtx(codec)
            || router.codecs.iter().any(|own| {
                own.is_rtx()
                    && codec.preferred_payload_type() == Some(own.preferred_payload_type())
                    && apt(codec.parameters().get("apt")) == apt(own.parameters().get("apt"))
            })
    });
    capabilities
}

fn apt(value: Option<&RtpCodecParametersParametersValue>) -> Option<u32> {
    match value {
        Some(RtpCodecParametersParametersValue::Number(number)) => Some(*number),
        _ => None,
    }
}

fn is_rtx(codec: &RtpCodecCapability) -> bool {
    codec.mime_type() == MimeType::Video(MimeTypeVideo::Rtx)
}

fn with_payload_type(codec: &RtpCodecCapabilityFinalized, payload_type: u8) -> RtpCodecCapability {
    match codec.clone() {
        RtpCodecCapabilityFinalized::Audio {
            mime_type,
            clock_rate,
            channels,
            parameters,
            rtcp_feedback,
            ..
        } => RtpCodecCapability::Audio {
            mime_type,
            preferred_payload_type: Some(payload_type),
            clock_rate,
            channels,
            parameters,
            rtcp_feedback,
        },
        RtpCodecCapabilityFinalized::Video { mime_type, clock_rate, parameters, rtcp_feedback, .. } => {
            RtpCodecCapability::Video {
                mime_type,
                preferred_payload_type: Some(payload_type),
                clock_rate,
                parameters,
                rtcp_feedback,
            }
        }
    }
}
