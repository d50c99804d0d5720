//! WHIP: an offer to send, and our answer to it (RFC 9725).

use std::collections::HashSet;

use super::answer::{Head, LocalTransport, Writer};
use super::description::{Description, Section};
use super::error::SdpError;
use super::offer::{Purpose, check};
use super::{codecs, encodings, extensions};
use crate::protocol::codec_match::same_codec;
use crate::protocol::media::Medium;
use crate::protocol::rtp::{
    MediaKind, MimeType, MimeTypeVideo, RtcpFeedback, RtcpParameters, RtpCapabilitiesFinalized,
    RtpCodecCapabilityFinalized, RtpCodecParameters, RtpCodecParametersParametersValue,
    RtpEncodingParameters, RtpHeaderExtensionParameters, RtpHeaderExtensionUri, RtpParameters,
    ScalabilityMode,
};

const MAX_LAYERS: u8 = 8;
/// Its length is a byte (RFC 3550 section 6.5).
const MAX_CNAME: usize = 255;

/// What an offer sends: of each m-line the first codec that the router supports.
///
/// # Errors
/// When the offer isn't one of a publisher, or an m-line has no codec that the router supports:
/// nothing is then accepted at all.
pub fn publish_media(
    offer: &Description,
    router: &RtpCapabilitiesFinalized,
) -> Result<Vec<Medium>, SdpError> {
    let mut extensions = Vec::new();
    let mut media = Vec::new();
    for (section, kind) in check(offer, Purpose::Publish)? {
        let parameters = rtp_parameters(section, kind, router, &mut extensions)?;
        media.push(Medium::sent(section.mid().to_owned(), kind, parameters));
    }
    each_once(&media)?;
    Ok(media)
}

/// Says how the video of an SVC encoder is layered, which a description can't tell.
///
/// # Errors
/// [`SdpError::Scalability`] when there is no video that can be layered so.
pub fn scale(media: &mut [Medium], mode: &ScalabilityMode) -> Result<(), SdpError> {
    let refuse = |why| SdpError::Scalability { mode: mode.as_str().to_owned(), why };
    let video = media.iter_mut().find(|medium| medium.kind == MediaKind::Video);
    let RtpParameters { codecs, encodings, .. } =
        &mut video.ok_or_else(|| refuse("the offer has no video"))?.agreed;
    let [encoding] = encodings.as_mut_slice() else {
        return Err(refuse("the offer is for simulcast; leave one of them out"));
    };
    if mode.spatial_layers().get() > MAX_LAYERS || mode.temporal_layers().get() > MAX_LAYERS {
        return Err(refuse("a stream has at most 8 layers of a kind"));
    }
    let is_svc = codecs.first().is_some_and(|codec| {
        matches!(codec.mime_type(), MimeType::Video(MimeTypeVideo::Vp9 | MimeTypeVideo::AV1))
    });
    if mode.spatial_layers().get() > 1 && !is_svc {
        return Err(refuse("only VP9 and AV1 have spatial layers in one stream; use simulcast"));
    }
    encoding.scalability_mode = mode.clone();
    Ok(())
}

/// The answer to a publisher: receive `media`, turn down whatever else is offered.
///
/// # Errors
/// When the offer has no usable fingerprint.
pub fn answer_publish(
    offer: &Description,
    media: &[Medium],
    transport: &LocalTransport,
) -> Result<String, SdpError> {
    let mut writer = Writer::answer(offer, transport)?;
    for section in &offer.sections {
        let takes = section.is_live() && section.direction.sends();
        let medium = media.iter().find(|medium| takes && section.is(medium));
        let Some(Medium { agreed, .. }) = medium else {
            writer.refuse(offer, section);
            continue;
        };
        let mut lines = Vec::new();
        extensions::accept(section, &agreed.header_extensions, &mut lines);
        for codec in &agreed.codecs {
            codecs::write(codec, Some(section), true, &mut lines);
        }
        encodings::write(section, &agreed.encodings, &mut lines);
        writer.accept(Head::of(section, codecs::formats(&agreed.codecs), "recvonly"), lines);
    }
    Ok(writer.finish())
}

/// No SSRC may stand for two things (RFC 3550 section 8).
fn each_once(media: &[Medium]) -> Result<(), SdpError> {
    let encodings = media.iter().flat_map(|medium| &medium.agreed.encodings);
    let mut seen = HashSet::new();
    for ssrc in encodings.flat_map(|encoding| [encoding.ssrc, encoding.rtx.map(|rtx| rtx.ssrc)]).flatten() {
        if !seen.insert(ssrc) {
            return Err(SdpError::Twice { what: "SSRC", value: ssrc });
        }
    }
    Ok(())
}

fn rtp_parameters(
    section: &Section,
    kind: MediaKind,
    router: &RtpCapabilitiesFinalized,
    bundle: &mut Vec<(u16, RtpHeaderExtensionUri)>,
) -> Result<RtpParameters, SdpError> {
    let offered = codecs::codecs(section, kind);
    let (codec, supported) = offered
        .iter()
        .filter(|codec| !codec.is_rtx())
        .find_map(|codec| {
            let mut supported = router.codecs.iter();
            Some((codec, supported.find(|other| same_codec(codec, *other))?))
        })
        .ok_or_else(|| SdpError::NoCodec {
            mid: section.name(),
            offered: codecs::offered_names(section, kind),
            supported: codecs::supported_names(router, kind),
        })?;
    let rtx = offered
        .iter()
        .find(|rtx| codecs::apt(rtx) == Some(codec.payload_type()) && rtx.clock_rate() == codec.clock_rate())
        .filter(|_| repairs(router, supported));

    let mut header_extensions = extensions::sent(section, router, kind, bundle);
    let mut encodings = encodings(section, kind, &mut header_extensions)?;
    encodings::reduce(&mut encodings, codec);
    let mut codec = codec.clone();
    reduce_feedback(&mut codec, supported, &header_extensions);
    let mut codecs = vec![codec];
    // Unannounced SSRCs of retransmissions would not be recognised: they come in-band instead.
    let recognised = |encoding: &RtpEncodingParameters| encoding.ssrc.is_none() || encoding.rtx.is_some();
    codecs.extend(rtx.filter(|_| encodings.iter().all(recognised)).cloned());
    let cname = encodings::cname(section);
    if cname.as_ref().is_some_and(|cname| cname.len() > MAX_CNAME) {
        return Err(SdpError::LongCname(section.name()));
    }
    let mut parameters = RtpParameters {
        mid: section.mid.clone(),
        codecs,
        header_extensions,
        encodings,
        rtcp: RtcpParameters { cname, reduced_size: true },
        msid: encodings::msid(section),
    };
    if parameters.codecs.len() == 1 {
        for encoding in &mut parameters.encodings {
            encoding.rtx = None;
        }
    }
    Ok(parameters)
}

/// The encodings, by what mediasoup can recognise their packets: RID, SSRC, or the MID alone.
fn encodings(
    section: &Section,
    kind: MediaKind,
    header_extensions: &mut Vec<RtpHeaderExtensionParameters>,
) -> Result<Vec<RtpEncodingParameters>, SdpError> {
    let has = |extensions: &[RtpHeaderExtensionParameters], uri| {
        extensions.iter().any(|extension| extension.uri == uri)
    };
    let unroutable = |add| SdpError::Unroutable { mid: section.name(), add };
    // Sound has no layers.
    let rids = if kind == MediaKind::Video { encodings::rids(section)? } else { Vec::new() };
    if !rids.is_empty() && has(header_extensions, RtpHeaderExtensionUri::RtpStreamId) {
        return Ok(encodings::by_rid(rids));
    }
    if rids.len() > 1 {
        return Err(unroutable("a=extmap for the rtp-stream-id extension"));
    }
    // A packet with a RID that no encoding has would be dropped, so let it have none.
    header_extensions.retain(|extension| {
        !matches!(
            extension.uri,
            RtpHeaderExtensionUri::RtpStreamId | RtpHeaderExtensionUri::RepairRtpStreamId
        )
    });
    let encodings = encodings::by_ssrc(section)?;
    if !encodings.is_empty() {
        return Ok(encodings);
    }
    if section.mid.is_none() || !has(header_extensions, RtpHeaderExtensionUri::Mid) {
        return Err(unroutable("a=ssrc, or a=mid and a=extmap for the mid extension"));
    }
    Ok(vec![RtpEncodingParameters::default()])
}

/// Whether the router has an RTX codec for one of its codecs.
fn repairs(router: &RtpCapabilitiesFinalized, codec: &RtpCodecCapabilityFinalized) -> bool {
    let payload_type = codec.preferred_payload_type();
    router.codecs.iter().any(|rtx| {
        rtx.is_rtx()
            && rtx.parameters().get("apt") == Some(&RtpCodecParametersParametersValue::from(payload_type))
    })
}

/// Keeps the feedback that both sides know, and of the two bandwidth estimations only the better
/// one that the header extensions allow.
fn reduce_feedback(
    codec: &mut RtpCodecParameters,
    supported: &RtpCodecCapabilityFinalized,
    header_extensions: &[RtpHeaderExtensionParameters],
) {
    let (RtpCodecCapabilityFinalized::Audio { rtcp_feedback, .. }
    | RtpCodecCapabilityFinalized::Video { rtcp_feedback, .. }) = supported;
    let has = |uri| header_extensions.iter().any(|extension| extension.uri == uri);
    let transport_cc = has(RtpHeaderExtensionUri::TransportWideCcDraft01);
    let remb = !transport_cc && has(RtpHeaderExtensionUri::AbsSendTime);
    codec.rtcp_feedback_mut().retain(|feedback| {
        rtcp_feedback.contains(feedback)
            && match feedback {
                RtcpFeedback::TransportCc => transport_cc,
                RtcpFeedback::GoogRemb => remb,
                _ => true,
            }
    });
}
