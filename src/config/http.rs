//! What the node serves over HTTP, and to whom.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};
use url::{Origin, Url};

use super::{ConfigError, Secret};

/// Where publishers and viewers find WHIP, WHEP and the pages.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Http {
    /// The local address.
    pub listen: SocketAddr,
    /// How this node is reached from outside. Sessions are then told by whole addresses; without it by paths,
    /// which are good for whatever way a client came.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub public_url: Option<Url>,
    /// HTTPS without a proxy.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls: Option<Tls>,
    /// Whether a PATCH must carry the right `If-Match` (RFC 9725 section 4.3); many clients don't.
    pub strict_etags: bool,
    /// Web origins that may use WHIP and WHEP; `*` is any.
    pub cors_origins: Vec<String>,
    /// Pages that the watch page may stand in, as `https://example.org`, `https://*.example.org`, `'self'` or `*`.
    pub frame_ancestors: Vec<String>,
    /// Whether a publisher or viewer that finds this node full or draining is sent to another one by 307. Not all clients
    /// follow well; without it they get 503, and the other nodes' addresses in its body.
    pub redirect: bool,
    /// Networks of proxies, whose `Forwarded` and `X-Forwarded-*` are believed.
    pub trusted_proxies: Vec<IpNet>,
}

/// A certificate for HTTPS. Both files are read again when they change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tls {
    /// The certificate and those that vouch for it, in PEM.
    pub certificate: PathBuf,
    /// Its key, in PEM.
    pub key: PathBuf,
}

/// Where operators find health, metrics and the rooms.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Operators {
    /// The local address.
    pub listen: SocketAddr,
    /// A bearer token that `/api` asks for; absent means none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token: Option<Secret>,
}

const LOOPBACK: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// This machine, and networks that nobody reaches from outside: where proxies stand.
const PRIVATE: [&str; 7] =
    ["127.0.0.0/8", "::1/128", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7", "fe80::/10"];

impl Default for Http {
    fn default() -> Self {
        Self {
            listen: SocketAddr::new(LOOPBACK, 8080),
            public_url: None,
            tls: None,
            strict_etags: false,
            redirect: false,
            cors_origins: vec!["*".to_owned()],
            frame_ancestors: Vec::new(),
            trusted_proxies: PRIVATE.iter().filter_map(|network| network.parse().ok()).collect(),
        }
    }
}

impl Default for Operators {
    fn default() -> Self {
        Self { listen: SocketAddr::new(LOOPBACK, 8081), token: None }
    }
}

impl Http {
    pub(super) fn check(&self) -> Result<(), ConfigError> {
        let wrong = |reason: String| Err(ConfigError::Contradiction(reason));
        if let Some(origin) = self.cors_origins.iter().find(|origin| *origin != "*" && !is_origin(origin)) {
            return wrong(format!(
                "http.cors_origins: '{origin}' is no origin; write it like https://app.example.com, without a path"
            ));
        }
        match &self.public_url {
            Some(url) if !["http", "https"].contains(&url.scheme()) || url.query().is_some() => {
                wrong(format!("http.public_url {url} must begin with http:// or https:// and have no query"))
            }
            _ => Ok(()),
        }
    }
}

/// Whether a browser may send this as `Origin`: nothing else ever matches.
fn is_origin(text: &str) -> bool {
    let Ok(url) = Url::parse(text) else { return false };
    if text.contains('*') {
        return false;
    }
    match url.origin() {
        Origin::Tuple(..) => url.origin().ascii_serialization() == text,
        // Applications in a shell have schemes of their own: capacitor://localhost.
        Origin::Opaque(_) => url.has_host() && url.as_str() == text && ["", "/"].contains(&url.path()),
    }
}

#[cfg(test)]
mod tests {
    use crate::config::Config;

    #[test]
    fn origins_are_what_browsers_send() {
        let parse = |origin: &str| Config::parse(&format!("[http]\ncors_origins = ['{origin}']"));
        for fine in [
            "*",
            "https://app.example.com",
            "http://localhost:3000",
            "capacitor://localhost",
            "https://[2001:db8::1]:8443",
        ] {
            parse(fine).expect(fine);
        }
        for wrong in [
            "app.example.com",
            "https://app.example.com/",
            "https://app.example.com/app",
            "https://App.example.com",
            "https://app.example.com:443",
            "https://*.example.com",
            "null",
            "",
        ] {
            let error = parse(wrong).unwrap_err().to_string();
            assert!(error.contains("http.cors_origins") && error.contains(wrong), "{wrong}: {error}");
        }
    }

    #[test]
    fn a_proxy_is_a_network() {
        Config::parse("[http]\ntrusted_proxies = ['192.0.2.0/24', '2001:db8::/32']").unwrap();
        Config::parse("[http]\ntrusted_proxies = []").unwrap();
        let error = Config::parse("[http]\ntrusted_proxies = ['proxy']").unwrap_err().to_string();
        assert!(error.contains("trusted_proxies"), "{error}");
    }
}
