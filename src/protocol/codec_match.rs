//! When two descriptions of a codec mean the same codec, and how near their profiles are.

use std::num::{NonZeroU8, NonZeroU32};

use h264_profile_level_id::{Profile, ProfileLevelId};

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

/// Whether a router that carries `a` carries `b`: the same codec, as far as it matters to who forwards it.
///
/// Compares mime type, clock rate and channels, the packetization mode of H264 (RFC 6184 section 8.1) and the
/// streams of multichannel Opus. A profile is a property of what is sent: any can be forwarded. RTX equals any
/// RTX of its clock rate: compare what `apt` points to as well.
#[must_use]
pub fn same_codec<'a, 'b>(a: impl Into<Codec<'a>>, b: impl Into<Codec<'b>>) -> bool {
    let (a, b) = (a.into(), b.into());
    a.same_kind(&b)
        && match a.mime_type {
            MimeType::Video(MimeTypeVideo::H264) => a.mode() == b.mode(),
            _ => true,
        }
}

/// How well a receiver of `offered` is served with `source`, best first; none where it is another codec.
///
/// The same profile is best, then one whose decoders take it, then any: players offer less than they decode.
/// Single NAL units (packetization mode 0) are understood in mode 1 too, though not the other way round.
#[must_use]
pub fn suits<'a, 'b>(source: impl Into<Codec<'a>>, offered: impl Into<Codec<'b>>) -> Option<(Fit, bool)> {
    let (source, offered) = (source.into(), offered.into());
    if !source.same_kind(&offered) {
        return None;
    }
    match source.mime_type {
        MimeType::Video(MimeTypeVideo::H264) => {
            let other_mode = source.mode() != offered.mode();
            (!other_mode || (source.mode(), offered.mode()) == (Some(0), Some(1)))
                .then(|| (source.h264_fit(&offered), other_mode))
        }
        MimeType::Video(MimeTypeVideo::Vp9) => Some((source.fit("profile-id", &offered), false)),
        MimeType::Video(MimeTypeVideo::AV1) => Some((source.fit("profile", &offered), false)),
        _ => Some((Fit::Same, false)),
    }
}

/// How near a receiver's profile is to that of what is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fit {
    /// The same one.
    Same,
    /// Another one, whose decoders take it.
    Decodes,
    /// Another one.
    Other,
}

/// A codec as people name it: `H264 packetization-mode=1 profile-level-id=42e01f`.
#[must_use]
pub fn name<'a>(codec: impl Into<Codec<'a>>) -> String {
    let codec = codec.into();
    let mime_type = match codec.mime_type {
        MimeType::Audio(audio) => audio.as_str(),
        MimeType::Video(video) => video.as_str(),
    };
    let mut name = mime_type.split_once('/').map_or(mime_type, |(_, name)| name).to_owned();
    for key in ["packetization-mode", "profile-level-id", "profile-id", "profile"] {
        let value = match codec.parameters.get(key) {
            Some(RtpCodecParametersParametersValue::Number(value)) => value.to_string(),
            Some(RtpCodecParametersParametersValue::String(value)) => value.to_string(),
            None => continue,
        };
        name.push_str(&format!(" {key}={value}"));
    }
    name
}

impl Codec<'_> {
    /// The codec's mime type.
    #[must_use]
    pub fn mime_type(&self) -> MimeType {
        self.mime_type
    }

    fn same_kind(&self, other: &Codec<'_>) -> bool {
        let same = |name| self.parameters.get(name) == other.parameters.get(name);
        self.mime_type == other.mime_type
            && self.clock_rate == other.clock_rate
            && self.channels == other.channels
            && (self.mime_type != MimeType::Audio(MimeTypeAudio::MultiChannelOpus)
                || (same("num_streams") && same("coupled_streams")))
    }

    /// The packetization mode (RFC 6184 section 8.1); none where it is no number.
    fn mode(&self) -> Option<u32> {
        self.number("packetization-mode")
    }

    fn number(&self, name: &str) -> Option<u32> {
        match self.parameters.get(name) {
            None => Some(0),
            Some(RtpCodecParametersParametersValue::Number(value)) => Some(*value),
            Some(RtpCodecParametersParametersValue::String(_)) => None,
        }
    }

    /// By a profile that is a number, where a decoder of a higher one takes the lower ones.
    fn fit(&self, name: &str, offered: &Codec<'_>) -> Fit {
        match (self.number(name), offered.number(name)) {
            (Some(sent), Some(taken)) if sent == taken => Fit::Same,
            (Some(sent), Some(taken)) if sent < taken => Fit::Decodes,
            _ => Fit::Other,
        }
    }

    fn h264_fit(&self, offered: &Codec<'_>) -> Fit {
        let rank = |profile| match profile {
            Profile::ConstrainedBaseline => 0,
            Profile::Baseline => 1,
            Profile::Main => 2,
            Profile::ConstrainedHigh => 3,
            Profile::High => 4,
            _ => 5,
        };
        match (self.h264_profile(), offered.h264_profile()) {
            (Some(sent), Some(taken)) if sent == taken => Fit::Same,
            (Some(sent), Some(taken)) if rank(sent) < rank(taken) => Fit::Decodes,
            _ => Fit::Other,
        }
    }

    /// Who says nothing means baseline (RFC 6184 section 8.1).
    fn h264_profile(&self) -> Option<Profile> {
        match self.parameters.get("profile-level-id") {
            None => Some(Profile::Baseline),
            Some(RtpCodecParametersParametersValue::String(value)) => {
                value.parse::<ProfileLevelId>().ok().map(|id| id.profile())
            }
            Some(RtpCodecParametersParametersValue::Number(_)) => None,
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
    fn h264_is_h264_whatever_its_profile_in_one_packetization_mode() {
        for profile in ["42c02a", "4de01f", "4D001F", "640c1f", "nonsense", ""] {
            assert!(same_codec(&h264("42e01f", 1), &h264(profile, 1)), "{profile}");
            assert!(!same_codec(&h264("42e01f", 1), &h264(profile, 0)), "{profile}");
        }
        assert!(same_codec(&video(MimeTypeVideo::H264, &[]), &h264("42e01f", 0)));
        assert!(!same_codec(&h264("42e01f", 2), &h264("42e01f", 1)));
    }

    #[test]
    fn a_receiver_gets_the_nearest_profile() {
        let fit = |source, offered| suits(&h264(source, 1), &h264(offered, 1)).map(|(fit, _)| fit);
        assert_eq!(fit("42e01f", "42c02a"), Some(Fit::Same));
        assert_eq!(fit("42e01f", "4de01f"), Some(Fit::Same));
        assert_eq!(fit("42E01F", "42e01f"), Some(Fit::Same));
        assert_eq!(fit("42e01f", "640028"), Some(Fit::Decodes));
        assert_eq!(fit("640028", "42e01f"), Some(Fit::Other));
        assert_eq!(fit("640028", "nonsense"), Some(Fit::Other));
        assert_eq!(suits(&h264("42e01f", 0), &h264("42e01f", 1)), Some((Fit::Same, true)));
        assert_eq!(suits(&h264("42e01f", 1), &h264("42e01f", 0)), None);
        let vp9 = |id: u32| video(MimeTypeVideo::Vp9, &[("profile-id", id.into())]);
        assert_eq!(suits(&video(MimeTypeVideo::Vp9, &[]), &vp9(0)), Some((Fit::Same, false)));
        assert_eq!(suits(&vp9(2), &vp9(0)), Some((Fit::Other, false)));
        let av1 = |id: u32| video(MimeTypeVideo::AV1, &[("profile", id.into())]);
        assert_eq!(suits(&av1(0), &av1(1)), Some((Fit::Decodes, false)));
        assert_eq!(suits(&av1(0), &vp9(0)), None);
    }

    #[test]
    fn audio_matches_on_channels() {
        assert!(same_codec(&opus(2), &opus(2)));
        assert!(!same_codec(&opus(2), &opus(1)));
    }
}
