//! What our side of a session can do: codecs, RTP header extensions, timing.

use std::time::Duration;

use str0m::format::{Codec, FormatParams};
use str0m::media::{Frequency, Pt};
use str0m::rtp::{Extension, ExtensionMap};
use str0m::{Rtc, RtcConfig};

/// Header extension ids as mediasoup numbers them, so that such a server need not rewrite packets.
const EXTENSIONS: [(u8, Extension); 7] = [
    (1, Extension::RtpMid),
    (4, Extension::AbsoluteSendTime),
    (5, Extension::TransportSequenceNumber),
    (6, Extension::AudioLevel),
    (8, Extension::VideoOrientation),
    (9, Extension::AbsoluteCaptureTime),
    (10, Extension::PlayoutDelay),
];
/// Only who sends simulcast needs these (RFC 8852).
const RID_EXTENSIONS: [(u8, Extension); 2] =
    [(2, Extension::RtpStreamId), (3, Extension::RepairedRtpStreamId)];

/// Sends `codecs` and nothing else.
pub(super) fn sending(codecs: &[Codec]) -> RtcConfig {
    let mut config = base(EXTENSIONS.into_iter().chain(RID_EXTENSIONS));
    for codec in codecs {
        enable(&mut config, *codec);
    }
    config
}

/// Receives all the codecs known here.
pub(super) fn receiving() -> RtcConfig {
    let mut config = base(EXTENSIONS);
    for codec in [Codec::Opus, Codec::Vp8, Codec::Vp9, Codec::H264, Codec::Av1] {
        enable(&mut config, codec);
    }
    config
}

fn base(extensions: impl IntoIterator<Item = (u8, Extension)>) -> RtcConfig {
    let mut map = ExtensionMap::empty();
    for (id, extension) in extensions {
        map.set(id, extension);
    }
    let mut config =
        Rtc::builder().clear_codecs().set_extension_map(map).set_stats_interval(Some(Duration::from_secs(1)));
    // A server that is gone is noticed within some five seconds, as browsers do.
    config.set_max_stun_rto(Duration::from_secs(1));
    config.set_max_stun_retransmits(5);
    config
}

fn enable(config: &mut RtcConfig, codec: Codec) {
    let codecs = config.codec_config();
    match codec {
        Codec::Opus => codecs.enable_opus(true, false),
        Codec::Vp8 => codecs.enable_vp8(true),
        // Profile 0 alone: 10 bits a sample is not for live streams.
        Codec::Vp9 => {
            let profile = FormatParams { profile_id: Some(0), ..Default::default() };
            codecs.add_config(
                Pt::new_with_value(98),
                Some(Pt::new_with_value(99)),
                codec,
                Frequency::NINETY_KHZ,
                None,
                profile,
            );
        }
        Codec::Av1 => codecs.enable_av1(true),
        // Constrained baseline 3.1, the one profile every WebRTC peer has (RFC 7742 §6.2).
        Codec::H264 => {
            codecs.add_h264(Pt::new_with_value(102), Some(Pt::new_with_value(103)), true, 0x42e01f)
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use str0m::media::{Direction, MediaKind};

    use super::*;

    #[test]
    fn the_offer_speaks_the_numbers_of_mediasoup() {
        let mut rtc = receiving().build(Instant::now());
        let mut changes = rtc.sdp_api();
        changes.add_media(MediaKind::Audio, Direction::RecvOnly, None, None, None);
        changes.add_media(MediaKind::Video, Direction::RecvOnly, None, None, None);
        let offer = changes.apply().unwrap().0.to_sdp_string();
        for line in [
            "a=rtpmap:111 opus/48000/2",
            "a=rtpmap:96 VP8/90000",
            "a=rtpmap:98 VP9/90000",
            "a=rtpmap:102 H264/90000",
            "a=rtpmap:45 AV1/90000",
            "a=extmap:1 urn:ietf:params:rtp-hdrext:sdes:mid",
            "a=extmap:4 http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time",
            "a=extmap:5 http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01",
            "a=extmap:6 urn:ietf:params:rtp-hdrext:ssrc-audio-level",
            "a=extmap:8 urn:3gpp:video-orientation",
            "a=extmap:9 http://www.webrtc.org/experiments/rtp-hdrext/abs-capture-time",
            "a=extmap:10 http://www.webrtc.org/experiments/rtp-hdrext/playout-delay",
            "a=recvonly",
        ] {
            assert!(offer.lines().any(|l| l == line), "{line} is not in:\n{offer}");
        }
        assert!(!offer.contains("rtp-stream-id"));
    }
}
