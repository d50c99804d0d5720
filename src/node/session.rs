//! A participant's session, for who embeds a node: the session API as Rust has it.

use std::time::Duration;

use tokio::sync::mpsc;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::Node;
use crate::http::{App, rtc};
use crate::protocol::ids::{ProducerId, RoomId, SessionId};
use crate::protocol::refusal::{Code, Refusal};
use crate::protocol::rtc::{
    ConnectWebRtcTransport, Consume, Consumed, CreateWebRtcTransport, Enter, Entered, Nothing, Produce,
    RtcEvent, RtcReply, RtcRequest, Transport,
};
use crate::protocol::rtp::DtlsParameters;
use crate::room::Pass;

/// Events that may wait to be read; who reads too slowly has the session's events ended, and may join anew.
const EVENTS: usize = 1024;

/// A participant's session at a node of this process. It lasts until [`Session::leave`], or for `timeouts.session` after
/// it was dropped.
#[derive(Debug)]
pub struct Session {
    app: App,
    room: RoomId,
    entered: Entered,
    events: mpsc::Receiver<RtcEvent>,
    /// Keeps it while it is there.
    _kept: DropGuard,
}

impl Node {
    /// Lets a participant into a room, whichever nodes the others are at. Who may what is the caller's matter
    /// ([`Enter::may`]).
    ///
    /// # Errors
    /// [`Refusal`] that says what to do.
    pub async fn join(&self, room: RoomId, enter: Enter) -> Result<Session, Refusal> {
        let app = self.app.clone();
        let (listener, events) = mpsc::channel(EVENTS);
        let may = enter.may.unwrap_or_default();
        let reply = rtc::enter(&app, room.clone(), enter, (may, Pass::default()), listener).await?;
        let RtcReply::Entered(entered) = reply else { return Err(unexpected()) };
        let kept = CancellationToken::new();
        let every = app.ctx.config.timeouts.session / 3;
        app.ctx.tracker.spawn(keep(app.clone(), room.clone(), entered.session, every, kept.clone()));
        Ok(Session { app, room, entered: *entered, events, _kept: kept.drop_guard() })
    }
}

async fn keep(app: App, room: RoomId, session: SessionId, every: Duration, dropped: CancellationToken) {
    loop {
        tokio::select! {
            () = dropped.cancelled() => return,
            () = tokio::time::sleep(every) => {}
        }
        let ping = RtcRequest::Ping(Nothing {});
        if app.rooms.rtc(room.clone(), session, ping).await.is_err() {
            return;
        }
    }
}

impl Session {
    /// What it was told when it joined: its id, what the routers carry, who else is there.
    pub fn entered(&self) -> &Entered {
        &self.entered
    }

    /// What happens next; none once the session is over.
    pub async fn next(&mut self) -> Option<RtcEvent> {
        self.events.recv().await
    }

    /// Does what is asked.
    ///
    /// # Errors
    /// [`Refusal`] that says what to do.
    pub async fn ask(&self, request: RtcRequest) -> Result<RtcReply, Refusal> {
        rtc::ask(&self.app, self.room.clone(), self.entered.session, request).await
    }

    /// Opens a connection: one for each direction.
    ///
    /// # Errors
    /// [`Refusal`].
    pub async fn create_transport(&self, create: CreateWebRtcTransport) -> Result<Transport, Refusal> {
        match self.ask(RtcRequest::CreateWebRtcTransport(create)).await? {
            RtcReply::Transport(transport) => Ok(*transport),
            _ => Err(unexpected()),
        }
    }

    /// Tells a connection who may connect.
    ///
    /// # Errors
    /// [`Refusal`].
    pub async fn connect_transport(&self, id: SessionId, dtls: DtlsParameters) -> Result<(), Refusal> {
        let connect = ConnectWebRtcTransport { transport_id: id, dtls_parameters: dtls };
        self.ask(RtcRequest::ConnectWebRtcTransport(connect)).await.map(drop)
    }

    /// Begins to send.
    ///
    /// # Errors
    /// [`Refusal`].
    pub async fn produce(&self, produce: Produce) -> Result<ProducerId, Refusal> {
        match self.ask(RtcRequest::Produce(Box::new(produce))).await? {
            RtcReply::Produced(produced) => Ok(produced.id),
            _ => Err(unexpected()),
        }
    }

    /// Is sent what another sends, on whichever node that is.
    ///
    /// # Errors
    /// [`Refusal`].
    pub async fn consume(&self, consume: Consume) -> Result<Consumed, Refusal> {
        match self.ask(RtcRequest::Consume(consume)).await? {
            RtcReply::Consumed(consumed) => Ok(*consumed),
            _ => Err(unexpected()),
        }
    }

    /// Ends it at once.
    ///
    /// # Errors
    /// [`Refusal`] where it was over already.
    pub async fn leave(self) -> Result<(), Refusal> {
        self.ask(RtcRequest::Leave(Nothing {})).await.map(drop)
    }
}

fn unexpected() -> Refusal {
    Refusal::new(Code::Media, "the room answered something else than what was asked")
}
