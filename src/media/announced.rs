//! What others are told in place of the addresses that the node listens on.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use crate::config::{Announced, Host, Pipe, WebRtc};

/// How long a name may take to be looked up.
const PATIENCE: Duration = Duration::from_secs(5);

/// At most one address for each family.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Addresses {
    v4: Option<Ipv4Addr>,
    v6: Option<Ipv6Addr>,
}

/// What is told of both kinds of listeners.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Told {
    /// In place of `webrtc.listen`.
    pub webrtc: Addresses,
    /// In place of `pipe.listen`.
    pub pipe: Addresses,
}

/// Why it isn't known what to tell.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AnnouncedError {
    /// A name can't be looked up.
    #[error("{key}: {name} can't be looked up: {source}")]
    LookUp {
        /// The key of the configuration.
        key: &'static str,
        /// The name.
        name: String,
        /// Why.
        source: std::io::Error,
    },
    /// A wildcard address listens where nothing is announced.
    #[error("{key}: {announced:?} has no {family} address, and {listen} listens for {family}")]
    NoAddress {
        /// The key of the configuration.
        key: &'static str,
        /// What it says.
        announced: Vec<String>,
        /// `IPv4` or `IPv6`.
        family: &'static str,
        /// The wildcard.
        listen: IpAddr,
    },
}

impl Addresses {
    /// What is told of a listener: the announced address of its family, or else its own.
    pub fn of(self, listen: IpAddr) -> IpAddr {
        match listen {
            IpAddr::V4(own) => self.v4.unwrap_or(own).into(),
            IpAddr::V6(own) => self.v6.unwrap_or(own).into(),
        }
    }

    fn set(&mut self, ip: IpAddr) {
        match ip {
            IpAddr::V4(ip) => _ = self.v4.get_or_insert(ip),
            IpAddr::V6(ip) => _ = self.v6.get_or_insert(ip),
        }
    }

    async fn look_up(
        key: &'static str,
        announced: Option<&Announced>,
        listen: &[IpAddr],
    ) -> Result<Self, AnnouncedError> {
        let mut found = Self::default();
        let Some(announced) = announced else { return Ok(found) };
        let (ips, names): (Vec<_>, Vec<_>) =
            announced.hosts().iter().partition(|host| matches!(host, Host::Ip(_)));
        for host in ips.into_iter().chain(names) {
            match host {
                Host::Ip(ip) => found.set(*ip),
                // In order, so that a name with many addresses doesn't change with each look.
                Host::Name(name) => resolve(key, name).await?.into_iter().for_each(|ip| found.set(ip)),
            }
        }
        let missing = listen.iter().find(|listen| listen.is_unspecified() && found.of(**listen) == **listen);
        match missing {
            Some(listen) => Err(AnnouncedError::NoAddress {
                key,
                announced: announced.hosts().iter().map(ToString::to_string).collect(),
                family: if listen.is_ipv4() { "IPv4" } else { "IPv6" },
                listen: *listen,
            }),
            None => Ok(found),
        }
    }
}

impl Told {
    /// Looks up what the configuration names.
    ///
    /// # Errors
    /// [`AnnouncedError`] with the key.
    pub async fn look_up(webrtc: &WebRtc, pipe: &Pipe) -> Result<Self, AnnouncedError> {
        let (webrtc, pipe) = tokio::join!(
            Addresses::look_up("webrtc.announced", webrtc.announced.as_ref(), &webrtc.listen),
            Addresses::look_up("pipe.announced", pipe.announced.as_ref(), std::slice::from_ref(&pipe.listen)),
        );
        Ok(Self { webrtc: webrtc?, pipe: pipe? })
    }
}

async fn resolve(key: &'static str, name: &str) -> Result<BTreeSet<IpAddr>, AnnouncedError> {
    let error = |source| AnnouncedError::LookUp { key, name: name.to_owned(), source };
    let looking = tokio::net::lookup_host((name, 0));
    let found = tokio::time::timeout(PATIENCE, looking).await.map_err(|late| error(late.into()))?;
    let ips: BTreeSet<_> = found.map_err(error)?.map(|address| address.ip()).collect();
    if ips.is_empty() { Err(error(std::io::ErrorKind::NotFound.into())) } else { Ok(ips) }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn look_up(announced: &[&str], listen: &[&str]) -> Result<Addresses, AnnouncedError> {
        let hosts: Vec<Host> = announced.iter().map(|host| host.parse().unwrap()).collect();
        let announced = Announced::try_from(hosts).unwrap();
        let listen: Vec<IpAddr> = listen.iter().map(|ip| ip.parse().unwrap()).collect();
        Addresses::look_up("webrtc.announced", Some(&announced), &listen).await
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[tokio::test]
    async fn each_family_gets_its_own() {
        let told = look_up(&["198.51.100.7", "2001:db8::7"], &["10.0.0.1", "fd00::1"]).await.unwrap();
        assert_eq!(told.of(ip("10.0.0.1")), ip("198.51.100.7"));
        assert_eq!(told.of(ip("fd00::1")), ip("2001:db8::7"));
    }

    #[tokio::test]
    async fn a_family_without_an_announced_address_is_told_as_it_is() {
        let told = look_up(&["198.51.100.7"], &["10.0.0.1", "2001:db8::1"]).await.unwrap();
        assert_eq!(told.of(ip("10.0.0.1")), ip("198.51.100.7"));
        assert_eq!(told.of(ip("2001:db8::1")), ip("2001:db8::1"));
    }

    #[tokio::test]
    async fn a_name_stands_for_its_addresses_and_an_address_wins() {
        let told = look_up(&["localhost"], &["0.0.0.0"]).await.unwrap();
        assert_eq!(told.of(ip("0.0.0.0")), ip("127.0.0.1"));
        let told = look_up(&["localhost", "198.51.100.7"], &["0.0.0.0"]).await.unwrap();
        assert_eq!(told.of(ip("0.0.0.0")), ip("198.51.100.7"));
    }

    #[tokio::test]
    async fn what_can_t_be_told_is_said_with_its_key() {
        let error = look_up(&["nobody.invalid"], &["10.0.0.1"]).await.unwrap_err().to_string();
        assert!(error.starts_with("webrtc.announced: nobody.invalid can't be looked up"), "{error}");
        let error = look_up(&["198.51.100.7"], &["::"]).await.unwrap_err().to_string();
        assert!(error.contains("has no IPv6 address"), "{error}");
    }
}
