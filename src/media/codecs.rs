//! The codecs of a router, from the configuration.

use std::num::{NonZeroU8, NonZeroU32};

use mediasoup::prelude::{
    MimeTypeAudio, MimeTypeVideo, RtcpFeedback, RtpCodecCapability, RtpCodecParametersParameters,
};

use crate::config::Codec;

const fn hertz(rate: u32) -> NonZeroU32 {
    match NonZeroU32::new(rate) {
        Some(rate) => rate,
        None => NonZeroU32::MIN,
    }
}

const OPUS_CHANNELS: NonZeroU8 = match NonZeroU8::new(2) {
    Some(channels) => channels,
    None => NonZeroU8::MIN,
};

/// The router's codecs. The payload types are those that browsers offer by themselves, so that most
/// viewers can be served without another router (see `layout`).
pub(super) fn capabilities(codecs: &[Codec]) -> Vec<RtpCodecCapability> {
    codecs.iter().flat_map(|codec| of(*codec)).collect()
}

fn of(codec: Codec) -> Vec<RtpCodecCapability> {
    match codec {
        Codec::Opus => vec![RtpCodecCapability::Audio {
            mime_type: MimeTypeAudio::Opus,
            preferred_payload_type: Some(111),
            clock_rate: hertz(48_000),
            channels: OPUS_CHANNELS,
            parameters: RtpCodecParametersParameters::from([("useinbandfec", 1_u32.into())]),
            rtcp_feedback: vec![RtcpFeedback::TransportCc],
        }],
        Codec::Vp8 => vec![video(MimeTypeVideo::Vp8, 96, [])],
        Codec::Vp9 => vec![video(MimeTypeVideo::Vp9, 98, [("profile-id", 0_u32.into())])],
        Codec::H264 => [("42e01f", 106), ("4d001f", 127), ("64001f", 39)]
            .map(|(profile, payload_type)| {
                video(
                    MimeTypeVideo::H264,
                    payload_type,
                    [
                        ("packetization-mode", 1_u32.into()),
                        ("profile-level-id", profile.into()),
                        ("level-asymmetry-allowed", 1_u32.into()),
                    ],
                )
            })
            .into(),
        Codec::Av1 => vec![video(MimeTypeVideo::AV1, 45, [])],
    }
}

fn video<const N: usize>(
    mime_type: MimeTypeVideo,
    payload_type: u8,
    parameters: [(&'static str, mediasoup_types::rtp_parameters::RtpCodecParametersParametersValue); N],
) -> RtpCodecCapability {
    RtpCodecCapability::Video {
        mime_type,
        preferred_payload_type: Some(payload_type),
        clock_rate: hertz(90_000),
        parameters: RtpCodecParametersParameters::from(parameters),
        rtcp_feedback: vec![
            RtcpFeedback::Nack,
            RtcpFeedback::NackPli,
            RtcpFeedback::CcmFir,
            RtcpFeedback::GoogRemb,
            RtcpFeedback::TransportCc,
        ],
    }
}
