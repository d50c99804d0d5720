//! WHEP: when a viewer's offer cannot be answered, we offer instead, with our own payload types
//! (draft-ietf-wish-whep-03 section 4.2).

use super::answer::{Head, LocalTransport, Writer, msid};
use super::description::Description;
use super::error::{SdpError, kind_name};
use super::{codecs, extensions};
use crate::protocol::codec_match::same_codec;
use crate::protocol::rtp::{DtlsParameters, MediaKind, RtpParameters};

/// One m-line that we offer to send.
#[derive(Debug, Clone, PartialEq)]
pub struct SendMedia {
    /// The m-line.
    pub mid: String,
    /// Audio or video.
    pub kind: MediaKind,
    /// The parameters of the consumer.
    pub rtp_parameters: RtpParameters,
}

/// What a viewer answered to our offer.
#[derive(Debug, Clone)]
pub struct CounterAnswer {
    /// The viewer's fingerprints and role.
    pub dtls: DtlsParameters,
    /// The m-lines that the viewer receives, in the order of the offer; there may be none.
    pub mids: Vec<String>,
}

/// Our offer to send `media`, as tracks of `stream`.
///
/// As in an answer there are no SSRCs, so that streams can be exchanged later.
#[must_use]
pub fn counter_offer(media: &[SendMedia], transport: &LocalTransport, stream: &str) -> String {
    let mut writer = Writer::offer(transport);
    for SendMedia { mid, kind, rtp_parameters } in media {
        let mut lines = Vec::new();
        for extension in &rtp_parameters.header_extensions {
            extensions::write(extension, &mut lines);
        }
        for codec in &rtp_parameters.codecs {
            codecs::write(codec, false, &mut lines);
        }
        lines.push(msid(stream, *kind));
        let head = Head {
            media: kind_name(*kind),
            proto: "UDP/TLS/RTP/SAVPF",
            formats: codecs::formats(&rtp_parameters.codecs),
            mid,
            direction: "sendonly",
            reduced_size: true,
        };
        writer.accept(head, lines);
    }
    writer.finish()
}

/// What a viewer accepts of the `media` we offered.
///
/// # Errors
/// A malformed error when this cannot be an answer to that offer (RFC 3264 section 6), otherwise
/// what the viewer lacks to connect.
pub fn counter_answer(answer: &Description, media: &[SendMedia]) -> Result<CounterAnswer, SdpError> {
    if answer.sections.len() != media.len() {
        return Err(SdpError::malformed(
            "the answer has to have the m-lines of the offer, in the same order",
        ));
    }
    if answer.setup() == "actpass" {
        return Err(SdpError::malformed("a=setup of an answer has to be active or passive"));
    }
    let mut mids = Vec::new();
    for (section, offered) in answer.sections.iter().zip(media) {
        if section.kind != Some(offered.kind) {
            return Err(SdpError::malformed("an m-line changed its kind of media"));
        }
        if !section.is_live() || !section.direction.receives() {
            continue;
        }
        if section.mid.as_ref() != Some(&offered.mid) {
            return Err(SdpError::malformed("an m-line changed its a=mid"));
        }
        if !section.has("rtcp-mux") {
            return Err(SdpError::NoRtcpMux(offered.mid.clone()));
        }
        let mut wanted = codecs::codecs(section, offered.kind).into_iter();
        let sent = offered.rtp_parameters.codecs.iter().find(|codec| !codec.is_rtx());
        let receives = sent.is_some_and(|codec| {
            wanted.any(|other| other.payload_type() == codec.payload_type() && same_codec(codec, &other))
        });
        if receives {
            mids.push(offered.mid.clone());
        }
    }
    let bundle = answer.bundle().unwrap_or_default();
    if mids.len() > 1 && !mids.iter().all(|mid| bundle.contains(&mid.as_str())) {
        return Err(SdpError::NoBundle);
    }
    answer.ice()?;
    Ok(CounterAnswer { dtls: answer.dtls()?, mids })
}
