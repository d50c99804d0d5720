//! Who may ask what operators ask: no page of another origin, and from elsewhere nobody without the token.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::uri::Authority;
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use url::Url;

use super::problem::Problem;
use super::request::bearer;
use crate::config::Secret;

/// What guards an operators' listener.
#[derive(Debug, Clone)]
pub(crate) struct Guard(Arc<Guarded>);

#[derive(Debug)]
struct Guarded {
    token: Option<Secret>,
    /// Whether other machines reach the listener.
    is_beyond: bool,
    /// The key of the configuration that says where it listens.
    key: &'static str,
}

impl Guard {
    /// A guard of what listens there. Where everyone could ask, it is said at once.
    pub(crate) fn new(token: Option<&Secret>, listen: SocketAddr, key: &'static str) -> Self {
        let is_beyond = !listen.ip().to_canonical().is_loopback();
        let token = token.filter(|token| !token.is_empty()).cloned();
        if is_beyond && token.is_none() {
            tracing::warn!(
                "{key} is reached from other machines and operators.token is not set: /api and /metrics are \
                 refused until it is, or until {key} is on loopback"
            );
        }
        Self(Arc::new(Guarded { token, is_beyond, key }))
    }

    /// Whether a request may pass; `open` is for what needs no token on loopback.
    fn check(&self, request: &Request, open: bool) -> Result<(), Problem> {
        let Guarded { token, is_beyond, key } = &*self.0;
        let (headers, host) = (request.headers(), host(request));
        if is_foreign(headers, host.as_deref()) {
            return Err(forbidden("pages of another origin get no answer here"));
        }
        match token {
            _ if open && !is_beyond && token.is_some() => Ok(()),
            Some(token) if bearer(headers).is_some_and(|given| token.is(given)) => Ok(()),
            Some(_) => Err(Problem::new(StatusCode::UNAUTHORIZED, "send the operators' bearer token")),
            None if *is_beyond => Err(forbidden(&format!(
                "{key} is reached from other machines: set operators.token and send it as a bearer token, or \
                 have {key} on loopback"
            ))),
            // A page whose name leads here by the trick of a name server.
            None if !host.as_deref().is_some_and(is_here) => Err(forbidden(
                "ask by 127.0.0.1 or localhost, or set operators.token and send it as a bearer token",
            )),
            None => Ok(()),
        }
    }
}

/// Lets through who may see and do what operators may.
pub(crate) async fn authorize(State(guard): State<Guard>, request: Request, next: Next) -> Response {
    match guard.check(&request, false) {
        Ok(()) => next.run(request).await,
        Err(problem) => problem.into_response(),
    }
}

/// Lets through who may see figures: on loopback without the token, too.
pub(crate) async fn observe(State(guard): State<Guard>, request: Request, next: Next) -> Response {
    match guard.check(&request, true) {
        Ok(()) => next.run(request).await,
        Err(problem) => problem.into_response(),
    }
}

fn forbidden(detail: &str) -> Problem {
    Problem::new(StatusCode::FORBIDDEN, detail)
}

/// The authority that a request names.
fn host(request: &Request) -> Option<String> {
    let header = request.headers().get(header::HOST).and_then(|host| host.to_str().ok());
    header.or_else(|| request.uri().authority().map(Authority::as_str)).map(str::to_owned)
}

/// Whether a browser sends this for a page of another origin (Fetch metadata, and RFC 6454 for older ones).
fn is_foreign(headers: &HeaderMap, host: Option<&str>) -> bool {
    let text = |name: &str| headers.get(name).map(|value| value.to_str().unwrap_or("?"));
    match text("sec-fetch-site") {
        Some("same-origin" | "none") => return false,
        // Another port of this machine is the same site, and still another page.
        Some(_) => return true,
        None => {}
    }
    let Some(origin) = text("origin") else { return false };
    // Behind a proxy the page is of the proxy's name; no page can set this header for another origin.
    let known = [host, text("x-forwarded-host")];
    !known.into_iter().flatten().any(|host| is_of(origin, host))
}

/// Whether an origin is that of a host, whichever the scheme.
fn is_of(origin: &str, host: &str) -> bool {
    let Ok(origin) = Url::parse(origin) else { return false };
    let Ok(own) = Url::parse(&format!("{}://{host}", origin.scheme())) else { return false };
    origin.host().is_some()
        && origin.host() == own.host()
        && origin.port_or_known_default() == own.port_or_known_default()
}

/// Whether a name can't lead anywhere but to this machine.
fn is_here(host: &str) -> bool {
    let Ok(url) = Url::parse(&format!("http://{host}")) else { return false };
    match url.host() {
        Some(url::Host::Ipv4(ip)) => ip.is_loopback(),
        Some(url::Host::Ipv6(ip)) => IpAddr::V6(ip).to_canonical().is_loopback(),
        Some(url::Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::body::Body;

    fn status(guard: &Guard, open: bool, headers: &[(&str, &str)]) -> u16 {
        let mut request = Request::builder().uri("/api/rooms");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        match guard.check(&request.body(Body::empty()).unwrap(), open) {
            Ok(()) => 200,
            Err(problem) => problem.into_response().status().as_u16(),
        }
    }

    fn guard(token: Option<&str>, listen: &str) -> Guard {
        Guard::new(token.map(Secret::from).as_ref(), listen.parse().unwrap(), "operators.listen")
    }

    #[test]
    fn a_page_of_another_origin_gets_no_answer() {
        let here = guard(None, "127.0.0.1:8081");
        let with = |name, value| status(&here, false, &[("host", "127.0.0.1:8081"), (name, value)]);
        for (name, value) in [
            ("origin", "https://evil.example"),
            ("origin", "http://127.0.0.1:3000"),
            ("origin", "http://localhost:8081"),
            ("origin", "null"),
            ("sec-fetch-site", "cross-site"),
            ("sec-fetch-site", "same-site"),
        ] {
            assert_eq!(with(name, value), 403, "{name}: {value}");
        }
        for (name, value) in [
            ("origin", "http://127.0.0.1:8081"),
            ("sec-fetch-site", "same-origin"),
            ("sec-fetch-site", "none"),
            ("x-other", ""),
        ] {
            assert_eq!(with(name, value), 200, "{name}: {value}");
        }
        let guarded = guard(Some("hunter2"), "0.0.0.0:8081");
        let token = ("authorization", "Bearer hunter2");
        let host = ("host", "ops.internal:8081");
        let proxied = [token, host, ("origin", "https://ops.example"), ("x-forwarded-host", "ops.example")];
        assert_eq!(status(&guarded, false, &proxied), 200, "a proxy's own page");
        assert_eq!(status(&guarded, false, &proxied[..3]), 403);
        assert_eq!(status(&guarded, false, &[token, host]), 200);
    }

    #[test]
    fn without_a_token_only_this_machine_asks_and_by_its_own_name() {
        let here = guard(None, "127.0.0.1:8081");
        for (host, expected) in [
            ("127.0.0.1:8081", 200),
            ("localhost:8081", 200),
            ("[::1]:8081", 200),
            ("headwater.localhost", 200),
            ("evil.example:8081", 403),
            ("127.0.0.1.evil.example", 403),
            ("192.0.2.7:8081", 403),
            ("", 403),
        ] {
            assert_eq!(status(&here, true, &[("host", host)]), expected, "{host}");
        }
        assert_eq!(status(&here, false, &[]), 403);
        for beyond in ["0.0.0.0:8081", "192.0.2.7:8081", "[::]:8081"] {
            assert_eq!(status(&guard(None, beyond), true, &[("host", "127.0.0.1:8081")]), 403, "{beyond}");
            let guarded = guard(Some("hunter2"), beyond);
            assert_eq!(status(&guarded, true, &[("host", "node")]), 401, "figures ask for it there, too");
            assert_eq!(status(&guarded, true, &[("authorization", "Bearer hunter2")]), 200);
        }
    }

    #[test]
    fn with_a_token_figures_are_open_on_loopback_and_the_rest_is_not() {
        let here = guard(Some("hunter2"), "127.0.0.1:8081");
        assert_eq!(status(&here, true, &[("host", "127.0.0.1:8081")]), 200);
        assert_eq!(status(&here, false, &[("host", "127.0.0.1:8081")]), 401);
        assert_eq!(status(&here, false, &[("authorization", "Bearer wrong")]), 401);
        assert_eq!(status(&here, false, &[("host", "a"), ("authorization", "bearer hunter2")]), 200);
    }
}
