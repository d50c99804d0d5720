//! A session description that a client sent, and what it says about the transport.

use std::collections::HashSet;

use sdp_types::{Attribute, Media, Session};

use super::error::SdpError;
use super::lines::{normal, split_word};
use crate::protocol::media::Medium;
use crate::protocol::rtp::{DtlsFingerprint, DtlsParameters, DtlsRole, MediaKind};

const MAX_BYTES: usize = 256 * 1024;
const MAX_SECTIONS: usize = 64;
const MAX_ATTRIBUTES: usize = 1024;

/// A parsed offer or answer of a client.
///
/// Attributes that nothing here needs may be wrong in any way: they are ignored.
#[derive(Debug, Clone)]
pub struct Description {
    pub(super) attributes: Vec<Attribute>,
    pub(super) sections: Vec<Section>,
}

/// One m-line and the lines that belong to it.
#[derive(Debug, Clone)]
pub(super) struct Section {
    pub media: Media,
    pub mid: Option<String>,
    pub kind: Option<MediaKind>,
    pub direction: Direction,
}

/// What the author of a description does with an m-line (RFC 8866 section 6.7).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Direction {
    SendRecv,
    SendOnly,
    RecvOnly,
    Inactive,
}

impl Description {
    /// Parses a description (RFC 8866).
    ///
    /// # Errors
    /// A malformed error when the text isn't SDP or is larger than any client sends.
    pub fn parse(text: &str) -> Result<Self, SdpError> {
        limit("bytes", MAX_BYTES, text.len())?;
        let session = Session::parse(normal(text).as_bytes())
            .map_err(|error| SdpError::malformed(error.to_string()))?;
        limit("m-lines", MAX_SECTIONS, session.medias.len())?;
        limit("attributes", MAX_ATTRIBUTES, session.attributes.len())?;
        let inherited = direction(&session.attributes).unwrap_or(Direction::SendRecv);
        let mut mids = HashSet::new();
        let mut sections = Vec::with_capacity(session.medias.len());
        for mut media in session.medias {
            limit("attributes", MAX_ATTRIBUTES, media.attributes.len())?;
            inherit(&session.attributes, &mut media.attributes);
            let mid = first(&media.attributes, "mid").map(str::to_owned);
            if let Some(mid) = &mid {
                if !is_token(mid) {
                    return Err(SdpError::malformed("a=mid is not a token"));
                }
                if !mids.insert(mid.clone()) {
                    return Err(SdpError::malformed("two m-lines have the same a=mid"));
                }
            }
            sections.push(Section {
                mid,
                kind: match media.media.to_ascii_lowercase().as_str() {
                    "audio" => Some(MediaKind::Audio),
                    "video" => Some(MediaKind::Video),
                    _ => None,
                },
                direction: direction(&media.attributes).unwrap_or(inherited),
                media,
            });
        }
        Ok(Self { attributes: session.attributes, sections })
    }

    /// The fingerprints, and the role that the *remote* side has in DTLS (RFC 8842 section 5).
    ///
    /// `actpass` becomes the client role, because we then answer `passive`.
    ///
    /// # Errors
    /// [`SdpError::NoFingerprint`], or a malformed error when one cannot be read or when the
    /// connection is on hold.
    pub fn dtls(&self) -> Result<DtlsParameters, SdpError> {
        let mut fingerprints = Vec::new();
        let mut unreadable = None;
        for value in self.transport_values("fingerprint") {
            match fingerprint(value) {
                Ok(fingerprint) => fingerprints.extend(fingerprint),
                Err(error) => unreadable = Some(error),
            }
        }
        if fingerprints.is_empty() {
            return Err(unreadable.unwrap_or(SdpError::NoFingerprint));
        }
        let role = match self.setup().as_str() {
            "active" | "actpass" => DtlsRole::Client,
            "passive" => DtlsRole::Server,
            _ => {
                return Err(SdpError::malformed("a=setup is neither actpass, active nor passive"));
            }
        };
        Ok(DtlsParameters { role, fingerprints })
    }

    /// The ICE user name fragment and password (RFC 8839 section 5.4).
    ///
    /// # Errors
    /// [`SdpError::NoIceCredentials`].
    pub fn ice(&self) -> Result<(&str, &str), SdpError> {
        let mut ufrags = self.transport_values("ice-ufrag");
        let mut passwords = self.transport_values("ice-pwd");
        match (ufrags.next(), passwords.next()) {
            (Some(ufrag), Some(password)) if !ufrag.is_empty() && !password.is_empty() => {
                Ok((ufrag, password))
            }
            _ => Err(SdpError::NoIceCredentials),
        }
    }

    /// Whether the client says that it trickles candidates (RFC 8840 section 4.1).
    #[must_use]
    pub fn is_trickle(&self) -> bool {
        self.transport_values("ice-options")
            .flat_map(str::split_whitespace)
            .any(|option| option.eq_ignore_ascii_case("trickle"))
    }

    /// Whether the description brings candidates along (RFC 8839 section 5.1).
    #[must_use]
    pub fn has_candidates(&self) -> bool {
        self.sections.iter().any(|section| section.values("candidate").next().is_some())
    }

    /// The m-lines in use that carry audio or video.
    pub(super) fn live(&self) -> impl Iterator<Item = (&Section, MediaKind)> {
        self.sections
            .iter()
            .filter(|section| section.is_live())
            .filter_map(|section| section.kind.map(|kind| (section, kind)))
    }

    /// Whether its author only answers ICE checks, as we do (RFC 8445 section 2.5).
    pub(super) fn is_ice_lite(&self) -> bool {
        has(&self.attributes, "ice-lite")
    }

    pub(super) fn setup(&self) -> String {
        // RFC 4145 section 4: who says nothing is active.
        self.transport_values("setup").next().unwrap_or("active").to_ascii_lowercase()
    }

    /// The mids of the BUNDLE group (RFC 8843), if there is one.
    pub(super) fn bundle(&self) -> Option<Vec<&str>> {
        values(&self.attributes, "group").find_map(|group| {
            let mut words = group.split_whitespace();
            words.next()?.eq_ignore_ascii_case("bundle").then(|| words.collect())
        })
    }

    /// Whether a section is part of the bundle.
    pub(super) fn is_bundled(&self, section: &Section) -> bool {
        self.bundle().is_some_and(|mids| section.mid.as_deref().is_some_and(|mid| mids.contains(&mid)))
    }

    /// An attribute of the bundle's transport: that of the tagged section (RFC 8843 section 7.2), whatever it
    /// carries, else of the session, else of any other section.
    fn transport_values<'a>(&'a self, name: &'static str) -> impl Iterator<Item = &'a str> {
        let mut live = self.sections.iter().filter(|section| section.is_live());
        let tagged = self.bundle().and_then(|mids| {
            let tag = *mids.first()?;
            live.clone().find(|section| section.mid.as_deref() == Some(tag))
        });
        let tagged = tagged.or_else(|| live.clone().next());
        let says = |attributes: &[Attribute]| values(attributes, name).next().is_some();
        let attributes = match tagged {
            Some(section) if says(&section.media.attributes) => &section.media.attributes,
            _ if says(&self.attributes) => &self.attributes,
            _ => {
                let other = live.find(|section| says(&section.media.attributes));
                other.map_or(&self.attributes, |section| &section.media.attributes)
            }
        };
        values(attributes, name)
    }
}

impl Section {
    pub(super) fn values<'a>(&'a self, name: &'static str) -> impl Iterator<Item = &'a str> {
        values(&self.media.attributes, name)
    }

    pub(super) fn has(&self, name: &'static str) -> bool {
        has(&self.media.attributes, name)
    }

    /// Its mid; empty where the only m-line has none.
    pub(super) fn mid(&self) -> &str {
        self.mid.as_deref().unwrap_or_default()
    }

    /// Whether it is this medium's.
    pub(super) fn is(&self, medium: &Medium) -> bool {
        self.mid() == medium.mid && self.kind == Some(medium.kind)
    }

    /// The section as its author finds it again.
    pub(super) fn name(&self) -> String {
        let cut = |mid: &String| mid.chars().take(32).collect::<String>();
        format!("{} ({})", self.mid.as_ref().map_or("without a=mid".to_owned(), cut), self.media.media)
    }

    /// A zero port disables an m-line, unless it only ever shares another one's port.
    pub(super) fn is_live(&self) -> bool {
        self.media.port != 0 || self.has("bundle-only")
    }
}

impl Direction {
    pub(super) fn sends(self) -> bool {
        matches!(self, Self::SendRecv | Self::SendOnly)
    }

    pub(super) fn receives(self) -> bool {
        matches!(self, Self::SendRecv | Self::RecvOnly)
    }
}

/// What may be said once for all m-lines, where they don't say it themselves.
fn inherit(session: &[Attribute], attributes: &mut Vec<Attribute>) {
    for name in ["extmap", "extmap-allow-mixed", "rtcp-mux", "rtcp-mux-only", "rtcp-rsize"] {
        if !has(attributes, name) {
            let inherited = session.iter().filter(|attribute| attribute.attribute == name);
            attributes.extend(inherited.cloned());
        }
    }
}

pub(super) fn limit(what: &'static str, limit: usize, count: usize) -> Result<(), SdpError> {
    if count > limit {
        return Err(SdpError::TooLarge { what, limit });
    }
    Ok(())
}

pub(super) fn has(attributes: &[Attribute], name: &str) -> bool {
    attributes.iter().any(|attribute| attribute.attribute == name)
}

fn values<'a>(attributes: &'a [Attribute], name: &'static str) -> impl Iterator<Item = &'a str> + use<'a> {
    attributes
        .iter()
        .filter(move |attribute| attribute.attribute == name)
        .filter_map(|attribute| attribute.value.as_deref())
        .map(str::trim)
}

fn first<'a>(attributes: &'a [Attribute], name: &'static str) -> Option<&'a str> {
    values(attributes, name).next()
}

fn direction(attributes: &[Attribute]) -> Option<Direction> {
    attributes.iter().find_map(|attribute| match attribute.attribute.as_str() {
        "sendrecv" => Some(Direction::SendRecv),
        "sendonly" => Some(Direction::SendOnly),
        "recvonly" => Some(Direction::RecvOnly),
        "inactive" => Some(Direction::Inactive),
        _ => None,
    })
}

fn is_token(text: &str) -> bool {
    (1..=255).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic())
}

/// One `a=fingerprint` (RFC 8122 section 5); nothing when its hash is one we don't know.
fn fingerprint(value: &str) -> Result<Option<DtlsFingerprint>, SdpError> {
    let (algorithm, digest) = split_word(value);
    Ok(Some(match algorithm.to_ascii_lowercase().as_str() {
        "sha-1" => DtlsFingerprint::Sha1 { value: bytes(digest)? },
        "sha-224" => DtlsFingerprint::Sha224 { value: bytes(digest)? },
        "sha-256" => DtlsFingerprint::Sha256 { value: bytes(digest)? },
        "sha-384" => DtlsFingerprint::Sha384 { value: bytes(digest)? },
        "sha-512" => DtlsFingerprint::Sha512 { value: bytes(digest)? },
        _ => return Ok(None),
    }))
}

fn bytes<const N: usize>(digest: &str) -> Result<[u8; N], SdpError> {
    digest
        .trim()
        .split(':')
        .map(|byte| u8::from_str_radix(byte, 16).ok().filter(|_| byte.len() == 2))
        .collect::<Option<Vec<u8>>>()
        .and_then(|bytes| bytes.try_into().ok())
        .ok_or_else(|| SdpError::malformed("a=fingerprint does not fit its hash function"))
}
