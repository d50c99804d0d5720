//! WHEP: an offer to receive, and our answer to it (draft-ietf-wish-whep section 4.2).

use super::answer::{Head, LocalTransport, Writer, msid};
use super::description::Description;
use super::error::SdpError;
use super::offer::{Purpose, check};
use super::{codecs, extensions};
use crate::protocol::media::Medium;
use crate::protocol::rtp::RtpCapabilities;

/// What an offer can receive, m-line by m-line, with the payload types and extension ids of the offer.
///
/// Codecs are in the viewer's order of preference; there may be none that we know.
///
/// # Errors
/// When the offer isn't one of a viewer.
pub fn watch_media(offer: &Description) -> Result<Vec<Medium>, SdpError> {
    let wanted = check(offer, Purpose::Watch)?.into_iter();
    let media = wanted.map(|(section, kind)| {
        let takes = RtpCapabilities {
            codecs: codecs::codecs(section, kind).into_iter().map(codecs::capability).collect(),
            header_extensions: extensions::received(section, kind),
        };
        Medium::taken(section.mid().to_owned(), kind, takes)
    });
    Ok(media.collect())
}

/// What a viewer's m-lines take, for one that can be sent nothing of it.
#[must_use]
pub fn watched_names(offer: &Description) -> String {
    let names = offer.live().map(|(section, kind)| {
        format!("m-line {} takes {}", section.name(), codecs::offered_names(section, kind))
    });
    names.collect::<Vec<_>>().join(", ")
}

/// The answer to a viewer: send what was agreed of each m-line, as tracks of `stream`.
///
/// There are no SSRCs in it: the streams may be exchanged later without another negotiation. An m-line that
/// wants what can't be sent is rejected; one that wants nothing of us stays inactive where that harms no other.
///
/// # Errors
/// When the offer has no usable fingerprint.
pub fn answer_watch(
    offer: &Description,
    media: &[Medium],
    transport: &LocalTransport,
    stream: &str,
) -> Result<String, SdpError> {
    let mut writer = Writer::answer(offer, transport)?;
    let mut plays = false;
    for section in &offer.sections {
        let wants = section.is_live() && section.direction.receives();
        match media.iter().find(|medium| wants && section.is(medium)) {
            Some(Medium { agreed, kind, .. }) if !agreed.codecs.is_empty() => {
                let mut lines = Vec::new();
                extensions::accept(section, &agreed.header_extensions, &mut lines);
                for codec in &agreed.codecs {
                    codecs::write(codec, Some(section), false, &mut lines);
                }
                lines.push(msid(stream, *kind));
                writer.accept(Head::of(section, codecs::formats(&agreed.codecs), "sendonly"), lines);
                plays = true;
            }
            // Behind an inactive line Chromium drops the packets of those before it, which have no MID.
            None if plays => writer.reject(section),
            Some(_) => writer.reject(section),
            None => writer.refuse(offer, section),
        }
    }
    Ok(writer.finish())
}
