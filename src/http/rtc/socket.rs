//! `/rtc/<room>`: a participant's WebSocket. Requests and answers are JSON, matched by `id`; events have none.
//!
//! When it breaks the session lasts for `timeouts.session`: a new one with `?session=` goes on with it.

use std::time::Duration;

use axum::Router;
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::extract::ws::{CloseFrame, Message, WebSocket, WebSocketUpgrade, close_code};
use axum::extract::{Path, Request, State};
use axum::http::{HeaderValue, StatusCode, Version, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::sync::mpsc;

use super::admit::{Guest, explain, join_as};
use super::ask;
use crate::http::auth::Asker;
use crate::http::elsewhere::socket_elsewhere;
use crate::http::problem::Problem;
use crate::http::request::{Asked, bearer};
use crate::http::{App, door};
use crate::protocol::claim::EndReason;
use crate::protocol::ids::{RoomId, SessionId, StreamName};
use crate::protocol::refusal::{Code, Refusal};
use crate::protocol::rtc::{Nothing, RtcEvent, RtcReply, RtcRequest, SessionEnded};

/// Events that may wait for a slow socket; one that can't keep up is closed, and may go on anew.
const EVENTS: usize = 512;
/// Requests of one socket that may be under way.
const AT_ONCE: usize = 64;
/// How often a client is asked whether it is there, at least.
const PING: Duration = Duration::from_secs(10);
/// How long a client may take to take what it is sent: whose connection is half open takes nothing more.
const TAKES: Duration = Duration::from_secs(10);
/// How long a client may take to join.
const JOIN: Duration = Duration::from_secs(10);

pub(in crate::http) fn routes() -> Router<App> {
    Router::new().route("/rtc/{room}", get(upgrade))
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Options {
    /// The token, as browsers can't send a header with a WebSocket.
    #[serde(rename = "access_token")]
    access_token: Option<String>,
    /// A session to go on with.
    session: Option<SessionId>,
    /// By which name somebody would join, who asks without a WebSocket.
    name: Option<StreamName>,
}

#[derive(Debug, Deserialize)]
struct Question {
    id: Value,
    request: RtcRequest,
}

/// What goes out.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
enum Said {
    Ok(RtcReply),
    Error(Refusal),
    Event(RtcEvent),
}

#[derive(Debug, Serialize)]
struct Frame {
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<Value>,
    #[serde(flatten)]
    said: Said,
}

/// Takes a WebSocket. Whoever asks without one is told what it would be refused for.
async fn upgrade(
    State(app): State<App>,
    Path(room): Path<String>,
    Asked(options): Asked<Options>,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
    request: Request,
) -> Result<Response, Problem> {
    let room: RoomId = room.parse()?;
    door::session(&app, request.extensions())?;
    let (parts, _) = request.into_parts();
    let token = options.access_token.as_deref().or_else(|| bearer(&parts.headers));
    let guest = Guest { asker: Asker::of(&parts, token), room, resumes: options.session };
    let Ok(upgrade) = upgrade else {
        let mut response = explain(&app, &guest, options.name.as_ref()).await.into_response();
        if response.status() == StatusCode::UPGRADE_REQUIRED && parts.version < Version::HTTP_2 {
            let headers = response.headers_mut();
            headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
            headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
        }
        return Ok(response);
    };
    let most = app.ctx.limits.borrow().body_bytes;
    let upgrade = upgrade.max_message_size(most).max_frame_size(most);
    Ok(upgrade.on_upgrade(move |socket| serve(app, guest, socket)).into_response())
}

/// Serves a socket until it ends, or its session does.
async fn serve(app: App, guest: Guest, mut socket: WebSocket) {
    let (listener, mut events) = mpsc::channel(EVENTS);
    let Some(session) = begin(&app, &guest, &mut socket, listener).await else { return };
    let mut under_way = FuturesUnordered::new();
    let mut ping = tokio::time::interval(PING.min(app.ctx.config.timeouts.session / 3));
    // Whoever has answered neither of the last two is gone.
    let mut unanswered = 0_u32;
    loop {
        let frame = tokio::select! {
            message = socket.recv(), if under_way.len() < AT_ONCE => match message {
                Some(Ok(message)) => {
                    unanswered = 0;
                    match read(message) {
                        Read::Question(question) => {
                            under_way.push(answer(&app, guest.room.clone(), session, question));
                            continue;
                        }
                        Read::Nothing => continue,
                        Read::Rubbish(frame) => *frame,
                        Read::Over => break,
                    }
                }
                _ => break,
            },
            Some(frame) = under_way.next(), if !under_way.is_empty() => frame,
            event = events.recv() => match event {
                Some(event) => Frame { id: None, said: Said::Event(elsewhere(&app, &guest.room, event).await) },
                // The session is over, or somebody else listens to it, or this socket was too slow.
                None => return close(socket, close_code::AGAIN, "go on with a new socket").await,
            },
            _ = ping.tick() => {
                unanswered += 1;
                if unanswered > 2 || put(&mut socket, Message::Ping(Vec::new().into())).await.is_err() {
                    return;
                }
                // As long as the socket stands, so does the session.
                let _ = app.rooms.rtc(guest.room.clone(), session, RtcRequest::Ping(Nothing {})).await;
                continue;
            }
        };
        let is_over = matches!(frame.said, Said::Event(RtcEvent::SessionEnded(_)));
        if send(&mut socket, &frame).await.is_err() {
            return;
        }
        if is_over {
            // Who asked to leave is answered.
            while let Some(answer) = under_way.next().await {
                if send(&mut socket, &answer).await.is_err() {
                    return;
                }
            }
            return close(socket, close_code::NORMAL, "the session is over").await;
        }
    }
    // What was asked before the socket closed is done: who closes a page has said that it leaves.
    while under_way.next().await.is_some() {}
}

/// Waits for who is there to say so; answers the session.
async fn begin(
    app: &App,
    guest: &Guest,
    socket: &mut WebSocket,
    listener: mpsc::Sender<RtcEvent>,
) -> Option<SessionId> {
    let deadline = tokio::time::Instant::now() + JOIN;
    loop {
        let message = tokio::time::timeout_at(deadline, socket.recv()).await.ok()??;
        let Question { id, request } = match read(message.ok()?) {
            Read::Question(question) => question,
            Read::Nothing => continue,
            Read::Rubbish(frame) => {
                send(socket, &frame).await.ok()?;
                continue;
            }
            Read::Over => return None,
        };
        let result = match (request, guest.resumes) {
            (RtcRequest::Resume(_), Some(session)) => {
                app.rooms.listen(guest.room.clone(), session, listener.clone()).await;
                ask(app, guest.room.clone(), session, RtcRequest::Resume(Nothing {})).await
            }
            (RtcRequest::Resume(_), None) => Err(Refusal::new(
                Code::WrongOrder,
                "open the WebSocket with ?session= to go on with a session",
            )),
            (RtcRequest::Join(join), _) => join_as(app, guest, join, listener.clone()).await,
            (RtcRequest::GetRouterRtpCapabilities(_), _) => {
                Ok(super::complete(app, RtcReply::Capabilities(Default::default())))
            }
            (other, _) => {
                let why = format!("join (or resume) first, then {}", other.name());
                Err(Refusal::new(Code::WrongOrder, why))
            }
        };
        let session = match &result {
            Ok(RtcReply::Entered(entered)) => Some(entered.session),
            _ => None,
        };
        let said = result.map_or_else(Said::Error, Said::Ok);
        send(socket, &Frame { id: Some(id), said }).await.ok()?;
        if session.is_some() {
            return session;
        }
    }
}

/// Whoever has to leave a node that is on its way out is told where to go on.
async fn elsewhere(app: &App, room: &RoomId, event: RtcEvent) -> RtcEvent {
    match event {
        RtcEvent::SessionEnded(ended) if ended.reason == EndReason::Drained.as_str() => {
            let url = socket_elsewhere(app, room).await;
            RtcEvent::SessionEnded(SessionEnded { url, ..ended })
        }
        event => event,
    }
}

async fn answer(app: &App, room: RoomId, session: SessionId, question: Question) -> Frame {
    let Question { id, request } = question;
    let result = ask(app, room, session, request).await;
    Frame { id: Some(id), said: result.map_or_else(Said::Error, Said::Ok) }
}

/// What a message of the client is.
enum Read {
    Question(Question),
    Rubbish(Box<Frame>),
    Nothing,
    Over,
}

fn read(message: Message) -> Read {
    let text = match message {
        Message::Text(text) => text,
        Message::Ping(_) | Message::Pong(_) => return Read::Nothing,
        Message::Close(_) => return Read::Over,
        Message::Binary(_) => {
            let refusal = Refusal::new(Code::Malformed, "send JSON as text");
            return Read::Rubbish(Box::new(Frame { id: None, said: Said::Error(refusal) }));
        }
    };
    match serde_json::from_str::<Question>(&text) {
        Ok(question) => Read::Question(question),
        Err(error) => {
            // Whoever sent an id is told by it.
            let id = serde_json::from_str::<Value>(&text).ok().and_then(|value| value.get("id").cloned());
            let why = format!("{error}; a request is {{\"id\": …, \"request\": {{\"<verb>\": {{…}}}}}}");
            let said = Said::Error(Refusal::new(Code::Malformed, why));
            Read::Rubbish(Box::new(Frame { id, said }))
        }
    }
}

async fn send(socket: &mut WebSocket, frame: &Frame) -> Result<(), ()> {
    let text =
        serde_json::to_string(frame).map_err(|error| tracing::error!(%error, "frame can't be written"))?;
    put(socket, Message::Text(text.into())).await
}

async fn put(socket: &mut WebSocket, message: Message) -> Result<(), ()> {
    tokio::time::timeout(TAKES, socket.send(message)).await.map_err(|_| ())?.map_err(|_| ())
}

async fn close(mut socket: WebSocket, code: u16, reason: &'static str) {
    let _ = put(&mut socket, Message::Close(Some(CloseFrame { code, reason: reason.into() }))).await;
}
