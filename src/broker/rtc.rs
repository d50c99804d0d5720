//! What application servers ask of sessions, on `room.<room>.session.<node>`: MessagePack, or JSON where the request is.

use std::time::Instant;

use async_nats::Message;
use serde::Serialize;
use tokio::sync::{mpsc, oneshot};
use tokio_util::task::TaskTracker;

use super::Broker;
use super::discovery::Endpoint;
use super::serve::busy;
use crate::protocol::codec::{self, Reply};
use crate::protocol::ids::{RoomId, SessionId};
use crate::protocol::refusal::{Code, Refusal};
use crate::protocol::rtc::{RtcAsked, RtcEvent, RtcReply};
use crate::protocol::subjects::Subject;

/// A request of an application server; dropping `reply` answers `busy`.
#[derive(Debug)]
pub struct RtcInbound {
    /// The room.
    pub room: RoomId,
    /// What is asked.
    pub asked: RtcAsked,
    /// Whether it was asked in JSON: so are answers and events told.
    pub json: bool,
    /// Where the answer goes.
    pub reply: oneshot::Sender<Result<RtcReply, Refusal>>,
}

impl Broker {
    /// Passes on a request, and its answer.
    pub(super) fn take_rtc(&self, message: Message, asked: &mpsc::Sender<RtcInbound>, tracker: &TaskTracker) {
        let at = Instant::now();
        let json = codec::is_json(&message.payload);
        let limit = self.inner.message_bytes;
        let decoded = if json {
            codec::decode_json::<RtcAsked>(&message.payload, limit)
        } else {
            codec::decode::<RtcAsked>(&message.payload, limit)
        };
        let room = match self.inner.subjects.parse(&message.subject) {
            Some(Subject::Rtc(room, _)) => Ok(room),
            _ => Err(Refusal::new(Code::Malformed, "the subject names no room")),
        };
        let decoded = decoded.map_err(|error| Refusal::from(&error));
        let (name, answer) = match decoded.and_then(|decoded| Ok((decoded, room?))) {
            Ok((decoded, room)) => {
                let name = decoded.request.name();
                let (reply, answer) = oneshot::channel();
                let inbound = RtcInbound { room, asked: decoded, json, reply };
                (name, asked.try_send(inbound).map(|()| answer).map_err(|_| busy()))
            }
            Err(refusal) => ("unreadable", Err(refusal)),
        };
        let broker = self.clone();
        tracker.spawn(async move {
            let answer = match answer {
                Ok(answer) => answer.await.unwrap_or_else(|_| Err(busy())),
                Err(refusal) => Err(refusal),
            };
            broker.answer_rtc(message, name, at, answer, json).await;
        });
    }

    async fn answer_rtc(
        &self,
        message: Message,
        name: &'static str,
        at: Instant,
        answer: Result<RtcReply, Refusal>,
        json: bool,
    ) {
        if !json {
            return self.reply(message, Endpoint::Rtc, name, at, answer).await;
        }
        let result = answer.as_ref().map_or_else(|refusal| refusal.code.as_str(), |_| "ok");
        self.count_received(name, result);
        self.inner.served.count(Endpoint::Rtc, at.elapsed(), answer.is_ok());
        let reply = answer.map_or_else(Reply::Error, Reply::Ok);
        if let Some(to) = message.reply {
            self.say_json(to.to_string(), &reply).await;
        }
    }

    /// Tells the application server of a session what happens. Lost is lost: `resume` tells all that holds.
    pub async fn tell_session(&self, room: &RoomId, session: SessionId, event: &RtcEvent, json: bool) {
        let subject = self.inner.subjects.rtc_event(room, &self.inner.me.node, session);
        if json {
            return self.say_json(subject, event).await;
        }
        match codec::encode(event) {
            Ok(bytes) => drop(self.inner.client.publish(subject, bytes.into()).await),
            Err(error) => tracing::error!(%error, "event can't be written"),
        }
    }

    async fn say_json<T: Serialize>(&self, subject: String, message: &T) {
        match codec::encode_json(message) {
            Ok(bytes) => drop(self.inner.client.publish(subject, bytes.into()).await),
            Err(error) => tracing::error!(%error, "message can't be written"),
        }
    }
}
