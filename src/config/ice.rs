//! STUN and TURN servers, as publishers and viewers are told them.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::de::value::MapAccessDeserializer;
use serde::de::{Error, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

use super::{ConfigError, Secret};

/// A STUN or TURN server: `"stun:stun.example.com"`, or a table that has credentials.
#[derive(Debug, Clone, Serialize)]
#[serde(into = "Table")]
pub struct IceServer {
    /// Its addresses.
    pub urls: Vec<IceUrl>,
    /// Whom its TURN server knows.
    pub credentials: Option<IceCredentials>,
}

/// How clients show who they are to a TURN server.
#[derive(Debug, Clone)]
pub enum IceCredentials {
    /// One user for all.
    Static {
        /// The user.
        username: String,
        /// Its password.
        credential: Secret,
    },
    /// A user for each session, made with a secret that the server shares (coturn's `use-auth-secret`).
    TimeLimited {
        /// The server's `static-auth-secret`.
        secret: Secret,
        /// For how long a user is good for.
        ttl: Duration,
    },
}

/// A STUN (RFC 7064) or TURN (RFC 7065) address, such as `turn:turn.example.com:3478?transport=tcp`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct IceUrl(String);

impl IceUrl {
    /// As a browser takes it.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it needs credentials.
    pub fn is_turn(&self) -> bool {
        self.0.starts_with("turn")
    }
}

/// For how long time-limited credentials are good where nothing else is said: coturn asks for them again when
/// an allocation is refreshed, so a session must not outlast them.
const TTL: Duration = Duration::from_secs(24 * 3600);
const TTLS: std::ops::RangeInclusive<Duration> =
    Duration::from_secs(60)..=Duration::from_secs(366 * 24 * 3600);

/// A server as a file has it.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    urls: Vec<IceUrl>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    username: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    credential: Option<Secret>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    secret: Option<Secret>,
    #[serde(default, with = "humantime_serde::option", skip_serializing_if = "Option::is_none")]
    ttl: Option<Duration>,
}

impl TryFrom<Table> for IceServer {
    type Error = &'static str;

    fn try_from(table: Table) -> Result<Self, Self::Error> {
        let credentials = match (table.username, table.credential, table.secret, table.ttl) {
            (None, None, None, None) => None,
            (Some(username), Some(credential), None, None) => {
                Some(IceCredentials::Static { username, credential })
            }
            (None, None, Some(secret), ttl) => {
                Some(IceCredentials::TimeLimited { secret, ttl: ttl.unwrap_or(TTL) })
            }
            (_, _, Some(_), _) => {
                return Err("a secret stands for username and credential: give one or the other");
            }
            (_, _, None, Some(_)) => return Err("a ttl belongs to a secret"),
            (_, _, None, None) => return Err("username and credential belong together"),
        };
        Ok(Self { urls: table.urls, credentials })
    }
}

impl From<IceServer> for Table {
    fn from(server: IceServer) -> Self {
        let mut table = Self { urls: server.urls, username: None, credential: None, secret: None, ttl: None };
        match server.credentials {
            None => {}
            Some(IceCredentials::Static { username, credential }) => {
                (table.username, table.credential) = (Some(username), Some(credential));
            }
            Some(IceCredentials::TimeLimited { secret, ttl }) => {
                (table.secret, table.ttl) = (Some(secret), Some(ttl));
            }
        }
        table
    }
}

impl<'de> Deserialize<'de> for IceServer {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(StringOrTable)
    }
}

/// Not an untagged enum, which would not say what is wrong.
struct StringOrTable;

impl<'de> Visitor<'de> for StringOrTable {
    type Value = IceServer;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("'stun:host' or a table with urls")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<IceServer, E> {
        Ok(IceServer { urls: vec![text.parse().map_err(E::custom)?], credentials: None })
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<IceServer, A::Error> {
        let table = Table::deserialize(MapAccessDeserializer::new(map))?;
        table.try_into().map_err(A::Error::custom)
    }
}

impl IceServer {
    pub(super) fn check(&self) -> Result<(), ConfigError> {
        let of = self.urls.first().map_or("an entry", IceUrl::as_str);
        let wrong = |why: &str| Err(ConfigError::Contradiction(format!("webrtc.ice_servers: {of} {why}")));
        if self.urls.is_empty() {
            return wrong("needs urls");
        }
        match &self.credentials {
            None if self.urls.iter().any(IceUrl::is_turn) => {
                wrong("is a TURN server: it needs username and credential, or the secret that it shares")
            }
            Some(IceCredentials::Static { username, credential }) => {
                if [username.as_str(), credential.expose()].iter().all(|text| is_quotable(text)) {
                    return Ok(());
                }
                // Clients take the header apart at these, quoted or not.
                wrong(
                    "has a username or credential that no Link header carries: use printable ASCII without \" \\ , ;",
                )
            }
            Some(IceCredentials::TimeLimited { secret, ttl }) => {
                if secret.is_empty() {
                    return wrong("has an empty secret");
                }
                super::check::lasts("webrtc.ice_servers ttl", *ttl, TTLS)
            }
            None => Ok(()),
        }
    }
}

fn is_quotable(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| c.is_ascii_graphic() && !"\"\\,;".contains(c))
}

impl FromStr for IceUrl {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong =
            |why: &str| format!("'{text}' {why}; write it like turn:turn.example.com:3478?transport=tcp");
        let (scheme, rest) = text.split_once(':').ok_or_else(|| wrong("has no scheme"))?;
        let scheme = scheme.to_ascii_lowercase();
        if !["stun", "stuns", "turn", "turns"].contains(&scheme.as_str()) {
            return Err(wrong("is neither stun, stuns, turn nor turns"));
        }
        if rest.starts_with('/') {
            return Err(wrong("has no slashes after the scheme"));
        }
        let (address, query) = rest.split_once('?').map_or((rest, None), |(at, query)| (at, Some(query)));
        match query {
            Some(_) if scheme.starts_with("stun") => return Err(wrong("can't have a transport")),
            Some(query) if !["transport=udp", "transport=tcp"].contains(&query) => {
                return Err(wrong("may end in ?transport=udp or ?transport=tcp alone"));
            }
            _ => {}
        }
        let (host, port) = match address.rsplit_once(':') {
            // An IPv6 address stands in brackets.
            Some((host, port)) if !port.contains(']') => (host, Some(port)),
            _ => (address, None),
        };
        if port.is_some_and(|port| !port.parse::<u16>().is_ok_and(|port| port > 0)) {
            return Err(wrong("has no port that can be"));
        }
        match url::Host::parse(host) {
            Ok(url::Host::Domain(name)) if name.is_empty() => return Err(wrong("names no host")),
            Ok(_) => {}
            Err(_) => return Err(wrong("names no host")),
        }
        Ok(Self(format!("{scheme}:{rest}")))
    }
}

impl fmt::Display for IceUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl TryFrom<String> for IceUrl {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<IceUrl> for String {
    fn from(url: IceUrl) -> Self {
        url.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    #[test]
    fn addresses_are_those_that_browsers_take() {
        for fine in [
            "stun:stun.example.com",
            "STUN:stun.example.com:3478",
            "turn:192.0.2.7:3478?transport=udp",
            "turns:turn.example.com:443?transport=tcp",
            "turn:[2001:db8::7]:3478",
            "turn:[2001:db8::7]",
            "stuns:stun.example.com",
        ] {
            fine.parse::<IceUrl>().expect(fine);
        }
        for wrong in [
            "stun.example.com",
            "https://stun.example.com",
            "stun://stun.example.com",
            "stun:",
            "stun:host:0",
            "stun:host:port",
            "turn:host:70000",
            "turn:host?transport=sctp",
            "turn:host?proto=udp",
            "stun:host?transport=udp",
            "turn:2001:db8::7",
            "turn:us er:3478",
        ] {
            let error = wrong.parse::<IceUrl>().unwrap_err();
            assert!(error.contains(wrong), "{error}");
        }
    }

    #[test]
    fn servers_have_the_credentials_that_they_need() {
        let parse = |servers: &str| Config::parse(&format!("[webrtc]\nice_servers = [{servers}]"));
        for fine in [
            "'stun:stun.example.com'",
            "{ urls = ['turn:turn.example.com', 'turns:turn.example.com'], username = 'u', credential = 'p' }",
            "'stun:a.example.com', { urls = ['turn:turn.example.com'], secret = 's', ttl = '1h' }",
        ] {
            let config = parse(fine).expect(fine);
            assert!(!config.to_toml().unwrap().contains("'s'"), "secrets are hidden");
        }
        for (wrong, why) in [
            ("'turn:turn.example.com'", "needs username and credential"),
            ("{ urls = ['turn:a'], username = 'u' }", "belong together"),
            ("{ urls = ['turn:a'], username = 'u', credential = 'p', secret = 's' }", "one or the other"),
            (
                "{ urls = ['turn:a'], username = 'u', credential = 'p', ttl = '1h' }",
                "a ttl belongs to a secret",
            ),
            ("{ urls = ['turn:a'], username = 'a,b', credential = 'p' }", "no Link header carries"),
            ("{ urls = ['turn:a'], secret = 's', ttl = '1s' }", "must be from 1m"),
            ("{ urls = [] }", "needs urls"),
        ] {
            let error = parse(wrong).unwrap_err().to_string();
            assert!(error.contains(why) && error.contains("ice_servers"), "{wrong}: {error}");
        }
    }

    #[test]
    fn what_is_wrong_with_an_address_is_said() {
        let error = Config::parse("[webrtc]\nice_servers = ['stun//host']").unwrap_err().to_string();
        assert!(error.contains("ice_servers") && error.contains("has no scheme"), "{error}");
        let error = Config::parse("[webrtc]\nice_servers = [{ url = 'stun:host' }]").unwrap_err().to_string();
        assert!(error.contains("ice_servers") && error.contains("unknown field"), "{error}");
    }
}
