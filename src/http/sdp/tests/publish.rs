use super::*;
use RtpHeaderExtensionUri as Uri;

fn publish(offer: &str, router: &RtpCapabilitiesFinalized) -> (Vec<Medium>, String) {
    let offer = parse(offer);
    let media = publish_media(&offer, router).unwrap();
    let answer = answer_publish(&offer, &media, &transport()).unwrap();
    (media, answer)
}

#[test]
fn every_publisher_gets_an_answer_that_fits_its_offer() {
    for text in PUBLISHERS {
        let offer = parse(text);
        let (media, answer) = publish(text, &router());
        let kinds = media.iter().map(|media| media.kind).collect::<Vec<_>>();
        assert_eq!(kinds, [MediaKind::Audio, MediaKind::Video]);

        let answer = parse(&answer);
        assert_eq!(answer.ice(), Ok(("local-fragment", "a-password-of-32-characters-here")));
        // We are passive, hence the server.
        assert_eq!(answer.dtls().unwrap().role, DtlsRole::Server);
        assert_eq!(answer.dtls().unwrap().fingerprints, transport().dtls.fingerprints);
        assert!(answer.attributes.iter().any(|line| line.attribute == "ice-lite"));
        assert!(answer.has_candidates());
        assert_eq!(answer.sections.len(), offer.sections.len());
        assert_eq!(answer.bundle(), offer.bundle());
        for ((answered, offered), media) in answer.sections.iter().zip(&offer.sections).zip(&media) {
            assert_eq!(answered.mid, offered.mid);
            assert_eq!(answered.media.media, offered.media.media);
            assert_eq!(answered.media.proto, offered.media.proto);
            assert_eq!(answered.media.port, 9);
            assert_eq!(answered.direction, description::Direction::RecvOnly);
            assert!(answered.has("rtcp-mux"));
            assert_eq!(answered.has("rtcp-rsize"), offered.has("rtcp-rsize"));
            // What we say we receive is what mediasoup is told to receive.
            let codecs = codecs::codecs(answered, media.kind);
            assert_eq!(
                codecs.iter().map(RtpCodecParameters::payload_type).collect::<Vec<_>>(),
                payload_types(&media.agreed)
            );
            assert_eq!(codecs[0].rtcp_feedback(), media.agreed.codecs[0].rtcp_feedback());
            assert_eq!(
                extensions::sent(answered, &router(), media.kind, &mut Vec::new()).len(),
                answered.values("extmap").filter(|value| !value.contains("/recvonly")).count()
            );
            assert_eq!(answered.values("extmap").count(), media.agreed.header_extensions.len());
        }
    }
}

#[test]
fn chromium_sends_vp8_with_the_ids_it_offered() {
    let (media, answer) = publish(offers::CHROMIUM_PUBLISH, &router());
    let [audio, video] = &media[..] else {
        panic!("{media:?}");
    };
    let parameters = &audio.agreed;
    assert_eq!(audio.mid, "0");
    assert_eq!(parameters.mid.as_deref(), Some("0"));
    assert_eq!(payload_types(parameters), [111]);
    assert_eq!(parameters.codecs[0].rtcp_feedback(), [RtcpFeedback::TransportCc]);
    assert_eq!(
        parameters.codecs[0].parameters(),
        &RtpCodecParametersParameters::from([("minptime", 10_u32.into()), ("useinbandfec", 1_u32.into()),])
    );
    assert_eq!(
        extensions(parameters),
        [(1, Uri::SsrcAudioLevel), (3, Uri::TransportWideCcDraft01), (4, Uri::Mid)]
    );
    assert_eq!(parameters.rtcp.cname.as_deref(), Some("/zqYErdut1OIRFC6"));
    assert_eq!(parameters.encodings[0].ssrc, Some(1_991_562_615));
    assert_eq!(parameters.encodings[0].rtx, None);

    let parameters = &video.agreed;
    assert_eq!(payload_types(parameters), [96, 97]);
    assert_eq!(parameters.codecs[0].mime_type(), MimeType::Video(MimeTypeVideo::Vp8));
    // Transport-wide feedback makes REMB superfluous.
    assert!(!parameters.codecs[0].rtcp_feedback().contains(&RtcpFeedback::GoogRemb));
    assert!(parameters.codecs[0].rtcp_feedback().contains(&RtcpFeedback::TransportCc));
    assert!(parameters.codecs[0].rtcp_feedback().contains(&RtcpFeedback::NackPli));
    assert_eq!(parameters.encodings.len(), 1);
    assert_eq!(parameters.encodings[0].ssrc, Some(1_698_411_045));
    assert_eq!(parameters.encodings[0].rtx.unwrap().ssrc, 1_530_639_209);
    // No layer has a RID, so its extension has nothing to say.
    assert!(!extensions(parameters).iter().any(|(_, uri)| *uri == Uri::RtpStreamId));

    assert!(answer.contains("\r\na=extmap-allow-mixed\r\n"));
    assert_lines(
        &answer,
        "1",
        &[
            "m=video 9 UDP/TLS/RTP/SAVPF 96 97",
            "a=recvonly",
            "a=rtcp-rsize",
            "a=rtpmap:96 VP8/90000",
            "a=rtpmap:97 rtx/90000",
            "a=fmtp:97 apt=96",
            "a=rtcp-fb:96 nack",
            "a=rtcp-fb:96 nack pli",
            "a=rtcp-fb:96 ccm fir",
            "a=rtcp-fb:96 transport-cc",
            "a=extmap:4 urn:ietf:params:rtp-hdrext:sdes:mid",
        ],
    );
    assert_no_line(&answer, "a=ssrc");
    assert_no_line(&answer, "a=simulcast");
}

#[test]
fn candidates_are_complete_and_on_the_first_m_line() {
    let (_, answer) = publish(offers::CHROMIUM_PUBLISH, &router());
    assert_lines(
        &answer,
        "0",
        &[
            "a=candidate:udpcandidate 1 udp 1076302079 192.0.2.1 40000 typ host",
            "a=candidate:tcpcandidate 1 tcp 1076302079 192.0.2.1 40000 typ host tcptype passive",
            "a=end-of-candidates",
        ],
    );
    assert_eq!(answer.matches("a=end-of-candidates").count(), 1);
    assert!(answer.ends_with("\r\n"));
}

#[test]
fn the_router_decides_which_offered_codec_it_is() {
    let (media, _) = publish(offers::CHROMIUM_PUBLISH, &router_of("video/H264"));
    // Baseline comes first, and any profile can be forwarded.
    assert_eq!(payload_types(&media[1].agreed), [102, 103]);
    let profile = media[1].agreed.codecs[0].parameters().get("profile-level-id");
    assert_eq!(profile, Some(&"42001f".into()));
    let (media, _) = publish(offers::CHROMIUM_PUBLISH, &router_of("video/AV1"));
    assert_eq!(payload_types(&media[1].agreed), [45, 46]);
    let (media, _) = publish(offers::FIREFOX_PUBLISH, &router_of("video/VP9"));
    assert_eq!(payload_types(&media[1].agreed), [121, 125]);
}

#[test]
fn a_profile_of_digits_only_stays_a_string() {
    let offer = offers::OBS_PUBLISH.replace("profile-level-id=42e01f", "profile-level-id=420032");
    let (media, _) = publish(&offer, &router_of("video/H264"));
    let parameters = media[1].agreed.codecs[0].parameters().clone();
    assert_eq!(parameters.get("profile-level-id"), Some(&"420032".into()));
    assert_eq!(parameters.get("packetization-mode"), Some(&1_u32.into()));
}

#[test]
fn simulcast_layers_keep_their_order_and_are_all_accepted() {
    for (text, rids, rid_extension) in [
        (offers::CHROMIUM_SIMULCAST, ["q", "h", "f"], 10),
        (offers::FIREFOX_SIMULCAST, ["q", "h", "f"], 9),
        (offers::OBS_SIMULCAST, ["0", "1", "2"], 2),
    ] {
        let (media, answer) = publish(text, &router());
        let parameters = &media[1].agreed;
        let encodings = &parameters.encodings;
        assert_eq!(encodings.len(), 3);
        for (encoding, rid) in encodings.iter().zip(rids) {
            assert_eq!(encoding.rid.as_deref(), Some(rid));
            assert_eq!(encoding.ssrc, None);
            assert_eq!(encoding.scalability_mode, ScalabilityMode::L1T3);
        }
        assert!(extensions(parameters).contains(&(rid_extension, Uri::RtpStreamId)));
        let [a, b, c] = rids;
        assert_lines(
            &answer,
            "1",
            &[
                &format!("a=rid:{a} recv"),
                &format!("a=rid:{b} recv"),
                &format!("a=rid:{c} recv"),
                &format!("a=simulcast:recv {a};{b};{c}"),
            ],
        );
    }
}

#[test]
fn of_alternatives_the_first_counts_and_paused_layers_do_too() {
    let offer = offers::OBS_SIMULCAST
        .replace("a=simulcast:send 0;1;2", "a=rid:x recv\na=simulcast:recv x send ~2;1,0;undeclared");
    let (media, answer) = publish(&offer, &router());
    let rids = media[1].agreed.encodings.iter().map(|encoding| encoding.rid.as_deref());
    assert_eq!(rids.collect::<Vec<_>>(), [Some("2"), Some("1")]);
    assert_lines(&answer, "1", &["a=simulcast:recv 2;1"]);
}

#[test]
fn simulcast_of_old_is_known_by_its_ssrcs() {
    let offer = offers::AIORTC_PUBLISH.replace(
        "a=ssrc-group:FID 2142296455 1481439525",
        "a=ssrc-group:SIM 2142296455 7\na=ssrc-group:FID 7 8\na=ssrc-group:FID 2142296455 1481439525",
    );
    let (media, _) = publish(&offer, &router());
    let ssrcs =
        media[1].agreed.encodings.iter().map(|encoding| (encoding.ssrc.unwrap(), encoding.rtx.unwrap().ssrc));
    assert_eq!(ssrcs.collect::<Vec<_>>(), [(2_142_296_455, 1_481_439_525), (7, 8)]);
}

#[test]
fn firefox_header_extensions_keep_to_their_direction() {
    let (media, answer) = publish(offers::FIREFOX_SIMULCAST, &router());
    let kept = extensions(&media[1].agreed);
    assert!(!kept.iter().any(|(_, uri)| *uri == Uri::PlayoutDelay), "it only receives it");
    assert_lines(
        &answer,
        "1",
        &[
            "a=extmap-allow-mixed",
            "a=extmap:3 urn:ietf:params:rtp-hdrext:sdes:mid",
            "a=extmap:9/recvonly urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id",
        ],
    );
}

#[test]
fn gstreamer_without_header_extensions_is_known_by_ssrc() {
    let (media, answer) = publish(offers::GSTREAMER_PUBLISH, &router());
    let audio = &media[0].agreed;
    // It offers RTX for Opus as well, which mediasoup has not.
    assert_eq!(payload_types(audio), [97]);
    assert_eq!(audio.encodings[0].ssrc, Some(3_280_755_899));
    assert_eq!(audio.encodings[0].rtx, None);
    assert_eq!(media[1].mid, "video1");
    let video = &media[1].agreed;
    assert!(video.header_extensions.is_empty());
    assert_eq!(payload_types(video), [96, 99]);
    assert_eq!(video.encodings[0].ssrc, Some(4_272_465_830));
    assert_eq!(video.encodings[0].rtx.unwrap().ssrc, 858_515_455);
    assert_eq!(
        video.codecs[0].parameters().get("sprop-parameter-sets"),
        Some(&"Z0LAHtkAoC/5cBagwMDUoAAAAwAgAAAHkeLFyQ==,aMuMsg==".into())
    );
    // Without the extensions there is no bandwidth estimation.
    assert!(!video.codecs[0].rtcp_feedback().contains(&RtcpFeedback::TransportCc));
    assert!(!answer.contains("sprop-"), "those are for the sender to state");
    assert!(answer.contains("a=group:BUNDLE audio0 video1\r\n"));
}

#[test]
fn unannounced_ssrcs_need_the_mid_extension() {
    let without_ssrcs = |text: &str| {
        let lines = text.lines().filter(|line| !line.starts_with("a=ssrc"));
        lines.map(|line| format!("{line}\n")).collect::<String>()
    };
    let (media, _) = publish(&without_ssrcs(offers::CHROMIUM_PUBLISH), &router());
    for Medium { agreed, .. } in &media {
        assert_eq!(agreed.encodings, [RtpEncodingParameters::default()]);
        assert!(agreed.mid.is_some());
    }
    assert_eq!(payload_types(&media[1].agreed), [96, 97]);
    let offer = parse(&without_ssrcs(offers::GSTREAMER_PUBLISH));
    let error = publish_media(&offer, &router()).unwrap_err();
    assert!(matches!(error, SdpError::Unroutable { .. }), "{error}");
}

#[test]
fn unannounced_retransmissions_come_in_band() {
    let offer = offers::AIORTC_PUBLISH
        .replace("a=ssrc-group:FID 2142296455 1481439525\n", "")
        .replace("a=ssrc:1481439525 cname:e5a4f84c-5ac6-42bf-8683-cc4f2f1faabc\n", "");
    let (media, answer) = publish(&offer, &router());
    assert_eq!(payload_types(&media[1].agreed), [97]);
    assert_lines(&answer, "1", &["m=video 9 UDP/TLS/RTP/SAVPF 97", "a=rtcp-fb:97 nack"]);
}

#[test]
fn an_active_publisher_is_answered_passively_and_a_passive_one_actively() {
    for (offered, role, answered) in
        [("active", DtlsRole::Client, "a=setup:passive"), ("passive", DtlsRole::Server, "a=setup:active")]
    {
        let text = offers::OBS_PUBLISH.replace("setup:actpass", &format!("setup:{offered}"));
        assert_eq!(parse(&text).dtls().unwrap().role, role);
        assert_lines(&publish(&text, &router()).1, "0", &[answered]);
    }
}

#[test]
fn a_data_channel_is_turned_down_without_a_word() {
    let text = offers::OBS_PUBLISH.replace("BUNDLE 0 1", "BUNDLE 0 1 2")
        + "m=application 9 UDP/DTLS/SCTP webrtc-datachannel\nc=IN IP4 0.0.0.0\na=mid:2\na=sctp-port:5000\n";
    let (media, answer) = publish(&text, &router());
    assert_eq!(media.len(), 2);
    assert!(answer.contains("a=group:BUNDLE 0 1\r\n"));
    assert_lines(&answer, "2", &["m=application 0 UDP/DTLS/SCTP webrtc-datachannel"]);
}

#[test]
fn a_single_m_line_needs_no_bundle() {
    let text = offers::OBS_PUBLISH.replace("a=group:BUNDLE 0 1\n", "");
    let audio = text.split("m=video").next().unwrap();
    let (media, answer) = publish(audio, &router());
    assert_eq!(media.len(), 1);
    assert_no_line(&answer, "a=group");
}
