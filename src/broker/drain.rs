//! That a node is to take nothing new, as nodes ask each other for their operators.

use tokio::sync::{mpsc, oneshot};

use super::serve::{Pending, busy};
use super::{Broker, CallError};
use crate::protocol::codec::Addressed;
use crate::protocol::drain::{Drain, DrainRequest};
use crate::protocol::ids::Peer;
use crate::protocol::refusal::Refusal;
use crate::telemetry::Trace;

/// Another node asks; dropping the sender answers `busy`.
#[derive(Debug)]
pub struct DrainAsked {
    /// For what.
    pub request: DrainRequest,
    /// Where the answer goes.
    pub reply: oneshot::Sender<Result<Drain, Refusal>>,
}

impl Broker {
    /// Asks another node to drain, or whether it does.
    ///
    /// # Errors
    /// [`CallError`].
    pub async fn call_drain(&self, to: &Peer, request: DrainRequest) -> Result<Drain, CallError> {
        let (subject, name) = (self.inner.subjects.drain(&to.node), request.name());
        let addressed = Addressed { to: to.incarnation, request };
        self.call(subject, &to.node, name, &addressed, Trace::start()).await
    }
}

/// Passes on a request, and its answer.
pub(super) fn pass_wish(request: DrainRequest, wishes: &mpsc::Sender<DrainAsked>) -> Pending<Drain> {
    let (reply, answer) = oneshot::channel();
    wishes.try_send(DrainAsked { request, reply }).map_err(|_| busy())?;
    Ok(answer)
}
