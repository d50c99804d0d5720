//! What a publisher sends in one m-line: simulcast layers by RID (RFC 8853), or streams by SSRC
//! (RFC 5576).

use sdp_types::Attribute;

use super::description::{Section, limit};
use super::error::SdpError;
use super::lines::split_word;
use crate::protocol::rtp::{
    MimeType, MimeTypeVideo, RtpCodecParameters, RtpEncodingParameters, RtpEncodingParametersRtx,
    ScalabilityMode,
};

const MAX_LAYERS: usize = 8;

/// The RIDs that the offerer sends, in the order of `a=simulcast`.
///
/// Of alternatives the first is meant, and it doesn't matter whether a layer starts paused.
pub(super) fn rids(section: &Section) -> Result<Vec<String>, SdpError> {
    let declared = section
        .values("rid")
        .filter_map(|value| {
            let (rid, rest) = split_word(value);
            (split_word(rest).0.eq_ignore_ascii_case("send") && is_rid(rid)).then_some(rid)
        })
        .collect::<Vec<_>>();
    let simulcast = section.values("simulcast").find_map(|value| {
        // Drafts wrote `send rid=a;b`.
        let mut words = value.split_whitespace();
        words.find(|word| word.eq_ignore_ascii_case("send"))?;
        let layers = words.next()?;
        Some(layers.strip_prefix("rid=").unwrap_or(layers))
    });
    let mut rids = Vec::<String>::new();
    // A publisher may also name its only layer without any simulcast.
    let named = match simulcast {
        Some(layers) => layers
            .split(';')
            .filter_map(|layer| layer.split(',').next())
            .map(|rid| rid.trim_start_matches('~'))
            .collect(),
        None => declared.clone(),
    };
    for rid in named {
        if declared.contains(&rid) && !rids.iter().any(|other| other == rid) {
            limit("simulcast layers", MAX_LAYERS, rids.len() + 1)?;
            rids.push(rid.to_owned());
        }
    }
    Ok(rids)
}

/// Simulcast layers known by RID; their SSRCs are learned from the packets.
pub(super) fn by_rid(rids: Vec<String>) -> Vec<RtpEncodingParameters> {
    let encodings = rids
        .into_iter()
        .map(|rid| RtpEncodingParameters { rid: Some(rid), ..RtpEncodingParameters::default() });
    layered(encodings.collect())
}

/// Streams known by SSRC, each with the SSRC of its retransmissions.
pub(super) fn by_ssrc(section: &Section) -> Result<Vec<RtpEncodingParameters>, SdpError> {
    let pairs = groups(section, "FID")
        .filter_map(|ssrcs| match ssrcs.as_slice() {
            [media, rtx, ..] => Some((*media, *rtx)),
            _ => None,
        })
        .collect::<Vec<_>>();
    // Browsers of old announced simulcast so, and some clients still do.
    let mut ssrcs = groups(section, "SIM").next().unwrap_or_default();
    limit("simulcast layers", MAX_LAYERS, ssrcs.len())?;
    if ssrcs.is_empty() {
        ssrcs = section
            .values("ssrc")
            .filter_map(|value| ssrc(value.split_whitespace().next()?))
            .find(|ssrc| !pairs.iter().any(|(_, rtx)| rtx == ssrc))
            .into_iter()
            .collect();
    }
    let encodings = ssrcs.into_iter().map(|ssrc| RtpEncodingParameters {
        ssrc: Some(ssrc),
        rtx: pairs
            .iter()
            .find(|(media, _)| *media == ssrc)
            .map(|(_, rtx)| RtpEncodingParametersRtx { ssrc: *rtx }),
        ..RtpEncodingParameters::default()
    });
    Ok(layered(encodings.collect()))
}

/// The canonical name in RTCP (RFC 5576 section 6.1).
pub(super) fn cname(section: &Section) -> Option<String> {
    section.values("ssrc").find_map(|value| {
        let (name, cname) = split_word(value).1.split_once(':')?;
        (name.eq_ignore_ascii_case("cname") && !cname.is_empty()).then(|| cname.to_owned())
    })
}

/// The stream and track that the m-line belongs to (RFC 8830).
pub(super) fn msid(section: &Section) -> Option<String> {
    section.values("msid").next().map(str::to_owned)
}

/// The lines with which a receiver takes every one of the layers.
pub(super) fn write(section: &Section, encodings: &[RtpEncodingParameters], lines: &mut Vec<Attribute>) {
    let rids = encodings.iter().filter_map(|encoding| encoding.rid.as_deref()).collect::<Vec<_>>();
    for rid in &rids {
        lines.push(Attribute::with_value("rid", format!("{rid} recv")));
    }
    // One that is left of several has to be named too, or none of them is known by its RID.
    if rids.len() > 1 || (!rids.is_empty() && section.has("simulcast")) {
        let layers = format!("recv {}", rids.join(";"));
        lines.push(Attribute::with_value("simulcast", layers));
    }
}

/// A worker layers simulcast of few codecs: of others it takes the one that the publisher prefers
/// (RFC 8853 section 5.3.2 lets an answer drop layers).
pub(super) fn reduce(encodings: &mut Vec<RtpEncodingParameters>, codec: &RtpCodecParameters) {
    let is_layered = matches!(codec.mime_type(), MimeType::Video(MimeTypeVideo::Vp8 | MimeTypeVideo::H264));
    if !is_layered && encodings.len() > 1 {
        encodings.truncate(1);
        for encoding in encodings {
            encoding.scalability_mode = ScalabilityMode::None;
        }
    }
}

/// Without this mediasoup takes each layer for a single temporal one, and drops the frames of the
/// others that browsers send; where there really is one only, it notices.
fn layered(mut encodings: Vec<RtpEncodingParameters>) -> Vec<RtpEncodingParameters> {
    if encodings.len() > 1 {
        for encoding in &mut encodings {
            encoding.scalability_mode = ScalabilityMode::L1T3;
        }
    }
    encodings
}

fn groups<'a>(section: &'a Section, semantics: &'a str) -> impl Iterator<Item = Vec<u32>> + 'a {
    section.values("ssrc-group").filter_map(move |value| {
        let mut words = value.split_whitespace();
        words.next()?.eq_ignore_ascii_case(semantics).then(|| words.filter_map(ssrc).collect())
    })
}

/// mediasoup reads 0 as none.
fn ssrc(text: &str) -> Option<u32> {
    text.parse().ok().filter(|ssrc| *ssrc != 0)
}

/// RFC 8852 section 3.3, and dashes and underscores, which are in use.
fn is_rid(rid: &str) -> bool {
    (1..=255).contains(&rid.len())
        && rid.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
}
