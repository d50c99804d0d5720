//! WHEP: an offer to receive, and our answer to it (draft-ietf-wish-whep section 4.2).

use sdp_types::Attribute;

use super::answer::{Head, LocalTransport, Writer, msid};
use super::description::{Description, Section};
use super::error::SdpError;
use super::offer::{Purpose, check};
use super::{codecs, extensions};
use crate::protocol::codec_match::same_codec;
use crate::protocol::rtp::{
    MediaKind, RtpCapabilities, RtpCodecParameters, RtpHeaderExtensionParameters, RtpParameters,
};

/// One m-line of a viewer.
#[derive(Debug, Clone, PartialEq)]
pub struct WatchMedia {
    /// The m-line.
    pub mid: String,
    /// Audio or video.
    pub kind: MediaKind,
    /// What the viewer can receive, with the payload types and extension ids of the offer.
    ///
    /// Codecs are in the viewer's order of preference; there may be none that we know.
    pub capabilities: RtpCapabilities,
}

/// What an offer can receive, m-line by m-line.
///
/// # Errors
/// When the offer isn't one of a viewer.
pub fn watch_media(offer: &Description) -> Result<Vec<WatchMedia>, SdpError> {
    Ok(check(offer, Purpose::Watch)?
        .into_iter()
        .map(|(section, kind)| WatchMedia {
            mid: section.mid().to_owned(),
            kind,
            capabilities: RtpCapabilities {
                codecs: codecs::codecs(section, kind).into_iter().map(codecs::capability).collect(),
                header_extensions: extensions::received(section, kind),
            },
        })
        .collect())
}

/// The answer to a viewer: send the parameters of each m-line's consumer, as tracks of `stream`.
///
/// There are no SSRCs in it: the streams may be exchanged later without another negotiation. An
/// m-line without parameters becomes `inactive` and stays in the bundle, because a rejected one
/// stops the transceiver for good and may have been the one that the bundle's transport is on.
/// Header extensions that weren't offered with the same id are left out.
///
/// # Errors
/// [`SdpError::NotOffered`] when a consumer's payload types aren't those of the offer.
pub fn answer_watch(
    offer: &Description,
    sections: &[(String, Option<RtpParameters>)],
    transport: &LocalTransport,
    stream: &str,
) -> Result<String, SdpError> {
    let mut writer = Writer::answer(offer, transport)?;
    for section in &offer.sections {
        let Some(kind) = section.kind.filter(|_| section.is_live()) else {
            writer.reject(section);
            continue;
        };
        let parameters = sections
            .iter()
            .find(|(mid, _)| section.mid.as_deref() == Some(mid))
            .and_then(|(_, parameters)| parameters.as_ref());
        let (direction, formats, lines) = match parameters {
            Some(parameters) => {
                let (formats, mut lines) = send_lines(section, kind, parameters)?;
                lines.push(msid(stream, kind));
                ("sendonly", formats, lines)
            }
            None => {
                let (format, lines) = inactive_lines(section);
                ("inactive", format, lines)
            }
        };
        let head = Head {
            media: &section.media.media,
            proto: &section.media.proto,
            formats,
            mid: section.mid(),
            direction,
            reduced_size: section.has("rtcp-rsize"),
        };
        writer.accept(head, lines);
    }
    Ok(writer.finish())
}

fn send_lines(
    section: &Section,
    kind: MediaKind,
    parameters: &RtpParameters,
) -> Result<(String, Vec<Attribute>), SdpError> {
    let offered = codecs::codecs(section, kind);
    let is_offered = |codec: &&RtpCodecParameters| {
        offered.iter().any(|other| {
            other.payload_type() == codec.payload_type()
                && same_codec(*codec, other)
                && codecs::apt(codec) == codecs::apt(other)
        })
    };
    let accepted = parameters.codecs.iter().filter(is_offered).cloned().collect::<Vec<_>>();
    if accepted.first().is_none_or(RtpCodecParameters::is_rtx) {
        return Err(SdpError::NotOffered(section.mid().to_owned()));
    }
    let received = extensions::received(section, kind);
    let is_received = |extension: &&RtpHeaderExtensionParameters| {
        received.iter().any(|other| other.uri == extension.uri && other.preferred_id == extension.id)
    };
    let mut lines = Vec::new();
    let extensions = parameters.header_extensions.iter().filter(is_received);
    extensions::accept(section, extensions, &mut lines);
    for codec in &accepted {
        codecs::write(codec, false, &mut lines);
    }
    Ok((codecs::formats(&accepted), lines))
}

/// An m-line needs a format even while nothing is sent: the offer's first.
fn inactive_lines(section: &Section) -> (String, Vec<Attribute>) {
    let mut formats = section.media.fmt.split_whitespace();
    let format = formats.next().unwrap_or("0");
    let lines = ["rtpmap", "fmtp"]
        .into_iter()
        .flat_map(|name| {
            section
                .values(name)
                .filter(|value| value.split_whitespace().next() == Some(format))
                .map(move |value| Attribute::with_value(name, value))
        })
        .collect();
    (format.to_owned(), lines)
}
