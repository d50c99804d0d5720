//! A participant's WebSocket, as a test speaks it.

use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use headwater::node::Node;
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

use super::fleet::SOON;

/// A participant's WebSocket.
#[derive(Debug)]
pub(crate) struct Socket {
    stream: WebSocketStream<MaybeTlsStream<TcpStream>>,
    last: u64,
    /// Events that came while an answer was awaited.
    pub(crate) events: Vec<Value>,
}

impl Socket {
    /// Opens one; `query` is what comes after the `?`.
    pub(crate) async fn open(node: &Node, room: &str, query: &str) -> Self {
        let url = format!("{}/rtc/{room}?{query}", node.public_url()).replace("http://", "ws://");
        let (stream, _) = connect_async(url).await.expect("a WebSocket");
        Self { stream, last: 0, events: Vec::new() }
    }

    /// Opens one and joins; answers what the node said as well.
    pub(crate) async fn join(node: &Node, room: &str, name: &str) -> (Self, Value) {
        let mut socket = Self::open(node, room, "").await;
        let entered = socket.ask("join", json!({ "name": name, "appData": { "hat": name } })).await;
        (socket, entered.expect("it joins"))
    }

    pub(crate) async fn send(&mut self, text: &str) {
        self.stream.send(Message::text(text)).await.expect("it is sent");
    }

    /// What comes next, if anything does.
    pub(crate) async fn next(&mut self) -> Option<Value> {
        loop {
            let next = tokio::time::timeout(SOON, self.stream.next()).await.expect("something in time")?;
            match next.ok()? {
                Message::Text(text) => return Some(serde_json::from_str(&text).expect("JSON")),
                Message::Close(_) => return None,
                _ => {}
            }
        }
    }

    /// Asks, and waits for the answer: what was asked for, or the code of the refusal.
    pub(crate) async fn ask(&mut self, verb: &str, parameters: Value) -> Result<Value, String> {
        self.last += 1;
        let id = self.last;
        self.send(&json!({ "id": id, "request": { verb: parameters } }).to_string()).await;
        loop {
            let frame = self.next().await.expect("an answer");
            if let Some(event) = frame.get("event") {
                self.events.push(event.clone());
            } else if frame["id"] == id {
                return match frame.get("ok") {
                    Some(ok) => Ok(ok.clone()),
                    None => {
                        println!("{verb}: {}", frame["error"]);
                        Err(frame["error"]["code"].as_str().expect("a code").to_owned())
                    }
                };
            }
        }
    }

    /// Waits for an event of this name that `fits`; what came before it is forgotten.
    pub(crate) async fn told(&mut self, name: &str, fits: impl Fn(&Value) -> bool) -> Value {
        let has = |event: &Value| event.get(name).filter(|event| fits(event)).cloned();
        if let Some(at) = self.events.iter().position(|event| has(event).is_some()) {
            let found = self.events.drain(..=at).next_back().expect("one");
            return found[name].clone();
        }
        self.events.clear();
        let wait = async {
            loop {
                let frame = self.next().await.unwrap_or_else(|| panic!("{name} before the socket ends"));
                if let Some(found) = frame.get("event").and_then(has) {
                    return found;
                }
            }
        };
        tokio::time::timeout(SOON, wait).await.unwrap_or_else(|_| panic!("{name} in time"))
    }

    /// Waits until the node has closed it.
    pub(crate) async fn is_closed(&mut self) {
        let wait = async { while self.next().await.is_some() {} };
        tokio::time::timeout(SOON + Duration::from_secs(1), wait).await.expect("it is closed");
    }
}

/// What mediasoup-client says of a microphone or a camera.
pub(crate) fn rtp_parameters(kind: &str, ssrc: u32) -> Value {
    let codec = match kind {
        "audio" => json!({ "mimeType": "audio/opus", "payloadType": 111, "clockRate": 48000, "channels": 2,
                          "parameters": {}, "rtcpFeedback": [] }),
        _ => json!({ "mimeType": "video/VP8", "payloadType": 96, "clockRate": 90000, "parameters": {},
                     "rtcpFeedback": [{ "type": "nack" }, { "type": "nack", "parameter": "pli" }] }),
    };
    json!({ "mid": ssrc.to_string(), "codecs": [codec], "headerExtensions": [],
            "encodings": [{ "ssrc": ssrc }], "rtcp": { "cname": "test" } })
}
