//! Offers that clients send, and what their answers have to look like.

use std::fmt::Write;

use reqwest::Response;

use super::fleet::http;

/// A session description as far as tests read it: without case and stray blanks.
#[derive(Debug, Clone)]
pub(crate) struct Sdp {
    pub(crate) session: Vec<String>,
    pub(crate) media: Vec<MLine>,
}

/// An m-line and what follows it.
#[derive(Debug, Clone)]
pub(crate) struct MLine {
    pub(crate) kind: String,
    pub(crate) port: u16,
    pub(crate) formats: Vec<String>,
    lines: Vec<String>,
}

impl Sdp {
    pub(crate) fn read(text: &str) -> Self {
        let mut sdp = Self { session: Vec::new(), media: Vec::new() };
        for line in text.trim_start_matches('\u{feff}').lines().map(str::trim) {
            if let Some(head) = line.strip_prefix("m=") {
                let mut words = head.split_whitespace();
                let kind = words.next().unwrap().to_ascii_lowercase();
                let port = words.next().unwrap().parse().unwrap();
                let formats = words.skip(1).map(str::to_owned).collect();
                sdp.media.push(MLine { kind, port, formats, lines: Vec::new() });
            } else if let Some(line) = line.strip_prefix("a=").or_else(|| line.strip_prefix("A=")) {
                let line = match line.split_once(':') {
                    Some((name, value)) => format!("{}:{}", name.trim().to_ascii_lowercase(), value.trim()),
                    None => line.to_ascii_lowercase(),
                };
                match sdp.media.last_mut() {
                    Some(section) => section.lines.push(line),
                    None => sdp.session.push(line),
                }
            }
        }
        sdp
    }

    pub(crate) fn bundle(&self) -> Vec<&str> {
        let is_bundle = |line: &&String| line.to_ascii_lowercase().starts_with("group:bundle");
        let group = self.session.iter().find(is_bundle).map(|line| &line["group:bundle".len()..]);
        group.map(|mids| mids.split_whitespace().collect()).unwrap_or_default()
    }
}

impl MLine {
    pub(crate) fn values<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.lines.iter().filter_map(move |line| line.strip_prefix(name)?.strip_prefix(':')).map(str::trim)
    }

    pub(crate) fn has(&self, line: &str) -> bool {
        self.lines.iter().any(|own| own == line)
    }

    pub(crate) fn mid(&self) -> Option<&str> {
        self.values("mid").next()
    }

    /// The codec that a payload type stands for, as `VP8/90000`.
    pub(crate) fn codec(&self, format: &str) -> Option<String> {
        let mut maps = self.values("rtpmap").filter_map(|value| value.split_once(char::is_whitespace));
        let named = maps.find(|(number, _)| *number == format).map(|(_, codec)| codec.trim().to_owned());
        named.or_else(|| match format {
            "0" => Some("PCMU/8000".to_owned()),
            "8" => Some("PCMA/8000".to_owned()),
            _ => None,
        })
    }

    pub(crate) fn direction(&self) -> &'static str {
        if self.port == 0 {
            return "rejected";
        }
        let known = ["sendonly", "recvonly", "inactive", "sendrecv"];
        known.into_iter().find(|direction| self.has(direction)).unwrap_or("sendrecv")
    }

    /// Direction and first codec, as the table of cases says it.
    fn told(&self) -> String {
        let mut told = format!("{} {}", self.kind, self.direction());
        if matches!(self.direction(), "sendonly" | "recvonly") {
            let codec = self.formats.first().and_then(|format| self.codec(format)).unwrap_or_default();
            write!(told, " {}", codec.split('/').next().unwrap()).unwrap();
        }
        told
    }
}

/// What came back for an offer.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) status: u16,
    pub(crate) body: String,
    pub(crate) location: Option<String>,
}

/// Posts an offer, and ends the session that came of it.
pub(crate) async fn offer(url: &str, offer: &[u8]) -> Outcome {
    let outcome = open(url, offer).await;
    if let Some(location) = &outcome.location {
        assert_eq!(http().delete(location).send().await.unwrap().status(), 200);
    }
    outcome
}

/// Posts an offer.
pub(crate) async fn open(url: &str, offer: &[u8]) -> Outcome {
    let request = http().post(url).header("content-type", "application/sdp").body(offer.to_vec());
    let response: Response = request.send().await.expect("an answer");
    let status = response.status().as_u16();
    let location = response.headers().get("location").map(|location| {
        let base = response.url().clone();
        base.join(location.to_str().unwrap()).unwrap().to_string()
    });
    Outcome { status, body: response.text().await.unwrap(), location }
}

impl Outcome {
    /// Whether it is one of those that a table allows: `201 audio recvonly opus or 422 word`.
    pub(crate) fn check(&self, offer: &[u8], right: &str, watch: bool) -> Result<(), String> {
        if self.status == 201 {
            self.consistent(&String::from_utf8_lossy(offer), watch)?;
        }
        if self.status >= 500 {
            return Err(format!("{} {}", self.status, self.body));
        }
        if right.split(" or ").any(|right| self.is(right)) {
            return Ok(());
        }
        Err(format!("wanted {right}, got {} {}", self.status, self.told()))
    }

    fn is(&self, right: &str) -> bool {
        let (status, rest) = right.trim().split_once(' ').unwrap_or((right.trim(), ""));
        let same = match status {
            "4xx" => (400..500).contains(&self.status),
            status => self.status.to_string() == status,
        };
        same && match self.status {
            201 if rest.is_empty() => true,
            201 => {
                let told = self.told();
                // Without a codec in the table any will do.
                told.split(", ").count() == rest.split(", ").count()
                    && told.split(", ").zip(rest.split(", ")).all(|(is, right)| {
                        is == right || right.split(' ').count() == 2 && is.starts_with(&format!("{right} "))
                    })
            }
            _ => self.body.to_lowercase().contains(&rest.to_lowercase()),
        }
    }

    fn told(&self) -> String {
        match self.status {
            201 => {
                let told: Vec<_> = Sdp::read(&self.body).media.iter().map(MLine::told).collect();
                told.join(", ")
            }
            _ => self.body.clone(),
        }
    }

    /// Whether an answer fits its offer (RFC 3264 section 6, RFC 8843 section 7.3).
    fn consistent(&self, offer: &str, watch: bool) -> Result<(), String> {
        let (offer, answer) = (Sdp::read(offer), Sdp::read(&self.body));
        let ensure = |right: bool, what: &str| {
            if right { Ok(()) } else { Err(format!("{what} in\n{}", self.body)) }
        };
        ensure(offer.media.len() == answer.media.len(), "another number of m-lines")?;
        let mut bundled = Vec::new();
        for (offered, answered) in offer.media.iter().zip(&answer.media) {
            ensure(offered.kind == answered.kind, "another kind")?;
            ensure(offered.mid() == answered.mid(), "another mid")?;
            ensure(offered.port != 0 || offered.has("bundle-only") || answered.port == 0, "a port from 0")?;
            ensure(!answered.formats.is_empty(), "no format")?;
            ensure(answered.formats.iter().all(|f| offered.formats.contains(f)), "a format of ours")?;
            if answered.port == 0 {
                continue;
            }
            bundled.extend(answered.mid());
            ensure(answered.has("rtcp-mux"), "rtcp-mux")?;
            for name in ["ice-ufrag", "ice-pwd", "fingerprint", "setup"] {
                ensure(answered.values(name).next().is_some(), name)?;
            }
            for format in &answered.formats {
                let codec = |line: &MLine| {
                    line.codec(format)
                        .map(|codec| codec.split('/').take(2).collect::<Vec<_>>().join("/").to_lowercase())
                };
                ensure(codec(offered) == codec(answered), "another codec of that number")?;
            }
            let id = |value: &str| {
                let (id, rest) = value.split_once(char::is_whitespace)?;
                let id = id.split('/').next()?.to_owned();
                Some((id, rest.split_whitespace().next()?.to_lowercase()))
            };
            let session = offer.session.iter().filter_map(|line| line.strip_prefix("extmap:"));
            let offered_ids: Vec<_> = offered.values("extmap").chain(session).filter_map(id).collect();
            let ids: Vec<_> = answered.values("extmap").filter_map(id).collect();
            ensure(ids.iter().all(|own| offered_ids.contains(own)), "an extension of ours")?;
            ensure(ids.iter().all(|(_, uri)| uri != "urn:3gpp:video-orientation") || watch, "orientation")?;
            if watch {
                let has = |part: &str| ids.iter().any(|(_, uri)| uri.contains(part));
                let remb = answered.values("rtcp-fb").any(|value| value.contains("goog-remb"));
                ensure(
                    !remb && !has("abs-send-time") || has("transport-wide-cc"),
                    "an estimate that stays low",
                )?;
            }
            let wrong = if watch { "recvonly" } else { "sendonly" };
            ensure(!matches!(answered.direction(), direction if direction == wrong), "the direction")?;
        }
        let first = answer.media.iter().find(|line| line.values("candidate").next().is_some());
        ensure(first.is_some() || bundled.is_empty(), "no candidates")?;
        let is_grouped = !offer.session.iter().any(|line| line.to_lowercase().starts_with("group:bundle"));
        let mut expected = offer.bundle();
        expected.retain(|mid| bundled.contains(mid));
        ensure(is_grouped || answer.bundle() == expected && expected.len() == bundled.len(), "another bundle")
    }
}
