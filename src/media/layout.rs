//! What a viewer can be sent by which router.
//!
//! A mediasoup consumer sends with its router's payload types and extension ids, but a WHEP client offers, and
//! so chooses, its own (RFC 3264 section 5.1). A viewer that numbers the stream's codecs otherwise than the home
//! router is therefore served from a further router of the room, whose codecs are numbered its way; whoever
//! numbers the stream's codecs alike shares it, however differently it numbers others.

use mediasoup::prelude::{
    MimeTypeVideo, RtpCapabilities, RtpCapabilitiesFinalized, RtpCodecCapability, RtpCodecParameters,
};
use mediasoup_types::rtp_parameters::{
    MediaKind, MimeType, RtcpFeedback, RtpCodecCapabilityFinalized, RtpCodecParametersParametersValue,
    RtpHeaderExtension, RtpHeaderExtensionDirection, RtpHeaderExtensionParameters, RtpHeaderExtensionUri,
    RtpParameters,
};

use super::codecs::truth;
use super::{MediaError, Medium};
use crate::protocol::codec_match::{Codec, Fit, name, same_codec, suits};

/// The order in which mediasoup gives payload types to RTX, one to each video codec in turn.
const RTX_TYPES: [u8; 32] = [
    100, 101, 102, 103, 104, 105, 106, 107, 108, 109, 110, 111, 112, 113, 114, 115, 116, 117, 118, 119, 120,
    121, 122, 123, 124, 125, 126, 127, 96, 97, 98, 99,
];
/// A worker writes MIDs of at most this many bytes.
const MAX_MID: usize = 8;

/// The codec of a stream's medium, in its worker's words.
pub(super) type Source = (MediaKind, RtpCodecParameters);

/// What a viewer can be sent by a router; none where another router would serve it better.
pub(super) fn fit(
    wanted: &[Medium],
    sources: &[Source],
    router: &RtpCapabilitiesFinalized,
    home: &RtpCapabilitiesFinalized,
) -> Option<Vec<Medium>> {
    let agreed = agree(wanted, sources, router);
    let fits = agreed.iter().all(|medium| {
        let first = medium.agreed.codecs.first().map(RtpCodecParameters::payload_type);
        match source_of(medium, sources) {
            Some(source) => {
                let ranked = ranked(medium, &truth(source));
                let best = ranked.first().map(|(fit, _)| *fit);
                best.is_none() || ranked.iter().any(|(fit, own)| Some(*fit) == best && Some(*own) == first)
            }
            None => first.is_some() || !has_common(medium, home),
        }
    });
    fits.then_some(agreed)
}

/// What a viewer can be sent by a router, as well as that can be.
pub(super) fn agree(wanted: &[Medium], sources: &[Source], router: &RtpCapabilitiesFinalized) -> Vec<Medium> {
    let agreed = |medium: &Medium| {
        let agreed = agree_medium(medium, source_of(medium, sources), router);
        Medium { agreed, ..medium.clone() }
    };
    wanted.iter().map(agreed).collect()
}

/// Why a viewer can't be sent anything, if so.
///
/// # Errors
/// [`MediaError::Unsupported`] that says what the stream has.
pub(super) fn check(
    wanted: &[Medium],
    sources: &[Source],
    home: &RtpCapabilitiesFinalized,
) -> Result<(), MediaError> {
    let takes = |medium: &Medium| match source_of(medium, sources) {
        Some(source) => !ranked(medium, &truth(source)).is_empty(),
        None => has_common(medium, home),
    };
    if wanted.iter().any(takes) {
        return Ok(());
    }
    let has: Vec<_> = sources.iter().map(|(_, source)| name(&truth(source))).collect();
    Err(MediaError::Unsupported(format!("no m-line takes what the stream has: {}", has.join(", "))))
}

/// Whether a router sends this codec on an m-line as it was agreed.
pub(super) fn carries(
    medium: &Medium,
    source: &RtpCodecParameters,
    router: &RtpCapabilitiesFinalized,
) -> bool {
    let mut own = router.codecs.iter().filter(|own| same_codec(*own, source));
    let true_source = truth(source);
    own.any(|own| {
        let payload_type = own.preferred_payload_type();
        medium.agreed.codecs.iter().any(|agreed| agreed.payload_type() == payload_type)
            && taken(medium, payload_type).is_some_and(|taken| suits(&true_source, taken).is_some())
    })
}

/// Whether a viewer can take this codec at all.
pub(super) fn takes(medium: &Medium, source: &RtpCodecParameters) -> bool {
    !ranked(medium, &truth(source)).is_empty()
}

/// The codecs of a further router that numbers them as the viewer does: the stream's, and as many others as
/// have room.
///
/// # Errors
/// [`MediaError::Unsupported`] where the viewer has one number for two of the stream's codecs.
pub(super) fn number(
    wanted: &[Medium],
    sources: &[Source],
    home: &RtpCapabilitiesFinalized,
) -> Result<Vec<RtpCodecCapability>, MediaError> {
    let mut numbered = Numbering::default();
    let carried = || home.codecs.iter().filter(|codec| !codec.is_rtx());
    // Who has fewer numbers to choose from chooses first.
    let mut choosers: Vec<_> = wanted.iter().collect();
    choosers.sort_by_key(|medium| medium.takes.codecs.len());
    for medium in choosers {
        let Some(source) = source_of(medium, sources) else { continue };
        let Some(own) = carried().find(|own| same_codec(*own, source)) else { continue };
        let types: Vec<_> = ranked(medium, &truth(source)).into_iter().map(|(_, number)| number).collect();
        if !types.is_empty() && !types.iter().any(|number| numbered.add(own, *number)) {
            let types: Vec<_> = types.iter().map(u8::to_string).collect();
            return Err(MediaError::Unsupported(format!(
                "payload type {} of m-line {} stands for another codec in another m-line of the bundle",
                types.join(", "),
                medium.mid
            )));
        }
    }
    for medium in wanted {
        for taken in &medium.takes.codecs {
            for own in carried().filter(|own| suits(*own, taken).is_some()) {
                if !numbered.has(own) {
                    let types = ranked(medium, own);
                    let _ = types.iter().any(|(_, number)| numbered.add(own, *number));
                }
            }
        }
    }
    Ok(numbered.0)
}

/// The capabilities with which a viewer consumes on an m-line: what was agreed, in the router's words.
pub(super) fn consumable(medium: &Medium, router: &RtpCapabilitiesFinalized) -> RtpCapabilities {
    let agreed = |own: &RtpCodecCapabilityFinalized| {
        let number = own.preferred_payload_type();
        let agreed = medium.agreed.codecs.iter().find(|agreed| agreed.payload_type() == number)?;
        Some(capability(own, number, agreed.rtcp_feedback().to_vec()))
    };
    RtpCapabilities {
        codecs: router.codecs.iter().filter_map(agreed).collect(),
        header_extensions: medium
            .agreed
            .header_extensions
            .iter()
            .map(|extension| RtpHeaderExtension {
                kind: medium.kind,
                uri: extension.uri,
                preferred_id: extension.id,
                preferred_encrypt: false,
                direction: RtpHeaderExtensionDirection::SendRecv,
            })
            .collect(),
    }
}

/// The MID that a worker writes into packets, if it can.
pub(super) fn written_mid(mid: &str) -> Option<String> {
    (1..=MAX_MID).contains(&mid.len()).then(|| mid.to_owned())
}

fn source_of<'a>(medium: &Medium, sources: &'a [Source]) -> Option<&'a RtpCodecParameters> {
    sources.iter().find(|(kind, _)| *kind == medium.kind).map(|(_, codec)| codec)
}

/// The payload types by which a viewer takes a codec, the nearest profile first.
fn ranked<'a>(medium: &Medium, source: impl Into<Codec<'a>>) -> Vec<((Fit, bool), u8)> {
    let source = source.into();
    let mut ranked: Vec<_> = medium
        .takes
        .codecs
        .iter()
        .filter(|taken| !is_rtx(taken))
        .filter_map(|taken| Some((suits(source, taken)?, taken.preferred_payload_type()?)))
        .collect();
    ranked.sort_by_key(|(fit, _)| *fit);
    ranked
}

fn has_common(medium: &Medium, home: &RtpCapabilitiesFinalized) -> bool {
    home.codecs.iter().filter(|own| !own.is_rtx()).any(|own| !ranked(medium, own).is_empty())
}

fn taken(medium: &Medium, payload_type: u8) -> Option<&RtpCodecCapability> {
    medium.takes.codecs.iter().find(|taken| taken.preferred_payload_type() == Some(payload_type))
}

fn agree_medium(
    medium: &Medium,
    source: Option<&RtpCodecParameters>,
    router: &RtpCapabilitiesFinalized,
) -> RtpParameters {
    let header_extensions = agree_extensions(medium, router);
    let estimates = has(&header_extensions, RtpHeaderExtensionUri::TransportWideCcDraft01);
    let mut codecs = Vec::new();
    for own in router.codecs.iter().filter(|own| !own.is_rtx()) {
        let number = own.preferred_payload_type();
        let Some(taken) = taken(medium, number).filter(|taken| !is_rtx(taken)) else { continue };
        let live = source.filter(|source| same_codec(own, *source)).map(truth);
        let fit = match &live {
            Some(source) => suits(source, taken),
            None => suits(own, taken),
        };
        let Some((fit, _)) = fit else { continue };
        let mut agreed = vec![describe(taken, number, live.as_ref(), fit, own, estimates)];
        agreed.extend(rtx_of(medium, number, router));
        // What is sent now comes first.
        let at = if live.is_some() { 0 } else { codecs.len() };
        codecs.splice(at..at, agreed);
    }
    let is_sent = |source: &RtpCodecParameters| {
        codecs.first().is_some_and(|first| {
            let own = router.codecs.iter().find(|own| own.preferred_payload_type() == first.payload_type());
            own.is_some_and(|own| same_codec(own, source))
        })
    };
    if codecs.is_empty() || !source.is_none_or(is_sent) {
        return RtpParameters::default();
    }
    RtpParameters { codecs, header_extensions, ..RtpParameters::default() }
}

/// A codec in the words of the viewer, with the publisher's true ones where both mean the same profile.
fn describe(
    taken: &RtpCodecCapability,
    number: u8,
    source: Option<&RtpCodecParameters>,
    fit: Fit,
    own: &RtpCodecCapabilityFinalized,
    estimates: bool,
) -> RtpCodecParameters {
    const OF_THE_RECEIVER: [&str; 7] = [
        "packetization-mode",
        "level-asymmetry-allowed",
        "profile-level-id",
        "profile-id",
        "profile",
        "level-idx",
        "tier",
    ];
    let theirs = taken.parameters();
    let mut parameters = theirs.clone();
    if let Some(source) = source {
        let said = source.parameters().iter().filter(|(name, _)| !OF_THE_RECEIVER.contains(&name.as_ref()));
        parameters = said.map(|(name, value)| (name.clone(), value.clone())).collect();
        for name in OF_THE_RECEIVER {
            if let Some(value) = theirs.get(name) {
                parameters.insert(name, value.clone());
            }
        }
        let any_level = theirs.get("level-asymmetry-allowed") == Some(&1_u32.into());
        if let Some(level) = source.parameters().get("profile-level-id")
            && fit == Fit::Same
            && any_level
        {
            parameters.insert("profile-level-id", level.clone());
        }
    }
    let (RtpCodecCapabilityFinalized::Audio { rtcp_feedback: known, .. }
    | RtpCodecCapabilityFinalized::Video { rtcp_feedback: known, .. }) = own;
    let rtcp_feedback = taken.rtcp_feedback().iter().copied().filter(|feedback| {
        known.contains(feedback)
            && match feedback {
                // An estimate that only the viewer could make never grows in Firefox.
                RtcpFeedback::GoogRemb => false,
                RtcpFeedback::TransportCc => estimates,
                _ => true,
            }
    });
    parameters_of(taken, number, parameters, rtcp_feedback.collect())
}

/// Retransmissions, where the viewer numbers them as the router does.
fn rtx_of(medium: &Medium, number: u8, router: &RtpCapabilitiesFinalized) -> Option<RtpCodecParameters> {
    let repairs =
        |value: Option<&RtpCodecParametersParametersValue>| value == Some(&u32::from(number).into());
    let own = router.codecs.iter().find(|own| own.is_rtx() && repairs(own.parameters().get("apt")))?;
    let taken = taken(medium, own.preferred_payload_type())?;
    (is_rtx(taken) && repairs(taken.parameters().get("apt")))
        .then(|| parameters_of(taken, own.preferred_payload_type(), taken.parameters().clone(), Vec::new()))
}

/// The header extensions that viewer and router give the same id.
fn agree_extensions(medium: &Medium, router: &RtpCapabilitiesFinalized) -> Vec<RtpHeaderExtensionParameters> {
    use RtpHeaderExtensionUri as Uri;
    let own = router.header_extensions.iter().filter(|own| {
        own.kind == medium.kind
            && matches!(
                own.direction,
                RtpHeaderExtensionDirection::SendRecv | RtpHeaderExtensionDirection::SendOnly
            )
    });
    let mut agreed: Vec<_> = own
        .filter(|own| {
            let mut theirs = medium.takes.header_extensions.iter();
            theirs.any(|their| their.uri == own.uri && their.preferred_id == own.preferred_id)
        })
        .filter(|own| own.uri != Uri::Mid || written_mid(&medium.mid).is_some())
        .map(|own| RtpHeaderExtensionParameters { uri: own.uri, id: own.preferred_id, encrypt: false })
        .collect();
    let mut codecs = medium.takes.codecs.iter().filter(|taken| !is_rtx(taken));
    let reports = codecs.any(|taken| taken.rtcp_feedback().contains(&RtcpFeedback::TransportCc));
    agreed.retain(|extension| extension.uri != Uri::TransportWideCcDraft01 || reports);
    // Send times alone would only serve an estimate of the viewer's.
    let estimates = has(&agreed, Uri::TransportWideCcDraft01);
    agreed.retain(|extension| extension.uri != Uri::AbsSendTime || estimates);
    agreed
}

fn has(extensions: &[RtpHeaderExtensionParameters], uri: RtpHeaderExtensionUri) -> bool {
    extensions.iter().any(|extension| extension.uri == uri)
}

fn is_rtx(codec: &RtpCodecCapability) -> bool {
    codec.mime_type() == MimeType::Video(MimeTypeVideo::Rtx)
}

/// Codecs of a router to be.
#[derive(Debug, Default)]
struct Numbering(Vec<RtpCodecCapability>);

impl Numbering {
    fn has(&self, own: &RtpCodecCapabilityFinalized) -> bool {
        self.0.iter().any(|codec| same_codec(codec, own))
    }

    /// Adds a codec if its number is free, also of the RTX that mediasoup will number by itself.
    fn add(&mut self, own: &RtpCodecCapabilityFinalized, number: u8) -> bool {
        let (RtpCodecCapabilityFinalized::Audio { rtcp_feedback, .. }
        | RtpCodecCapabilityFinalized::Video { rtcp_feedback, .. }) = own;
        let mut codecs = self.0.clone();
        codecs.push(capability(own, number, rtcp_feedback.clone()));
        // RTX takes what is free when its codec's turn comes: who has what it would take goes before.
        codecs.sort_by_key(|codec| (is_video(codec), position(codec)));
        let is_free = unambiguous(&codecs);
        if is_free {
            self.0 = codecs;
        }
        is_free
    }
}

/// Whether no number is used twice, with those that mediasoup gives to RTX.
fn unambiguous(codecs: &[RtpCodecCapability]) -> bool {
    let mut free = RTX_TYPES.to_vec();
    let mut used = Vec::new();
    for codec in codecs {
        let Some(number) = codec.preferred_payload_type() else { return false };
        if used.contains(&number) {
            return false;
        }
        used.push(number);
        free.retain(|free| *free != number);
        if is_video(codec) && !free.is_empty() {
            used.push(free.remove(0));
        }
    }
    true
}

fn is_video(codec: &RtpCodecCapability) -> bool {
    matches!(codec.mime_type(), MimeType::Video(_))
}

fn position(codec: &RtpCodecCapability) -> usize {
    let number = codec.preferred_payload_type();
    RTX_TYPES.iter().position(|free| Some(*free) == number).unwrap_or(RTX_TYPES.len())
}

fn capability(
    codec: &RtpCodecCapabilityFinalized,
    number: u8,
    feedback: Vec<RtcpFeedback>,
) -> RtpCodecCapability {
    match codec.clone() {
        RtpCodecCapabilityFinalized::Audio { mime_type, clock_rate, channels, parameters, .. } => {
            RtpCodecCapability::Audio {
                mime_type,
                preferred_payload_type: Some(number),
                clock_rate,
                channels,
                parameters,
                rtcp_feedback: feedback,
            }
        }
        RtpCodecCapabilityFinalized::Video { mime_type, clock_rate, parameters, .. } => {
            RtpCodecCapability::Video {
                mime_type,
                preferred_payload_type: Some(number),
                clock_rate,
                parameters,
                rtcp_feedback: feedback,
            }
        }
    }
}

fn parameters_of(
    codec: &RtpCodecCapability,
    payload_type: u8,
    parameters: mediasoup::prelude::RtpCodecParametersParameters,
    rtcp_feedback: Vec<RtcpFeedback>,
) -> RtpCodecParameters {
    match codec {
        RtpCodecCapability::Audio { mime_type, clock_rate, channels, .. } => RtpCodecParameters::Audio {
            mime_type: *mime_type,
            payload_type,
            clock_rate: *clock_rate,
            channels: *channels,
            parameters,
            rtcp_feedback,
        },
        RtpCodecCapability::Video { mime_type, clock_rate, .. } => RtpCodecParameters::Video {
            mime_type: *mime_type,
            payload_type,
            clock_rate: *clock_rate,
            parameters,
            rtcp_feedback,
        },
    }
}
