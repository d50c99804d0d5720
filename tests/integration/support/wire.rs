//! Reads the messages off a NATS connection (docs.nats.io, "Client Protocol").

/// A message on the wire.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Sighting {
    /// The subject it was published on.
    pub(crate) subject: String,
    /// Bytes of headers and payload.
    pub(crate) size: usize,
}

/// Longer than any control line of the protocol: what exceeds it is not NATS.
const LONGEST_LINE: usize = 64 * 1024;

/// Follows one direction of one connection, however the bytes are cut into reads.
///
/// Falls silent for good on what is not NATS in the clear.
#[derive(Debug, Default)]
pub(crate) struct WireReader {
    line: Vec<u8>,
    /// Bytes of payload, with its line end, still to come.
    payload: usize,
    blind: bool,
}

impl WireReader {
    /// Takes the next bytes and returns the messages whose control line they complete.
    pub(crate) fn read(&mut self, mut bytes: &[u8]) -> Vec<Sighting> {
        let mut seen = Vec::new();
        while !self.blind && !bytes.is_empty() {
            let skipped = self.payload.min(bytes.len());
            self.payload -= skipped;
            bytes = bytes.get(skipped..).unwrap_or_default();
            let mut parts = bytes.splitn(2, |byte| *byte == b'\n');
            self.line.extend(parts.next().unwrap_or_default());
            self.blind = self.line.len() > LONGEST_LINE;
            // Without a second part, the line goes on in the next read.
            let Some(rest) = parts.next() else { break };
            bytes = rest;
            if let Some(sighting) = message(&self.line) {
                self.payload = sighting.size.saturating_add("\r\n".len());
                seen.push(sighting);
            }
            self.line.clear();
        }
        seen
    }
}

/// The message a control line announces: published (`PUB`, `HPUB`) or delivered (`MSG`, `HMSG`).
fn message(line: &[u8]) -> Option<Sighting> {
    let line = std::str::from_utf8(line).ok()?;
    let mut words = line.split_ascii_whitespace();
    let verb = words.next()?.to_ascii_uppercase();
    if !["PUB", "HPUB", "MSG", "HMSG"].contains(&verb.as_str()) {
        return None;
    }
    let subject = words.next()?.to_owned();
    // The last word is the size of all that follows, headers included.
    let size = words.next_back()?.parse().ok()?;
    Some(Sighting { subject, size })
}

/// Whether `subject` is one of those `filter` names, with `*` and `>` as in a subscription.
pub(crate) fn matches(filter: &str, subject: &str) -> bool {
    let mut subject = subject.split('.');
    for wanted in filter.split('.') {
        match (wanted, subject.next()) {
            (">", Some(_)) => return true,
            ("*", Some(_)) => {}
            (wanted, Some(token)) if wanted == token => {}
            _ => return false,
        }
    }
    subject.next().is_none()
}

#[cfg(test)]
mod tests {
    use super::{WireReader, matches};

    #[test]
    fn sees_the_same_however_reads_are_cut() {
        let stream = b"CONNECT {\"verbose\":false}\r\nPING\r\nSUB a.* 1\r\n\
            PUB a.b 5\r\nhello\r\n\
            pub a.c _INBOX.1 14\r\nPUB fake 1\r\nx\r\n\r\n\
            HPUB h _INBOX.2 12 17\r\nNATS/1.0\r\n\r\nhello\r\n\
            PUB none 0\r\n\r\nMSG m 7 reply 1\r\n\n\r\nHMSG n 7 12 12\r\nNATS/1.0\r\n\r\n\r\nPONG\r\n";
        let expected = [("a.b", 5), ("a.c", 14), ("h", 17), ("none", 0), ("m", 1), ("n", 12)];
        for cut in 1..=stream.len() {
            let mut reader = WireReader::default();
            let seen: Vec<_> = stream.chunks(cut).flat_map(|read| reader.read(read)).collect();
            let seen: Vec<_> = seen.iter().map(|s| (s.subject.as_str(), s.size)).collect();
            assert_eq!(seen, expected, "cut every {cut} bytes");
        }
    }

    #[test]
    fn filters_as_subscriptions_do() {
        assert!(matches("a.b", "a.b") && matches("a.*", "a.b") && matches("a.>", "a.b.c"));
        assert!(!matches("a.b", "a.b.c") && !matches("a.*", "a.b.c") && !matches("a.>", "a"));
        assert!(!matches("a.b.c", "a.b") && !matches("*", "a.b") && matches(">", "a.b"));
    }
}
