use super::*;
use RtpHeaderExtensionUri as Uri;

/// What a consumer would be told to send, given the viewer's capabilities: the first codec with
/// that name and its RTX, and the extensions among `ids`.
fn consumer(media: &Medium, name: &str, ids: &[u16]) -> RtpParameters {
    let json = serde_json::to_value(&media.takes).unwrap();
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
            .takes
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

fn agreed(offer: &Description) -> Vec<Medium> {
    let mut media = watch_media(offer).unwrap();
    for medium in &mut media {
        let name = match medium.kind {
            MediaKind::Audio => "audio/opus",
            MediaKind::Video => "video/VP8",
        };
        medium.agreed = consumer(medium, name, &[1, 3, 4]);
    }
    media
}

#[test]
fn every_viewer_gets_an_answer_that_fits_its_offer() {
    for text in VIEWERS {
        let offer = parse(text);
        let media = agreed(&offer);
        let text = answer_watch(&offer, &media, &transport(), "stage").unwrap();
        let answer = parse(&text);
        assert_eq!(answer.bundle(), offer.bundle());
        assert_eq!(answer.dtls().unwrap().role, DtlsRole::Server);
        for ((answered, offered), medium) in answer.sections.iter().zip(&offer.sections).zip(&media) {
            assert_eq!(answered.mid, offered.mid);
            assert_eq!(answered.direction, description::Direction::SendOnly);
            assert_eq!(answered.media.port, 9);
            let kind = answered.kind.unwrap();
            assert_eq!(codecs::codecs(answered, kind), medium.agreed.codecs);
            assert_eq!(answered.values("extmap").count(), medium.agreed.header_extensions.len());
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
    let capabilities = &media[1].takes;
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
fn what_cannot_be_sent_is_rejected_and_what_wants_nothing_stays_inactive() {
    let offer = parse(offers::CHROMIUM_WATCH);
    let mut media = agreed(&offer);
    media[0].agreed = RtpParameters::default();
    let answer = answer_watch(&offer, &media, &transport(), "stage").unwrap();
    assert!(answer.contains("a=group:BUNDLE 1\r\n"));
    assert_lines(&answer, "0", &["a=inactive"]);
    assert!(answer.contains("m=audio 0 "));
    assert_lines(&answer, "1", &["a=sendonly", "a=end-of-candidates"]);
    assert!(!answer.contains("stage-audio"));

    let offer = parse(&offers::CHROMIUM_WATCH.replacen("a=recvonly", "a=inactive", 1));
    let answer = answer_watch(&offer, &agreed(&offer), &transport(), "stage").unwrap();
    assert!(answer.contains("a=group:BUNDLE 0 1\r\n"));
    assert_lines(
        &answer,
        "0",
        &["m=audio 9 UDP/TLS/RTP/SAVPF 111", "a=inactive", "a=rtpmap:111 opus/48000/2", "a=setup:passive"],
    );
}

#[test]
fn a_track_has_a_name_whatever_the_stream_is_called() {
    let offer = parse(offers::CHROMIUM_WATCH);
    for stream in ["", "a b\r\na=evil", &"long".repeat(99)] {
        let answer = answer_watch(&offer, &agreed(&offer), &transport(), stream).unwrap();
        assert_no_line(&answer, "a=evil");
        for line in answer.lines().filter(|line| line.starts_with("a=msid:")) {
            let names = line["a=msid:".len()..].split(' ').collect::<Vec<_>>();
            assert_eq!(names.len(), 2, "{line}");
            assert!(names.iter().all(|name| (1..=64).contains(&name.len())), "{line}");
        }
    }
}
