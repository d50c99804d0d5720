//! What clients ask of their sessions, as the node that they reached passes it on to the one that has them.

use async_nats::Message;
use tokio::sync::{mpsc, oneshot};

use super::serve::{Pending, busy, trace_of};
use super::{Broker, CallError};
use crate::protocol::codec::Addressed;
use crate::protocol::ids::Peer;
use crate::protocol::refusal::{Code, Refusal};
use crate::protocol::session::{SessionReply, SessionRequest};
use crate::telemetry::Trace;

/// A request of a client that came by another node; dropping `reply` answers `busy`.
#[derive(Debug)]
pub struct SessionAsked {
    /// What is asked.
    pub request: SessionRequest,
    /// The client's trace.
    pub trace: Trace,
    /// Where the answer goes.
    pub reply: oneshot::Sender<Result<SessionReply, Refusal>>,
}

impl Broker {
    /// Asks the node that has a session.
    ///
    /// # Errors
    /// [`CallError`].
    pub async fn call_session(
        &self,
        to: &Peer,
        request: SessionRequest,
        trace: Trace,
    ) -> Result<SessionReply, CallError> {
        let (subject, name) = (self.inner.subjects.session(&to.node), request.name());
        let addressed = Addressed { to: to.incarnation, request };
        self.call(subject, &to.node, name, &addressed, trace).await
    }

    /// Passes on a request, and its answer.
    pub(super) fn pass_session(
        &self,
        message: &Message,
        request: SessionRequest,
        asked: &mpsc::Sender<SessionAsked>,
    ) -> Pending<SessionReply> {
        if !request.is_sound() {
            self.count_refused("unsound");
            return Err(Refusal::new(Code::Malformed, "its parts are too many or too long"));
        }
        let trace = trace_of(message);
        tracing::debug!(room = %request.at().room_id, trace_id = %trace.id(), "received event: {}", request.name());
        let (reply, answer) = oneshot::channel();
        asked.try_send(SessionAsked { request, trace, reply }).map_err(|_| busy())?;
        Ok(answer)
    }
}
