//! The descriptions we write: ICE-lite, one bundle, one transport.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::Ipv4Addr;

use sdp_types::{Attribute, Connection, Media, Origin, Session};

use super::description::{Description, Section, has};
use super::error::{SdpError, kind_name};
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
    mids: Vec<String>,
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

impl<'a> Writer<'a> {
    /// An answer to an offer.
    pub(super) fn answer(offer: &Description, transport: &'a LocalTransport) -> Result<Self, SdpError> {
        let setup = match offer.dtls()?.role {
            DtlsRole::Server => "active",
            DtlsRole::Client | DtlsRole::Auto => "passive",
        };
        let mut writer = Self::new(transport, setup, offer.bundle().is_some());
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
            mids: Vec::new(),
        }
    }

    /// Adds an m-line with its codecs and the like.
    pub(super) fn accept(&mut self, head: Head<'_>, lines: Vec<Attribute>) {
        let mut attributes = vec![
            Attribute::with_value("mid", head.mid),
            Attribute::new(head.direction),
            Attribute::new("rtcp-mux"),
        ];
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
        // The candidates of a bundle belong to its first m-line (RFC 9429 section 5.3.1).
        if self.mids.is_empty() {
            attributes.extend(candidates(&self.transport.candidates));
        }
        attributes.extend(lines);
        self.mids.push(head.mid.to_owned());
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

    pub(super) fn finish(self) -> String {
        let mut hasher = DefaultHasher::new();
        self.transport.ice.username_fragment.hash(&mut hasher);
        // RFC 9429 section 5.2.1: a positive number of 63 bits that differs between sessions.
        let id = hasher.finish() >> 1;
        let mut session = Session::new(Origin::with_ip_addr(id, 1, Ipv4Addr::LOCALHOST), "-");
        session.attributes = self.attributes;
        if self.bundle {
            let group = format!("BUNDLE {}", self.mids.join(" "));
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
