//! The bodies of PATCH requests: trickle ICE fragments (RFC 8840 section 9).

use super::answer::candidates;
use super::description::limit;
use super::error::SdpError;
use crate::protocol::rtp::{IceCandidate, IceParameters};

const MAX_BYTES: usize = 64 * 1024;

/// What a client tells of its ICE agent after the offer.
///
/// The candidates themselves don't matter: an ICE-lite agent learns addresses from the checks.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Fragment {
    /// The user name fragment and password that the rest is about, where the client says it; new
    /// ones ask for an ICE restart (RFC 9725 section 4.3.3).
    pub credentials: Option<(String, String)>,
    /// How many candidates there are.
    pub candidates: usize,
    /// Whether no more candidates will follow.
    pub end_of_candidates: bool,
}

impl Fragment {
    /// Parses a fragment, line by line, for those of clients are often not quite SDP.
    ///
    /// # Errors
    /// A malformed error when a line isn't of the form `x=…`, when the lines are about several ICE
    /// agents, or when there is nothing about ICE at all.
    pub fn parse(text: &str) -> Result<Self, SdpError> {
        limit("bytes", MAX_BYTES, text.len())?;
        let mut fragment = Self::default();
        let (mut ufrag, mut password) = (None, None);
        for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
            let (kind, value) = line
                .split_once('=')
                .filter(|(kind, _)| kind.len() == 1)
                .ok_or_else(|| SdpError::malformed("a line of the fragment is not x=…"))?;
            if kind != "a" {
                continue;
            }
            let (name, value) = value.split_once(':').unwrap_or((value, ""));
            match name {
                "ice-ufrag" => same(&mut ufrag, value)?,
                "ice-pwd" => same(&mut password, value)?,
                "candidate" => fragment.candidates += 1,
                "end-of-candidates" => fragment.end_of_candidates = true,
                _ => {}
            }
        }
        fragment.credentials = match (ufrag, password) {
            (Some(ufrag), Some(password)) => Some((ufrag, password)),
            (None, None) => None,
            _ => {
                return Err(SdpError::malformed("send a=ice-ufrag and a=ice-pwd together"));
            }
        };
        if fragment == Self::default() {
            return Err(SdpError::malformed("the fragment says nothing about ICE"));
        }
        Ok(fragment)
    }
}

/// Every m-line is in one bundle, so each may repeat the credentials but none may differ.
fn same(known: &mut Option<String>, value: &str) -> Result<(), SdpError> {
    let value = value.trim();
    if value.is_empty() || known.as_ref().is_some_and(|known| known != value) {
        return Err(SdpError::malformed("the fragment has to have one set of ICE credentials"));
    }
    *known = Some(value.to_owned());
    Ok(())
}

/// Our new ICE credentials and candidates, for the reply to a restart (RFC 9725 section 4.3.3).
///
/// `mid` is the first of the bundle.
#[must_use]
pub fn restart_fragment(ice: &IceParameters, local: &[IceCandidate], mid: &str) -> String {
    let IceParameters { username_fragment, password, .. } = ice;
    let mut lines = vec![
        "a=ice-lite".to_owned(),
        format!("a=ice-ufrag:{username_fragment}"),
        format!("a=ice-pwd:{password}"),
        // Only the mid says which m-line this is (RFC 8840 section 9).
        "m=audio 9 UDP/TLS/RTP/SAVPF 0".to_owned(),
        format!("a=mid:{mid}"),
    ];
    lines.extend(candidates(local).into_iter().map(|attribute| match attribute.value {
        Some(value) => format!("a={}:{value}", attribute.attribute),
        None => format!("a={}", attribute.attribute),
    }));
    lines.push(String::new());
    lines.join("\r\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::rtp::{IceCandidateType, Protocol};

    fn credentials(ufrag: &str, password: &str) -> Option<(String, String)> {
        Some((ufrag.to_owned(), password.to_owned()))
    }

    #[test]
    fn an_m_line_without_port_is_fine() {
        let fragment = Fragment::parse(
            "a=ice-ufrag:EsAw\r\na=ice-pwd:P2uYro0UCOQ4zxjKXaWCBui1\r\nm=audio RTP/AVP 0\r\n\
             a=mid:0\r\na=candidate:1 1 udp 2113667327 192.0.2.9 54400 typ host\r\n\
             a=candidate:2 1 udp 1 c1.local 9 typ host\r\na=end-of-candidates\r\n",
        );
        let expected = Fragment {
            credentials: credentials("EsAw", "P2uYro0UCOQ4zxjKXaWCBui1"),
            candidates: 2,
            end_of_candidates: true,
        };
        assert_eq!(fragment, Ok(expected));
    }

    #[test]
    fn credentials_may_be_repeated_but_not_differ() {
        let twice = "a=ice-ufrag:u\na=ice-pwd:p\nm=audio 9 RTP/AVP 0\na=ice-ufrag:u\na=ice-pwd:p\n";
        assert_eq!(Fragment::parse(twice).map(|fragment| fragment.credentials), Ok(credentials("u", "p")));
        for text in [
            "a=ice-ufrag:u\na=ice-pwd:p\na=ice-ufrag:v\n",
            "a=ice-ufrag:u\n",
            "a=ice-ufrag:\na=ice-pwd:\n",
            "a=mid:0\n",
            "candidate:1 1 udp 1 192.0.2.9 9 typ host\n",
            "",
        ] {
            let error = Fragment::parse(text).unwrap_err();
            assert!(error.is_malformed(), "{text}");
        }
    }

    #[test]
    fn a_restart_fragment_can_be_read_back() {
        let ice = IceParameters {
            username_fragment: "fresh".to_owned(),
            password: "secret".to_owned(),
            ice_lite: Some(true),
        };
        let candidate = IceCandidate {
            foundation: "udp".to_owned(),
            priority: 7,
            address: "2001:db8::1".to_owned(),
            protocol: Protocol::Udp,
            port: 40_000,
            r#type: IceCandidateType::Host,
            tcp_type: None,
        };
        let text = restart_fragment(&ice, &[candidate], "audio0");
        for line in
            ["a=ice-lite\r\n", "a=mid:audio0\r\n", "a=candidate:udp 1 udp 7 2001:db8::1 40000 typ host\r\n"]
        {
            assert!(text.contains(line), "{text}");
        }
        let expected =
            Fragment { credentials: credentials("fresh", "secret"), candidates: 1, end_of_candidates: true };
        assert_eq!(Fragment::parse(&text), Ok(expected));
    }
}
