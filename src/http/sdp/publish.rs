//! WHIP: an offer to send, and our answer to it (RFC 9725).

use super::answer::{Head, LocalTransport, Writer};
use super::description::{Description, Section};
use super::error::SdpError;
use super::offer::{Purpose, check};
use super::{codecs, encodings, extensions};
use crate::protocol::codec_match::same_codec;
use crate::protocol::rtp::{
    MediaKind, RtcpFeedback, RtcpParameters, RtpCapabilitiesFinalized, RtpCodecCapabilityFinalized,
    RtpCodecParameters, RtpCodecParametersParametersValue, RtpEncodingParameters,
    RtpHeaderExtensionParameters, RtpHeaderExtensionUri, RtpParameters,
};

/// One m-line of a publisher.
#[derive(Debug, Clone, PartialEq)]
pub struct PublishMedia {
    /// The m-line.
    pub mid: String,
    /// Audio or video.
    pub kind: MediaKind,
    /// What to produce, with the payload types and extension ids of the offer.
    pub rtp_parameters: RtpParameters,
}

/// What an offer sends: of each m-line the first codec that the router supports.
///
/// # Errors
/// When the offer isn't one of a publisher, or an m-line has no codec that the router supports:
/// nothing is then accepted at all.
pub fn publish_media(
    offer: &Description,
    router: &RtpCapabilitiesFinalized,
) -> Result<Vec<PublishMedia>, SdpError> {
    check(offer, Purpose::Publish)?
        .into_iter()
        .map(|(section, kind)| {
            Ok(PublishMedia {
                mid: section.mid().to_owned(),
                kind,
                rtp_parameters: rtp_parameters(section, kind, router)?,
            })
        })
        .collect()
}

/// The answer to a publisher: receive `media`, turn down whatever else is offered.
///
/// # Errors
/// When the offer has no usable fingerprint.
pub fn answer_publish(
    offer: &Description,
    media: &[PublishMedia],
    transport: &LocalTransport,
) -> Result<String, SdpError> {
    let mut writer = Writer::answer(offer, transport)?;
    for section in &offer.sections {
        let media =
            media.iter().find(|media| section.is_live() && section.mid.as_deref() == Some(&media.mid));
        let Some(PublishMedia { rtp_parameters, .. }) = media else {
            writer.reject(section);
            continue;
        };
        let mut lines = Vec::new();
        extensions::accept(section, &rtp_parameters.header_extensions, &mut lines);
        for codec in &rtp_parameters.codecs {
            codecs::write(codec, true, &mut lines);
        }
        encodings::write(&rtp_parameters.encodings, &mut lines);
        let head = Head {
            media: &section.media.media,
            proto: &section.media.proto,
            formats: codecs::formats(&rtp_parameters.codecs),
            mid: section.mid(),
            direction: "recvonly",
            reduced_size: section.has("rtcp-rsize"),
        };
        writer.accept(head, lines);
    }
    Ok(writer.finish())
}

fn rtp_parameters(
    section: &Section,
    kind: MediaKind,
    router: &RtpCapabilitiesFinalized,
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
            mid: section.mid().to_owned(),
            offered: codecs::offered_names(section),
            supported: codecs::supported_names(router, kind),
        })?;
    let rtx = offered
        .iter()
        .find(|rtx| codecs::apt(rtx) == Some(codec.payload_type()) && rtx.clock_rate() == codec.clock_rate())
        .filter(|_| repairs(router, supported));

    let mut header_extensions = extensions::sent(section, router, kind);
    let encodings = encodings(section, &mut header_extensions)?;
    let mut codec = codec.clone();
    reduce_feedback(&mut codec, supported, &header_extensions);
    let mut codecs = vec![codec];
    // Unannounced SSRCs of retransmissions would not be recognised: they come in-band instead.
    let recognised = |encoding: &RtpEncodingParameters| encoding.ssrc.is_none() || encoding.rtx.is_some();
    codecs.extend(rtx.filter(|_| encodings.iter().all(recognised)).cloned());
    let mut parameters = RtpParameters {
        mid: section.mid.clone(),
        codecs,
        header_extensions,
        encodings,
        rtcp: RtcpParameters { cname: encodings::cname(section), reduced_size: true },
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
    header_extensions: &mut Vec<RtpHeaderExtensionParameters>,
) -> Result<Vec<RtpEncodingParameters>, SdpError> {
    let has = |extensions: &[RtpHeaderExtensionParameters], uri| {
        extensions.iter().any(|extension| extension.uri == uri)
    };
    let unroutable = |add| SdpError::Unroutable { mid: section.mid().to_owned(), add };
    let rids = encodings::rids(section)?;
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
    if !has(header_extensions, RtpHeaderExtensionUri::Mid) {
        return Err(unroutable("a=ssrc, or a=extmap for the mid extension"));
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
