//! WHEP: when a viewer's offer cannot be answered, we offer instead, with our own payload types
//! (draft-ietf-wish-whep-03 section 4.2).

use super::answer::{Head, LocalTransport, Writer, msid};
use super::description::Description;
use super::error::{SdpError, kind_name};
use super::{codecs, extensions};
use crate::protocol::codec_match::same_codec;
use crate::protocol::media::Medium;
use crate::protocol::rtp::{DtlsParameters, RtpCodecParameters, RtpParameters};

/// What a viewer answered to our offer.
#[derive(Debug, Clone)]
pub struct CounterAnswer {
    /// The viewer's fingerprints and role.
    pub dtls: DtlsParameters,
    /// The m-lines of the offer, each with what the viewer takes of it; there may be nothing.
    pub media: Vec<Medium>,
}

/// Our offer to send what was agreed of `media`, as tracks of `stream`.
///
/// As in an answer there are no SSRCs, so that streams can be exchanged later.
#[must_use]
pub fn counter_offer(media: &[Medium], transport: &LocalTransport, stream: &str) -> String {
    let mut writer = Writer::offer(transport);
    for Medium { mid, kind, agreed, .. } in sendable(media) {
        let mut lines = Vec::new();
        for extension in &agreed.header_extensions {
            extensions::write(extension, &mut lines);
        }
        for codec in &agreed.codecs {
            codecs::write(codec, None, false, &mut lines);
        }
        lines.push(msid(stream, *kind));
        let head = Head {
            media: kind_name(*kind),
            proto: "UDP/TLS/RTP/SAVPF",
            formats: codecs::formats(&agreed.codecs),
            mid,
            direction: "sendonly",
            reduced_size: true,
        };
        writer.accept(head, lines);
    }
    writer.finish()
}

/// What stands in our offer.
fn sendable(media: &[Medium]) -> impl Iterator<Item = &Medium> {
    media.iter().filter(|medium| !medium.agreed.codecs.is_empty())
}

/// What a viewer accepts of the `media` we offered.
///
/// # Errors
/// A malformed error when this cannot be an answer to that offer (RFC 3264 section 6), otherwise
/// what the viewer lacks to connect.
pub fn counter_answer(answer: &Description, media: &[Medium]) -> Result<CounterAnswer, SdpError> {
    if answer.is_ice_lite() {
        return Err(SdpError::IceLite);
    }
    let mut media: Vec<_> = sendable(media).cloned().collect();
    if answer.sections.len() != media.len() {
        return Err(SdpError::malformed(
            "the answer has to have the m-lines of the offer, in the same order",
        ));
    }
    if answer.setup() == "actpass" {
        return Err(SdpError::malformed("a=setup of an answer has to be active or passive"));
    }
    let mut mids = Vec::new();
    for (section, offered) in answer.sections.iter().zip(&mut media) {
        if section.kind != Some(offered.kind) {
            return Err(SdpError::malformed("an m-line changed its kind of media"));
        }
        if !section.is_live() || !section.direction.receives() {
            offered.agreed = RtpParameters::default();
            continue;
        }
        if section.mid() != offered.mid {
            return Err(SdpError::malformed("an m-line changed its a=mid"));
        }
        if !section.has("rtcp-mux") && !section.has("rtcp-mux-only") {
            return Err(SdpError::NoRtcpMux(section.name()));
        }
        let taken = codecs::codecs(section, offered.kind);
        offered.agreed.codecs.retain(|codec| {
            taken.iter().any(|other| other.payload_type() == codec.payload_type() && same_codec(codec, other))
        });
        if offered.agreed.codecs.iter().all(RtpCodecParameters::is_rtx) {
            offered.agreed = RtpParameters::default();
        } else {
            mids.push(section.mid());
        }
    }
    let bundle = answer.bundle().unwrap_or_default();
    if mids.len() > 1 && !mids.iter().all(|mid| bundle.contains(mid)) {
        return Err(SdpError::NoBundle);
    }
    answer.ice()?;
    Ok(CounterAnswer { dtls: answer.dtls()?, media })
}
