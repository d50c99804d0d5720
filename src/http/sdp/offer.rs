//! What every offer has to fulfil before its codecs matter (RFC 9725 section 4.2).

use super::description::{Description, Section};
use super::error::SdpError;
use crate::protocol::rtp::MediaKind;

/// What a client is to do with its m-lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    Publish,
    Watch,
}

/// The m-lines of an offer that are to be negotiated.
pub(super) fn check(offer: &Description, purpose: Purpose) -> Result<Vec<(&Section, MediaKind)>, SdpError> {
    let live = offer.live().collect::<Vec<_>>();
    if live.is_empty() {
        return Err(SdpError::NoMedia);
    }
    for kind in [MediaKind::Audio, MediaKind::Video] {
        if live.iter().filter(|(_, other)| *other == kind).count() > 1 {
            return Err(SdpError::SeveralOfKind(kind));
        }
    }
    for (section, _) in &live {
        let mid = section.mid.clone().ok_or(SdpError::NoMid)?;
        let (fits, wanted) = match purpose {
            Purpose::Publish => (section.direction.sends(), "sendonly"),
            Purpose::Watch => (section.direction.receives(), "recvonly"),
        };
        if !fits {
            return Err(SdpError::Direction { mid, wanted });
        }
        if !section.media.proto.contains("RTP/SAVP") {
            let proto = section.media.proto.clone();
            return Err(SdpError::Proto { mid, proto });
        }
        if !section.has("rtcp-mux") && !section.has("rtcp-mux-only") {
            return Err(SdpError::NoRtcpMux(mid));
        }
    }
    let bundled = match offer.bundle() {
        Some(mids) => live.iter().all(|(section, _)| mids.contains(&section.mid())),
        None => live.len() == 1,
    };
    if !bundled {
        return Err(SdpError::NoBundle);
    }
    offer.dtls()?;
    offer.ice()?;
    Ok(live)
}
