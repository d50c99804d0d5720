use super::*;
use RtpHeaderExtensionUri as Uri;

fn media() -> Vec<Medium> {
    let offer = parse(offers::CHROMIUM_PUBLISH);
    let mut media = publish_media(&offer, &router()).unwrap();
    for Medium { agreed, .. } in &mut media {
        agreed.header_extensions =
            vec![RtpHeaderExtensionParameters { uri: Uri::Mid, id: 1, encrypt: false }];
    }
    media
}

/// The m-lines that a viewer takes something of.
fn mids(answer: &CounterAnswer) -> Vec<&str> {
    let taken = answer.media.iter().filter(|medium| !medium.agreed.codecs.is_empty());
    taken.map(|medium| medium.mid.as_str()).collect()
}

/// What a viewer would answer: the same, seen from the other side.
fn mirrored(offer: &str) -> String {
    offer
        .replace("a=sendonly", "a=recvonly")
        .replace("a=setup:actpass", "a=setup:active")
        .replace("a=ice-lite\r\n", "")
}

#[test]
fn a_counter_offer_has_our_payload_types_and_can_be_accepted() {
    let media = media();
    let text = counter_offer(&media, &transport(), "stage");
    let offer = parse(&text);
    assert_eq!(offer.bundle(), Some(vec!["0", "1"]));
    assert_eq!(offer.setup(), "actpass");
    for (section, media) in offer.sections.iter().zip(&media) {
        assert_eq!(section.direction, description::Direction::SendOnly);
        assert_eq!(codecs::codecs(section, media.kind), media.agreed.codecs);
    }
    assert_lines(
        &text,
        "1",
        &[
            "m=video 9 UDP/TLS/RTP/SAVPF 96 97",
            "a=extmap:1 urn:ietf:params:rtp-hdrext:sdes:mid",
            "a=msid:stage stage-video",
        ],
    );
    assert_no_line(&text, "a=ssrc");

    let answer = counter_answer(&parse(&mirrored(&text)), &media).unwrap();
    assert_eq!(mids(&answer), ["0", "1"]);
    assert_eq!(answer.dtls.role, DtlsRole::Client);
}

#[test]
fn m_lines_that_a_viewer_turns_down_are_not_accepted() {
    let media = media();
    let text = mirrored(&counter_offer(&media, &transport(), "stage"));
    for turned_down in [
        text.replace("m=audio 9", "m=audio 0"),
        text.replacen("a=recvonly", "a=inactive", 1),
        text.replace("SAVPF 111", "SAVPF 0"),
        text.replace("opus/48000/2", "PCMU/8000"),
    ] {
        let answer = counter_answer(&parse(&turned_down), &media).unwrap();
        assert_eq!(mids(&answer), ["1"], "{turned_down}");
    }
}

#[test]
fn an_answer_to_another_offer_is_refused() {
    let media = media();
    let text = mirrored(&counter_offer(&media, &transport(), "stage"));
    let malformed = [
        text.replace("a=setup:active", "a=setup:actpass"),
        text.replace("a=mid:1", "a=mid:2"),
        text.replace("m=video", "m=audio"),
        text.split("m=video").next().unwrap().to_owned(),
    ];
    for text in malformed {
        let error = counter_answer(&parse(&text), &media).unwrap_err();
        assert!(error.is_malformed(), "{error}");
    }
    let unbundled = text.replace("a=group:BUNDLE 0 1\r\n", "");
    assert_eq!(counter_answer(&parse(&unbundled), &media).unwrap_err(), SdpError::NoBundle);
}
