//! What a server names beside its answer, in `Link` (RFC 8288), and the ways on among it.

use std::time::{Duration, Instant};

use reqwest::Url;
use reqwest::header::LINK;
use tokio::time::timeout;

use super::ClientError;
use super::http::Reply;

/// The relation of another endpoint that stands in for this one.
const ALTERNATE: &str = "alternate";
/// The relation of what the server tells of a session (draft-ietf-wish-whep).
const EVENTS: &str = "urn:ietf:params:whep:ext:core:server-sent-events";

/// Endpoints at which to go on when the server dies, the best first.
pub(super) fn ways(reply: &Reply) -> Vec<Url> {
    of(reply, ALTERNATE)
}

/// Where to ask for the events of the session.
pub(super) fn events(reply: &Reply) -> Option<Url> {
    of(reply, EVENTS).into_iter().next()
}

/// Where a client may go on.
#[derive(Debug)]
pub(super) struct Ways {
    /// The endpoint that was given.
    first: Url,
    /// Others, as they were told last.
    others: Vec<Url>,
}

impl Ways {
    pub(super) fn new(first: Url) -> Self {
        Self { first, others: Vec::new() }
    }

    /// Others were told; none says nothing.
    pub(super) fn note(&mut self, others: Vec<Url>) {
        if !others.is_empty() {
            self.others = others;
        }
    }

    /// All, the first to try first.
    pub(super) fn all(&self, wished: Option<Url>) -> Vec<Url> {
        let mut all: Vec<Url> = Vec::new();
        for url in wished.iter().chain(&self.others).chain([&self.first]) {
            if !all.contains(url) {
                all.push(url.clone());
            }
        }
        all
    }
}

/// Between two rounds through all ways, growing to the longest.
const PAUSE: Duration = Duration::from_millis(250);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);
/// How long a node may take to begin.
const START: Duration = Duration::from_secs(3);

/// What begins at the first of `urls` where it can, in rounds until `patience` is over; one at least.
pub(super) async fn rounds<T, F: Future<Output = Result<T, ClientError>>>(
    urls: &[Url],
    patience: Duration,
    start: impl Fn(Url) -> F,
) -> Option<T> {
    let (began, mut pause) = (Instant::now(), PAUSE);
    loop {
        for url in urls {
            match timeout(START, start(url.clone())).await {
                Ok(Ok(begun)) => return Some(begun),
                Ok(Err(error)) => tracing::info!(%url, %error, "can't go on there"),
                Err(_) => tracing::info!(%url, "can't go on there: it does not answer in time"),
            }
        }
        if began.elapsed() + pause > patience {
            return None;
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

fn of(reply: &Reply, relation: &str) -> Vec<Url> {
    let lines = reply.headers.get_all(LINK).iter().filter_map(|line| line.to_str().ok());
    let links =
        lines.flat_map(parse).filter(|(_, rel)| rel.split(' ').any(|rel| rel.eq_ignore_ascii_case(relation)));
    links.filter_map(|(target, _)| reply.url.join(target).ok()).collect()
}

/// Targets and their `rel`, of one line that may hold several links.
fn parse(line: &str) -> Vec<(&str, &str)> {
    let mut links = Vec::new();
    let mut rest = line;
    while let Some((target, after)) = rest.split_once('<').and_then(|(_, link)| link.split_once('>')) {
        let end = after.find(outside_quotes(','));
        let (parameters, next) = after.split_at(end.unwrap_or(after.len()));
        let rel = parameters.split(outside_quotes(';')).find_map(|parameter| {
            let (name, value) = parameter.split_once('=')?;
            name.trim().eq_ignore_ascii_case("rel").then(|| value.trim().trim_matches('"'))
        });
        links.push((target, rel.unwrap_or_default()));
        rest = next;
    }
    links
}

/// Finds a sign that isn't part of a quoted text.
fn outside_quotes(sign: char) -> impl FnMut(char) -> bool {
    let mut quoted = false;
    move |c| {
        quoted ^= c == '"';
        c == sign && !quoted
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_are_read_on_one_line_or_on_several() {
        let line = "<stun:a>; rel=\"ice-server\", </e>; rel=\"x:events\"; events=\"a,b\", <https://b/w>;rel=alternate";
        assert_eq!(parse(line), [("stun:a", "ice-server"), ("/e", "x:events"), ("https://b/w", "alternate")]);
        assert!(parse("nonsense, <half").is_empty());
        assert_eq!(parse("<a>, <b>; title=\"x; rel=y\""), [("a", ""), ("b", "")]);
    }
}
