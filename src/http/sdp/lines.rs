//! The lines of a description as all that follows expects them, whatever its author was careless about.

/// What nothing here reads, and what clients get wrong: empty session names, host names, times.
const UNREAD: &[char] = &['o', 's', 'i', 'u', 'e', 'p', 'c', 'b', 't', 'r', 'z', 'k'];

/// The lines that matter, without byte order mark and stray blanks, with attribute names in lower case.
///
/// Names of attributes and the blanks between words have one spelling only in RFC 8866 section 9, but
/// hand-written clients don't keep to it; nobody means anything else by another one.
pub(super) fn normal(text: &str) -> String {
    let text = text.trim_start_matches('\u{feff}');
    let mut normal = String::with_capacity(text.len());
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
        match line.split_once('=') {
            Some((key, value)) if key.trim().len() == 1 => {
                let key = key.trim().to_ascii_lowercase();
                match key.as_str() {
                    "a" => attribute(value, &mut normal),
                    "m" => words(&key, value, &mut normal),
                    key if key.starts_with(UNREAD) => continue,
                    key => words(key, value, &mut normal),
                }
            }
            // The grammar tells what is wrong with it.
            _ => normal.push_str(line),
        }
        normal.push_str("\r\n");
    }
    normal
}

fn attribute(value: &str, normal: &mut String) {
    normal.push_str("a=");
    match value.split_once(':') {
        Some((name, value)) => {
            normal.push_str(&name.trim().to_ascii_lowercase());
            normal.push(':');
            normal.push_str(value.trim());
        }
        None => normal.push_str(&value.trim().to_ascii_lowercase()),
    }
}

fn words(key: &str, value: &str, normal: &mut String) {
    normal.push_str(key);
    normal.push('=');
    let mut words = value.split_whitespace();
    normal.push_str(words.next().unwrap_or_default());
    for word in words {
        normal.push(' ');
        normal.push_str(word);
    }
}

/// A value's first word and what follows it, apart by any blanks.
pub(super) fn split_word(value: &str) -> (&str, &str) {
    let value = value.trim();
    value.split_once(char::is_whitespace).map_or((value, ""), |(word, rest)| (word, rest.trim_start()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_no_meaning_is_gone() {
        let text = "\u{feff}v=0 \ns=\r\nt=0\nm=audio\t9  UDP/TLS/RTP/SAVPF  111 \n A=RTPMap: 111 OPUS/48000\t\na=SendOnly\n\n";
        assert_eq!(
            normal(text),
            "v=0\r\nm=audio 9 UDP/TLS/RTP/SAVPF 111\r\na=rtpmap:111 OPUS/48000\r\na=sendonly\r\n"
        );
        assert_eq!(normal("hello\nx=1"), "hello\r\nx=1\r\n");
        assert_eq!(split_word("96\t VP8/90000 "), ("96", "VP8/90000"));
        assert_eq!(split_word("96"), ("96", ""));
    }
}
