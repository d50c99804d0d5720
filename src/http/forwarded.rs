//! How a client came, past the proxies before the node: the one place that reads `Forwarded` (RFC 7239) and
//! `X-Forwarded-*`.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use axum::extract::{ConnectInfo, Request, State};
use axum::http::header::{self, HeaderMap, HeaderValue};
use axum::middleware::Next;
use axum::response::Response;
use ipnet::IpNet;

use crate::config::Http;

/// How a client reached the node, as far as that can be believed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Reached {
    /// Its address.
    pub(crate) client: Option<IpAddr>,
    /// `http` or `https`, as it spoke.
    pub(crate) scheme: &'static str,
    /// The host, and port where it isn't the scheme's, that it asked for.
    pub(crate) host: Option<String>,
    /// What a proxy took off the path: empty, or `/` and more without one at the end.
    pub(crate) prefix: String,
}

/// Whom to believe, and how sessions are told.
#[derive(Debug)]
pub(super) struct Outside {
    trusted: Vec<IpNet>,
    /// Without a slash at the end.
    public_url: Option<String>,
    scheme: &'static str,
}

impl Outside {
    pub(super) fn new(http: &Http) -> Arc<Self> {
        Arc::new(Self {
            trusted: http.trusted_proxies.clone(),
            public_url: http.public_url.as_ref().map(|url| url.as_str().trim_end_matches('/').to_owned()),
            scheme: if http.tls.is_some() { "https" } else { "http" },
        })
    }

    pub(super) fn trusts(&self, ip: IpAddr) -> bool {
        let ip = ip.to_canonical();
        self.trusted.iter().any(|network| network.contains(&ip))
    }

    /// How the client came, given who connected.
    fn reached(&self, peer: Option<IpAddr>, headers: &HeaderMap, authority: Option<&str>) -> Reached {
        let peer = peer.map(|ip| ip.to_canonical());
        let host = text(headers, "host").or(authority).map(str::to_owned);
        let direct = Reached { client: peer, scheme: self.scheme, host, prefix: String::new() };
        if !peer.is_some_and(|peer| self.trusts(peer)) {
            return direct;
        }
        let told = Told::read(headers);
        let first = |values: &[String]| values.first().cloned();
        let scheme = match first(&told.schemes).as_deref() {
            Some("https" | "wss") => "https",
            Some("http" | "ws") => "http",
            _ => direct.scheme,
        };
        let host = first(&told.hosts).map(|host| with_port(host, told.port, scheme)).or(direct.host);
        // Each proxy adds whom it heard: the last that is no proxy of ours is the client.
        let ips: Vec<_> = told.clients.iter().map(|client| address(client)).collect();
        let outside = ips.iter().rev().copied().find(|ip| !ip.is_some_and(|ip| self.trusts(ip)));
        let client = outside.or_else(|| ips.first().copied()).flatten().or(direct.client);
        Reached { client, scheme, host, prefix: told.prefix }
    }
}

/// What the proxies say, the one nearest to the client first.
#[derive(Debug, Default)]
struct Told {
    clients: Vec<String>,
    schemes: Vec<String>,
    hosts: Vec<String>,
    port: Option<u16>,
    prefix: String,
}

impl Told {
    fn read(headers: &HeaderMap) -> Self {
        let mut told = Self {
            clients: list(headers, "x-forwarded-for"),
            schemes: list(headers, "x-forwarded-proto"),
            hosts: list(headers, "x-forwarded-host"),
            port: list(headers, "x-forwarded-port").first().and_then(|port| port.parse().ok()),
            // Each proxy that takes something off adds it: together they are what is missing.
            prefix: list(headers, "x-forwarded-prefix").iter().filter_map(|part| prefix(part)).collect(),
        };
        let forwarded = list(headers, "forwarded");
        let of = |name: &str| -> Vec<String> {
            forwarded.iter().filter_map(|element| parameter(element, name)).collect()
        };
        // The standard's header wins over those that came before it.
        for (known, name) in
            [(&mut told.clients, "for"), (&mut told.schemes, "proto"), (&mut told.hosts, "host")]
        {
            let said = of(name);
            if !said.is_empty() {
                *known = said;
            }
        }
        told.schemes.iter_mut().for_each(|scheme| scheme.make_ascii_lowercase());
        told.hosts.retain(|host| host.parse::<axum::http::uri::Authority>().is_ok());
        told
    }
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

/// All members of a list header, whether on one line or on several; commas in quotes don't part.
fn list(headers: &HeaderMap, name: &str) -> Vec<String> {
    let lines = headers.get_all(name).iter().filter_map(|line| line.to_str().ok());
    lines.flat_map(|line| split(line, ',')).map(str::to_owned).collect()
}

fn split(text: &str, separator: char) -> Vec<&str> {
    let mut quoted = false;
    let parts = text.split(|c| {
        quoted ^= c == '"';
        c == separator && !quoted
    });
    parts.map(str::trim).filter(|part| !part.is_empty()).collect()
}

/// A parameter of an element of `Forwarded`, without quotes.
fn parameter(element: &str, name: &str) -> Option<String> {
    split(element, ';').into_iter().find_map(|pair| {
        let (key, value) = pair.split_once('=')?;
        key.trim().eq_ignore_ascii_case(name).then(|| value.trim().trim_matches('"').to_owned())
    })
}

/// An address, maybe with a port, maybe in brackets.
fn address(text: &str) -> Option<IpAddr> {
    let ip = text.parse().or_else(|_| text.parse::<SocketAddr>().map(|address| address.ip()));
    let bare = || text.strip_prefix('[')?.strip_suffix(']')?.parse().ok();
    ip.ok().or_else(bare).map(|ip: IpAddr| ip.to_canonical())
}

fn with_port(host: String, port: Option<u16>, scheme: &str) -> String {
    let has_port = host.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok());
    let usual = if scheme == "https" { 443 } else { 80 };
    match port {
        Some(port) if port != usual && !has_port => format!("{host}:{port}"),
        _ => host,
    }
}

/// A prefix that is fit to stand before a path: nothing that would make another host of it.
fn prefix(text: &str) -> Option<String> {
    let trimmed = text.trim_matches('/');
    let fit = |part: &str| {
        let allowed = |c: char| c.is_ascii_alphanumeric() || "-._~%!$&'()*+=:@".contains(c);
        !["", ".", ".."].contains(&part) && part.chars().all(allowed)
    };
    (!trimmed.is_empty() && trimmed.split('/').all(fit)).then(|| format!("/{trimmed}"))
}

/// Notes how the client came, for who asks, and makes of our paths in `Location` and `Link` what the client can use.
pub(super) async fn arrive(
    State(outside): State<Arc<Outside>>,
    mut request: Request,
    next: Next,
) -> Response {
    let peer = request.extensions().get::<ConnectInfo<SocketAddr>>().map(|info| info.0.ip());
    let authority = request.uri().authority().map(|authority| authority.as_str().to_owned());
    let reached = outside.reached(peer, request.headers(), authority.as_deref());
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    request.extensions_mut().insert(reached.clone());
    let mut response = next.run(request).await;
    let status = response.status().as_u16();
    let Reached { client, scheme, host, prefix } = &reached;
    tracing::debug!(%method, path, status, ?client, scheme, ?host, prefix, "http answered");
    let base = outside.public_url.as_ref().unwrap_or(prefix);
    let location = response.headers().get(header::LOCATION).and_then(|location| location.to_str().ok());
    let links: Vec<_> =
        response.headers().get_all(header::LINK).iter().map(|link| below(base, link)).collect();
    let absolute = location.filter(|path| path.starts_with('/')).map(|path| format!("{base}{path}"));
    if let Some(Ok(location)) = absolute.map(HeaderValue::try_from) {
        response.headers_mut().insert(header::LOCATION, location);
    }
    response.headers_mut().remove(header::LINK);
    for link in links {
        response.headers_mut().append(header::LINK, link);
    }
    response
}

/// A `Link` to a path of ours, as the client can use it; others as they are.
fn below(base: &str, link: &HeaderValue) -> HeaderValue {
    let path = link.to_str().ok().and_then(|link| link.strip_prefix("</"));
    path.and_then(|path| HeaderValue::try_from(format!("<{base}/{path}")).ok())
        .unwrap_or_else(|| link.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reached(peer: &str, headers: &[(&'static str, &str)]) -> Reached {
        let outside = Outside::new(&Http::default());
        let headers: HeaderMap = headers
            .iter()
            .map(|(name, value)| (header::HeaderName::from_static(name), value.parse().unwrap()))
            .collect();
        outside.reached(Some(peer.parse().unwrap()), &headers, None)
    }

    fn of(client: &str, scheme: &'static str, host: &str, prefix: &str) -> Reached {
        let client = Some(client.parse().unwrap());
        Reached { client, scheme, host: Some(host.to_owned()), prefix: prefix.to_owned() }
    }

    #[test]
    fn a_stranger_is_not_believed() {
        let headers = [
            ("host", "node:8080"),
            ("x-forwarded-proto", "https"),
            ("x-forwarded-for", "192.0.2.9"),
            ("x-forwarded-prefix", "/live"),
            ("forwarded", "for=192.0.2.9;host=evil.example"),
        ];
        assert_eq!(reached("198.51.100.9", &headers), of("198.51.100.9", "http", "node:8080", ""));
    }

    #[test]
    fn lists_are_read_from_the_client_s_end() {
        let headers = [
            ("host", "node:8080"),
            ("x-forwarded-proto", "https,http"),
            ("x-forwarded-host", "live.example.com, inner"),
            ("x-forwarded-port", "8443"),
            ("x-forwarded-for", "203.0.113.1, 192.0.2.9, 10.0.0.2"),
            ("x-forwarded-prefix", "/a/, /b"),
        ];
        let expected = of("192.0.2.9", "https", "live.example.com:8443", "/a/b");
        assert_eq!(reached("127.0.0.1", &headers), expected);
    }

    #[test]
    fn the_standard_s_header_wins() {
        let headers = [
            ("host", "node:8080"),
            ("x-forwarded-proto", "http"),
            (
                "forwarded",
                r#"For="[2001:db8::9]:4711";Proto=HTTPS;host="live.example.com", for=10.0.0.2;proto=http"#,
            ),
        ];
        assert_eq!(reached("::ffff:10.0.0.1", &headers), of("2001:db8::9", "https", "live.example.com", ""));
    }

    #[test]
    fn a_prefix_never_becomes_another_host() {
        for wrong in ["//evil.example", "https://evil.example", "/../x", "/a b", "/a\"", "/", ""] {
            let prefix = reached("127.0.0.1", &[("x-forwarded-prefix", wrong)]).prefix;
            assert!(prefix.is_empty() || prefix == "/evil.example", "{wrong}: {prefix}");
        }
        assert_eq!(reached("127.0.0.1", &[("x-forwarded-prefix", "live")]).prefix, "/live");
    }

    #[test]
    fn hidden_clients_are_nobody_s_address() {
        let hidden = reached("127.0.0.1", &[("forwarded", "for=unknown;proto=https")]);
        assert_eq!((hidden.scheme, hidden.client), ("https", Some("127.0.0.1".parse().unwrap())));
    }
}
