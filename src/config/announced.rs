//! What is told in place of the addresses that a node listens on.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Addresses or host names by which others reach what listens elsewhere: `"203.0.113.7"`, `"media.example.com"`
/// or a list of them, at most one for each family. A host name stands for the addresses that it has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "OneOrMore", into = "OneOrMore")]
pub struct Announced(Vec<Host>);

/// An address, or a name that has some.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Host {
    /// An address.
    Ip(IpAddr),
    /// A host name.
    Name(String),
}

#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum OneOrMore {
    One(String),
    More(Vec<String>),
}

impl Announced {
    /// In the order of the configuration.
    pub fn hosts(&self) -> &[Host] {
        &self.0
    }

    /// Whether addresses have to be looked up, and may change.
    pub fn has_names(&self) -> bool {
        self.0.iter().any(|host| matches!(host, Host::Name(_)))
    }

    /// Whether there may be an address of the family of `ip`.
    pub fn may_have(&self, ip: IpAddr) -> bool {
        self.0.iter().any(|host| match host {
            Host::Ip(own) => own.is_ipv4() == ip.is_ipv4(),
            Host::Name(_) => true,
        })
    }
}

impl FromStr for Host {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let text = text.trim();
        let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
        if let Ok(ip) = bare.parse::<IpAddr>() {
            return if ip.is_unspecified() {
                Err(format!("{ip} is no address that others can reach"))
            } else {
                Ok(Self::Ip(ip))
            };
        }
        match url::Host::parse(text) {
            Ok(url::Host::Domain(name)) if !name.is_empty() => Ok(Self::Name(name)),
            _ => Err(format!("'{text}' is neither an address nor a host name (no scheme, no port)")),
        }
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ip(ip) => ip.fmt(f),
            Self::Name(name) => name.fmt(f),
        }
    }
}

impl TryFrom<Vec<Host>> for Announced {
    type Error = String;

    fn try_from(hosts: Vec<Host>) -> Result<Self, String> {
        if hosts.is_empty() {
            return Err("names at least one address or host name".to_owned());
        }
        let ips =
            |v4| hosts.iter().filter(move |host| matches!(host, Host::Ip(ip) if ip.is_ipv4() == v4)).count();
        if ips(true) > 1 || ips(false) > 1 {
            return Err("names two addresses of one family; a listener is told by one".to_owned());
        }
        Ok(Self(hosts))
    }
}

impl FromStr for Announced {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        vec![text.parse::<Host>()?].try_into()
    }
}

impl TryFrom<OneOrMore> for Announced {
    type Error = String;

    fn try_from(told: OneOrMore) -> Result<Self, String> {
        let texts = match told {
            OneOrMore::One(text) => vec![text],
            OneOrMore::More(texts) => texts,
        };
        texts.iter().map(|text| text.parse()).collect::<Result<Vec<Host>, _>>()?.try_into()
    }
}

impl From<Announced> for OneOrMore {
    fn from(announced: Announced) -> Self {
        let mut texts: Vec<_> = announced.0.iter().map(ToString::to_string).collect();
        match texts.pop() {
            Some(only) if texts.is_empty() => Self::One(only),
            last => Self::More(texts.into_iter().chain(last).collect()),
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::config::Config;

    #[test]
    fn one_or_a_list_of_one_for_each_family() {
        for fine in [
            "'198.51.100.7'",
            "'media.example.com'",
            "['198.51.100.7', '2001:db8::7']",
            "['media.example.com']",
            "'[2001:db8::7]'",
        ] {
            let config = Config::parse(&format!("[webrtc]\nannounced = {fine}")).expect(fine);
            let again = Config::parse(&config.to_toml().unwrap()).unwrap();
            assert_eq!(again.webrtc.announced, config.webrtc.announced, "{fine}");
        }
        for (wrong, why) in [
            ("['198.51.100.7', '198.51.100.8']", "two addresses of one family"),
            ("'https://media.example.com'", "neither an address nor a host name"),
            ("'media.example.com:443'", "neither an address nor a host name"),
            ("'0.0.0.0'", "no address that others can reach"),
            ("[]", "at least one"),
        ] {
            let error = Config::parse(&format!("[webrtc]\nannounced = {wrong}")).unwrap_err().to_string();
            assert!(error.contains(why) && error.contains("webrtc.announced"), "{wrong}: {error}");
        }
    }

    #[test]
    fn a_wildcard_needs_an_address_of_its_own_family() {
        let text = |told: &str| format!("[webrtc]\nlisten = ['0.0.0.0', '::']\nannounced = {told}");
        let error = Config::parse(&text("'198.51.100.7'")).unwrap_err().to_string();
        assert!(error.contains("webrtc.listen :: is a wildcard"), "{error}");
        Config::parse(&text("['198.51.100.7', '2001:db8::7']")).unwrap();
        Config::parse(&text("'media.example.com'")).unwrap();
    }
}
