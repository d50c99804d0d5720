//! The codecs of a router, from the configuration, and the words in which a worker knows them.

use std::num::{NonZeroU8, NonZeroU32};

use h264_profile_level_id::ProfileLevelId;
use mediasoup::prelude::{
    MimeTypeAudio, MimeTypeVideo, RtcpFeedback, RtpCodecCapability, RtpCodecParameters,
    RtpCodecParametersParameters, RtpParameters,
};
use mediasoup_types::rtp_parameters::{MimeType, RtpCodecParametersParametersValue as Value};

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

const H264_PROFILE: &str = "profile-level-id";
const VP9_PROFILE: &str = "profile-id";
/// The one H264 profile that workers hear of: constrained baseline, level 3.1.
const WORKER_PROFILE: &str = "42e01f";
/// Before the name of a parameter whose true value a worker must not compare.
const TRUE: &str = "x-";

/// A publisher's parameters in the words of a worker, which takes other profiles of H264 and VP9 for other
/// codecs. The true ones stay beside them, and travel along from router to router.
pub(super) fn for_worker(mut parameters: RtpParameters) -> RtpParameters {
    for codec in &mut parameters.codecs {
        let (name, value): (_, Value) = match codec.mime_type() {
            MimeType::Video(MimeTypeVideo::H264) => (H264_PROFILE, WORKER_PROFILE.into()),
            MimeType::Video(MimeTypeVideo::Vp9) => (VP9_PROFILE, 0_u32.into()),
            _ => continue,
        };
        let (said, kept) = (codec.parameters().get(name).cloned(), format!("{TRUE}{name}"));
        if codec.parameters().get(&kept).is_some() {
            continue;
        }
        parameters_mut(codec).insert(name, value);
        if let Some(said) = said.filter(is_profile) {
            parameters_mut(codec).insert(kept, said);
        }
    }
    parameters
}

/// A codec of a worker as its publisher described it.
pub(super) fn truth(codec: &RtpCodecParameters) -> RtpCodecParameters {
    let mut told = codec.clone();
    let is_told =
        |name: &str| !(codec.mime_type() == MimeType::Video(MimeTypeVideo::H264) && name == H264_PROFILE);
    let said = codec.parameters().iter().filter(|(name, _)| !name.starts_with(TRUE) && is_told(name));
    let mut parameters: RtpCodecParametersParameters =
        said.map(|(name, value)| (name.clone(), value.clone())).collect();
    for (name, value) in codec.parameters().iter() {
        if let Some(name) = name.strip_prefix(TRUE) {
            parameters.insert(name.to_owned(), value.clone());
        }
    }
    *parameters_mut(&mut told) = parameters;
    told
}

fn parameters_mut(codec: &mut RtpCodecParameters) -> &mut RtpCodecParametersParameters {
    match codec {
        RtpCodecParameters::Audio { parameters, .. } | RtpCodecParameters::Video { parameters, .. } => {
            parameters
        }
    }
}

fn is_profile(value: &Value) -> bool {
    match value {
        Value::Number(_) => true,
        Value::String(value) => value.parse::<ProfileLevelId>().is_ok(),
    }
}

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
        Codec::H264 => [(1_u32, 106), (0, 108)]
            .map(|(mode, payload_type)| {
                video(
                    MimeTypeVideo::H264,
                    payload_type,
                    [
                        ("packetization-mode", mode.into()),
                        (H264_PROFILE, WORKER_PROFILE.into()),
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
    parameters: [(&'static str, Value); N],
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
