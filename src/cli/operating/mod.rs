//! The commands that act on a fleet, by any of its nodes.

pub(super) mod bar;
pub(super) mod drain;
pub(super) mod kick;

use std::time::Duration;

use anyhow::{Context, bail};
use reqwest::Method;
use serde_json::Value;
use url::Url;

use crate::client::{cause, connections};

/// A node asks all others, each for a few seconds.
const ANSWER: Duration = Duration::from_secs(30);

/// Which node is asked and who asks.
#[derive(Debug, clap::Args)]
struct Connect {
    /// The operators' address of any node (`operators.listen`).
    #[arg(
        long,
        value_name = "URL",
        env = "HEADWATER_OPERATORS",
        default_value = "http://127.0.0.1:8081",
        value_parser = super::monitoring::address
    )]
    operators: Url,
    /// The bearer token of the operators.
    #[arg(long, env = "HEADWATER_TOKEN", hide_env_values = true)]
    token: Option<String>,
}

impl Connect {
    /// Asks the node; what it answers, or why it does not.
    async fn ask(&self, method: Method, path: &[&str], query: &[(&str, String)]) -> anyhow::Result<Value> {
        let mut url = self.operators.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(path);
        }
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        let client =
            connections(|builder| builder.timeout(ANSWER)).context("an HTTP client can't be set up")?;
        let mut request = client.request(method, url);
        if let Some(token) = &self.token {
            request = request.bearer_auth(token);
        }
        let node = &self.operators;
        let unreachable = |error: reqwest::Error| {
            anyhow::anyhow!(
                "no node answers at {node} ({}): say where one is with --operators",
                cause(&error)
            )
        };
        let response = request.send().await.map_err(unreachable)?;
        let status = response.status();
        let body = response.bytes().await.map_err(unreachable)?;
        let answer: Value = serde_json::from_slice(&body).unwrap_or_default();
        if status == reqwest::StatusCode::UNAUTHORIZED {
            bail!(
                "the node at {node} asks for its operators' token: give the right one with --token or HEADWATER_TOKEN"
            );
        }
        if !status.is_success() {
            let detail = answer.get("detail").and_then(Value::as_str).unwrap_or_default();
            bail!("the node at {node} answered {status}: {detail}");
        }
        Ok(answer)
    }
}

/// What came of it, for people: a line for each session and bar.
fn told(outcome: &Value) -> String {
    let mut text = String::new();
    let list = |key: &str| outcome.get(key).and_then(Value::as_array).cloned().unwrap_or_default();
    for ended in list("ended") {
        let part = |key: &str| ended.get(key).and_then(Value::as_str).unwrap_or("?").to_owned();
        let who = match ended.get("viewer").and_then(Value::as_str) {
            Some(viewer) => format!("viewer {viewer}"),
            None => "the publisher".to_owned(),
        };
        text += &format!("ended {who} of {}/{} on {}\n", part("roomId"), part("stream"), part("node"));
    }
    for bar in list("bars") {
        text += &format!("{}\n", bar_line(&bar));
    }
    for node in list("unanswered") {
        text += &format!("{} did not answer: what it has goes on\n", node.as_str().unwrap_or("?"));
    }
    text
}

fn bar_line(bar: &Value) -> String {
    let token = bar.get("token").and_then(Value::as_object).and_then(|token| token.iter().next());
    let (kind, value) =
        token.map_or(("?", "?"), |(kind, value)| (kind.as_str(), value.as_str().unwrap_or("?")));
    let until = bar.get("until").and_then(Value::as_str).unwrap_or("?");
    match bar.get("lifted").and_then(Value::as_bool) {
        Some(true) => format!("{kind} {value} is let in again"),
        _ => format!("{kind} {value} is kept out until {until}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_came_of_it_is_told_a_line_each() {
        let outcome = json!({
            "ended": [
                {"node": "east-1", "roomId": "news", "stream": "main", "viewer": "v-1", "token": {"id": "t-1"}},
                {"node": "west-1", "roomId": "news", "stream": "main"}
            ],
            "bars": [
                {"token": {"id": "t-1"}, "until": "2026-01-02T03:04:05Z", "lifted": false, "version": 1},
                {"token": {"name": "desk"}, "until": "2026-01-02T03:04:05Z", "lifted": true, "version": 2}
            ],
            "unanswered": ["east-2"]
        });
        assert_eq!(
            told(&outcome),
            "ended viewer v-1 of news/main on east-1\nended the publisher of news/main on west-1\n\
             id t-1 is kept out until 2026-01-02T03:04:05Z\nname desk is let in again\n\
             east-2 did not answer: what it has goes on\n"
        );
    }
}
