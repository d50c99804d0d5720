//! The descriptions we write: ICE-lite, one bundle, one transport.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::Ipv4Addr;

use sdp_types::{Attribute, Connection, Media, Origin, Session};

use super::description::{Description, Section, has};
use super::error::{SdpError, kind_name};
use super::lines::split_word;
use crate::protocol::rtp::{
    DtlsFingerprint, DtlsParameters, DtlsRole, IceCandidate, IceCandidateTcpType, IceCandidateType,
    IceParameters, MediaKind, Protocol,
};

/// Our side of a transport, as mediasoup made it.
#[derive(Debug, Clone)]
pub struct LocalTransport {
    /// Our ICE credentials; mediasoup is always ICE-lite (RFC 8445 section 2.5).
    pub ice: IceParameters,
    /// All of our candidates: there are never more to come.
    pub candidates: Vec<IceCandidate>,
    /// Our fingerprints; the role is ignored, it follows from the description that is answered.
    pub dtls: DtlsParameters,
}

/// A description in the making.
pub(super) struct Writer<'a> {
    transport: &'a LocalTransport,
    setup: &'static str,
    bundle: bool,
    attributes: Vec<Attribute>,
    medias: Vec<Media>,
    /// The mids of the offer's bundle; the first that is accepted has the transport (RFC 8843 section 7.3.2).
    order: Vec<String>,
    /// The accepted m-lines: mid and place.
    accepted: Vec<(String, usize)>,
}

/// The head of an m-line that is part of the bundle.
pub(super) struct Head<'a> {
    pub media: &'a str,
    pub proto: &'a str,
    pub formats: String,
    pub mid: &'a str,
    pub direction: &'static str,
    /// Whether RTCP may be sent in reduced size (RFC 5506).
    pub reduced_size: bool,
}

impl<'a> Head<'a> {
    /// The head with which an m-line of an offer is answered.
    pub(super) fn of(section: &'a Section, formats: String, direction: &'static str) -> Self {
        Self {
            media: &section.media.media,
            proto: &section.media.proto,
            formats,
            mid: section.mid(),
            direction,
            reduced_size: section.has("rtcp-rsize"),
        }
    }
}

impl<'a> Writer<'a> {
    /// An answer to an offer.
    pub(super) fn answer(offer: &Description, transport: &'a LocalTransport) -> Result<Self, SdpError> {
        let setup = match offer.dtls()?.role {
            DtlsRole::Server => "active",
            DtlsRole::Client | DtlsRole::Auto => "passive",
        };
        let bundle = offer.bundle();
        let mut writer = Self::new(transport, setup, bundle.is_some());
        writer.order = bundle.unwrap_or_default().into_iter().map(str::to_owned).collect();
        if has(&offer.attributes, "extmap-allow-mixed") {
            writer.attributes.push(Attribute::new("extmap-allow-mixed"));
        }
        Ok(writer)
    }

    /// An offer of our own.
    pub(super) fn offer(transport: &'a LocalTransport) -> Self {
        Self::new(transport, "actpass", true)
    }

    fn new(transport: &'a LocalTransport, setup: &'static str, bundle: bool) -> Self {
        Self {
            transport,
            setup,
            bundle,
            attributes: vec![Attribute::new("ice-lite")],
            medias: Vec::new(),
            order: Vec::new(),
            accepted: Vec::new(),
        }
    }

    /// Adds an m-line with its codecs and the like.
    pub(super) fn accept(&mut self, head: Head<'_>, lines: Vec<Attribute>) {
        let mut attributes = Vec::new();
        if !head.mid.is_empty() {
            attributes.push(Attribute::with_value("mid", head.mid));
        }
        attributes.extend([Attribute::new(head.direction), Attribute::new("rtcp-mux")]);
        if head.reduced_size {
            attributes.push(Attribute::new("rtcp-rsize"));
        }
        let ice = &self.transport.ice;
        attributes.push(Attribute::with_value("ice-ufrag", &ice.username_fragment));
        attributes.push(Attribute::with_value("ice-pwd", &ice.password));
        for fingerprint in &self.transport.dtls.fingerprints {
            attributes.push(Attribute::with_value(
                "fingerprint",
                format!("{} {}", algorithm(fingerprint), fingerprint.value_string()),
            ));
        }
        attributes.push(Attribute::with_value("setup", self.setup));
        attributes.extend(lines);
        self.accepted.push((head.mid.to_owned(), self.medias.len()));
        // Port and address are those of trickle ICE; peers take the candidates (RFC 8840).
        self.medias.push(media(head.media, 9, head.proto, head.formats, attributes));
    }

    /// Adds an m-line that is turned down for good, outside of the bundle (RFC 3264 section 6).
    pub(super) fn reject(&mut self, section: &Section) {
        let mut attributes = vec![Attribute::new("inactive")];
        if let Some(mid) = &section.mid {
            attributes.push(Attribute::with_value("mid", mid));
        }
        let Media { media: name, proto, fmt, .. } = &section.media;
        self.medias.push(media(name, 0, proto, fmt.clone(), attributes));
    }

    /// Answers an m-line on which nothing is agreed: inactive where it is in use and in the bundle, because a
    /// rejected one stops the transceiver for good.
    pub(super) fn refuse(&mut self, offer: &Description, section: &Section) {
        if section.kind.is_none() || !section.is_live() || !offer.is_bundled(section) {
            return self.reject(section);
        }
        let mut formats = section.media.fmt.split_whitespace();
        // It needs a format even while nothing is sent: the offer's first.
        let format = formats.next().unwrap_or("0");
        let lines = ["rtpmap", "fmtp"].into_iter().flat_map(|name| {
            let values = section.values(name).filter(|value| split_word(value).0 == format);
            values.map(move |value| Attribute::with_value(name, value))
        });
        let lines = lines.collect();
        self.accept(Head::of(section, format.to_owned(), "inactive"), lines);
    }

    pub(super) fn finish(mut self) -> String {
        let place = |mid: &String| self.order.iter().position(|other| other == mid).unwrap_or(usize::MAX);
        self.accepted.sort_by_key(|(mid, _)| place(mid));
        // The candidates of a bundle belong to its tagged m-line (RFC 9429 section 5.3.1).
        let tagged = self.accepted.first().and_then(|(_, place)| self.medias.get_mut(*place));
        if let Some(tagged) = tagged {
            tagged.attributes.extend(candidates(&self.transport.candidates));
        }
        let mids: Vec<_> =
            self.accepted.into_iter().map(|(mid, _)| mid).filter(|mid| !mid.is_empty()).collect();
        let mut hasher = DefaultHasher::new();
        self.transport.ice.username_fragment.hash(&mut hasher);
        // RFC 9429 section 5.2.1: a positive number of 63 bits that differs between sessions.
        let id = hasher.finish() >> 1;
        let mut session = Session::new(Origin::with_ip_addr(id, 1, Ipv4Addr::LOCALHOST), "-");
        session.attributes = self.attributes;
        if self.bundle {
            let group = format!("BUNDLE {}", mids.join(" "));
            session.attributes.push(Attribute::with_value("group", group.trim_end()));
        }
        session.medias = self.medias;
        let mut text = Vec::new();
        // Memory takes every write.
        let _ = session.write(&mut text);
        String::from_utf8_lossy(&text).into_owned()
    }
}

/// The stream and track of an m-line that we send (RFC 8830); both are tokens of 64 characters.
pub(super) fn msid(stream: &str, kind: MediaKind) -> Attribute {
    let mut stream = stream
        .chars()
        .map(|char| match char.is_ascii_alphanumeric() || "-_.".contains(char) {
            true => char,
            false => '_',
        })
        .take(58)
        .collect::<String>();
    if stream.is_empty() {
        stream.push('-');
    }
    let kind = kind_name(kind);
    Attribute::with_value("msid", format!("{stream} {stream}-{kind}"))
}

/// All candidates, and that these are all (RFC 8839 section 5.1, RFC 8840 section 4.3).
pub(super) fn candidates(candidates: &[IceCandidate]) -> Vec<Attribute> {
    let mut lines = candidates
        .iter()
        .map(|candidate| {
            let IceCandidate { foundation, priority, address, port, .. } = candidate;
            let protocol = match candidate.protocol {
                Protocol::Udp => "udp",
                Protocol::Tcp => "tcp",
            };
            let kind = match candidate.r#type {
                IceCandidateType::Host => "host",
                IceCandidateType::Srflx => "srflx",
                IceCandidateType::Prflx => "prflx",
                IceCandidateType::Relay => "relay",
            };
            let tcp_type = match candidate.tcp_type {
                Some(IceCandidateTcpType::Passive) => " tcptype passive",
                None => "",
            };
            Attribute::with_value(
                "candidate",
                format!("{foundation} 1 {protocol} {priority} {address} {port} typ {kind}{tcp_type}"),
            )
        })
        .collect::<Vec<_>>();
    lines.push(Attribute::new("end-of-candidates"));
    lines
}

fn media(name: &str, port: u16, proto: &str, formats: String, attributes: Vec<Attribute>) -> Media {
    Media {
        media: name.to_owned(),
        port,
        num_ports: None,
        proto: proto.to_owned(),
        fmt: formats,
        media_title: None,
        connections: vec![Connection::from_ip_addr(Ipv4Addr::UNSPECIFIED)],
        bandwidths: Vec::new(),
        key: None,
        attributes,
    }
}

fn algorithm(fingerprint: &DtlsFingerprint) -> &'static str {
    match fingerprint {
        DtlsFingerprint::Sha1 { .. } => "sha-1",
        DtlsFingerprint::Sha224 { .. } => "sha-224",
        DtlsFingerprint::Sha256 { .. } => "sha-256",
        DtlsFingerprint::Sha384 { .. } => "sha-384",
        DtlsFingerprint::Sha512 { .. } => "sha-512",
    }
}
