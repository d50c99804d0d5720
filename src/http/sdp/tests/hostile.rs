use proptest::prelude::*;

use super::*;

/// Does everything that can be done with a description that someone sent.
fn negotiate(text: &str) {
    let Ok(description) = Description::parse(text) else {
        return;
    };
    let _ = (description.dtls(), description.ice());
    let _ = (description.is_trickle(), description.has_candidates());
    if let Ok(media) = publish_media(&description, &router()) {
        for media in &media {
            let parameters = &media.agreed;
            assert!(!parameters.codecs.is_empty());
            assert!(!parameters.encodings.is_empty());
        }
        let answer = answer_publish(&description, &media, &transport()).unwrap();
        assert_eq!(parse(&answer).sections.len(), description.sections.len());
    }
    if let Ok(media) = watch_media(&description) {
        let answer = answer_watch(&description, &media, &transport(), "stage").unwrap();
        assert_eq!(parse(&answer).sections.len(), description.sections.len());
    }
    let _ = watched_names(&description);
    let _ = counter_answer(&description, &[]);
}

fn recorded() -> impl Strategy<Value = &'static str> {
    prop::sample::select([PUBLISHERS.as_slice(), VIEWERS.as_slice()].concat())
}

/// What happens to one line of a recorded offer.
#[derive(Debug, Clone)]
enum Change {
    Drop,
    Repeat,
    Cut(usize),
    Replace(String),
    Insert(usize, String),
}

fn change() -> impl Strategy<Value = Change> {
    let value = prop::sample::select(vec![
        ":",
        " ",
        "/",
        ";",
        "=",
        ",",
        "~",
        "0",
        "-1",
        "256",
        "4294967296",
        "*",
        "\u{e9}",
        "\t",
        "\0",
        "a=rid:0 send",
        "a=ssrc:0",
        "a=setup:holdconn",
        "a=fmtp:96 apt=96",
        "a=rtpmap:96 /0/0",
        "a=extmap:0/ x",
        "a=extmap:15/bogus urn:ietf:params:rtp-hdrext:sdes:mid",
        "a=inactive",
        "a=simulcast:send",
        "a=simulcast:send ;;,~;",
        "a=ssrc-group:SIM",
        "a=ssrc-group:FID 1",
        "a=fingerprint:sha-256 \u{e9}:",
        "a=rtcp-fb:* nack",
        "m=video 9 RTP/SAVPF",
        "a=mid:",
        "a=group:BUNDLE",
        "c=",
        "a=candidate:",
    ])
    .prop_map(str::to_owned);
    prop_oneof![
        Just(Change::Drop),
        Just(Change::Repeat),
        (0..80_usize).prop_map(Change::Cut),
        prop_oneof![value.clone(), "\\PC{0,30}"].prop_map(Change::Replace),
        (0..80_usize, prop_oneof![value, "\\PC{0,5}"]).prop_map(|(at, text)| Change::Insert(at, text)),
    ]
}

fn mutated() -> impl Strategy<Value = String> {
    (recorded(), prop::collection::vec((any::<prop::sample::Index>(), change()), 0..6)).prop_map(
        |(text, changes)| {
            let mut lines = text.lines().map(str::to_owned).collect::<Vec<_>>();
            for (index, change) in changes {
                if lines.is_empty() {
                    break;
                }
                let index = index.index(lines.len());
                let floor = |line: &str, at: usize| {
                    (0..=at.min(line.len())).rev().find(|at| line.is_char_boundary(*at)).unwrap()
                };
                match change {
                    Change::Drop => drop(lines.remove(index)),
                    Change::Repeat => lines.insert(index, lines[index].clone()),
                    Change::Cut(at) => {
                        let at = floor(&lines[index], at);
                        lines[index].truncate(at);
                    }
                    Change::Replace(line) => lines[index] = line,
                    Change::Insert(at, text) => {
                        let at = floor(&lines[index], at);
                        lines[index].insert_str(at, &text);
                    }
                }
            }
            lines.join("\r\n")
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn any_text_is_refused_or_negotiated(text in "(v=0\r\n)?([a-z]=\\PC{0,40}\r?\n){0,20}\\PC*") {
        negotiate(&text);
        let _ = Fragment::parse(&text);
    }

    #[test]
    fn any_change_of_an_offer_is_refused_or_negotiated(text in mutated()) {
        negotiate(&text);
        let _ = Fragment::parse(&text);
    }
}

#[test]
fn formats_without_end_take_no_time() {
    let formats = "96 ".repeat(80_000);
    let text = offers::OBS_HEVC.replace("SAVPF 96", &format!("SAVPF {formats}"));
    let error = publish_media(&parse(&text), &router()).unwrap_err();
    assert!(error.to_string().len() < 1000, "{error}");
}
