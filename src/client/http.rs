//! The HTTP side that WHIP and WHEP share: SDP bodies, redirects, problems.

use std::time::{Duration, Instant};

use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderName, LOCATION, RETRY_AFTER};
use reqwest::{ClientBuilder, Method, StatusCode, Url};
use serde::{Deserialize, Serialize};

use super::ClientError;

const REDIRECTS: usize = 5;
const TIMEOUT: Duration = Duration::from_secs(20);
const SDP: &str = "application/sdp";
/// How long it may take until an address that asks too much has its turn.
pub(super) const TURN: Duration = Duration::from_secs(60);

/// An HTTP client with its connections, to share between any number of publishers and players.
///
/// It belongs to the tokio runtime it is first used on.
#[derive(Debug, Clone)]
pub struct Http {
    client: reqwest::Client,
}

impl Http {
    /// A client that trusts the root certificates of the system; without these it can do http alone.
    ///
    /// # Errors
    ///
    /// [`ClientError::Https`] where TLS cannot be set up at all.
    pub fn new() -> Result<Http, ClientError> {
        let client = connections(|builder| builder.timeout(TIMEOUT));
        let client = client.map_err(|error| ClientError::Https(cause(&error)))?;
        Ok(Http { client })
    }

    /// Sends a request, the same one again wherever a 307 or 308 points.
    pub(super) async fn send(&self, request: &Request<'_>) -> Result<Reply, ClientError> {
        let mut url = request.url.clone();
        for _ in 0..=REDIRECTS {
            let asked = Instant::now();
            let mut http = self.client.request(request.method.clone(), url.clone());
            if let Some(token) = request.token {
                http = http.header(AUTHORIZATION, format!("Bearer {token}"));
            }
            if let Some(sdp) = request.sdp {
                http = http.header(CONTENT_TYPE, SDP).header(ACCEPT, SDP).body(sdp.to_owned());
            }
            if request.counter_offer {
                http = http.header("prefer", "counter-offer");
            }
            let unreachable = |error: reqwest::Error| ClientError::Unreachable {
                url: url.to_string(),
                reason: cause(&error),
            };
            let response = http.send().await.map_err(unreachable)?;
            let (status, headers) = (response.status(), response.headers().clone());
            let took = asked.elapsed();
            let body = response.text().await.map_err(unreachable)?;
            let reply = Reply { url, status, headers, body, asked, took };
            if !matches!(status, StatusCode::TEMPORARY_REDIRECT | StatusCode::PERMANENT_REDIRECT) {
                return Ok(reply);
            }
            url = reply.location().ok_or_else(|| reply.protocol("a redirect without Location"))?;
            if reply.url.scheme() == "https" && url.scheme() != "https" {
                break;
            }
        }
        Err(ClientError::Redirects { url: url.to_string() })
    }
}

impl Http {
    /// The same, and where too much comes from our address (429) again as the server says, for so long in all.
    pub(super) async fn send_in_turn(
        &self,
        request: &Request<'_>,
        patience: Option<Duration>,
    ) -> Result<Reply, ClientError> {
        let started = Instant::now();
        loop {
            let reply = self.send(request).await?;
            let wait = reply.retry_after();
            let waits = patience.is_some_and(|patience| started.elapsed() + wait <= patience);
            if reply.status != StatusCode::TOO_MANY_REQUESTS || !waits {
                return Ok(reply);
            }
            tracing::info!(url = %reply.url, ?wait, "too much comes from this address: asking again");
            tokio::time::sleep(wait).await;
        }
    }

    /// Whether anything answers there at all, whatever it says.
    pub(crate) async fn probe(&self, url: &str, token: Option<&str>) -> Result<(), ClientError> {
        let url = parse_url(url)?;
        let request = Request { method: Method::OPTIONS, url, token, sdp: None, counter_offer: false };
        self.send(&request).await.map(drop)
    }

    /// Posts JSON.
    pub(super) async fn post_json(
        &self,
        url: Url,
        token: Option<&str>,
        json: &str,
    ) -> Result<Reply, ClientError> {
        let asked = Instant::now();
        let mut request = self.client.post(url.clone()).header(CONTENT_TYPE, "application/json");
        if let Some(token) = token {
            request = request.header(AUTHORIZATION, format!("Bearer {token}"));
        }
        let unreachable = |error: reqwest::Error| unreachable(&url, &error);
        let response = request.body(json.to_owned()).send().await.map_err(unreachable)?;
        let (status, headers, took) = (response.status(), response.headers().clone(), asked.elapsed());
        let body = response.text().await.map_err(unreachable)?;
        Ok(Reply { url, status, headers, body, asked, took })
    }

    /// What is sent there bit by bit, for at most `limit`.
    pub(super) async fn stream(
        &self,
        url: Url,
        token: Option<&str>,
        limit: Duration,
    ) -> Result<reqwest::Response, ClientError> {
        let mut request = self.client.get(url.clone()).timeout(limit).header(ACCEPT, "text/event-stream");
        if let Some(token) = token {
            request = request.header(AUTHORIZATION, format!("Bearer {token}"));
        }
        let sent = request.send().await.and_then(reqwest::Response::error_for_status);
        sent.map_err(|error| unreachable(&url, &error))
    }
}

fn unreachable(url: &Url, error: &reqwest::Error) -> ClientError {
    ClientError::Unreachable { url: url.to_string(), reason: cause(error) }
}

/// Connections that trust the root certificates of the system, without these http alone, and follow no
/// redirects by themselves; `set` adds to that.
pub(crate) fn connections(set: impl Fn(ClientBuilder) -> ClientBuilder) -> reqwest::Result<reqwest::Client> {
    if rustls::crypto::CryptoProvider::get_default().is_none() {
        // It fails only where somebody else was faster, which serves as well.
        let _ = rustls::crypto::ring::default_provider().install_default();
    }
    let builder = || {
        set(reqwest::Client::builder())
            .redirect(reqwest::redirect::Policy::none())
            .user_agent(concat!("headwater/", env!("CARGO_PKG_VERSION")))
    };
    builder().build().or_else(|error| {
        // A small container has no root certificates, and needs none to reach its neighbour.
        tracing::debug!(error = cause(&error), "https cannot be used");
        builder().tls_certs_only([]).build()
    })
}

pub(super) fn parse_url(url: &str) -> Result<Url, ClientError> {
    let bad = |reason: String| ClientError::Url { url: url.to_owned(), reason };
    let parsed = Url::parse(url).map_err(|error| bad(error.to_string()))?;
    match parsed.scheme() {
        "http" | "https" => Ok(parsed),
        _ => Err(bad("it is neither http nor https".into())),
    }
}

/// What to ask.
pub(super) struct Request<'a> {
    pub(super) method: Method,
    pub(super) url: Url,
    pub(super) token: Option<&'a str>,
    pub(super) sdp: Option<&'a str>,
    pub(super) counter_offer: bool,
}

/// What came back.
#[derive(Debug)]
pub(super) struct Reply {
    /// Who answered, after all redirects.
    pub(super) url: Url,
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: String,
    pub(super) asked: Instant,
    /// From the request to the head of the answer.
    pub(super) took: Duration,
}

impl Reply {
    pub(super) fn header(&self, name: impl reqwest::header::AsHeaderName) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// The Location header, resolved against the URL that answered.
    pub(super) fn location(&self) -> Option<Url> {
        self.url.join(self.header(LOCATION)?).ok()
    }

    /// When to ask again (RFC 9110 §10.2.3, in its form of seconds); without it, or with a date, in a second.
    pub(super) fn retry_after(&self) -> Duration {
        let seconds = self.header(RETRY_AFTER).and_then(|value| value.trim().parse().ok()).unwrap_or(1);
        // A server that says 0 means "now", but not a busy loop.
        Duration::from_secs(seconds).max(Duration::from_millis(100))
    }

    pub(super) fn is_sdp(&self) -> bool {
        self.header(CONTENT_TYPE).is_some_and(|kind| kind.trim_start().starts_with(SDP))
    }

    pub(super) fn protocol(&self, reason: &'static str) -> ClientError {
        ClientError::Protocol { url: self.url.to_string(), reason }
    }

    pub(super) fn refused(&self) -> ClientError {
        let (title, detail) = self.problem();
        ClientError::Refused { url: self.url.to_string(), status: self.status.as_u16(), title, detail }
    }

    /// Title and detail of a problem body (RFC 9457), or what stands in for them.
    pub(super) fn problem(&self) -> (String, Option<String>) {
        #[derive(Default, Deserialize)]
        struct Problem {
            title: Option<String>,
            detail: Option<String>,
        }
        let reason = self.status.canonical_reason().unwrap_or_default();
        if let Ok(problem) = serde_json::from_str::<Problem>(&self.body) {
            return (problem.title.unwrap_or_else(|| reason.to_owned()), problem.detail);
        }
        let text: String = self.body.trim().chars().take(200).collect();
        (reason.to_owned(), (!text.is_empty()).then_some(text))
    }

    /// What Headwater tells about the way of the media.
    pub(super) fn route(&self) -> Route {
        let text = |name: HeaderName| self.header(name).map(str::to_owned);
        Route {
            node: text(HeaderName::from_static("headwater-node")),
            origin: text(HeaderName::from_static("headwater-origin")),
            hops: self.header("headwater-hops").and_then(|hops| hops.trim().parse().ok()),
        }
    }
}

/// The way of the media as a Headwater node tells it in its answer; all empty with other servers.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Route {
    /// The node that answered.
    pub node: Option<String>,
    /// The node where the stream is published.
    pub origin: Option<String>,
    /// How many nodes lie between the two, counting the way from one to the next as one.
    pub hops: Option<u32>,
}

/// The innermost cause, where the useful words are.
/// The innermost reason of an error, for a person.
pub(crate) fn cause(error: &reqwest::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    if error.is_timeout() { "it does not answer in time".into() } else { cause.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reply(status: u16, headers: &[(&'static str, &str)], body: &str) -> Reply {
        Reply {
            url: Url::parse("http://host:1/whep/live").unwrap(),
            status: StatusCode::from_u16(status).unwrap(),
            headers: headers
                .iter()
                .map(|(name, value)| (HeaderName::from_static(name), value.parse().unwrap()))
                .collect(),
            body: body.into(),
            asked: Instant::now(),
            took: Duration::ZERO,
        }
    }

    #[test]
    fn location_is_resolved_against_who_answered() {
        let at = |location| reply(201, &[("location", location)], "").location().unwrap().to_string();
        assert_eq!(at("/sessions/1"), "http://host:1/sessions/1");
        assert_eq!(at("1"), "http://host:1/whep/1");
        assert_eq!(at("https://other/1"), "https://other/1");
    }

    #[test]
    fn obeys_retry_after() {
        let after = |value| reply(409, &[("retry-after", value)], "").retry_after();
        assert_eq!(after("3"), Duration::from_secs(3));
        assert_eq!(after("0"), Duration::from_millis(100));
        assert_eq!(after("Wed, 21 Oct 2026 07:28:00 GMT"), Duration::from_secs(1));
        assert_eq!(reply(409, &[], "").retry_after(), Duration::from_secs(1));
    }

    #[tokio::test]
    async fn whoever_asks_too_much_waits_for_its_turn() {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};

        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = parse_url(&format!("http://{}/whep/live", listener.local_addr().unwrap())).unwrap();
        let mut server = tokio::task::JoinSet::new();
        server.spawn(async move {
            for asked in 0.. {
                let (mut socket, _) = listener.accept().await.unwrap();
                let _ = socket.read(&mut [0; 4096]).await.unwrap();
                let status =
                    if asked % 3 == 2 { "201 Created" } else { "429 Too Many Requests\r\nretry-after: 0" };
                let answer = format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
                socket.write_all(answer.as_bytes()).await.unwrap();
            }
        });
        let http = Http::new().unwrap();
        let request =
            Request { method: Method::POST, url, token: None, sdp: Some("v=0"), counter_offer: false };
        let status = async |patience| http.send_in_turn(&request, patience).await.unwrap().status.as_u16();
        assert_eq!(status(Some(TURN)).await, 201);
        assert_eq!(status(None).await, 429);
        assert_eq!(status(Some(Duration::ZERO)).await, 429);
    }

    #[test]
    fn a_problem_is_told() {
        let json = r#"{"title":"No such stream","detail":"nobody publishes live"}"#;
        let message = reply(404, &[], json).refused().to_string();
        assert_eq!(message, "http://host:1/whep/live answered 404 No such stream: nobody publishes live");
        let message = reply(401, &[], " who are you? ").refused().to_string();
        assert_eq!(message, "http://host:1/whep/live answered 401 Unauthorized: who are you?");
    }

    #[test]
    fn reads_the_route() {
        let headers = [("headwater-node", "b"), ("headwater-origin", "a"), ("headwater-hops", "1")];
        let route = reply(201, &headers, "").route();
        assert_eq!(route, Route { node: Some("b".into()), origin: Some("a".into()), hops: Some(1) });
        assert_eq!(reply(201, &[], "").route(), Route::default());
    }

    #[tokio::test]
    async fn an_unreachable_server_is_named() {
        let http = Http::new().unwrap();
        let unused = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let url = parse_url(&format!("http://{unused}/whip/live")).unwrap();
        let request = Request { method: Method::POST, url, token: None, sdp: None, counter_offer: false };
        let message = http.send(&request).await.unwrap_err().to_string();
        assert!(message.contains(&unused.to_string()) && message.contains("refused"), "{message}");
    }

    #[test]
    fn only_http_is_a_url() {
        assert!(parse_url("https://host/whip").is_ok());
        assert!(parse_url("host:8080/whip").is_err());
        assert!(parse_url("nothing").is_err());
    }
}
