//! `a=rtpmap`, `a=fmtp` and `a=rtcp-fb` (RFC 8866 section 6, RFC 4585 section 4.2).

use std::num::{NonZeroU8, NonZeroU32};

use sdp_types::Attribute;

use super::description::Section;
use super::lines::split_word;
use crate::protocol::codec_match::name;
use crate::protocol::rtp::{
    MediaKind, MimeTypeAudio, MimeTypeVideo, RtcpFeedback, RtpCapabilitiesFinalized, RtpCodecCapability,
    RtpCodecCapabilityFinalized, RtpCodecParameters, RtpCodecParametersParameters,
    RtpCodecParametersParametersValue,
};

const STEREO: NonZeroU8 = match NonZeroU8::new(2) {
    Some(channels) => channels,
    None => NonZeroU8::MIN,
};

/// The codecs of an m-line that mediasoup has a name for, in the order of preference.
pub(super) fn codecs(section: &Section, kind: MediaKind) -> Vec<RtpCodecParameters> {
    let usable = payload_types(section).into_iter().filter(|payload_type| is_multiplexed(*payload_type));
    usable.filter_map(|payload_type| codec(section, kind, payload_type)).collect()
}

/// Every codec of an m-line as a human would name it, whether or not anyone supports it.
pub(super) fn offered_names(section: &Section, kind: MediaKind) -> String {
    let names = payload_types(section)
        .into_iter()
        .filter_map(|payload_type| {
            let spelled = rtpmap(section, payload_type)?.0;
            let named = match codec(section, kind, payload_type) {
                Some(codec) => name(&codec),
                None => spelled.to_owned(),
            };
            Some(match is_multiplexed(payload_type) {
                true => named,
                false => format!("{named} (as payload type {payload_type}, which RTCP has taken)"),
            })
        })
        .collect::<Vec<_>>();
    list(names)
}

/// The codecs of a router as a human would name them.
pub(super) fn supported_names(router: &RtpCapabilitiesFinalized, kind: MediaKind) -> String {
    let names = router.codecs.iter().filter(|codec| match codec {
        RtpCodecCapabilityFinalized::Audio { .. } => kind == MediaKind::Audio,
        RtpCodecCapabilityFinalized::Video { .. } => kind == MediaKind::Video,
    });
    // Any profile will do.
    list(names.map(|codec| name(codec).split(' ').next().unwrap_or_default().to_owned()).collect())
}

/// The payload type that an RTX codec repairs (RFC 4588 section 8.1).
pub(super) fn apt(codec: &RtpCodecParameters) -> Option<u8> {
    match codec.parameters().get("apt") {
        Some(RtpCodecParametersParametersValue::Number(apt)) if codec.is_rtx() => u8::try_from(*apt).ok(),
        _ => None,
    }
}

/// The same codec as something that can be received.
pub(super) fn capability(codec: RtpCodecParameters) -> RtpCodecCapability {
    match codec {
        RtpCodecParameters::Audio {
            mime_type,
            payload_type,
            clock_rate,
            channels,
            parameters,
            rtcp_feedback,
        } => RtpCodecCapability::Audio {
            mime_type,
            preferred_payload_type: Some(payload_type),
            clock_rate,
            channels,
            parameters,
            rtcp_feedback,
        },
        RtpCodecParameters::Video { mime_type, payload_type, clock_rate, parameters, rtcp_feedback } => {
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

/// The lines that describe a codec that we send or, if `receive`, receive; the name as `offer` spells it.
pub(super) fn write(
    codec: &RtpCodecParameters,
    offer: Option<&Section>,
    receive: bool,
    lines: &mut Vec<Attribute>,
) {
    let payload_type = codec.payload_type();
    let clock_rate = codec.clock_rate();
    let (name, channels) = match codec {
        RtpCodecParameters::Audio { mime_type, channels, .. } => (mime_type.as_str(), channels.get()),
        RtpCodecParameters::Video { mime_type, .. } => (mime_type.as_str(), 1),
    };
    // To a publisher, audio is named as its RFC names it; all else is spelled as it was offered.
    let offer = offer.filter(|_| !receive || matches!(codec, RtpCodecParameters::Video { .. }));
    let spelled = offer.and_then(|section| rtpmap(section, payload_type)).map(|(name, ..)| name);
    let name = spelled.unwrap_or_else(|| subtype(name));
    let channels = match channels {
        1 => String::new(),
        channels => format!("/{channels}"),
    };
    lines.push(Attribute::with_value("rtpmap", format!("{payload_type} {name}/{clock_rate}{channels}")));
    let parameters = codec
        .parameters()
        .iter()
        // Properties of the sender, such as its parameter sets, are not for a receiver to state.
        .filter(|(name, _)| !(receive && name.starts_with("sprop-")))
        .map(|(name, value)| match value {
            RtpCodecParametersParametersValue::Number(value) => format!("{name}={value}"),
            RtpCodecParametersParametersValue::String(value) if value.is_empty() => name.to_string(),
            RtpCodecParametersParametersValue::String(value) => format!("{name}={value}"),
        })
        .collect::<Vec<_>>();
    if !parameters.is_empty() {
        lines.push(Attribute::with_value("fmtp", format!("{payload_type} {}", parameters.join(";"))));
    }
    for feedback in codec.rtcp_feedback() {
        let (name, parameter) = feedback.as_type_parameter();
        let value = format!("{payload_type} {name} {parameter}");
        lines.push(Attribute::with_value("rtcp-fb", value.trim_end()));
    }
}

/// The format list of an m-line.
pub(super) fn formats(codecs: &[RtpCodecParameters]) -> String {
    let payload_types = codecs.iter().map(|codec| codec.payload_type().to_string());
    payload_types.collect::<Vec<_>>().join(" ")
}

fn payload_types(section: &Section) -> Vec<u8> {
    let mut payload_types = Vec::new();
    for format in section.media.fmt.split_whitespace() {
        match format.parse::<u8>() {
            Ok(format) if format < 128 && !payload_types.contains(&format) => {
                payload_types.push(format);
            }
            _ => {}
        }
    }
    payload_types
}

/// With RTP and RTCP on one port, the types of RTCP's packets are no payload types (RFC 5761 section 4).
fn is_multiplexed(payload_type: u8) -> bool {
    !(64..96).contains(&payload_type)
}

fn codec(section: &Section, kind: MediaKind, payload_type: u8) -> Option<RtpCodecParameters> {
    let (name, clock_rate, channels) = rtpmap(section, payload_type)?;
    let parameters = fmtp(section, payload_type);
    let rtcp_feedback = feedback(section, payload_type);
    Some(match kind {
        MediaKind::Audio => RtpCodecParameters::Audio {
            mime_type: format!("audio/{name}").parse::<MimeTypeAudio>().ok()?,
            payload_type,
            clock_rate,
            channels,
            parameters,
            rtcp_feedback,
        },
        MediaKind::Video => RtpCodecParameters::Video {
            mime_type: format!("video/{name}").parse::<MimeTypeVideo>().ok()?,
            payload_type,
            clock_rate,
            parameters,
            rtcp_feedback,
        },
    })
}

fn rtpmap(section: &Section, payload_type: u8) -> Option<(&str, NonZeroU32, NonZeroU8)> {
    let encoding = section
        .values("rtpmap")
        .find_map(|value| of_payload_type(value, payload_type))
        // RFC 3551 section 6: these few need no rtpmap.
        .or(match payload_type {
            0 => Some("PCMU/8000"),
            8 => Some("PCMA/8000"),
            9 => Some("G722/8000"),
            _ => None,
        })?;
    let mut parts = encoding.split('/');
    let name = parts.next().map(str::trim).filter(|name| !name.is_empty())?;
    let clock_rate = parts.next()?.trim().parse().ok()?;
    let channels = match parts.next().map(str::trim) {
        // RFC 7587 section 7: it is always stereo, whatever is written.
        _ if name.eq_ignore_ascii_case("opus") => STEREO,
        Some(channels) => channels.parse().ok()?,
        None => NonZeroU8::MIN,
    };
    Some((name, clock_rate, channels))
}

fn fmtp(section: &Section, payload_type: u8) -> RtpCodecParametersParameters {
    section
        .values("fmtp")
        .filter_map(|value| of_payload_type(value, payload_type))
        .flat_map(|parameters| parameters.split(';'))
        .map(str::trim)
        .filter(|parameter| !parameter.is_empty())
        .map(|parameter| {
            let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
            // RFC 6838 section 4.3: their names have no case.
            let name = name.trim().to_ascii_lowercase();
            let value = parameter_value(&name, value.trim());
            (name, value)
        })
        .collect()
}

/// A number only where it is written back the same way; a profile of six digits isn't one.
fn parameter_value(name: &str, value: &str) -> RtpCodecParametersParametersValue {
    match value.parse::<u32>() {
        Ok(number) if name != "profile-level-id" && number.to_string() == value => number.into(),
        _ => value.to_owned().into(),
    }
}

fn feedback(section: &Section, payload_type: u8) -> Vec<RtcpFeedback> {
    let mut feedback = Vec::new();
    for value in section.values("rtcp-fb") {
        let (scope, value) = split_word(value);
        if scope != "*" && scope.parse() != Ok(payload_type) {
            continue;
        }
        let value = value.to_ascii_lowercase();
        let (name, parameter) = split_word(&value);
        match RtcpFeedback::from_type_parameter(name, parameter) {
            Ok(known) if known != RtcpFeedback::Unsupported && !feedback.contains(&known) => {
                feedback.push(known);
            }
            _ => {}
        }
    }
    feedback
}

fn of_payload_type(value: &str, payload_type: u8) -> Option<&str> {
    let (scope, value) = split_word(value);
    (scope.parse() == Ok(payload_type) && !value.is_empty()).then_some(value)
}

fn subtype(mime_type: &str) -> &str {
    mime_type.split_once('/').map_or(mime_type, |(_, name)| name)
}

fn list(names: Vec<String>) -> String {
    let mut listed = Vec::<String>::new();
    for name in names {
        if !name.eq_ignore_ascii_case("rtx") && !listed.contains(&name) {
            listed.push(name);
        }
    }
    match listed.is_empty() {
        true => "nothing".to_owned(),
        false => listed.join(", "),
    }
}
