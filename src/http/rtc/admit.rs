//! Whether somebody may take part: decided as they join, and told beforehand to whoever asks without a WebSocket, as
//! browsers don't say why one was refused.

use axum::http::StatusCode;
use tokio::sync::mpsc;

use super::enter;
use crate::config::Action;
use crate::http::App;
use crate::http::auth::{Asker, AuthError, may, tell};
use crate::http::problem::Problem;
use crate::protocol::ids::{RoomId, SessionId, StreamName};
use crate::protocol::presence::Phase;
use crate::protocol::refusal::{Code, Refusal};
use crate::protocol::rtc::{Enter, May, RtcEvent, RtcReply};
use crate::room::{Pass, RoomError};

/// Who is at a socket.
#[derive(Debug)]
pub(super) struct Guest {
    pub(super) asker: Asker,
    pub(super) room: RoomId,
    pub(super) resumes: Option<SessionId>,
}

/// Lets somebody in, as far as its token allows.
pub(super) async fn join_as(
    app: &App,
    guest: &Guest,
    join: Enter,
    listener: mpsc::Sender<RtcEvent>,
) -> Result<RtcReply, Refusal> {
    let name = join.name.clone();
    let refuse = |error: AuthError| {
        tell(app, Action::Watch, guest.room.clone(), name.clone(), &error);
        Refusal::new(Code::Forbidden, error.to_string())
    };
    let (may, pass) = allowed(app, guest, &name).await.map_err(refuse)?;
    let tokens = pass.tokens.clone();
    let entered = enter(app, guest.room.clone(), join, (may, pass), listener).await;
    // It may have been barred while it was let in.
    match app.gate.barred(&tokens) {
        Some(until) => {
            app.gate.send_out(&tokens).await;
            Err(refuse(AuthError::Barred(until)))
        }
        None => entered,
    }
}

/// What somebody of this name may do.
async fn allowed(app: &App, guest: &Guest, name: &StreamName) -> Result<(May, Pass), AuthError> {
    let allowed = async |action| may(app, action, &guest.room, name, &guest.asker).await;
    let publishes = allowed(Action::Publish).await;
    let watches = allowed(Action::Watch).await;
    // Where nobody needs a token, nobody is more than others.
    let moderates = app.verifier.checks() && allowed(Action::Moderate).await.is_ok();
    let may = May { publish: publishes.is_ok(), subscribe: watches.is_ok(), moderate: moderates };
    publishes.or(watches).map(|pass| (may, pass))
}

/// What a WebSocket would be refused for, or a join as far as that is known without one. The name that it would be by
/// matters where tokens are for some names alone.
pub(super) async fn explain(app: &App, guest: &Guest, name: Option<&StreamName>) -> Problem {
    match *app.ctx.phase.borrow() {
        Phase::Serving => {}
        Phase::Starting => return RoomError::Starting.into(),
        _ => return RoomError::Draining.into(),
    }
    let anybody = StreamName::default();
    match (allowed(app, guest, name.unwrap_or(&anybody)).await, name) {
        (Ok(_), _) | (Err(AuthError::Forbidden), None) => {}
        (Err(error), _) => return error.into(),
    }
    Problem::new(
        StatusCode::UPGRADE_REQUIRED,
        "nothing would be refused here: open a WebSocket at this address",
    )
}
