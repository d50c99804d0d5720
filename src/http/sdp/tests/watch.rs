use super::*;
use RtpHeaderExtensionUri as Uri;

/// What a consumer would be told to send, given the viewer's capabilities: the first codec with
/// that name and its RTX, and the extensions among `ids`.
fn consumer(media: &WatchMedia, name: &str, ids: &[u16]) -> RtpParameters {
    let json = serde_json::to_value(&media.capabilities).unwrap();
    let payload_type = json["codecs"]
        .as_array()
        .unwrap()
        .iter()
        .find(|codec| codec["mimeType"] == name)
        .unwrap()["preferredPayloadType"]
        .clone();
    let codecs = json["codecs"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|codec| {
            codec["preferredPayloadType"] == payload_type || codec["parameters"]["apt"] == payload_type
        })
        .map(|codec| {
            let mut codec = codec.clone();
            codec["payloadType"] = codec["preferredPayloadType"].clone();
            serde_json::from_value(codec).unwrap()
        })
        .collect();
    RtpParameters {
        mid: Some(media.mid.clone()),
        codecs,
        header_extensions: media
            .capabilities
            .header_extensions
            .iter()
            .filter(|extension| ids.contains(&extension.preferred_id))
            .map(|extension| RtpHeaderExtensionParameters {
                uri: extension.uri,
                id: extension.preferred_id,
                encrypt: false,
            })
            .collect(),
        encodings: vec![RtpEncodingParameters { ssrc: Some(1234), ..RtpEncodingParameters::default() }],
        ..RtpParameters::default()
    }
}

fn sections(offer: &Description) -> Vec<(String, Option<RtpParameters>)> {
    watch_media(offer)
        .unwrap()
        .iter()
        .map(|media| {
            let name = match media.kind {
                MediaKind::Audio => "audio/opus",
                MediaKind::Video => "video/VP8",
            };
            (media.mid.clone(), Some(consumer(media, name, &[1, 3, 4])))
        })
        .collect()
}

#[test]
fn every_viewer_gets_an_answer_that_fits_its_offer() {
    for text in VIEWERS {
        let offer = parse(text);
        let sections = sections(&offer);
        let text = answer_watch(&offer, &sections, &transport(), "stage").unwrap();
        let answer = parse(&text);
        assert_eq!(answer.bundle(), offer.bundle());
        assert_eq!(answer.dtls().unwrap().role, DtlsRole::Server);
        for ((answered, offered), (_, parameters)) in
            answer.sections.iter().zip(&offer.sections).zip(&sections)
        {
            let parameters = parameters.as_ref().unwrap();
            assert_eq!(answered.mid, offered.mid);
            assert_eq!(answered.direction, description::Direction::SendOnly);
            assert_eq!(answered.media.port, 9);
            let kind = answered.kind.unwrap();
            assert_eq!(codecs::codecs(answered, kind), parameters.codecs);
            assert_eq!(answered.values("extmap").count(), parameters.header_extensions.len());
        }
        // Streams are exchanged later, which announced SSRCs would forbid.
        assert_no_line(&text, "a=ssrc");
        assert!(text.contains("a=msid:stage stage-audio\r\n"));
        assert!(text.contains("a=msid:stage stage-video\r\n"));
    }
}

#[test]
fn capabilities_are_those_of_the_offer() {
    let media = watch_media(&parse(offers::CHROMIUM_WATCH)).unwrap();
    assert_eq!(media[1].mid, "1");
    assert_eq!(media[1].kind, MediaKind::Video);
    let capabilities = &media[1].capabilities;
    let first = capabilities.codecs[..2]
        .iter()
        .map(|codec| (codec.mime_type(), codec.preferred_payload_type()))
        .collect::<Vec<_>>();
    assert_eq!(
        first,
        [(MimeType::Video(MimeTypeVideo::Vp8), Some(96)), (MimeType::Video(MimeTypeVideo::Rtx), Some(97)),]
    );
    assert_eq!(capabilities.codecs[1].parameters().get("apt"), Some(&96_u32.into()));
    assert_eq!(capabilities.codecs[0].rtcp_feedback().len(), 5);
    let ids = capabilities
        .header_extensions
        .iter()
        .map(|extension| (extension.preferred_id, extension.uri))
        .collect::<Vec<_>>();
    assert!(ids.contains(&(4, Uri::Mid)));
    assert!(ids.contains(&(3, Uri::TransportWideCcDraft01)));
    assert!(capabilities.header_extensions.iter().all(|extension| extension.kind == MediaKind::Video));
}

#[test]
fn what_is_not_published_is_inactive_but_stays_in_the_bundle() {
    let offer = parse(offers::CHROMIUM_WATCH);
    let mut sections = sections(&offer);
    sections[0].1 = None;
    let answer = answer_watch(&offer, &sections, &transport(), "stage").unwrap();
    assert!(answer.contains("a=group:BUNDLE 0 1\r\n"));
    assert_lines(
        &answer,
        "0",
        &[
            "m=audio 9 UDP/TLS/RTP/SAVPF 111",
            "a=inactive",
            "a=rtpmap:111 opus/48000/2",
            "a=setup:passive",
            "a=end-of-candidates",
        ],
    );
    assert_lines(&answer, "1", &["a=sendonly"]);
    assert!(!answer.contains("stage-audio"));
}

#[test]
fn header_extensions_with_other_ids_are_left_out() {
    let offer = parse(offers::CHROMIUM_WATCH);
    let mut sections = sections(&offer);
    let video = sections[1].1.as_mut().unwrap();
    for extension in &mut video.header_extensions {
        if extension.uri == Uri::Mid {
            extension.id = 1;
        }
    }
    let answer = answer_watch(&offer, &sections, &transport(), "stage").unwrap();
    let lines = section_lines(&answer, "1");
    assert!(!lines.iter().any(|line| line.contains("sdes:mid")), "{lines:#?}");
    assert_lines(
        &answer,
        "1",
        &["a=extmap:3 http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01"],
    );
}

#[test]
fn other_payload_types_than_the_offered_ones_call_for_a_counter_offer() {
    let offer = parse(offers::FIREFOX_WATCH);
    let chromium = parse(offers::CHROMIUM_WATCH);
    let error = answer_watch(&offer, &sections(&chromium), &transport(), "stage").unwrap_err();
    assert_eq!(error, SdpError::NotOffered("0".to_owned()));
    assert!(!error.is_malformed());
}

#[test]
fn a_track_has_a_name_whatever_the_stream_is_called() {
    let offer = parse(offers::CHROMIUM_WATCH);
    for stream in ["", "a b\r\na=evil", &"long".repeat(99)] {
        let answer = answer_watch(&offer, &sections(&offer), &transport(), stream).unwrap();
        assert_no_line(&answer, "a=evil");
        for line in answer.lines().filter(|line| line.starts_with("a=msid:")) {
            let names = line["a=msid:".len()..].split(' ').collect::<Vec<_>>();
            assert_eq!(names.len(), 2, "{line}");
            assert!(names.iter().all(|name| (1..=64).contains(&name.len())), "{line}");
        }
    }
}
