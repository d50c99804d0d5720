//! What application servers ask of sessions, on `room.<room>.session.<node>`: MessagePack, or JSON where the request is.

use std::time::Instant;

use async_nats::Message;
use tokio::sync::{mpsc, oneshot};
use tokio_util::task::TaskTracker;

use super::Broker;
use super::discovery::Endpoint;
use super::serve::busy;
use crate::protocol::codec::Form;
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
    /// How it was written: so are answers and events told.
    pub form: Form,
    /// Where the answer goes.
    pub reply: oneshot::Sender<Result<RtcReply, Refusal>>,
}

impl Broker {
    /// Passes on a request, and its answer.
    pub(super) fn take_rtc(&self, message: Message, asked: &mpsc::Sender<RtcInbound>, tracker: &TaskTracker) {
        let at = Instant::now();
        let form = Form::of(&message.payload);
        let decoded = form.decode::<RtcAsked>(&message.payload, self.inner.message_bytes);
        let room = match self.inner.subjects.parse(&message.subject) {
            Some(Subject::Rtc(room, _)) => Ok(room),
            _ => Err(Refusal::new(Code::Malformed, "the subject names no room")),
        };
        let decoded = decoded.map_err(|error| Refusal::from(&error));
        let (name, answer) = match decoded.and_then(|decoded| Ok((decoded, room?))) {
            Ok((decoded, room)) => {
                let name = decoded.request.name();
                let (reply, answer) = oneshot::channel();
                let inbound = RtcInbound { room, asked: decoded, form, reply };
                (name, asked.try_send(inbound).map(|()| answer).map_err(|_| busy()))
            }
            Err(refusal) => ("unreadable", Err(refusal)),
        };
        tracker.spawn(self.clone().answer(message, Endpoint::Rtc, name, at, form, answer));
    }

    /// Tells the application server of a session what happens. Lost is lost: `resume` tells all that holds.
    pub async fn tell_session(&self, room: &RoomId, session: SessionId, event: &RtcEvent, form: Form) {
        let subject = self.inner.subjects.rtc_event(room, &self.inner.me.node, session);
        match form.encode(event) {
            Ok(bytes) => drop(self.inner.client.publish(subject, bytes.into()).await),
            Err(error) => tracing::error!(%error, "event can't be written"),
        }
    }
}
