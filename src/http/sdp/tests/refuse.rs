use super::*;

fn publish(text: &str) -> SdpError {
    publish_media(&parse(text), &router()).unwrap_err()
}

/// The offer of OBS without the lines that start like this.
fn without(start: &str) -> String {
    let lines = offers::OBS_PUBLISH.lines().filter(|line| !line.starts_with(start));
    lines.map(|line| format!("{line}\n")).collect()
}

#[test]
fn what_is_not_sdp_is_malformed() {
    for text in ["", "hello", "{\"sdp\":\"v=0\"}", "v=1\r\n", "v=0\r\nm=audio\r\n"] {
        let error = Description::parse(text).and_then(|offer| publish_media(&offer, &router())).unwrap_err();
        // An empty session is SDP, if not one that anyone can use.
        assert!(error.is_malformed() || error == SdpError::NoMedia, "{text}: {error}");
    }
    assert!(Description::parse("hello").unwrap_err().is_malformed());
    let twice = offers::OBS_PUBLISH.replace("a=mid:1", "a=mid:0");
    assert!(Description::parse(&twice).unwrap_err().is_malformed());
    let broken = offers::OBS_PUBLISH.replace("sha-256 3A:", "sha-256 ZZ:");
    assert!(publish(&broken).is_malformed());
}

#[test]
fn more_lines_than_any_client_sends_are_too_many() {
    for text in [
        format!("{}{}", without("nothing"), "a=x\n".repeat(2000)),
        format!("{}{}", without("nothing"), "m=audio 9 RTP/AVP 0\n".repeat(99)),
        format!("{}a={}\n", without("nothing"), "x".repeat(300 * 1024)),
    ] {
        let error = Description::parse(&text).unwrap_err();
        assert!(matches!(error, SdpError::TooLarge { .. }), "{error}");
    }
    let rids = (0..9).map(|rid| rid.to_string()).collect::<Vec<_>>();
    let declared = rids.iter().map(|rid| format!("a=rid:{rid} send\n"));
    let text = without("nothing")
        + &declared.collect::<String>()
        + &format!("a=simulcast:send {}\n", rids.join(";"));
    assert!(matches!(publish(&text), SdpError::TooLarge { .. }));
}

#[test]
fn an_offer_that_cannot_be_served_says_why() {
    let replace = |from, to| offers::OBS_PUBLISH.replace(from, to);
    let mid = |mid: &str| mid.to_owned();
    for (text, expected) in [
        (without("a=fingerprint"), SdpError::NoFingerprint),
        (replace("sha-256", "md5"), SdpError::NoFingerprint),
        (without("a=ice-ufrag"), SdpError::NoIceCredentials),
        (without("a=ice-pwd"), SdpError::NoIceCredentials),
        (without("a=group:BUNDLE"), SdpError::NoBundle),
        (replace("BUNDLE 0 1", "BUNDLE 0"), SdpError::NoBundle),
        (without("a=rtcp-mux"), SdpError::NoRtcpMux(mid("0 (audio)"))),
        (without("a=mid:1"), SdpError::NoMid),
        (replace("a=group:BUNDLE", "a=ice-lite\na=group:BUNDLE"), SdpError::IceLite),
        (
            replace("m=video 9 UDP/TLS/RTP/SAVPF", "m=video 9 RTP/AVP"),
            SdpError::Proto { mid: mid("1 (video)"), proto: mid("RTP/AVP") },
        ),
        (
            replace("a=sendonly", "a=recvonly"),
            SdpError::Direction { mid: mid("0 (audio)"), wanted: "sendonly" },
        ),
        (replace("m=video 9", "m=audio 9"), SdpError::SeveralOfKind(MediaKind::Audio)),
        (replace("m=video 9", "m=video 0").replace("m=audio 9", "m=audio 0"), SdpError::NoMedia),
    ] {
        let error = publish(&text);
        assert_eq!(error, expected);
        assert!(!error.is_malformed());
    }
    let error = watch_media(&parse(offers::OBS_PUBLISH)).unwrap_err();
    assert!(matches!(error, SdpError::Direction { wanted: "recvonly", .. }));
}

#[test]
fn a_codec_that_nobody_can_forward_refuses_the_whole_offer() {
    let error = publish(offers::OBS_HEVC);
    assert!(!error.is_malformed());
    let message = error.to_string();
    for part in ["m-line 1 (video)", "offers H265;", "VP8", "H264"] {
        assert!(message.contains(part), "{part} is missing from: {message}");
    }
    assert!(!message.contains("rtx"), "{message}");
}
