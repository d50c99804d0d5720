//! What a server tells of a session while it lasts, by server-sent events (draft-ietf-wish-whep).

use std::time::Duration;

use eventsource_stream::Eventsource;
use futures_util::StreamExt;
use reqwest::{StatusCode, Url};
use serde::Deserialize;
use tokio::sync::mpsc;

use super::http::Http;

/// What was told.
#[derive(Debug)]
pub(super) enum Told {
    /// The viewer is to go on there, or at its first endpoint.
    Reconnect(Option<Url>),
    /// Nothing more comes: the session is over, or its server is.
    Over,
}

#[derive(Debug, Deserialize)]
struct Reconnect {
    url: Option<String>,
}

/// A stream of events ends with its session.
const LONG: Duration = Duration::from_secs(24 * 3600);

/// Listens until the server tells no more. A server that has no events is as good as one that is silent.
pub(super) async fn listen(http: Http, events: Url, token: Option<String>, told: mpsc::Sender<Told>) {
    if let Err(reason) = follow(&http, events, token.as_deref(), &told).await {
        tracing::debug!(reason, "no events of this session");
        return;
    }
    let _ = told.send(Told::Over).await;
}

async fn follow(
    http: &Http,
    events: Url,
    token: Option<&str>,
    told: &mpsc::Sender<Told>,
) -> Result<(), String> {
    let opened =
        http.post_json(events.clone(), token, "[\"reconnect\"]").await.map_err(|error| error.to_string())?;
    if opened.status != StatusCode::CREATED {
        return Err(opened.refused().to_string());
    }
    let stream = opened.location().ok_or("no Location")?;
    let response = http.stream(stream, token, LONG).await.map_err(|error| error.to_string())?;
    let mut events = response.bytes_stream().eventsource();
    while let Some(Ok(event)) = events.next().await {
        if event.event == "reconnect" {
            let url = serde_json::from_str::<Reconnect>(&event.data).ok().and_then(|data| data.url);
            let url = url.and_then(|url| opened.url.join(&url).ok());
            if told.send(Told::Reconnect(url)).await.is_err() {
                return Ok(());
            }
        }
    }
    Ok(())
}
