//! When two descriptions of a codec mean the same codec, by the rules of mediasoup's `ortc`.

use std::num::{NonZeroU8, NonZeroU32};

use crate::protocol::rtp::{
    MimeType, MimeTypeAudio, MimeTypeVideo, RtpCodecCapability, RtpCodecCapabilityFinalized,
    RtpCodecParameters, RtpCodecParametersParameters, RtpCodecParametersParametersValue,
};

/// What identifies a codec, whatever it is taken from; payload types and feedback don't.
#[derive(Debug, Clone, Copy)]
pub struct Codec<'a> {
    mime_type: MimeType,
    clock_rate: NonZeroU32,
    channels: Option<NonZeroU8>,
    parameters: &'a RtpCodecParametersParameters,
}

macro_rules! codec_from {
    ($($codec:ident),+) => {$(
        impl<'a> From<&'a $codec> for Codec<'a> {
            fn from(codec: &'a $codec) -> Self {
                match codec {
                    $codec::Audio { mime_type, clock_rate, channels, parameters, .. } => Self {
                        mime_type: MimeType::Audio(*mime_type),
                        clock_rate: *clock_rate,
                        channels: Some(*channels),
                        parameters,
                    },
                    $codec::Video { mime_type, clock_rate, parameters, .. } => Self {
                        mime_type: MimeType::Video(*mime_type),
                        clock_rate: *clock_rate,
                        channels: None,
                        parameters,
                    },
                }
            }
        }
    )+};
}

codec_from!(RtpCodecParameters, RtpCodecCapability, RtpCodecCapabilityFinalized);

/// Whether media encoded as `a` is what a decoder of `b` accepts.
///
/// Compares mime type, clock rate and channels, and where the codec has them the packetization
/// mode and profile of H264 (RFC 6184 section 8.1; levels may differ), the profile of VP9
/// (RFC 9628 section 7) and of AV1, and the streams of multichannel Opus. RTX equals any RTX of
/// its clock rate: compare what `apt` points to as well.
#[must_use]
pub fn same_codec<'a, 'b>(a: impl Into<Codec<'a>>, b: impl Into<Codec<'b>>) -> bool {
    let (a, b) = (a.into(), b.into());
    a.mime_type == b.mime_type
        && a.clock_rate == b.clock_rate
        && a.channels == b.channels
        && match a.mime_type {
            MimeType::Audio(MimeTypeAudio::MultiChannelOpus) => {
                a.parameters.get("num_streams") == b.parameters.get("num_streams")
                    && a.parameters.get("coupled_streams") == b.parameters.get("coupled_streams")
            }
            MimeType::Video(MimeTypeVideo::H264) => {
                a.number("packetization-mode") == b.number("packetization-mode")
                    && h264_profile_level_id::is_same_profile(
                        a.string("profile-level-id"),
                        b.string("profile-level-id"),
                    )
                    .is_some()
            }
            MimeType::Video(MimeTypeVideo::Vp9) => a.number("profile-id") == b.number("profile-id"),
            // mediasoup accepts any AV1 profile, but a decoder of profile 0 cannot show profile 1.
            MimeType::Video(MimeTypeVideo::AV1) => a.number("profile") == b.number("profile"),
            _ => true,
        }
}

impl<'a> Codec<'a> {
    fn number(&self, name: &str) -> RtpCodecParametersParametersValue {
        self.parameters.get(name).cloned().unwrap_or(RtpCodecParametersParametersValue::Number(0))
    }

    fn string(&self, name: &str) -> Option<&'a str> {
        match self.parameters.get(name) {
            Some(RtpCodecParametersParametersValue::String(value)) => Some(value),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn video(
        mime_type: MimeTypeVideo,
        parameters: &[(&'static str, RtpCodecParametersParametersValue)],
    ) -> RtpCodecParameters {
        RtpCodecParameters::Video {
            mime_type,
            payload_type: 96,
            clock_rate: NonZeroU32::new(90000).unwrap(),
            parameters: parameters.iter().cloned().collect(),
            rtcp_feedback: vec![],
        }
    }

    fn h264(profile: &'static str, mode: u32) -> RtpCodecParameters {
        video(
            MimeTypeVideo::H264,
            &[("profile-level-id", profile.into()), ("packetization-mode", mode.into())],
        )
    }

    fn opus(channels: u8) -> RtpCodecCapability {
        RtpCodecCapability::Audio {
            mime_type: MimeTypeAudio::Opus,
            preferred_payload_type: Some(111),
            clock_rate: NonZeroU32::new(48000).unwrap(),
            channels: NonZeroU8::new(channels).unwrap(),
            parameters: RtpCodecParametersParameters::default(),
            rtcp_feedback: vec![],
        }
    }

    #[test]
    fn h264_matches_on_profile_and_mode_but_not_on_level() {
        assert!(same_codec(&h264("42e01f", 1), &h264("42c02a", 1)));
        assert!(same_codec(&h264("42e01f", 1), &h264("4de01f", 1)));
        assert!(!same_codec(&h264("42e01f", 1), &h264("42e01f", 0)));
        assert!(!same_codec(&h264("42e01f", 1), &h264("4d001f", 1)));
        assert!(!same_codec(&h264("42e01f", 1), &h264("nonsense", 1)));
        let unsaid = video(MimeTypeVideo::H264, &[]);
        assert!(same_codec(&unsaid, &h264("42e01f", 0)));
    }

    #[test]
    fn vp9_and_av1_match_on_profile_where_none_means_zero() {
        let vp9 = |id: u32| video(MimeTypeVideo::Vp9, &[("profile-id", id.into())]);
        assert!(same_codec(&video(MimeTypeVideo::Vp9, &[]), &vp9(0)));
        assert!(!same_codec(&vp9(0), &vp9(2)));
        let av1 = |id: u32| video(MimeTypeVideo::AV1, &[("profile", id.into())]);
        assert!(same_codec(&video(MimeTypeVideo::AV1, &[]), &av1(0)));
        assert!(!same_codec(&av1(0), &av1(1)));
    }

    #[test]
    fn audio_matches_on_channels() {
        assert!(same_codec(&opus(2), &opus(2)));
        assert!(!same_codec(&opus(2), &opus(1)));
    }
}
