//! Application servers: their requests by NATS, and what happens told back to them there.

use tokio::sync::mpsc;
use tracing::Instrument;

use super::{ask, enter};
use crate::broker::RtcInbound;
use crate::http::App;
use crate::protocol::codec::Form;
use crate::protocol::ids::{RoomId, SessionId};
use crate::protocol::refusal::{Code, Refusal};
use crate::protocol::rtc::{RtcAsked, RtcEvent, RtcReply, RtcRequest};
use crate::room::Pass;

/// Events of a session that may wait to be told.
const EVENTS: usize = 512;

/// Answers what application servers ask of this node's sessions, for as long as the node hears others.
pub async fn answer_servers(app: App, mut asked: mpsc::Receiver<RtcInbound>) {
    while let Some(RtcInbound { room, asked, form, reply }) = asked.recv().await {
        let span = tracing::info_span!(parent: None, "rtc", node = %app.ctx.me.node, %room);
        let app = app.clone();
        let tracker = app.ctx.tracker.clone();
        let work = async move {
            // Whoever asked may have given up: then no one needs the answer.
            let _ = reply.send(answer(&app, room, asked, form).await);
        };
        tracker.spawn(work.instrument(span));
    }
}

async fn answer(app: &App, room: RoomId, asked: RtcAsked, form: Form) -> Result<RtcReply, Refusal> {
    match (asked.request, asked.session) {
        (RtcRequest::Join(join), _) => {
            let (listener, events) = mpsc::channel(EVENTS);
            let may = join.may.unwrap_or_default();
            // Who may is the application server's matter; that it may ask at all, NATS'.
            let entered = enter(app, room.clone(), join, (may, Pass::default()), listener).await?;
            if let RtcReply::Entered(entered) = &entered {
                let telling = tell(app.clone(), room, entered.session, events, form);
                app.ctx.tracker.spawn(telling);
            }
            Ok(entered)
        }
        (RtcRequest::GetRouterRtpCapabilities(_), _) => {
            Ok(super::complete(app, RtcReply::Capabilities(Default::default())))
        }
        (request, Some(session)) => ask(app, room, session, request).await,
        (request, None) => {
            let why =
                format!("{} is asked of a session: send the one that join has answered", request.name());
            Err(Refusal::new(Code::UnknownSession, why))
        }
    }
}

/// Tells a session's application server what happens, until it is over.
async fn tell(app: App, room: RoomId, session: SessionId, mut events: mpsc::Receiver<RtcEvent>, form: Form) {
    while let Some(event) = events.recv().await {
        app.ctx.broker.tell_session(&room, session, &event, form).await;
    }
}
