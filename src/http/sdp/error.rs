//! Why a session description is refused.

use crate::protocol::rtp::MediaKind;

/// Why a session description is refused, and what its sender can do about it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SdpError {
    /// The text isn't SDP (RFC 8866), or an attribute we need cannot be read.
    #[error("the session description cannot be read: {0}")]
    Malformed(String),
    /// More lines than any real client sends.
    #[error("the session description is too large: send at most {limit} {what}")]
    TooLarge {
        /// What there is too much of.
        what: &'static str,
        /// How much is accepted.
        limit: usize,
    },
    /// Its author only answers ICE checks, as we do: nobody would begin (RFC 8445 section 2.5).
    #[error(
        "both sides are ICE-lite, so neither would begin to connect: offer without a=ice-lite, with full ICE"
    )]
    IceLite,
    /// Something that has to be unique stands there twice.
    #[error("{what} {value} is used twice: choose another one")]
    Twice {
        /// What has to be unique.
        what: &'static str,
        /// Its value.
        value: u32,
    },
    /// A canonical name that doesn't fit into RTCP (RFC 3550 section 6.5).
    #[error("the cname of m-line {0} is longer than 255 bytes")]
    LongCname(String),
    /// `scalabilityMode` names layers that what is offered can't have.
    #[error("scalabilityMode={mode} can't be: {why}")]
    Scalability {
        /// The mode.
        mode: String,
        /// Why not.
        why: &'static str,
    },
    /// No audio or video m-line is in use.
    #[error("the offer has no audio or video: add at least one such m-line")]
    NoMedia,
    /// Several m-lines of one kind.
    #[error("the offer has several {} m-lines: send at most one", kind_name(*.0))]
    SeveralOfKind(MediaKind),
    /// The direction doesn't fit: a publisher has to send, a viewer to receive.
    #[error("m-line {mid} has the wrong direction: make it {wanted} or sendrecv")]
    Direction {
        /// The m-line.
        mid: String,
        /// The direction that is wanted.
        wanted: &'static str,
    },
    /// The m-line has no `a=mid` (RFC 8843 section 6).
    #[error("an m-line has no a=mid: give every m-line one")]
    NoMid,
    /// The m-line isn't SRTP over DTLS.
    #[error("m-line {mid} is {proto}: use UDP/TLS/RTP/SAVPF")]
    Proto {
        /// The m-line.
        mid: String,
        /// Its transport protocol.
        proto: String,
    },
    /// Several m-lines that aren't all in one bundle (RFC 8843).
    #[error("the m-lines are not bundled: list every mid in one a=group:BUNDLE")]
    NoBundle,
    /// RTP and RTCP on two ports (RFC 5761).
    #[error("m-line {0} does not multiplex RTP and RTCP: add a=rtcp-mux")]
    NoRtcpMux(String),
    /// No `a=ice-ufrag` or no `a=ice-pwd` (RFC 8839 section 5.4).
    #[error("there are no ICE credentials: add a=ice-ufrag and a=ice-pwd")]
    NoIceCredentials,
    /// No `a=fingerprint` with a hash we know (RFC 8122).
    #[error("there is no usable fingerprint: add a=fingerprint with sha-256")]
    NoFingerprint,
    /// None of the offered codecs can be forwarded.
    #[error("no codec of m-line {mid} is supported: it offers {offered}; use one of {supported}")]
    NoCodec {
        /// The m-line.
        mid: String,
        /// What the m-line offers.
        offered: String,
        /// What it could offer.
        supported: String,
    },
    /// Nothing tells the packets of this m-line from those of another one.
    #[error("the packets of m-line {mid} cannot be recognised: add {add}")]
    Unroutable {
        /// The m-line.
        mid: String,
        /// What is missing.
        add: &'static str,
    },
}

impl SdpError {
    /// Whether the text itself is wrong (HTTP 400), rather than what it asks for (HTTP 422).
    #[must_use]
    pub fn is_malformed(&self) -> bool {
        matches!(self, Self::Malformed(_) | Self::TooLarge { .. })
    }

    pub(super) fn malformed(reason: impl Into<String>) -> Self {
        Self::Malformed(reason.into())
    }
}

pub(super) fn kind_name(kind: MediaKind) -> &'static str {
    match kind {
        MediaKind::Audio => "audio",
        MediaKind::Video => "video",
    }
}
