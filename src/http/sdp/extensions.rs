//! `a=extmap` (RFC 8285 section 5).

use sdp_types::Attribute;

use super::description::Section;
use super::lines::split_word;
use crate::protocol::rtp::{
    MediaKind, RtpCapabilitiesFinalized, RtpHeaderExtension, RtpHeaderExtensionDirection,
    RtpHeaderExtensionParameters, RtpHeaderExtensionUri,
};

/// The header extensions that the offerer sends and the router reads, with the offer's ids.
///
/// `bundle` is what was accepted in the bundle so far: an id has one meaning in it, and a meaning one id
/// (RFC 8843 section 9.2), or packets would be read wrongly.
pub(super) fn sent(
    section: &Section,
    router: &RtpCapabilitiesFinalized,
    kind: MediaKind,
    bundle: &mut Vec<(u16, RtpHeaderExtensionUri)>,
) -> Vec<RtpHeaderExtensionParameters> {
    let known = |uri| {
        router.header_extensions.iter().any(|extension| {
            extension.kind == kind
                && extension.uri == uri
                // Few viewers get it, and without it the publisher turns the picture itself.
                && uri != RtpHeaderExtensionUri::VideoOrientation
                && matches!(
                    extension.direction,
                    RtpHeaderExtensionDirection::SendRecv | RtpHeaderExtensionDirection::RecvOnly
                )
        })
    };
    let mut sent = offered(section, "sendonly");
    sent.retain(|(id, uri)| known(*uri) && bundle.iter().all(|(other, same)| (other == id) == (same == uri)));
    for extension in &sent {
        if !bundle.contains(extension) {
            bundle.push(*extension);
        }
    }
    let parameters = |(id, uri)| RtpHeaderExtensionParameters { uri, id, encrypt: false };
    sent.into_iter().map(parameters).collect()
}

/// The header extensions that the offerer can receive, with the offer's ids.
pub(super) fn received(section: &Section, kind: MediaKind) -> Vec<RtpHeaderExtension> {
    offered(section, "recvonly")
        .into_iter()
        .map(|(preferred_id, uri)| RtpHeaderExtension {
            kind,
            uri,
            preferred_id,
            preferred_encrypt: false,
            direction: RtpHeaderExtensionDirection::SendRecv,
        })
        .collect()
}

/// The line of an extension in an offer of ours.
pub(super) fn write(extension: &RtpHeaderExtensionParameters, lines: &mut Vec<Attribute>) {
    let RtpHeaderExtensionParameters { id, uri, .. } = extension;
    lines.push(Attribute::with_value("extmap", format!("{id} {}", uri.as_str())));
}

/// The lines that accept extensions: what is offered in one direction is taken in the other one.
pub(super) fn accept<'a>(
    section: &Section,
    extensions: impl IntoIterator<Item = &'a RtpHeaderExtensionParameters>,
    lines: &mut Vec<Attribute>,
) {
    if section.has("extmap-allow-mixed") {
        lines.push(Attribute::new("extmap-allow-mixed"));
    }
    for RtpHeaderExtensionParameters { id, uri, .. } in extensions {
        let offered_as = |direction: &str| {
            let offered = format!("{id}/{direction}");
            section.values("extmap").any(|value| split_word(value).0.eq_ignore_ascii_case(&offered))
        };
        let direction = match () {
            () if offered_as("sendonly") => "/recvonly",
            () if offered_as("recvonly") => "/sendonly",
            () => "",
        };
        let value = format!("{id}{direction} {}", uri.as_str());
        lines.push(Attribute::with_value("extmap", value));
    }
}

fn offered(section: &Section, one_way: &str) -> Vec<(u16, RtpHeaderExtensionUri)> {
    let mut offered = Vec::<(u16, RtpHeaderExtensionUri)>::new();
    for value in section.values("extmap") {
        let (id, rest) = split_word(value);
        let Some(uri) = uri(split_word(rest).0) else { continue };
        let (id, direction) = id.split_once('/').unwrap_or((id, "sendrecv"));
        let direction = direction.to_ascii_lowercase();
        // RFC 8285: 0 is padding, and two-byte headers end at 255.
        let Some(id) = id.parse().ok().filter(|id| (1..=255).contains(id)) else {
            continue;
        };
        let repeated = offered.iter().any(|(other, same)| *other == id || *same == uri);
        if !repeated && (direction == "sendrecv" || direction == one_way) {
            offered.push((id, uri));
        }
    }
    offered
}

/// The first part of a URN, and of a URL, has no case.
fn uri(text: &str) -> Option<RtpHeaderExtensionUri> {
    text.parse().or_else(|_| text.to_ascii_lowercase().parse()).ok()
}
