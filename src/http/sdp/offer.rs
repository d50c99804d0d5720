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

/// The m-lines of an offer that are to be negotiated: at most one of a kind. Whatever else is in use has
/// another direction.
pub(super) fn check(offer: &Description, purpose: Purpose) -> Result<Vec<(&Section, MediaKind)>, SdpError> {
    if offer.is_ice_lite() {
        return Err(SdpError::IceLite);
    }
    let live = offer.live().collect::<Vec<_>>();
    let Some((first, _)) = live.first() else {
        return Err(SdpError::NoMedia);
    };
    let (fits, direction): (fn(&Section) -> bool, _) = match purpose {
        Purpose::Publish => (|section| section.direction.sends(), "sendonly"),
        Purpose::Watch => (|section| section.direction.receives(), "recvonly"),
    };
    let mut wanted = Vec::<(&Section, MediaKind)>::new();
    for (section, kind) in live.iter().filter(|(section, _)| fits(section)) {
        if wanted.iter().any(|(_, other)| other == kind) {
            return Err(SdpError::SeveralOfKind(*kind));
        }
        wanted.push((section, *kind));
    }
    if wanted.is_empty() {
        return Err(SdpError::Direction { mid: first.name(), wanted: direction });
    }
    for (section, _) in &wanted {
        if section.mid.is_none() && wanted.len() > 1 {
            return Err(SdpError::NoMid);
        }
        if !section.media.proto.to_ascii_uppercase().contains("TLS/RTP/SAVP") {
            let proto = section.media.proto.clone();
            return Err(SdpError::Proto { mid: section.name(), proto });
        }
        if !section.has("rtcp-mux") && !section.has("rtcp-mux-only") {
            return Err(SdpError::NoRtcpMux(section.name()));
        }
    }
    let bundled = wanted.iter().all(|(section, _)| offer.is_bundled(section));
    if !bundled && (wanted.len() > 1 || offer.bundle().is_some()) {
        return Err(SdpError::NoBundle);
    }
    offer.dtls()?;
    offer.ice()?;
    Ok(wanted)
}
