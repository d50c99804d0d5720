//! Negotiations with the recorded offers of real clients.

mod counter;
mod hostile;
mod offers;
mod publish;
mod refuse;
mod watch;

use std::num::{NonZeroU8, NonZeroU32};

use super::*;
use crate::protocol::media::Medium;
use crate::protocol::rtp::*;

/// The recorded offers of publishers.
const PUBLISHERS: [&str; 7] = [
    offers::CHROMIUM_PUBLISH,
    offers::CHROMIUM_SIMULCAST,
    offers::FIREFOX_PUBLISH,
    offers::FIREFOX_SIMULCAST,
    offers::AIORTC_PUBLISH,
    offers::GSTREAMER_PUBLISH,
    offers::OBS_SIMULCAST,
];

/// The recorded offers of viewers.
const VIEWERS: [&str; 3] = [offers::CHROMIUM_WATCH, offers::FIREFOX_WATCH, offers::AIORTC_WATCH];

fn parse(text: &str) -> Description {
    Description::parse(text).unwrap()
}

fn transport() -> LocalTransport {
    let candidate = IceCandidate {
        foundation: "udpcandidate".to_owned(),
        priority: 1_076_302_079,
        address: "192.0.2.1".to_owned(),
        protocol: Protocol::Udp,
        port: 40_000,
        r#type: IceCandidateType::Host,
        tcp_type: None,
    };
    let tcp = IceCandidate {
        foundation: "tcpcandidate".to_owned(),
        protocol: Protocol::Tcp,
        tcp_type: Some(IceCandidateTcpType::Passive),
        ..candidate.clone()
    };
    LocalTransport {
        ice: IceParameters {
            username_fragment: "local-fragment".to_owned(),
            password: "a-password-of-32-characters-here".to_owned(),
            ice_lite: Some(true),
        },
        candidates: vec![candidate, tcp],
        dtls: DtlsParameters {
            role: DtlsRole::Auto,
            fingerprints: vec![DtlsFingerprint::Sha256 { value: [0xAB; 32] }],
        },
    }
}

const VIDEO_FEEDBACK: [RtcpFeedback; 5] = [
    RtcpFeedback::Nack,
    RtcpFeedback::NackPli,
    RtcpFeedback::CcmFir,
    RtcpFeedback::GoogRemb,
    RtcpFeedback::TransportCc,
];

fn video(
    mime_type: MimeTypeVideo,
    payload_type: u8,
    parameters: &[(&'static str, RtpCodecParametersParametersValue)],
    rtcp_feedback: &[RtcpFeedback],
) -> RtpCodecCapabilityFinalized {
    RtpCodecCapabilityFinalized::Video {
        mime_type,
        preferred_payload_type: payload_type,
        clock_rate: NonZeroU32::new(90_000).unwrap(),
        parameters: parameters.iter().cloned().collect(),
        rtcp_feedback: rtcp_feedback.to_vec(),
    }
}

fn with_rtx(
    mime_type: MimeTypeVideo,
    payload_type: u8,
    parameters: &[(&'static str, RtpCodecParametersParametersValue)],
    rtx: u8,
) -> [RtpCodecCapabilityFinalized; 2] {
    [
        video(mime_type, payload_type, parameters, &VIDEO_FEEDBACK),
        video(MimeTypeVideo::Rtx, rtx, &[("apt", payload_type.into())], &[]),
    ]
}

fn h264(mode: u32) -> Vec<(&'static str, RtpCodecParametersParametersValue)> {
    vec![
        ("level-asymmetry-allowed", 1_u32.into()),
        ("packetization-mode", mode.into()),
        ("profile-level-id", "42e01f".into()),
    ]
}

/// What a router of mediasoup supports that was made with our usual codecs.
fn router() -> RtpCapabilitiesFinalized {
    use RtpHeaderExtensionDirection::{RecvOnly, SendRecv};
    use RtpHeaderExtensionUri as Uri;
    let mut codecs = vec![RtpCodecCapabilityFinalized::Audio {
        mime_type: MimeTypeAudio::Opus,
        preferred_payload_type: 111,
        clock_rate: NonZeroU32::new(48_000).unwrap(),
        channels: NonZeroU8::new(2).unwrap(),
        parameters: RtpCodecParametersParameters::default(),
        rtcp_feedback: vec![RtcpFeedback::Nack, RtcpFeedback::TransportCc],
    }];
    codecs.extend(with_rtx(MimeTypeVideo::Vp8, 96, &[], 100));
    codecs.extend(with_rtx(MimeTypeVideo::Vp9, 98, &[], 101));
    codecs.extend(with_rtx(MimeTypeVideo::H264, 106, &h264(1), 102));
    codecs.extend(with_rtx(MimeTypeVideo::H264, 108, &h264(0), 103));
    codecs.extend(with_rtx(MimeTypeVideo::AV1, 45, &[], 46));
    let both = [MediaKind::Audio, MediaKind::Video];
    let audio = &both[..1];
    let video = &both[1..];
    let header_extensions = [
        (&both[..], Uri::Mid, 1, SendRecv),
        (video, Uri::RtpStreamId, 2, RecvOnly),
        (video, Uri::RepairRtpStreamId, 3, RecvOnly),
        (video, Uri::AbsSendTime, 4, SendRecv),
        (&both[..], Uri::TransportWideCcDraft01, 5, SendRecv),
        (audio, Uri::SsrcAudioLevel, 6, SendRecv),
        (video, Uri::DependencyDescriptor, 7, RecvOnly),
        (video, Uri::VideoOrientation, 8, SendRecv),
        (&both[..], Uri::AbsCaptureTime, 9, SendRecv),
        (&both[..], Uri::PlayoutDelay, 10, SendRecv),
    ]
    .into_iter()
    .flat_map(|(kinds, uri, preferred_id, direction)| {
        kinds.iter().map(move |kind| RtpHeaderExtension {
            kind: *kind,
            uri,
            preferred_id,
            preferred_encrypt: false,
            direction,
        })
    })
    .collect();
    RtpCapabilitiesFinalized { codecs, header_extensions }
}

/// Only the codecs with this name, and their RTX.
fn router_of(name: &str) -> RtpCapabilitiesFinalized {
    let mut router = router();
    let kept = router
        .codecs
        .iter()
        .filter(|codec| match codec {
            RtpCodecCapabilityFinalized::Audio { .. } => true,
            RtpCodecCapabilityFinalized::Video { mime_type, .. } => mime_type.as_str() == name,
        })
        .map(RtpCodecCapabilityFinalized::preferred_payload_type)
        .collect::<Vec<_>>();
    router.codecs.retain(|codec| {
        kept.contains(&codec.preferred_payload_type())
            || kept.iter().any(|apt| codec.parameters().get("apt") == Some(&(*apt).into()))
    });
    router
}

fn extensions(parameters: &RtpParameters) -> Vec<(u16, RtpHeaderExtensionUri)> {
    parameters.header_extensions.iter().map(|extension| (extension.id, extension.uri)).collect()
}

fn payload_types(parameters: &RtpParameters) -> Vec<u8> {
    parameters.codecs.iter().map(RtpCodecParameters::payload_type).collect()
}

/// The lines of the m-line with this mid, head included.
fn section_lines<'a>(text: &'a str, mid: &str) -> Vec<&'a str> {
    let lines = text.lines().collect::<Vec<_>>();
    lines
        .split(|line| line.is_empty())
        .flat_map(|lines| lines.chunk_by(|_, next| !next.starts_with("m=")))
        .find(|section| section.contains(&format!("a=mid:{mid}").as_str()))
        .unwrap()
        .to_vec()
}

#[track_caller]
fn assert_lines(text: &str, mid: &str, expected: &[&str]) {
    let lines = section_lines(text, mid);
    for line in expected {
        assert!(lines.contains(line), "{line} is missing from {lines:#?}");
    }
}

#[track_caller]
fn assert_no_line(text: &str, start: &str) {
    let found = text.lines().find(|line| line.starts_with(start));
    assert_eq!(found, None, "in {text}");
}
